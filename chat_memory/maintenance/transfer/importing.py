"""Owns the import: lines become conversations in groups, each a transaction, and a damaged line costs only itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

import msgspec

from chat_memory import wiring
from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import ChatMemoryError, ValidationError
from chat_memory.history.naming import address
from chat_memory.history.stamping import counted
from chat_memory.maintenance.formats.clock import Clock, zone_named
from chat_memory.maintenance.formats.lines import AUTO, read_line
from chat_memory.records import Address, Message, Transcript, TranscriptBranch, TranscriptSummary
from chat_memory.rules.limits import Limits, limits
from chat_memory.rules.message import check_batch, check_message
from chat_memory.rules.names import check_workspace
from chat_memory.rules.session import check_session_fields
from chat_memory.rules.times import check_time
from chat_memory.storage.contract import ArchiveStore, Restored
from chat_memory.storage.titles import first_title

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
KEPT_FAULTS = 1000
GROUP_LINES, GROUP_MESSAGES, GROUP_BYTES = 500, 2_000, 16 * 1024 * 1024
"""A group of lines is full when it has reached one of these."""
_LONGEST_REASON = 300

Pair = tuple[Address, Transcript]


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
        naive_times: times without an offset in the other lines, which were taken to be in the zone of the import.
        faults: why, for the first thousand of them.
    """

    lines: int = 0
    sessions: int = 0
    messages: int = 0
    replayed: int = 0
    damaged: int = 0
    naive_times: int = 0
    faults: tuple[Fault, ...] = ()


class _Line(NamedTuple):
    """A line by its number: a conversation to store, or why there is none; a blank line has neither.

    ``naive`` is how many of its times had no offset.
    """

    number: int
    size: int
    pair: Pair | None = None
    error: ChatMemoryError | None = None
    naive: int = 0


def import_conversations(
    lines: Iterable[bytes],
    workspace: str,
    *,
    form: str = AUTO,
    user: Any = None,
    using: str | None = None,
    timezone: str | tzinfo = "UTC",
    on_line: Callable[[int], None] = lambda _: None,
    on_fault: Callable[[Fault], None] = lambda _: None,
) -> Report:
    """Bring conversations into a workspace, which is made where CREATE_WORKSPACES allows it.

    A session that exists gets the messages it lacks and keeps its own title, tags, metadata and owner; what is stored
    already is replayed, so a second import adds nothing. Of a damaged line nothing is written, and the rest goes on.
    A line of OpenAI's gets a title as any conversation does, from its first user; our own keeps what it says, or none.

    Args:
        lines: JSON Lines as bytes, one conversation each; a group of them at a time is held in memory.
        workspace: the slug.
        form: auto, chat_memory or openai.
        user: whose conversations they are, as for ``conversation()``, where a line names nobody.
        using: the database alias; None: where the router writes sessions.
        timezone: the zone that times without an offset are in, or its IANA name.
        on_line: called with the size in bytes of each line that is done; lines are done in groups.
        on_fault: called for each damaged line, in the order of the lines.

    Raises:
        ValidationError: the slug is not one, the user cannot own anything, or there is no such time zone.
        WorkspaceNotFound: the workspace is unknown and may not be made.
    """
    check_workspace(workspace)
    home, zone = address("of a line", workspace, user, MAIN_BRANCH), zone_named(timezone)
    tally = _Tally(on_fault)
    for group in _groups(_read(lines, form, home, zone)):
        archive = wiring.adapter(using).part(ArchiveStore)
        restored = iter(archive.restore([line.pair for line in group if line.pair]))
        for line in group:
            if line.pair:
                tally.add(line.number, next(restored), line.naive)
            elif line.error:
                tally.add(line.number, Restored(error=line.error))
            on_line(line.size)
    return tally.report()


class _Tally:
    """The report as it grows."""

    def __init__(self, on_fault: Callable[[Fault], None]) -> None:
        self._counts = dict.fromkeys(("lines", "sessions", "messages", "replayed", "damaged", "naive_times"), 0)
        self._faults: list[Fault] = []
        self._on_fault = on_fault

    def add(self, number: int, restored: Restored, naive: int = 0) -> None:
        """Count a line."""
        counts = self._counts
        counts["lines"] += 1
        counts["sessions"] += restored.made
        counts["messages"] += restored.messages
        counts["replayed"] += restored.replayed
        if restored.error is None:
            counts["naive_times"] += naive
        else:
            counts["damaged"] += 1
            fault = Fault(number, _printable(str(restored.error)))
            self._on_fault(fault)
            if len(self._faults) < KEPT_FAULTS:
                self._faults.append(fault)

    def report(self) -> Report:
        """The counts, and the first of the faults."""
        return Report(**self._counts, faults=tuple(self._faults))


def _groups(lines: Iterator[_Line]) -> Iterator[list[_Line]]:
    """The lines in groups of bounded size."""
    group: list[_Line] = []
    messages = size = 0
    for line in lines:
        group.append(line)
        messages += line.pair[1].size if line.pair else 0
        size += line.size
        if len(group) >= GROUP_LINES or messages >= GROUP_MESSAGES or size >= GROUP_BYTES:
            yield group
            group, messages, size = [], 0, 0
    yield group


def _read(lines: Iterable[bytes], form: str, home: Address, zone: tzinfo) -> Iterator[_Line]:
    """Each line with what it says, checked as a whole before any of it is stored."""
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        clock = Clock(zone)
        pair, error = _parsed(text, form, home, clock) if text.strip() else (None, None)
        yield _Line(number, len(line), pair, error, clock.naive)


def _parsed(text: bytes, form: str, home: Address, clock: Clock) -> tuple[Pair | None, ChatMemoryError | None]:
    try:
        transcript = _checked(read_line(text, form, clock))
    except ChatMemoryError as error:
        return None, error
    owner = {"user_id": None, "user_key": transcript.user_key} if transcript.user_key else {}
    return (msgspec.structs.replace(home, key=transcript.key, **owner), transcript), None


def _checked(transcript: Transcript) -> Transcript:
    """The conversation as it may be stored, each message with a time and a token count.

    Raises:
        ValidationError: what is wrong, with its path.
    """
    bounds, now = limits(), datetime.now(UTC)
    fields = check_session_fields(transcript.fields, bounds)
    if transcript.created_at is not None:
        check_time(transcript.created_at, "created_at")
    messages = _complete(transcript.messages, bounds, now)
    branches = [_checked_branch(branch, index, bounds, now) for index, branch in enumerate(transcript.branches)]
    summaries = [_checked_summary(summary, index, bounds) for index, summary in enumerate(transcript.summaries)]
    ours = first_title(messages)
    title = fields.get("title", ours)
    return msgspec.structs.replace(
        transcript,
        messages=messages,
        fields={**fields, "title": title},
        branches=branches,
        summaries=summaries,
        title_made=bool(title) and title == ours,  # an export does not say so
    )


def _checked_branch(branch: TranscriptBranch, index: int, bounds: Limits, now: datetime) -> TranscriptBranch:
    try:
        if branch.created_at is not None:
            check_time(branch.created_at, "created_at")
        return msgspec.structs.replace(branch, messages=_complete(branch.messages, bounds, now))
    except ValidationError as error:
        raise error.under(f"branches[{index}]") from None


def _checked_summary(summary: TranscriptSummary, index: int, bounds: Limits) -> TranscriptSummary:
    shown = Message.system(summary.text)
    try:
        if summary.created_at is not None:
            check_time(summary.created_at, "created_at")
        check_message(shown, bounds)
    except ValidationError as error:
        raise error.under(f"summaries[{index}]") from None
    return msgspec.structs.replace(summary, tokens=counted(shown))


def _complete(messages: Sequence[Message], bounds: Limits, now: datetime) -> list[Message]:
    """Validated messages, however many, with a time and a token count."""
    check_batch(messages, msgspec.structs.replace(bounds, batch=len(messages)))
    return [
        msgspec.structs.replace(
            message,
            created_at=now if message.created_at is None else message.created_at,
            tokens=counted(message) if message.tokens is None else message.tokens,
        )
        for message in messages
    ]


def _printable(text: str) -> str:
    """A reason that quotes a hostile line can neither break out of its own line nor command a terminal."""
    short = text[:_LONGEST_REASON]
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in short)
