"""Owns the workspace, which is the tenant, and its members."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.dispatch import Signal
from django.utils.translation import gettext_lazy as _

from chat_memory.choices import MemberRole
from chat_memory.models.user_link import UserLink, remove_row

SLUG_PATTERN = r"\A(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}\Z"
"""``.`` and ``..`` are refused because browsers resolve them in a URL, so such a workspace could not be reached."""


slug_changed = Signal()
"""Sent when ``QuerySet.update`` changes the slug of a workspace, because ``update`` calls no ``save()``.

Arguments: ``using``, ``workspace_id``, ``former`` (the old slug) and ``slug`` (the new one)."""


class WorkspaceQuerySet(models.QuerySet["Workspace"]):
    """The queries of workspaces."""

    def update(self, **values: Any) -> int:
        """As Django's; sends ``slug_changed`` for each changed slug, because the cache finds entries by the slug."""
        if "slug" not in values:
            return super().update(**values)
        self._for_write = True
        with transaction.atomic(using=self.db):
            former = dict(self.order_by().values_list("pk", "slug"))
            count = super().update(**values)
            now = Workspace.objects.using(self.db).filter(pk__in=former).values_list("pk", "slug")
            for pk, slug in now:
                if slug != former[pk]:
                    slug_changed.send(sender=Workspace, using=self.db, workspace_id=pk, former=former[pk], slug=slug)
        return count


class Workspace(models.Model):
    """A tenant: no query mixes the sessions of two workspaces. Only ``slug`` is required to create one."""

    slug = models.CharField(
        _("slug"),
        max_length=100,
        unique=True,
        validators=[
            RegexValidator(SLUG_PATTERN, _("Use letters, digits, '.', '_' and '-', and neither '.' nor '..' alone."))
        ],
    )
    name = models.CharField(_("name"), max_length=200, blank=True, default="")
    metadata = models.JSONField(_("metadata"), blank=True, default=dict)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    objects: ClassVar[models.Manager[Workspace]] = WorkspaceQuerySet.as_manager()

    class Meta:
        verbose_name = _("workspace")
        verbose_name_plural = _("workspaces")
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.name or self.slug


class WorkspaceMember(models.Model):
    """A user's role in a workspace, for the API and the admin, and the grants for the API."""

    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="members", db_index=False, verbose_name=_("workspace")
    )
    user = UserLink(
        settings.AUTH_USER_MODEL,
        on_delete=remove_row,
        db_constraint=False,
        related_name="chat_memory_memberships",
        verbose_name=_("user"),
    )
    role = models.CharField(_("role"), max_length=10, choices=MemberRole.choices, default=MemberRole.MEMBER)
    may_send_system = models.BooleanField(
        _("may send system messages"), default=False, help_text=_("Through the API; Python code always may.")
    )
    may_send_tool = models.BooleanField(
        _("may send tool messages"), default=False, help_text=_("Through the API; Python code always may.")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("workspace member")
        verbose_name_plural = _("workspace members")
        # Ordering by "user" would join the users' table, which may be in another database.
        ordering = ("workspace", "user_id")
        constraints = (
            models.UniqueConstraint(fields=("workspace", "user"), name="chat_memory_member_once"),
            models.CheckConstraint(condition=models.Q(role__in=MemberRole.values), name="chat_memory_member_role"),
        )

    def __str__(self) -> str:
        return f"{self.user_name} ({self.get_role_display()})"

    @property
    def user_name(self) -> str:
        """The user as text; the primary key if the user is not found."""
        try:
            return str(self.user)
        except ObjectDoesNotExist:
            return str(self.user_id)
