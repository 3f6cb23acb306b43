"""Owns the import, a line a conversation and each in a transaction of its own; it must not know files or formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db import transaction

from chat_memory import wiring
from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import ChatMemoryError, ValidationError, WorkspaceNotFound
from chat_memory.history.announcing import announce
from chat_memory.history.conversation import Conversation, conversation
from chat_memory.history.naming import address
from chat_memory.history.stamping import limits
from chat_memory.history.validation import (
    Limits,
    check_batch,
    check_message,
    check_session_fields,
    check_time,
    check_workspace,
)
from chat_memory.maintenance.formats import AUTO, Transcript, read_line
from chat_memory.maintenance.lines import restore
from chat_memory.maintenance.tenants import database
from chat_memory.records import Address, Message
from chat_memory.signals import session_created
from chat_memory.storage.base import Adapter
from chat_memory.storage.orm.transactions import retrying

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
KEPT_FAULTS = 1000
_LONGEST_REASON = 300


class Fault(msgspec.Struct, frozen=True):
    """A line that was left out: its number from 1 and what is wrong with it, in one line of printable text."""

    line: int
    reason: str


class Report(msgspec.Struct, frozen=True):
    """What an import did.

    Attributes:
        lines: lines that are not blank.
        sessions: conversations made.
        messages: messages added.
        replayed: messages that were stored before.
        damaged: lines left out.
        faults: why, for the first thousand of them.
    """

    lines: int = 0
    sessions: int = 0
    messages: int = 0
    replayed: int = 0
    damaged: int = 0
    faults: tuple[Fault, ...] = ()


def import_conversations(
    lines: Iterable[bytes],
    workspace: str,
    *,
    form: str = AUTO,
    user: Any = None,
    using: str | None = None,
    on_line: Callable[[int], None] = lambda _: None,
    on_fault: Callable[[Fault], None] = lambda _: None,
) -> Report:
    """Bring conversations into a workspace, which is made where CREATE_WORKSPACES allows it.

    A session that exists gets the messages it lacks and keeps its own title, tags, metadata and owner; what is stored
    already is replayed, so a second import adds nothing. Of a damaged line nothing is written, and the rest goes on.
    A line of OpenAI's gets a title as any conversation does, from its first user; our own keeps what it says, or none.

    Args:
        lines: JSON Lines as bytes, one conversation each; no more than one is held in memory.
        workspace: the slug.
        form: auto, chat_memory or openai.
        user: whose conversations they are, as for ``conversation()``, where a line names nobody.
        using: the database alias; None: where the router writes sessions.
        on_line: called after each line with its size in bytes.
        on_fault: called for each damaged line.

    Raises:
        ValidationError: the slug is not one, or the user cannot own anything.
        WorkspaceNotFound: the workspace is unknown and may not be made.
    """
    check_workspace(workspace)
    home = address("of a line", workspace, user, None)
    done = Report()
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        if text.strip():
            try:
                done = _sum(done, _store(read_line(text, form), home, using))
            except WorkspaceNotFound:
                raise
            except ChatMemoryError as error:
                fault = Fault(number, _printable(str(error)))
                on_fault(fault)
                done = _sum(done, Report(damaged=1, faults=(fault,)))
        on_line(len(line))
    return done


def _store(transcript: Transcript, home: Address, using: str | None) -> Report:
    """Write one conversation whole or not at all; everything is checked before the first write."""
    bounds = limits()
    at = msgspec.structs.replace(home, key=transcript.key)
    if transcript.user_key:
        at = msgspec.structs.replace(at, user_id=None, user_key=transcript.user_key)
    fields: dict[str, Any] = {**check_session_fields(transcript.fields, bounds), "base_seq": transcript.base_seq}
    if (began := _began(transcript)) is not None:
        check_time(began, "created_at")
        fields["created_at"] = began
    _check(transcript, bounds)
    messages = transcript.messages

    def append(branch: Address, given: Sequence[Message], after: int | None) -> int:
        chat = conversation(branch.key, branch.workspace, branch=branch.branch, using=using)
        return _append(chat, given, after, bounds.batch)

    def write() -> Report:
        adapter = wiring.adapter(using)
        main = msgspec.structs.replace(at, branch=MAIN_BRANCH)
        # A savepoint where the caller has a transaction: a conflict must take back what it finds written.
        with transaction.atomic(using=database(using)):
            session, made = adapter.open(at, fields)
            if made:
                announce(session_created, Conversation, adapter, at, version=session.version)
            # What branches and summaries say of positions is true only where the messages are at theirs.
            placed = bool(transcript.branches or transcript.summaries)
            added = append(main, messages, transcript.base_seq if placed else None)
            more, total = restore(database(using), main, transcript, append)
            _keep_title(adapter, main, fields if made else {})
        added, total = added + more, total + len(messages)
        return Report(sessions=int(made), messages=added, replayed=total - added)

    return retrying(database(using), write)


def _check(transcript: Transcript, bounds: Limits) -> None:
    """What a line says must be storable as a whole before any of it is stored."""
    for batch in (transcript.messages, *(branch.messages for branch in transcript.branches)):
        check_batch(batch, msgspec.structs.replace(bounds, batch=len(batch)))
    made = [branch.created_at for branch in transcript.branches] + [kept.created_at for kept in transcript.summaries]
    for moment in filter(None, made):
        check_time(moment, "created_at")
    for summary in transcript.summaries:
        check_message(Message.system(summary.text), bounds)


def _append(chat: Conversation, given: Sequence[Message], after: int | None, size: int) -> int:
    """Append in calls of that size; how many messages were new.

    Raises:
        ValidationError: ``after`` is given, and the messages are not at the positions that follow it.
    """
    known = chat.session()
    last_seq = known.last_seq if known else 0
    added = 0
    for start in range(0, len(given), size):
        stored = [message.seq or 0 for message in chat.append(*given[start : start + size]).messages]
        added += sum(seq > last_seq for seq in stored)
        if after is not None and stored != list(range(after + start + 1, after + start + 1 + len(stored))):
            raise ValidationError(f"branch {chat.branch!r} is stored with other positions than the line has")
    return added


def _keep_title(adapter: Adapter, main: Address, fields: Mapping[str, Any]) -> None:
    """A new conversation whose line has no title has none, whatever its first user said."""
    if fields.get("title") == "" and (stored := adapter.get(main)) and stored.title:
        adapter.update(main, {"title": ""})


def _began(transcript: Transcript) -> datetime | None:
    """When a conversation began: as its line says, else with the earliest of its messages that have a time."""
    sent = [message.created_at for message in transcript.messages if message.created_at]
    return transcript.created_at or min(sent, default=None)


def _sum(done: Report, line: Report) -> Report:
    """The totals with one more line."""
    return Report(
        done.lines + 1,
        done.sessions + line.sessions,
        done.messages + line.messages,
        done.replayed + line.replayed,
        done.damaged + line.damaged,
        done.faults + line.faults if line.faults and len(done.faults) < KEPT_FAULTS else done.faults,
    )


def _printable(text: str) -> str:
    """A reason that quotes a hostile line can neither break out of its own line nor command a terminal."""
    short = text[:_LONGEST_REASON]
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in short)
