"""Owns the export of conversations, one by one in the order of their keys; it changes no stored data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from chat_memory.exceptions import SessionNotFound
from chat_memory.maintenance.formats import spreadsheet
from chat_memory.maintenance.formats.lines import CHAT_MEMORY, LINE_WRITERS
from chat_memory.maintenance.tenants import database, workspace_id
from chat_memory.maintenance.transfer.transcripts import of_current_branch, whole
from chat_memory.models import Session
from chat_memory.records import Transcript
from chat_memory.rules.names import check_key

PAGE = 200
CSV = "csv"
WRITERS: Mapping[str, Callable[[Transcript], bytes]] = {**LINE_WRITERS, CSV: spreadsheet.write_rows}
"""The function that encodes a conversation, by the name of the format."""


class Report(msgspec.Struct, frozen=True):
    """The numbers of conversations and messages that were exported."""

    sessions: int = 0
    messages: int = 0


def export_conversations(
    write: Callable[[bytes], object],
    workspace: str,
    *,
    key: str | None = None,
    user_key: str | None = None,
    form: str = CHAT_MEMORY,
    using: str | None = None,
    on_session: Callable[[int], None] = lambda _: None,
) -> Report:
    """Write the conversations of a workspace; only one at a time is held in memory.

    Each conversation is exported as it was at one moment, but the moment differs between conversations: an export does
    not block writers.

    Args:
        write: called with the bytes of each conversation; for csv, first with the header.
        workspace: the slug of the workspace.
        key: export only the conversation with this key; None: all.
        user_key: export only conversations of the owner with this key; None: all.
        form: chat_memory, openai or csv; the last two export only the current branch.
        using: the database alias; None: the alias to which the router writes sessions.
        on_session: called after each conversation with the number of conversations written so far.

    Raises:
        WorkspaceNotFound: there is no such workspace.
        SessionNotFound: there is no conversation with this ``key`` (and with this ``user_key``, where it is given).
        ValidationError: the slug or a key is invalid.
    """
    for field, name in (("session", key), ("user_key", user_key)):
        if name is not None:
            check_key(name, field)
    alias = database(using)
    wanted = {"workspace_id": workspace_id(alias, workspace), "key": key, "user_key": user_key}
    render, read = WRITERS[form], whole if form == CHAT_MEMORY else of_current_branch
    if form == CSV:
        write(spreadsheet.header())
    sessions = messages = 0
    for session in _sessions(alias, {name: value for name, value in wanted.items() if value is not None}):
        transcript = read(session)
        if transcript is None:  # deleted since it was listed
            continue
        write(render(transcript))
        sessions += 1
        messages += transcript.size
        on_session(sessions)
    if key is not None and not sessions:
        raise SessionNotFound(key, workspace)
    return Report(sessions, messages)


def _sessions(alias: str, wanted: Mapping[str, Any]) -> Iterator[Session]:
    """The conversations in the order of their keys, a page per statement: connection poolers forbid open cursors."""
    rows = Session.objects.using(alias).roots().filter(**wanted).select_related("workspace").order_by("key")
    page = list(rows[:PAGE])
    while page:
        yield from page
        page = list(rows.filter(key__gt=page[-1].key)[:PAGE])
