"""Owns factories for a host's tests; they create sessions and messages through conversations, as in production."""
# factory_boy types its factories, but not its declarations:
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from factory.declarations import Sequence, SubFactory
from factory.django import DjangoModelFactory

from chat_memory import models
from chat_memory.choices import MemberRole, Role
from chat_memory.fields import SETTABLE
from chat_memory.history.conversation import conversation
from chat_memory.records import Message
from chat_memory.storage.mapping import to_row

_RECORD_FIELDS = frozenset(Message.__struct_fields__) - {"seq"}


class UserFactory(DjangoModelFactory[Any]):
    """A user of the host's user model; if its USERNAME_FIELD is not ``username``, that field gets an e-mail address."""

    class Meta:
        model = settings.AUTH_USER_MODEL

    username = Sequence(lambda number: f"user-{number}")

    @classmethod
    def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any]:
        field: str = get_user_model().USERNAME_FIELD
        if field != "username":
            kwargs.setdefault(field, f"{kwargs.pop('username')}@example.com")
        return kwargs


class WorkspaceFactory(DjangoModelFactory[models.Workspace]):
    """A workspace."""

    class Meta:
        model = models.Workspace

    slug = Sequence(lambda number: f"workspace-{number}")


class WorkspaceMemberFactory(DjangoModelFactory[models.WorkspaceMember]):
    """A member of a workspace, by default with the role ``member``."""

    class Meta:
        model = models.WorkspaceMember

    workspace = SubFactory(WorkspaceFactory)
    user = SubFactory(UserFactory)
    role = MemberRole.MEMBER


class SessionFactory(DjangoModelFactory[models.Session]):
    """A session without messages.

    Columns that ``conversation().open`` cannot set, such as ``created_at``, are updated after the session is created,
    so that a test can make a session look old.
    """

    class Meta:
        model = models.Session

    workspace = SubFactory(WorkspaceFactory)
    key = Sequence(lambda number: f"session-{number}")

    @classmethod
    def _create(cls, model_class: type[models.Session], *_args: Any, **columns: Any) -> models.Session:
        workspace, key, owner = columns.pop("workspace"), columns.pop("key"), columns.pop("user", None)
        chat = conversation(
            key, workspace.slug, user=owner or columns.pop("user_key", None) or None, using=workspace._state.db
        )
        record = chat.open(**{name: columns.pop(name) for name in SETTABLE if name in columns})
        rows = model_class.objects.using(workspace._state.db).filter(pk=record.id, workspace_id=workspace.pk)
        if columns:
            rows.update(**_times(columns) | columns)
        return rows.get()


class MessageFactory(DjangoModelFactory[models.Message]):
    """A message, appended to its session; takes the arguments of ``chat_memory.Message``.

    The session's counters are updated, and the ``session`` passed is refreshed. ``build`` returns a row that is not
    stored.
    """

    class Meta:
        model = models.Message

    session = SubFactory(SessionFactory)
    role = Role.USER.value
    content = Sequence(lambda number: f"message {number}")

    @classmethod
    def _create(cls, model_class: type[models.Message], *_args: Any, **columns: Any) -> models.Message:
        session = columns.pop("session")
        receipt = session.history().append(_record(columns))
        session.refresh_from_db()
        rows = model_class.objects.using(session._state.db).filter(workspace_id=session.workspace_id)
        row = rows.filter(session=session, seq=receipt.last_seq)
        if columns:
            row.update(**columns)
        return row.get()

    @classmethod
    def _build(cls, model_class: type[models.Message], *_args: Any, **columns: Any) -> models.Message:
        session = columns.pop("session")
        row = to_row(_record(columns))
        return model_class(session=session, workspace=session.workspace, **(row._asdict() | columns))


def _times(columns: dict[str, Any]) -> dict[str, Any]:
    """``active_at`` and ``listed_at`` for the given columns: without messages, ``active_at`` is ``created_at``."""
    active_at = columns.get("active_at", columns.get("created_at"))
    return {} if active_at is None else {"active_at": active_at, "listed_at": active_at}


def _record(columns: dict[str, Any]) -> Message:
    """The message that the columns describe; the columns used are removed from ``columns``."""
    if "client_id" in columns:
        columns["id"] = columns.pop("client_id")
    return Message(**{name: columns.pop(name) for name in _RECORD_FIELDS & columns.keys()})
