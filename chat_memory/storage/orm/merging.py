"""Owns the merge of a transcript into one conversation, under its lock; it adds messages, and changes no fields."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec import structs

from chat_memory.choices import AT_ONCE, CURRENT, MAIN_BRANCH, State
from chat_memory.exceptions import BranchNotFound, MessageConflict, ValidationError
from chat_memory.models import Feedback, Message as MessageRow, Redaction, Session, Summary
from chat_memory.records import Address, Message, Transcript, TranscriptBranch, TranscriptFeedback, TranscriptSummary
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import Restored
from chat_memory.storage.mapping import new_messages, turns_before, turns_of_fork
from chat_memory.storage.orm import hints
from chat_memory.storage.orm.appending import store
from chat_memory.storage.orm.bulk import batches
from chat_memory.storage.orm.creating import create, give_way
from chat_memory.storage.orm.derived import record_of
from chat_memory.storage.orm.emission import emit_after_commit, row_event
from chat_memory.storage.orm.known import known_messages
from chat_memory.storage.orm.layout import began, check_origin, new_branch, new_feedback, new_summary
from chat_memory.storage.orm.lineage import lineage
from chat_memory.storage.orm.rows import Rows, family, header_of, lock, make_current, note_number

_REDACTED = State.REDACTED.value


class Merge:
    """The merge of one transcript; it runs within the caller's transaction.

    Raises:
        ChatMemoryError: the transcript contradicts itself or the stored conversation; the caller must roll back.
    """

    def __init__(self, alias: str, at: Address, transcript: Transcript, *, nested: bool) -> None:
        self._alias = alias
        # A restore may reach every session; an existing one keeps its owner.
        self._at = structs.replace(at, branch=MAIN_BRANCH, any_owner=True)
        self._transcript = transcript
        self._nested = nested
        self._now = datetime.now(UTC)
        self._changed: dict[UUID, dict[str, int | None]] = {}
        self._active: list[datetime] = []
        self._added = 0
        self._outdated: set[str | None] = set()
        """The ids of messages that are redacted here, and of which the transcript still has the words."""

    def run(self) -> Restored:
        """Merge the transcript."""
        transcript = self._transcript
        rows, made = self._root()
        # Branches and summaries refer to positions, so the messages must then have the positions of the transcript.
        placed = bool(transcript.branches or transcript.summaries)
        if transcript.messages:
            self._append(rows, transcript.messages, transcript.base_seq if placed else None)
        current = None
        for branch in transcript.branches:
            if self._fork(branch) and branch.current:
                current = branch.name
            if branch.messages:
                self._append(self._locked(branch.name), branch.messages, max(branch.fork_seq, branch.base_seq))
        switched = current is not None and self._switch(current)
        self._summarize()
        self._rate()
        if len(self._active) > 1:  # each branch has set active_at to the time of its own newest message
            newest = dict.fromkeys(("active_at", "listed_at"), max(self._active))
            family(rows.root).filter(pk=rows.root.pk).update(**newest)
        self._tell(rows.root, made=made, switched=switched)
        return Restored(made=made, messages=self._added, replayed=transcript.size - self._added)

    def _root(self) -> tuple[Rows, bool]:
        """The locked row of ``main``, and whether it was created."""
        rows, made = lock(self._alias, self._at), False
        if rows is None:
            transcript = self._transcript
            given = {"base_seq": transcript.base_seq, "created_at": began(transcript, self._now)}
            fields = {**transcript.fields, **given, "title_made": transcript.title_made, "version": 1}
            rows, made = create(self._alias, self._at, fields, nested=self._nested)
        if not made and self._is_owed_the_key(rows.root):
            give_way(self._alias, self._at, rows.root, nested=self._nested)
            return self._root()
        if made:
            self._note(rows.root)
        return rows, made

    def _is_owed_the_key(self, root: Session) -> bool:
        """Whether a client chose the key of somebody else's session; by user keys alone, since exports have no ids."""
        user_key = self._at.user_key
        return root.key_from_client and bool(user_key) and root.user_key not in ("", user_key)

    def _locked(self, name: str) -> Rows:
        rows = lock(self._alias, structs.replace(self._at, branch=name))
        if rows is None:
            raise BranchNotFound(self._at.key, name)
        return rows

    def _append(self, rows: Rows, messages: Sequence[Message], after: int | None) -> None:
        """Store the messages that the branch lacks; with ``after``, all must be at the positions that follow it."""
        known = known_messages(rows.row, messages)
        fresh = self._new(rows, messages, known)
        if fresh:
            # An address without an owner: an existing conversation keeps its owner, and a new one has it already.
            at = structs.replace(self._at, user_id=None, user_key="")
            begun = _begun(messages, known)
            if not (rows.row.last_turn or known):
                rows.row.last_turn = turns_before(messages, rows.row.base_seq)
            placed = store(self._alias, at, rows, fresh, None, begun=begun).messages
            self._note(rows.row, first_seq=placed[0].seq, last_seq=placed[-1].seq)
            if rows.row.pending in AT_ONCE:  # it has its first message, and an import switches to no stored branch
                family(rows.root).filter(pk=rows.row.pk).update(pending="")
            known |= {message.id: message for message in placed}
            self._added += len(fresh)
            self._active.append(placed[-1].created_at or self._now)
        for message in messages:
            if known[message.id].state == _REDACTED != message.state:
                self._outdated.add(message.id)
        if after is not None:
            _check_positions(rows.row.branch, [known[message.id] for message in messages], after)

    def _new(self, rows: Rows, messages: Sequence[Message], known: Mapping[str | None, Message]) -> list[Message]:
        """Those of the messages that are not stored.

        Raises:
            MessageConflict: a stored one differs; ``field`` names the message in the transcript.
        """
        try:
            return new_messages(messages, known)
        except MessageConflict as conflict:
            names = [branch.name for branch in self._transcript.branches]
            at = rows.row.branch
            raise (conflict.under(f"branches[{names.index(at)}]") if at in names else conflict) from None

    def _fork(self, branch: TranscriptBranch) -> bool:
        """Create a branch of the transcript without its own messages; False where one of this name exists."""
        parent = self._locked(branch.parent)
        if family(parent.root).filter(branch=branch.name).exists():
            return False
        check_origin(self._at.key, branch, parent.row)
        line, seq = lineage(parent.row), branch.fork_seq
        turn = turns_of_fork(branch, line.turn_at(seq) if seq > parent.row.base_seq else None)
        made = new_branch(parent.root, branch, line.owner(seq), turn, self._now)
        made.save(using=self._alias, force_insert=True)
        note_number(parent.root)
        self._note(made)
        return True

    def _switch(self, name: str) -> bool:
        """Make a branch the current one; False where it already is."""
        root, row = self._locked(name)
        current = root if root.head_id is None else family(root).get(pk=root.head_id)
        if current.pk == row.pk:
            return False
        make_current(root, current, row)
        hints.note(self._alias, structs.replace(self._at, branch=CURRENT), branched=row is not root)
        self._note(root)
        self._note(row)
        return True

    def _summarize(self) -> None:
        """Store the summaries that the conversation lacks, except those that may say what was redacted later.

        Raises:
            ValidationError: a summary ends after the last message of its branch.
        """
        for summary in self._transcript.summaries:
            row = self._locked(summary.branch).row
            made = new_summary(row, summary, self._now)
            same = {"first_seq": made.first_seq, "last_seq": made.last_seq, "text": made.text}
            kept = Summary.objects.using(self._alias).filter(workspace_id=row.workspace_id, session_id=row.pk, **same)
            if not kept.exists() and not _says_what_was_redacted(row, summary, self._outdated):
                made.save(using=self._alias, force_insert=True)
                self._note(row)

    def _rate(self) -> None:
        """Store the feedback that the conversation lacks: not of a person who gave some, nor on hidden messages."""
        for branch in dict.fromkeys(each.branch for each in self._transcript.feedback):
            row = self._locked(branch).row
            given = [each for each in self._transcript.feedback if each.branch == branch]
            fresh = list(_fresh_feedback(self._alias, row, given, self._now))
            if fresh:
                Feedback.objects.using(self._alias).bulk_create(fresh)
                self._note(row)

    def _note(self, row: Session, **positions: int | None) -> None:
        """Record that a branch has changed, with the positions of its new messages."""
        self._changed.setdefault(row.pk, {}).update(positions)

    def _tell(self, root: Session, *, made: bool, switched: bool) -> None:
        """Emit an event for each branch that changed, and one more if another branch became current, all together."""
        at, nested = self._at, self._nested
        events = []
        rows = {row.pk: row for row in family(root)} if self._changed else {}
        for row in (rows[pk] for pk in self._changed):
            more: dict[str, Any] = {**self._changed[row.pk], "made": made and row.pk == root.pk}
            if row.parent_id and row.version == 1:
                more["parent"] = rows[row.parent_id].branch
            events.append(row_event(self._alias, Kind.RESTORED, at, row, header_of(row), nested=nested, **more))
        if switched and not made:
            current = rows[rows[root.pk].head_id or root.pk]
            header = header_of(current)
            events.append(row_event(self._alias, Kind.SWITCHED, at, current, header, nested=nested))
        emit_after_commit(self._alias, *events)


def _fresh_feedback(alias: str, row: Session, given: Sequence[TranscriptFeedback], now: datetime) -> Iterator[Feedback]:
    """The rows of feedback on messages that a branch shows, without persons who have given feedback on them already."""
    line = lineage(row)
    for batch in batches(given):
        wanted = {each.message_id for each in batch}
        named = MessageRow.objects.using(alias).filter(client_id__in=wanted, **line.where)
        shown = {each.client_id: each for each in named if line.shows(each.session_id, each.seq)}
        places = {each.seq for each in shown.values()}
        stored = Feedback.objects.using(alias).filter(seq__in=places, **line.where)
        known = set(stored.values_list("session_id", "seq", "user_key"))
        for each in batch:
            message = shown.get(each.message_id)
            if message is None:
                continue
            place = message.session_id, message.seq, each.user_key
            if place not in known:
                known.add(place)
                columns = {"workspace_id": row.workspace_id, "session_id": message.session_id, "seq": message.seq}
                yield new_feedback(columns, record_of(alias, message), each, now)


def _begun(messages: Sequence[Message], known: Mapping[str | None, Message]) -> dict[int, int]:
    """The turn numbers of messages that are stored already, by their turn numbers in the transcript."""
    pairs = ((message.turn, known[message.id].turn) for message in messages if message.id in known)
    return {there: here for there, here in pairs if there is not None and here is not None}


def _says_what_was_redacted(row: Session, summary: TranscriptSummary, outdated: Collection[str | None]) -> bool:
    """Whether a message that a summary covers was redacted after the summary was made, or perhaps after.

    A redaction that was imported has no time: it came later than a transcript that still has the words.
    """
    line = lineage(row)
    since = {} if summary.created_at is None else {"redacted_at__gt": summary.created_at}
    covered = {**line.where, "seq__gte": summary.first_seq, "seq__lte": summary.last_seq}
    redactions = Redaction.objects.using(row._state.db).filter(**covered, **since)
    places = [*redactions.values_list("session_id", "seq")]
    for batch in batches(sorted(map(str, outdated))):
        imported = MessageRow.objects.using(row._state.db).filter(**covered, client_id__in=batch)
        places += imported.values_list("session_id", "seq")
    return any(line.reaches(*place) for place in places)


def _check_positions(branch: str, messages: Sequence[Message], after: int) -> None:
    """Check that the stored messages have the positions of the transcript, to which branches and summaries refer.

    Raises:
        ValidationError: a message is stored at another position.
    """
    for wanted, message in enumerate(messages, after + 1):
        if message.seq != wanted:
            stored = f"message {message.id!r} of branch {branch!r} is stored at position {message.seq}"
            raise ValidationError(f"{stored}, not {wanted}")
