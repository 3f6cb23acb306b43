"""Owns the import of lines as conversations: one transaction per group of lines; only damaged lines are left out."""

from __future__ import annotations

from collections import Counter
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
from chat_memory.maintenance.formats.json_lines import check_start
from chat_memory.maintenance.formats.lines import AUTO, read_line
from chat_memory.records import Address, Message, Transcript, TranscriptBranch, TranscriptFeedback, TranscriptSummary
from chat_memory.rules.limits import Limits, limits
from chat_memory.rules.message import check_batch, check_message
from chat_memory.rules.names import check_workspace
from chat_memory.rules.session import check_session_fields
from chat_memory.rules.times import check_time
from chat_memory.storage.contract import ArchiveStore, Restored
from chat_memory.storage.titles import first_title

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
KEPT_FAULTS = 1000
"""The maximum number of faults in a report; further damaged lines are only counted."""
KEPT_KEYS = 100
"""The maximum number of keys named in a report."""
GROUP_LINES, GROUP_MESSAGES, GROUP_BYTES = 500, 2_000, 16 * 1024 * 1024
"""A group of lines is complete when it has reached one of these sizes."""
_LONGEST_REASON = 300
"""The maximum characters of a fault's reason; the rest is cut off."""
_LONGEST_KEY = 60
"""The maximum characters of a key in a report; the rest is cut off."""

Pair = tuple[Address, Transcript]


class Fault(msgspec.Struct, frozen=True):
    """A damaged line, of which nothing was stored.

    Attributes:
        line: the number of the line, from 1.
        reason: what is wrong, in one line of printable text.
    """

    line: int
    reason: str


class Report(msgspec.Struct, frozen=True):
    """The result of an import.

    Attributes:
        lines: the number of lines, without blank ones.
        sessions: the number of conversations that were created.
        messages: the number of messages that were added.
        replayed: the number of messages that had been stored before.
        damaged: the number of damaged lines, which were left out.
        naive_times: the number of times without an offset in stored lines; they are in the zone of the import.
        further_keys: keys for which a message or a conversation has no field, each with the number of messages and
            lines that had it. Their values are kept, in ``extra`` or the session's metadata; but a key that was meant
            for a field, such as ``toolCalls``, has no effect there. Beyond a hundred names, "..." counts the rest.
        faults: the first 1000 damaged lines.
    """

    lines: int = 0
    sessions: int = 0
    messages: int = 0
    replayed: int = 0
    damaged: int = 0
    naive_times: int = 0
    further_keys: dict[str, int] = {}
    faults: tuple[Fault, ...] = ()


class _Line(NamedTuple):
    """A line that was read.

    Attributes:
        number: the number of the line, from 1.
        size: its size in bytes.
        pair: the conversation to store; None for a damaged or blank line.
        error: what is wrong with a damaged line; None for the others.
        naive: how many of its times have no offset.
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
    """Store conversations in a workspace, which is created if CREATE_WORKSPACES is True.

    An existing session gets the messages that it lacks and keeps its title, tags, metadata and owner. Messages that
    are stored already are replays, so a second import adds nothing. Nothing of a damaged line is stored; the import
    continues with the next line. A conversation in OpenAI's format gets a title made from its first user message; one
    in the chat_memory format has the title of its line, or none.

    Args:
        lines: JSON Lines as bytes, one conversation per line; one group of lines at a time is held in memory.
        workspace: the slug of the workspace.
        form: auto, chat_memory or openai.
        user: the owner of conversations whose line names none, as for ``conversation()``.
        using: the database alias; None: the alias to which the router writes sessions.
        timezone: the zone of times without an offset, or its IANA name.
        on_line: called with the size in bytes of each line after its group is stored.
        on_fault: called for each damaged line, in the order of the lines.

    Raises:
        ValidationError: the slug is invalid, ``user`` cannot be an owner, there is no such time zone, or the lines are
            of a compressed file, a database or a file in UTF-16.
        WorkspaceNotFound: the workspace is unknown and may not be created.
    """
    check_workspace(workspace)
    home, zone = address("of a line", workspace, user, MAIN_BRANCH), zone_named(timezone)
    tally = _Tally(on_fault)
    for group in _groups(_read(lines, form, home, zone)):
        archive = wiring.adapter(using).part(ArchiveStore)
        restored = iter(archive.restore([line.pair for line in group if line.pair]))
        for line in group:
            if line.pair:
                tally.add(line.number, next(restored), line)
            elif line.error:
                tally.add(line.number, Restored(error=line.error))
            on_line(line.size)
    return tally.report()


class _Tally:
    """The counts and faults so far."""

    def __init__(self, on_fault: Callable[[Fault], None]) -> None:
        self._counts = dict.fromkeys(("lines", "sessions", "messages", "replayed", "damaged", "naive_times"), 0)
        self._faults: list[Fault] = []
        self._further_keys: Counter[str] = Counter()
        self._on_fault = on_fault

    def add(self, number: int, restored: Restored, line: _Line | None = None) -> None:
        """Add the result of the line with this number, and, if it was stored, its naive times and unknown keys."""
        counts = self._counts
        counts["lines"] += 1
        counts["sessions"] += restored.made
        counts["messages"] += restored.messages
        counts["replayed"] += restored.replayed
        if restored.error is not None:
            counts["damaged"] += 1
            fault = Fault(number, _printable(str(restored.error)))
            self._on_fault(fault)
            if len(self._faults) < KEPT_FAULTS:
                self._faults.append(fault)
        elif line is not None and line.pair is not None:
            counts["naive_times"] += line.naive
            self._add_keys(line.pair[1])

    def _add_keys(self, transcript: Transcript) -> None:
        for name in transcript.all_further_keys():
            shown = _printable(name[:_LONGEST_KEY])
            is_counted = shown in self._further_keys or len(self._further_keys) < KEPT_KEYS
            self._further_keys[shown if is_counted else "..."] += 1

    def report(self) -> Report:
        """The report on the lines so far."""
        return Report(**self._counts, further_keys=dict(self._further_keys.most_common()), faults=tuple(self._faults))


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
    """The lines, each parsed and validated completely before any part of it is stored."""
    for number, line in enumerate(lines, 1):
        if number == 1:
            check_start(line)
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
    """The validated conversation, each message with a time and a token count.

    Raises:
        ValidationError: the conversation is invalid; ``field`` is the path of the invalid part.
    """
    bounds, now = limits(), datetime.now(UTC)
    fields = check_session_fields(transcript.fields, bounds)
    if transcript.created_at is not None:
        check_time(transcript.created_at, "created_at")
    messages = _complete(transcript.messages, bounds, now)
    branches = [_checked_branch(branch, index, bounds, now) for index, branch in enumerate(transcript.branches)]
    summaries = [_checked_summary(summary, index, bounds) for index, summary in enumerate(transcript.summaries)]
    for index, feedback in enumerate(transcript.feedback):
        _check_feedback(feedback, index)
    ours = first_title(messages)
    title = fields.get("title", ours)
    made_of = (first_title(each) for each in (messages, *(branch.messages for branch in branches)))
    return msgspec.structs.replace(
        transcript,
        messages=messages,
        fields={**fields, "title": title},
        branches=branches,
        summaries=summaries,
        title_made=bool(title) and title in made_of,  # exports do not contain title_made
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


def _check_feedback(feedback: TranscriptFeedback, index: int) -> None:
    """Check the range of the times; the format has checked only that they are times.

    Raises:
        ValidationError: one is out of range.
    """
    for name in ("created_at", "updated_at"):
        moment = getattr(feedback, name)
        if moment is not None:
            check_time(moment, f"feedback[{index}].{name}")


def _complete(messages: Sequence[Message], bounds: Limits, now: datetime) -> list[Message]:
    """The messages, validated and with times and token counts; MAX_BATCH does not limit their number."""
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
    """The text, shortened and with control characters escaped.

    It may quote a hostile line, which must not add lines to the report or send control sequences to a terminal.
    """
    short = text[:_LONGEST_REASON]
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in short)
