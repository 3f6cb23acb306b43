"""Owns abandoned drafts, whose writer is gone: each is stored as a message with its text so far."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import BigIntegerField, Exists, F, OuterRef, QuerySet
from django.db.models.expressions import RawSQL

from chat_memory.choices import TurnState
from chat_memory.conf import settings
from chat_memory.exceptions import Busy, NotFound, ValidationError
from chat_memory.history.conversation import of_session
from chat_memory.history.drafts import settle_lapsed
from chat_memory.models import Draft, Session, Turn
from chat_memory.storage.contract import DraftStore
from chat_memory.storage.orm.statements import drafts as statements
from chat_memory.storage.tenancy import across_workspaces

logger = logging.getLogger("chat_memory.maintenance")


class Trouble(NamedTuple):
    """An abandoned draft: its branch, and how long it has had no writer."""

    workspace: str
    key: str
    branch: str
    detail: str


def settle(alias: str, chosen: Mapping[str, Any] | None = None) -> int:
    """Store the abandoned drafts as messages, and return their number.

    A conversation that another transaction locks is left to the next call.

    Args:
        alias: the database.
        chosen: the condition for rows of one workspace; None: all workspaces.
    """
    with across_workspaces():
        rows = Session.objects.using(alias).filter(pk__in=_lapsed(alias, chosen or {}).values("session_id"))
        sessions = list(rows.select_related("workspace").order_by("pk"))
    return sum(_settled(session) for session in sessions)


def troubles(alias: str, chosen: Mapping[str, Any], *, repair: bool) -> Iterator[Trouble]:
    """The abandoned drafts; with ``repair`` they are stored as messages."""
    with across_workspaces():
        names = ("session__workspace__slug", "session__key", "session__branch")
        found = list(_lapsed(alias, chosen).order_by("pk").values_list(*names, "age"))
    if repair and found:
        settle(alias, chosen)
    for workspace, key, branch, age in found:
        detail = f"has had no writer for {age // 1000} seconds, and was not stored as a message"
        yield Trouble(workspace, key, branch, detail)


def _lapsed(alias: str, chosen: Mapping[str, Any]) -> QuerySet[Draft]:
    text = statements.now(connections[alias].vendor)
    now = RawSQL(text, (), output_field=BigIntegerField())  # noqa: S611  # no outside value in it
    rows = Draft.objects.using(alias).filter(session__deleted_at=None, **chosen).annotate(age=now - F("touched"))
    # While somebody holds the lease of a turn, the turn's draft counts as alive, whatever its age.
    own = {name: OuterRef(name) for name in ("workspace_id", "session_id", "turn")}
    held = Turn.objects.using(alias).filter(**own, state=TurnState.OPEN, lease_until__gt=now)
    return rows.filter(~Exists(held), age__gt=settings.draft_lapse_seconds * 1000)


def _settled(session: Session) -> int:
    """Store a conversation's abandoned drafts and return their number; another branch's call may have stored some."""
    place = of_session(session).place
    lapsed = [draft for draft in place.adapter.part(DraftStore).all(place.address) if draft.lapsed]
    number = 0
    for draft in lapsed:
        try:
            number += settle_lapsed(place, draft)
        except (Busy, NotFound, ValidationError) as error:
            logger.warning("an abandoned draft could not be stored (%s)", type(error).__name__)
    return number
