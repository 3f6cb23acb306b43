"""Owns the computation of the rows for a conversation that is not stored yet; it must not use the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate, count
from typing import Any
from uuid import UUID

from chat_memory.choices import MAIN_BRANCH, State
from chat_memory.exceptions import BranchExists, BranchNotFound, MessageNotFound, ValidationError
from chat_memory.models import Feedback, Session, Summary
from chat_memory.records import (
    Address,
    Message,
    Transcript,
    TranscriptBranch,
    TranscriptFeedback,
    TranscriptSummary,
    uuid7,
)
from chat_memory.rules.attachments import hashes
from chat_memory.rules.feedback import model_of
from chat_memory.storage.mapping import numbered, to_row, turns_before, turns_of_fork
from chat_memory.storage.orm.rows import branch_row, new_token


class Layout:
    """The rows of one conversation: its session rows, and their messages, summaries and feedback.

    Raises:
        BranchExists: two branches have the same name.
        BranchNotFound: the parent of a branch, or the branch of a summary or of feedback, is not in the transcript.
        MessageNotFound: a branch begins after its parent's last position, or shows a position the parent has cleared;
            or feedback is on a message that its branch does not show.
        ValidationError: a branch has a message with the id of one that it shares, or a summary ends after its branch.
    """

    def __init__(self, at: Address, workspace_id: int, transcript: Transcript, now: datetime) -> None:
        self._key, self._workspace_id, self._now = at.key, workspace_id, now
        self.messages: list[tuple[Any, ...]] = []
        self.contents: dict[tuple[UUID, int], object] = {}
        root = new_root(at, workspace_id, transcript, now)
        before = turns_before(transcript.messages, transcript.base_seq)
        self._rows = {MAIN_BRANCH: Row(root, None, before)}
        self._fill(MAIN_BRANCH, transcript.messages)
        for branch in transcript.branches:
            self._fork(branch)
            self._fill(branch.name, branch.messages)
            if branch.current:
                root.head_id = self._rows[branch.name].session.pk
        self.summaries = [self._summary(summary) for summary in transcript.summaries]
        self.feedback = self._feedback(transcript.feedback)
        _set_activity(root, max((row.newest for row in self._rows.values() if row.newest), default=None))

    @property
    def rows(self) -> list[Row]:
        """The rows of the branches, ``main`` first."""
        return [*self._rows.values()]

    def _fork(self, branch: TranscriptBranch) -> None:
        if branch.name in self._rows:
            raise BranchExists(self._key, branch.name)
        parent = self._rows.get(branch.parent)
        if parent is None:
            raise BranchNotFound(self._key, branch.parent)
        check_origin(self._key, branch, parent.session)
        seq, root = branch.fork_seq, self._rows[MAIN_BRANCH].session
        turn = turns_of_fork(branch, parent.turn_at(seq) if seq > parent.session.base_seq else None)
        owner = parent.owner(seq)
        self._rows[branch.name] = Row(new_branch(root, branch, owner.session.pk, turn, self._now), owner, turn)

    def _fill(self, name: str, messages: Sequence[Message]) -> None:
        """Add the messages of a branch, whose row must have none yet."""
        if not messages:
            return
        row = self._rows[name]
        row.check_new(messages)
        session_id = row.session.pk
        self.messages += [
            (self._workspace_id, session_id, seq, turn, turn < newest, *to_row(message))
            for seq, turn, newest, message in zip(count(row.start + 1), *row.fill(messages), messages)
        ]
        self.contents |= {
            (session_id, seq): message.content
            for seq, message in enumerate(messages, row.start + 1)
            if hashes([message.content])
        }

    def _summary(self, summary: TranscriptSummary) -> Summary:
        row = self._rows.get(summary.branch)
        if row is None:
            raise BranchNotFound(self._key, summary.branch)
        return new_summary(row.session, summary, self._now)

    def _feedback(self, given: Sequence[TranscriptFeedback]) -> list[Feedback]:
        """The rows of feedback; if a person has two on the same message, only the first one."""
        made: dict[tuple[UUID, int, str], Feedback] = {}
        for each in given:
            row = self._rows.get(each.branch)
            if row is None:
                raise BranchNotFound(self._key, each.branch)
            found = row.place_of(each.message_id)
            if found is None:
                raise MessageNotFound(self._key, message_id=each.message_id)
            owner, seq, message = found
            place = {"workspace_id": self._workspace_id, "session_id": owner.session.pk, "seq": seq}
            key = owner.session.pk, seq, each.user_key
            made.setdefault(key, new_feedback(place, message, each, self._now))
        return [*made.values()]


class Row:
    """A session row of a layout, and the turns of its own messages.

    Attributes:
        session: the session row.
        start: the position after which its own messages begin.
        parent: the row that has the position at which the branch begins; None for ``main``.
        newest: the time of its newest own message; None where it has none.
    """

    def __init__(self, session: Session, parent: Row | None, turn: int) -> None:
        self.session = session
        self.start = session.last_seq
        self.parent = parent
        self.newest: datetime | None = None
        self._turn = turn
        self._newest: list[int] = []
        self._begun: dict[int, int] = {} if parent is None else {**parent._begun}
        self._messages: Sequence[Message] = ()
        self._places: dict[str | None, int] = {}

    def fill(self, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
        """Add the messages to the row's counters; the turn of each, and the newest turn begun by then."""
        session = self.session
        self._messages = messages
        in_turns = numbered(messages, self._turn, self._begun)
        self._newest = list(accumulate(in_turns, max, initial=self._turn))[1:]
        session.last_seq += len(messages)
        session.message_count += len(messages)
        session.last_turn = self._newest[-1]
        self.newest = messages[-1].created_at
        _set_activity(session, self.newest)
        return in_turns, self._newest

    @property
    def positions(self) -> dict[str, int]:
        """The range of its own messages, as fields of an event; empty where it has none."""
        return {"first_seq": self.start + 1, "last_seq": self.session.last_seq} if self._newest else {}

    def check_new(self, messages: Sequence[Message]) -> None:
        """Check that no message has the id of a message that the branch shares with an ancestor.

        Raises:
            ValidationError: a message has such an id.
        """
        row, ids = self, {message.id for message in messages} if self.parent else set()
        while row.parent is not None:
            shared = row.parent._messages[: max(0, (row.session.fork_seq or 0) - row.parent.start)]
            twice = next((message.id for message in shared if message.id in ids), None)
            if twice is not None:
                branch, other = self.session.branch, row.parent.session.branch
                text = f"message {twice!r} of branch {branch!r} has the id of a message that it shares with {other!r}"
                raise ValidationError(text)
            row = row.parent

    def place_of(self, message_id: str) -> tuple[Row, int, Message] | None:
        """The row, the position and the message for the id of a visible message; None where there is none."""
        row, high = self, self.session.last_seq
        while True:
            if not row._places:
                row._places = {message.id: seq for seq, message in enumerate(row._messages, row.start + 1)}
            seq = row._places.get(message_id, high + 1)
            if self.session.base_seq < seq <= high:
                return row, seq, row._messages[seq - row.start - 1]
            if row.parent is None:
                return None
            row, high = row.parent, min(high, row.session.fork_seq or 0)

    def turn_at(self, seq: int) -> int:
        """The number of turns begun up to a position."""
        if seq > self.start:
            return self._newest[seq - self.start - 1]
        if self.parent is None or seq > (self.session.fork_seq or 0):
            return self._turn
        return self.parent.turn_at(seq)

    def owner(self, seq: int) -> Row:
        """The row that has the message at a position; the root's for position 0."""
        if self.parent is None or seq > (self.session.fork_seq or 0):
            return self
        return self.parent.owner(seq)


def new_root(at: Address, workspace_id: int, transcript: Transcript, now: datetime) -> Session:
    """The row of ``main``, without messages."""
    base = transcript.base_seq
    return Session(
        id=uuid7(),
        workspace_id=workspace_id,
        key=at.key,
        user_id=at.user_id,
        user_key=at.user_key,
        base_seq=base,
        last_seq=base,
        version=1,
        vtoken=new_token(),
        **_times(began(transcript, now)),
        title_made=transcript.title_made,
        **transcript.fields,
    )


def began(transcript: Transcript, now: datetime) -> datetime:
    """When a conversation began: the transcript's ``created_at``, else its earliest message's time, else ``now``."""
    sent = [message.created_at for message in transcript.messages if message.created_at]
    return transcript.created_at or min(sent, default=now)


def new_branch(root: Session, branch: TranscriptBranch, parent_id: UUID, turn: int, now: datetime) -> Session:
    """The row of a branch without its own messages; ``parent_id`` is the row that has the position it begins at."""
    times = _times(branch.created_at or now)
    places = {"seq": branch.fork_seq, "base": branch.base_seq, "turn": turn}
    return branch_row(root, branch.name, parent_id, **places, times=times, pending=branch.pending)


def new_summary(session: Session, summary: TranscriptSummary, now: datetime) -> Summary:
    """The row of a summary.

    Raises:
        ValidationError: the summary ends after the last message of its branch.
    """
    if summary.last_seq > session.last_seq:
        held = f"branch {session.branch!r}, which ends at {session.last_seq}"
        raise ValidationError(f"the summary up to position {summary.last_seq} covers more than {held}")
    return Summary(
        workspace_id=session.workspace_id,
        session_id=session.pk,
        first_seq=summary.first_seq,
        last_seq=summary.last_seq,
        text=summary.text,
        model=summary.model,
        tokens=summary.tokens,
        created_at=summary.created_at or now,
    )


def new_feedback(place: Mapping[str, Any], message: Message, given: TranscriptFeedback, now: datetime) -> Feedback:
    """The row of feedback on a message, without the comment if the message was redacted.

    Args:
        place: the columns workspace_id, session_id and seq.
        message: the message as it is stored.
        given: the feedback in the transcript.
        now: the time, where ``given`` has none.
    """
    first = given.created_at or given.updated_at or now
    return Feedback(
        **place,
        vote=given.vote,
        comment="" if message.state == State.REDACTED.value else given.comment,
        user_key=given.user_key,
        model=model_of(message),
        created_at=first,
        updated_at=given.updated_at or first,
    )


def check_origin(key: str, branch: TranscriptBranch, parent: Session) -> None:
    """Check that a branch begins at a position of its parent, and shows no message that the parent has cleared.

    Raises:
        MessageNotFound: it does not; the error has the first position that the parent lacks.
    """
    if branch.fork_seq > parent.last_seq:
        raise MessageNotFound(key, seq=branch.fork_seq)
    if branch.base_seq < min(branch.fork_seq, parent.base_seq):
        raise MessageNotFound(key, seq=branch.base_seq + 1)


def _times(began: datetime) -> dict[str, datetime]:
    """The times of a row that has no messages."""
    return dict.fromkeys(("created_at", "updated_at", "active_at", "listed_at"), began.astimezone(UTC))


def _set_activity(session: Session, newest: datetime | None) -> None:
    """Set the times of the last activity and change to ``newest``, since a restored history keeps its own times."""
    if newest is not None:
        session.active_at = session.listed_at = session.updated_at = newest
