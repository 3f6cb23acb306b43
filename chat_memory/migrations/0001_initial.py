"""Creates all tables with all columns of the design, so that no later migration needs a backfill.

The order of columns is that of the models, foreign keys included: it decides how much padding a row has, and how much
of a row an update writes to the write-ahead log.
"""

import chat_memory.records
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
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
                                "\\A(?!\\.{1,2}\\Z)[A-Za-z0-9._-]{1,100}\\Z",
                                "Use letters, digits, '.', '_' and '-', and neither '.' nor '..' alone.",
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
                ("last_seq", models.BigIntegerField(default=0, editable=False, verbose_name="last position")),
                ("last_turn", models.BigIntegerField(default=0, editable=False, verbose_name="turns")),
                ("message_count", models.BigIntegerField(default=0, editable=False, verbose_name="messages")),
                ("version", models.BigIntegerField(default=0, editable=False, verbose_name="version")),
                ("vtoken", models.BigIntegerField(default=0, editable=False, verbose_name="version token")),
                (
                    "prev_vtoken",
                    models.BigIntegerField(default=0, editable=False, verbose_name="previous version token"),
                ),
                ("updated_at", models.DateTimeField(verbose_name="updated at")),
                (
                    "active_at",
                    models.DateTimeField(
                        help_text="When the newest message was written; without messages, when the session was created.",
                        verbose_name="last active",
                    ),
                ),
                (
                    "listed_at",
                    models.DateTimeField(
                        editable=False,
                        help_text="An indexed copy of the last activity, which may lag.",
                        verbose_name="listed at",
                    ),
                ),
                (
                    "changed_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        help_text="An indexed copy of the time of the last change, which may lag.",
                        verbose_name="changed at",
                    ),
                ),
                ("base_seq", models.BigIntegerField(default=0, editable=False, verbose_name="cleared up to")),
                (
                    "branch_number",
                    models.BigIntegerField(
                        db_default=0,
                        default=0,
                        editable=False,
                        help_text="Of a branch: its place in the order they were made. Of main: the number given last.",
                        verbose_name="branch number",
                    ),
                ),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("pinned", models.BooleanField(default=False, verbose_name="pinned")),
                (
                    "title_made",
                    models.BooleanField(
                        default=False,
                        editable=False,
                        help_text="Whether the title was made from the first user message.",
                        verbose_name="title made",
                    ),
                ),
                (
                    "key_from_client",
                    models.BooleanField(
                        default=False,
                        editable=False,
                        help_text="Whether a member chose the key through the API; it is given up to the user it is opened for.",
                        verbose_name="key from client",
                    ),
                ),
                ("key", models.CharField(max_length=255, verbose_name="key")),
                ("branch", models.CharField(default="main", max_length=100, verbose_name="branch")),
                (
                    "parent",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="branches",
                        to="chat_memory.session",
                        verbose_name="parent",
                    ),
                ),
                ("fork_seq", models.BigIntegerField(blank=True, null=True, verbose_name="forked at")),
                (
                    "pending",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("answered", "with its first answer"),
                            ("complete", "when its answer is complete"),
                            ("edited", "with its edited message"),
                        ],
                        db_default="",
                        default="",
                        editable=False,
                        help_text="Of a branch that is to become the current one: when it does.",
                        max_length=10,
                        verbose_name="pending",
                    ),
                ),
                (
                    "head",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        help_text="The current branch of the conversation; empty if it is this one.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="chat_memory.session",
                        verbose_name="head",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="chat_memory_sessions",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                (
                    "user_key",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Kept when the user is deleted.",
                        max_length=255,
                        verbose_name="user key",
                    ),
                ),
                (
                    "user_left",
                    models.BooleanField(
                        default=False,
                        editable=False,
                        help_text="Whether the user was deleted; the user key is then nobody's, though another system may use it too.",
                        verbose_name="user left",
                    ),
                ),
                ("title", models.CharField(blank=True, default="", max_length=200, verbose_name="title")),
                ("tags", models.JSONField(blank=True, default=list, verbose_name="tags")),
                ("metadata", models.JSONField(blank=True, default=dict, verbose_name="metadata")),
                ("cleared_at", models.DateTimeField(editable=False, null=True, verbose_name="cleared at")),
                ("archived_at", models.DateTimeField(blank=True, null=True, verbose_name="archived at")),
                ("deleted_at", models.DateTimeField(blank=True, null=True, verbose_name="deleted at")),
                ("expires_at", models.DateTimeField(blank=True, null=True, verbose_name="expires at")),
            ],
            options={
                "verbose_name": "session",
                "verbose_name_plural": "sessions",
                "constraints": [
                    models.UniqueConstraint(fields=("workspace", "key", "branch"), name="chat_memory_session_key"),
                    models.UniqueConstraint(fields=("id", "workspace"), name="chat_memory_session_tenant"),
                ],
                "indexes": [
                    models.Index(
                        condition=models.Q(("parent__isnull", True)),
                        fields=["workspace", "-listed_at", "-id"],
                        name="chat_memory_by_workspace",
                    ),
                    models.Index(
                        condition=models.Q(("parent__isnull", True)),
                        fields=["workspace", "changed_at", "id"],
                        name="chat_memory_by_change",
                    ),
                    models.Index(
                        condition=models.Q(("user__isnull", False)),
                        fields=["user", "-listed_at"],
                        name="chat_memory_by_user",
                    ),
                    models.Index(
                        condition=models.Q(("user_key", ""), _negated=True),
                        fields=["user_key", "-listed_at"],
                        name="chat_memory_by_user_key",
                    ),
                    models.Index(
                        condition=models.Q(("parent__isnull", False)), fields=["parent"], name="chat_memory_by_parent"
                    ),
                    models.Index(
                        condition=models.Q(("head__isnull", False)), fields=["head"], name="chat_memory_by_head"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Revision",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="id")),
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="chat_memory.workspace",
                        verbose_name="workspace",
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="revisions",
                        to="chat_memory.session",
                        verbose_name="session",
                    ),
                ),
                ("seq", models.BigIntegerField(verbose_name="position")),
                ("content", models.TextField(null=True, verbose_name="content")),
                ("parts", models.TextField(null=True, verbose_name="content parts")),
                ("edited_at", models.DateTimeField(verbose_name="edited at")),
            ],
            options={
                "verbose_name": "revision",
                "verbose_name_plural": "revisions",
                "indexes": [
                    models.Index(fields=["session", "seq"], name="chat_memory_revision_of"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Redaction",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="id")),
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="chat_memory.workspace",
                        verbose_name="workspace",
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="redactions",
                        to="chat_memory.session",
                        verbose_name="session",
                    ),
                ),
                ("seq", models.BigIntegerField(verbose_name="position")),
                ("by", models.CharField(blank=True, default="", max_length=255, verbose_name="by")),
                ("redacted_at", models.DateTimeField(verbose_name="redacted at")),
            ],
            options={
                "verbose_name": "redaction",
                "verbose_name_plural": "redactions",
                "constraints": [
                    models.UniqueConstraint(fields=("session", "seq"), name="chat_memory_redaction_of"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Attachment",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="id")),
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="attachments",
                        to="chat_memory.workspace",
                        verbose_name="workspace",
                    ),
                ),
                ("size", models.BigIntegerField(verbose_name="bytes")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("ready", models.BooleanField(default=False, verbose_name="ready")),
                ("sha256", models.CharField(max_length=64, verbose_name="SHA-256")),
                ("media_type", models.CharField(max_length=100, verbose_name="media type")),
                ("file", models.CharField(help_text="Its name in the storage.", max_length=255, verbose_name="file")),
            ],
            options={
                "verbose_name": "attachment",
                "verbose_name_plural": "attachments",
                "indexes": [
                    models.Index(
                        condition=models.Q(("ready", False), ("workspace__isnull", True), _connector="OR"),
                        fields=["created_at"],
                        name="chat_memory_attachment_open",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ready", True)),
                        fields=("workspace", "sha256"),
                        name="chat_memory_attachment_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="AttachmentReference",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="id")),
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="chat_memory.workspace",
                        verbose_name="workspace",
                    ),
                ),
                ("seq", models.BigIntegerField(verbose_name="position")),
                ("until", models.DateTimeField(null=True, verbose_name="kept until")),
                (
                    "session",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="references",
                        to="chat_memory.session",
                        verbose_name="session",
                    ),
                ),
                ("sha256", models.CharField(max_length=64, verbose_name="SHA-256")),
            ],
            options={
                "verbose_name": "reference to an attachment",
                "verbose_name_plural": "references to attachments",
                "indexes": [models.Index(fields=["workspace", "sha256"], name="chat_memory_reference_to")],
                "constraints": [
                    models.UniqueConstraint(fields=("session", "seq", "sha256"), name="chat_memory_reference_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Draft",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="id")),
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="chat_memory.workspace",
                        verbose_name="workspace",
                    ),
                ),
                (
                    "seq",
                    models.BigIntegerField(
                        default=0, help_text="Of the message it is to replace; 0: none.", verbose_name="position"
                    ),
                ),
                ("begun", models.BigIntegerField(verbose_name="begun")),
                ("touched", models.BigIntegerField(verbose_name="last written")),
                ("length", models.IntegerField(default=0, verbose_name="characters")),
                (
                    "turn",
                    models.IntegerField(
                        blank=True, help_text="Of a draft that answers in a turn.", null=True, verbose_name="turn"
                    ),
                ),
                ("stop_asked", models.BooleanField(default=False, verbose_name="stop asked")),
                (
                    "session",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="drafts",
                        to="chat_memory.session",
                        verbose_name="session",
                    ),
                ),
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
                ("client_id", models.CharField(max_length=512, verbose_name="message id")),
                ("name", models.CharField(blank=True, max_length=255, null=True, verbose_name="name")),
                ("metadata", models.TextField(blank=True, null=True, verbose_name="metadata")),
                ("text", models.TextField(blank=True, default="", verbose_name="text")),
            ],
            options={
                "verbose_name": "draft",
                "verbose_name_plural": "drafts",
                "constraints": [
                    models.UniqueConstraint(fields=("session", "client_id"), name="chat_memory_draft_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Feedback",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="id")),
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="chat_memory.workspace",
                        verbose_name="workspace",
                    ),
                ),
                ("seq", models.BigIntegerField(verbose_name="position")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("updated_at", models.DateTimeField(verbose_name="given at")),
                (
                    "session",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="feedback",
                        to="chat_memory.session",
                        verbose_name="session",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="chat_memory_feedback",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                ("vote", models.SmallIntegerField(choices=[(1, "good"), (-1, "bad")], verbose_name="vote")),
                ("user_left", models.BooleanField(default=False, editable=False, verbose_name="user left")),
                (
                    "user_key",
                    models.CharField(
                        help_text="Kept when the user is deleted.", max_length=255, verbose_name="user key"
                    ),
                ),
                ("model", models.CharField(blank=True, default="", max_length=255, verbose_name="language model")),
                ("comment", models.TextField(blank=True, default="", verbose_name="comment")),
            ],
            options={
                "verbose_name": "feedback",
                "verbose_name_plural": "feedback",
                "indexes": [
                    models.Index(fields=["session", "seq", "id"], name="chat_memory_feedback_on"),
                    models.Index(fields=["workspace", "updated_at"], name="chat_memory_feedback_time"),
                    models.Index(
                        condition=models.Q(("user__isnull", False)), fields=["user"], name="chat_memory_feedback_by"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("user__isnull", False)),
                        fields=("session", "seq", "user"),
                        name="chat_memory_vote_of_user",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("user__isnull", True), ("user_left", False)),
                        fields=("session", "seq", "user_key"),
                        name="chat_memory_vote_of_key",
                    ),
                    models.CheckConstraint(condition=models.Q(("vote__in", (1, -1))), name="chat_memory_vote"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Message",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="id")),
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
                ("seq", models.BigIntegerField(verbose_name="position")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("turn", models.IntegerField(default=0, verbose_name="turn")),
                ("tokens", models.IntegerField(blank=True, null=True, verbose_name="tokens")),
                (
                    "crossed",
                    models.BooleanField(
                        db_default=False,
                        default=False,
                        editable=False,
                        help_text="Whether a later question was stored before it.",
                        verbose_name="crossed",
                    ),
                ),
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
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("complete", "complete"),
                            ("streaming", "streaming"),
                            ("stopped", "stopped"),
                            ("failed", "failed"),
                            ("abandoned", "abandoned"),
                            ("redacted", "redacted"),
                        ],
                        default="complete",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("client_id", models.CharField(max_length=512, verbose_name="message id")),
                ("content", models.TextField(blank=True, null=True, verbose_name="content")),
                ("parts", models.TextField(blank=True, null=True, verbose_name="content parts")),
                ("name", models.CharField(blank=True, max_length=255, null=True, verbose_name="name")),
                ("tool_calls", models.TextField(blank=True, null=True, verbose_name="tool calls")),
                ("tool_call_id", models.TextField(blank=True, null=True, verbose_name="tool call id")),
                ("metadata", models.TextField(blank=True, null=True, verbose_name="metadata")),
                ("extra", models.TextField(blank=True, null=True, verbose_name="further fields")),
            ],
            options={
                "verbose_name": "message",
                "verbose_name_plural": "messages",
                "constraints": [
                    models.UniqueConstraint(fields=("session", "client_id"), name="chat_memory_message_once"),
                    models.UniqueConstraint(fields=("session", "seq"), name="chat_memory_message_seq"),
                    models.CheckConstraint(
                        condition=models.Q(("role__in", ["system", "user", "assistant", "tool", "function"])),
                        name="chat_memory_message_role",
                    ),
                ],
                "indexes": [
                    models.Index(
                        condition=models.Q(("role", "system")), fields=["session", "seq"], name="chat_memory_system"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="WorkspaceMember",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="chat_memory_memberships",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
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
            ],
            options={
                "verbose_name": "workspace member",
                "verbose_name_plural": "workspace members",
                "ordering": ("workspace", "user_id"),
                "constraints": [
                    models.UniqueConstraint(fields=("workspace", "user"), name="chat_memory_member_once"),
                    models.CheckConstraint(
                        condition=models.Q(("role__in", ["member", "reader", "writer", "admin"])),
                        name="chat_memory_member_role",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Summary",
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
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="chat_memory.workspace",
                        verbose_name="workspace",
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="summaries",
                        to="chat_memory.session",
                        verbose_name="session",
                    ),
                ),
                ("first_seq", models.BigIntegerField(verbose_name="first position")),
                ("last_seq", models.BigIntegerField(verbose_name="last position")),
                ("text", models.TextField(null=True, verbose_name="text")),
                ("model", models.CharField(blank=True, default="", max_length=255, verbose_name="model")),
                ("tokens", models.IntegerField(default=0, verbose_name="tokens")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
            ],
            options={
                "verbose_name": "summary",
                "verbose_name_plural": "summaries",
                "indexes": [models.Index(fields=["session", "last_seq"], name="chat_memory_summary_range")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("text__isnull", True)),
                        fields=("session",),
                        name="chat_memory_summary_claim",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="MessageChange",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="id")),
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="chat_memory.workspace",
                        verbose_name="workspace",
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="chat_memory.session",
                        verbose_name="session",
                    ),
                ),
                ("number", models.BigIntegerField(verbose_name="number")),
                ("row", models.UUIDField(verbose_name="row")),
                ("seq", models.BigIntegerField(verbose_name="position")),
                ("vtoken", models.BigIntegerField(verbose_name="version token")),
                (
                    "taken",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Of a message that was taken off: a digest of its id and time; empty: it says something else.",
                        max_length=16,
                        verbose_name="taken",
                    ),
                ),
                ("changed_at", models.DateTimeField(verbose_name="changed at")),
            ],
            options={
                "verbose_name": "change of a message",
                "verbose_name_plural": "changes of messages",
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("session", "number"), name="chat_memory_change_of"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Tombstone",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="id")),
                (
                    "workspace",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="chat_memory.workspace",
                        verbose_name="workspace",
                    ),
                ),
                ("session_id", models.UUIDField(verbose_name="session")),
                ("gone_at", models.DateTimeField(verbose_name="gone at")),
            ],
            options={
                "verbose_name": "conversation that is gone",
                "verbose_name_plural": "conversations that are gone",
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["workspace", "gone_at", "id"], name="chat_memory_gone"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Turn",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="id")),
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
                ("seq", models.BigIntegerField(verbose_name="position of the question")),
                ("lease_until", models.BigIntegerField(verbose_name="lease until")),
                ("turn", models.IntegerField(verbose_name="turn")),
                (
                    "session",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="turns",
                        to="chat_memory.session",
                        verbose_name="session",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "being answered"),
                            ("answered", "answered"),
                            ("free", "given up"),
                            ("interrupted", "interrupted"),
                            ("withdrawn", "withdrawn"),
                        ],
                        max_length=11,
                        verbose_name="state",
                    ),
                ),
                ("holder", models.CharField(max_length=36, verbose_name="holder")),
            ],
            options={
                "verbose_name": "turn",
                "verbose_name_plural": "turns",
                "constraints": [models.UniqueConstraint(fields=("session", "turn"), name="chat_memory_turn_once")],
            },
        ),
        migrations.CreateModel(
            name="UndroppedEntry",
            fields=[
                (
                    "key",
                    models.CharField(
                        editable=False, max_length=64, primary_key=True, serialize=False, verbose_name="key"
                    ),
                ),
                ("until", models.DateTimeField(null=True, verbose_name="kept until")),
            ],
            options={
                "verbose_name": "cache entry to drop",
                "verbose_name_plural": "cache entries to drop",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="DatabaseToken",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False, verbose_name="id"
                    ),
                ),
                ("token", models.CharField(editable=False, max_length=32, verbose_name="token")),
            ],
            options={
                "verbose_name": "token of the database",
                "verbose_name_plural": "tokens of the database",
                "default_permissions": (),
            },
        ),
    ]
