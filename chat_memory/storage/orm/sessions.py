"""Owns reads and changes of session rows; it must not touch single messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import F, Model, Q, signals

from chat_memory.exceptions import SessionNotFound
from chat_memory.models import Message as MessageRow, Session
from chat_memory.records import Address, Change, Header, SessionRecord
from chat_memory.storage.orm.rows import create, lock, named, new_token
from chat_memory.storage.orm.transactions import own_or_callers, retrying
from chat_memory.storage.tenancy import across_workspaces


def to_record(session: Session) -> SessionRecord:
    """The record of a row; its workspace must be loaded."""
    names = (name for name in SessionRecord.__struct_fields__ if name != "workspace")
    return SessionRecord(workspace=session.workspace.slug, **{name: getattr(session, name) for name in names})


def get(alias: str, at: Address) -> SessionRecord | None:
    """The contract is ``SessionStore.get``."""
    session = named(alias, at).select_related("workspace").first()
    return to_record(session) if session else None


def find(
    alias: str, workspace: str, *, user_key: str | None, before: SessionRecord | None, size: int
) -> list[SessionRecord]:
    """The contract is ``SessionStore.find``."""
    rows = Session.objects.using(alias).filter(workspace__slug=workspace, parent__isnull=True, deleted_at__isnull=True)
    if user_key is not None:
        rows = rows.filter(user_key=user_key)
    if before is not None:
        tie = Q(updated_at=before.updated_at, id__lt=before.id)
        rows = rows.filter(Q(updated_at__lt=before.updated_at) | tie)
    ordered = rows.select_related("workspace").order_by("-updated_at", "-id")
    return [to_record(session) for session in ordered[:size]]


def open_session(alias: str, at: Address, fields: Mapping[str, Any]) -> tuple[SessionRecord, bool]:
    """The contract is ``SessionStore.open``."""

    def write() -> tuple[SessionRecord, bool]:
        with own_or_callers(alias):
            known = get(alias, at)
            if known is not None:
                return known, False
            session, made = create(alias, at, {**fields, "version": 1})
            return to_record(session), made

    return retrying(alias, write)


def update(alias: str, at: Address, fields: Mapping[str, Any]) -> SessionRecord:
    """The contract is ``SessionStore.update``."""

    def write() -> SessionRecord:
        with own_or_callers(alias):
            if not named(alias, at).update(**fields, **_moved()):
                raise SessionNotFound(f"there is no conversation {at.key!r} in workspace {at.workspace!r}")
            return to_record(named(alias, at).select_related("workspace").get())

    return retrying(alias, write)


def clear(alias: str, at: Address) -> Change | None:
    """The contract is ``MessageStore.clear``: O(1), the rows stay until cleanup takes them."""

    def write() -> Change | None:
        with own_or_callers(alias):
            session = lock(alias, at)
            if session is None or session.base_seq == session.last_seq:
                return None
            token = new_token()
            now = datetime.now(UTC)
            named(alias, at).update(base_seq=F("last_seq"), message_count=0, cleared_at=now, **_moved(token, now))
            header = Header(
                session.pk, session.workspace_id, session.version + 1, token, session.last_seq, session.last_seq
            )
            return Change(header, session.version, session.vtoken)

    return retrying(alias, write)


def delete(alias: str, at: Address) -> bool:
    """The contract is ``SessionStore.delete``: messages and branches go with the session."""

    def write() -> bool:
        with own_or_callers(alias):
            session = lock(alias, at)
            if session is None:
                return False
            rows = Session.objects.using(alias).filter(workspace_id=session.workspace_id)
            remove(alias, with_branches(rows, [session.pk]), workspace_id=session.workspace_id)
            return True

    return retrying(alias, write)


def remove(alias: str, sessions: Sequence[Any], **tenant: int) -> int:
    """Delete locked sessions, branches included, with their messages; how many messages went.

    Straight to the database where nobody but this package refers to them: Django's delete() would load every row. A
    host's own foreign keys and delete signals get Django's way.
    """
    messages = MessageRow.objects.using(alias).filter(session_id__in=sessions, **tenant)
    rows = Session.objects.using(alias).filter(pk__in=sessions, **tenant)
    if not (_hosts_care(MessageRow) or _hosts_care(Session)):
        count: int = messages._raw_delete(alias)
        rows._raw_delete(alias)
        return count
    with across_workspaces():  # the collector asks by the keys it was given, which one tenant's rows gave
        count = messages.count()
        messages.delete()
        rows.delete()
    return count


def _hosts_care(model: type[Model]) -> bool:
    """Whether a model outside this package refers to this one, or somebody listens to its deletion."""
    related = (field.related_model for field in model._meta.related_objects)
    listened = signals.pre_delete.has_listeners(model) or signals.post_delete.has_listeners(model)
    return listened or any(other._meta.app_label != model._meta.app_label for other in related)


def with_branches(rows: Any, sessions: Sequence[Any]) -> list[Any]:
    """The ids of the sessions and of every branch below them among ``rows``."""
    found, level = list(sessions), list(sessions)
    while level:
        level = list(rows.filter(parent_id__in=level).values_list("pk", flat=True))
        found += level
    return found


def _moved(token: int | None = None, now: datetime | None = None) -> dict[str, Any]:
    """What every change of a session row sets beside itself."""
    return {
        "version": F("version") + 1,
        "prev_vtoken": F("vtoken"),
        "vtoken": new_token() if token is None else token,
        "updated_at": now or datetime.now(UTC),
    }
