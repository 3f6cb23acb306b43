"""Every table with every column the design names, so that nothing later needs a backfill."""

import chat_memory.records
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Workspace",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "slug",
                    models.CharField(
                        max_length=100,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[A-Za-z0-9._-]{1,100}\\Z", "Use letters, digits, '.', '_' and '-'."
                            )
                        ],
                        verbose_name="slug",
                    ),
                ),
                ("name", models.CharField(blank=True, default="", max_length=200, verbose_name="name")),
                ("metadata", models.JSONField(blank=True, default=dict, verbose_name="metadata")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
            ],
            options={
                "verbose_name": "workspace",
                "verbose_name_plural": "workspaces",
                "ordering": ("slug",),
            },
        ),
        migrations.CreateModel(
            name="Session",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=chat_memory.records.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                        verbose_name="id",
                    ),
                ),
                ("key", models.CharField(max_length=255, verbose_name="key")),
                ("branch", models.CharField(default="main", max_length=100, verbose_name="branch")),
                ("fork_seq", models.BigIntegerField(blank=True, null=True, verbose_name="forked at")),
                (
                    "user_key",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Kept when the user goes.",
                        max_length=255,
                        verbose_name="user key",
                    ),
                ),
                ("title", models.CharField(blank=True, default="", max_length=200, verbose_name="title")),
                ("tags", models.JSONField(blank=True, default=list, verbose_name="tags")),
                ("metadata", models.JSONField(blank=True, default=dict, verbose_name="metadata")),
                ("last_seq", models.BigIntegerField(default=0, editable=False, verbose_name="last position")),
                ("base_seq", models.BigIntegerField(default=0, editable=False, verbose_name="cleared up to")),
                ("last_turn", models.BigIntegerField(default=0, editable=False, verbose_name="turns")),
                ("message_count", models.BigIntegerField(default=0, editable=False, verbose_name="messages")),
                ("version", models.BigIntegerField(default=0, editable=False, verbose_name="version")),
                ("vtoken", models.BigIntegerField(default=0, editable=False, verbose_name="version token")),
                (
                    "prev_vtoken",
                    models.BigIntegerField(editable=False, null=True, verbose_name="previous version token"),
                ),
                ("pinned", models.BooleanField(default=False, verbose_name="pinned")),
                ("cleared_at", models.DateTimeField(editable=False, null=True, verbose_name="cleared at")),
                ("archived_at", models.DateTimeField(blank=True, null=True, verbose_name="archived at")),
                ("deleted_at", models.DateTimeField(blank=True, null=True, verbose_name="deleted at")),
                ("expires_at", models.DateTimeField(blank=True, null=True, verbose_name="expires at")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("updated_at", models.DateTimeField(verbose_name="updated at")),
                (
                    "head",
                    models.ForeignKey(
                        blank=True,
                        help_text="The branch that speaks for the conversation; empty: this one.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="chat_memory.session",
                        verbose_name="head",
                    ),
                ),
                (
                    "parent",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="branches",
                        to="chat_memory.session",
                        verbose_name="parent",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="chat_memory_sessions",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sessions",
                        to="chat_memory.workspace",
                        verbose_name="workspace",
                    ),
                ),
            ],
            options={
                "verbose_name": "session",
                "verbose_name_plural": "sessions",
            },
        ),
        migrations.CreateModel(
            name="Message",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="id")),
                ("seq", models.BigIntegerField(verbose_name="position")),
                ("client_id", models.CharField(max_length=128, verbose_name="message id")),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("system", "system"),
                            ("user", "user"),
                            ("assistant", "assistant"),
                            ("tool", "tool"),
                            ("function", "function"),
                        ],
                        max_length=10,
                        verbose_name="role",
                    ),
                ),
                ("content", models.TextField(blank=True, null=True, verbose_name="content")),
                ("parts", models.TextField(blank=True, null=True, verbose_name="content parts")),
                ("name", models.CharField(blank=True, max_length=255, null=True, verbose_name="name")),
                ("tool_calls", models.TextField(blank=True, null=True, verbose_name="tool calls")),
                ("tool_call_id", models.CharField(blank=True, max_length=255, null=True, verbose_name="tool call id")),
                ("metadata", models.TextField(blank=True, null=True, verbose_name="metadata")),
                ("turn", models.BigIntegerField(default=0, verbose_name="turn")),
                ("tokens", models.IntegerField(blank=True, null=True, verbose_name="tokens")),
                (
                    "state",
                    models.CharField(
                        choices=[("complete", "complete"), ("streaming", "streaming"), ("failed", "failed")],
                        default="complete",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                (
                    "session",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="messages",
                        to="chat_memory.session",
                        verbose_name="session",
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="chat_memory.workspace",
                        verbose_name="workspace",
                    ),
                ),
            ],
            options={
                "verbose_name": "message",
                "verbose_name_plural": "messages",
            },
        ),
        migrations.CreateModel(
            name="WorkspaceMember",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "role",
                    models.CharField(
                        choices=[("member", "member"), ("reader", "reader"), ("writer", "writer"), ("admin", "admin")],
                        default="member",
                        max_length=10,
                        verbose_name="role",
                    ),
                ),
                (
                    "may_send_system",
                    models.BooleanField(
                        default=False,
                        help_text="Through the API; Python code always may.",
                        verbose_name="may send system messages",
                    ),
                ),
                (
                    "may_send_tool",
                    models.BooleanField(
                        default=False,
                        help_text="Through the API; Python code always may.",
                        verbose_name="may send tool messages",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chat_memory_memberships",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="members",
                        to="chat_memory.workspace",
                        verbose_name="workspace",
                    ),
                ),
            ],
            options={
                "verbose_name": "workspace member",
                "verbose_name_plural": "workspace members",
                "ordering": ("workspace", "user"),
            },
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(fields=["workspace", "-updated_at", "-id"], name="chat_memory_by_workspace"),
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(fields=["user", "-updated_at"], name="chat_memory_by_user"),
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(fields=["user_key", "-updated_at"], name="chat_memory_by_user_key"),
        ),
        migrations.AddConstraint(
            model_name="session",
            constraint=models.UniqueConstraint(fields=("workspace", "key", "branch"), name="chat_memory_session_key"),
        ),
        migrations.AddConstraint(
            model_name="session",
            constraint=models.UniqueConstraint(fields=("workspace", "id"), name="chat_memory_session_tenant"),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.UniqueConstraint(fields=("session", "seq"), name="chat_memory_message_seq"),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.UniqueConstraint(fields=("session", "client_id"), name="chat_memory_message_once"),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(("role__in", ["system", "user", "assistant", "tool", "function"])),
                name="chat_memory_message_role",
            ),
        ),
        migrations.AddConstraint(
            model_name="workspacemember",
            constraint=models.UniqueConstraint(fields=("workspace", "user"), name="chat_memory_member_once"),
        ),
        migrations.AddConstraint(
            model_name="workspacemember",
            constraint=models.CheckConstraint(
                condition=models.Q(("role__in", ["member", "reader", "writer", "admin"])),
                name="chat_memory_member_role",
            ),
        ),
    ]
