"""Owns the in-memory part for restoring whole conversations, each completely or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from chat_memory.choices import AT_ONCE, MAIN_BRANCH, State
from chat_memory.exceptions import BranchNotFound, ChatMemoryError, MessageNotFound, ValidationError, WorkspaceNotFound
from chat_memory.records import (
    Address,
    Feedback,
    Message,
    SessionRecord,
    Summary,
    Transcript,
    TranscriptBranch,
    TranscriptFeedback,
    TranscriptSummary,
)
from chat_memory.rules.feedback import model_of
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import ArchiveStore, Restored
from chat_memory.storage.mapping import turns_before, turns_of_fork
from chat_memory.storage.memory import changes
from chat_memory.storage.memory.states import BranchState, ConversationState
from chat_memory.storage.memory.store import MemoryStore, Transaction
from chat_memory.storage.memory.view import BranchView


class MemoryArchive(ArchiveStore):
    """See ``ArchiveStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def restore(self, batch: Sequence[tuple[Address, Transcript]]) -> list[Restored]:
        """See ``ArchiveStore.restore``."""
        with self._store.transaction() as transaction:
            return [_restore(transaction, at, transcript) for at, transcript in batch]


def _restore(transaction: Transaction, at: Address, transcript: Transcript) -> Restored:
    """Restore one conversation; it is stored only if no part of its transcript is refused.

    Raises:
        WorkspaceNotFound: the workspace is unknown and may not be created.
    """
    # A restore may reach every conversation; an existing one keeps its owner.
    main = msgspec.structs.replace(at, branch=MAIN_BRANCH, any_owner=True)
    existing = transaction.find(main)
    if existing is not None and _is_owed_the_key(main, existing.conversation.record):
        existing = None
    try:
        view = existing or _new_conversation(transaction, main, transcript)
        restoring = _Restoring(view.conversation, transaction.now, is_new=existing is None)
        restoring.add(transcript)
    except WorkspaceNotFound:
        raise
    except ChatMemoryError as error:
        return Restored(error=error)
    after = restoring.conversation
    if existing is None or after is not existing.conversation:
        transaction.keep(after)
        _add_events(transaction, at, existing.conversation if existing else None, after)
    total = len(transcript.messages) + sum(len(branch.messages) for branch in transcript.branches)
    return Restored(existing is None, restoring.added, total - restoring.added)


def _is_owed_the_key(at: Address, record: SessionRecord) -> bool:
    """Whether a client chose the key of somebody else's conversation; by user keys alone, since exports have no ids."""
    return record.key_from_client and bool(at.user_key) and record.user_key not in ("", at.user_key)


def _new_conversation(transaction: Transaction, at: Address, transcript: Transcript) -> BranchView:
    began = transcript.created_at or transaction.now
    fields = {"created_at": began, "base_seq": transcript.base_seq, "title_made": transcript.title_made, "version": 1}
    return transaction.new_conversation(at, {**transcript.fields, **fields})


def _add_events(
    transaction: Transaction, at: Address, before: ConversationState | None, after: ConversationState
) -> None:
    """Add an event for each branch that is new or changed, and one more if another branch became current."""
    for name, state in after.branches.items():
        former = before.branches.get(name) if before else None
        if state is not former:
            is_new_session = before is None and name == MAIN_BRANCH
            parent = "" if former else state.parent or ""
            view = BranchView(after, state)
            positions = _positions(former, state)
            transaction.add_event(Kind.RESTORED, at, view, **positions, made=is_new_session, parent=parent)
    if before and before.current != after.current:
        transaction.add_event(Kind.SWITCHED, at, BranchView(after, after.branches[after.current]))


def _positions(former: BranchState | None, state: BranchState) -> dict[str, int]:
    """The range of positions of the branch's new messages, as fields of an event; none where nothing is new."""
    low = former.last_seq if former else state.ledger.offset
    return {"first_seq": low + 1, "last_seq": state.last_seq} if state.last_seq > low else {}


class _Restoring:
    """A conversation to which a transcript is added step by step; the caller stores the result."""

    def __init__(self, conversation: ConversationState, now: datetime, *, is_new: bool) -> None:
        self.conversation = conversation
        self._is_new = is_new
        self.added = 0
        # The address has no owner: restoring messages must not change the conversation's owner.
        self._at = Address(conversation.record.workspace, conversation.record.key, MAIN_BRANCH)
        self._now = now
        self._active_times: list[datetime] = []

    def add(self, transcript: Transcript) -> None:
        """Add the messages, branches, summaries and feedback of a transcript.

        Raises:
            ChatMemoryError: the transcript contradicts itself or the stored conversation.
        """
        # Branches and summaries refer to positions, so the messages must then get the positions they had.
        has_positions = bool(transcript.branches or transcript.summaries)
        self._append(MAIN_BRANCH, transcript.messages, transcript.base_seq if has_positions else None)
        new_current = [branch.name for branch in transcript.branches if self._add_branch(branch) and branch.current]
        if new_current:
            self.conversation = changes.switch(self.conversation, new_current[-1], self._now)
        for summary in transcript.summaries:
            self._add_summary(summary)
        for feedback in transcript.feedback:
            self._add_feedback(feedback)
        if self._active_times:
            record = msgspec.structs.replace(self.conversation.record, active_at=max(self._active_times))
            self.conversation = msgspec.structs.replace(self.conversation, record=record)

    def _add_branch(self, branch: TranscriptBranch) -> bool:
        """Add a branch with its own messages; True if the branch is new."""
        is_new = branch.name not in self.conversation.branches
        if is_new:
            numbered = self.conversation.with_new(self._new_branch(branch))
            self.conversation = numbered.after(numbered.branches[branch.name])
        self._append(branch.name, branch.messages, max(branch.fork_seq, branch.base_seq))
        return is_new

    def _new_branch(self, branch: TranscriptBranch) -> BranchState:
        """The new branch of a transcript, still without messages of its own.

        Raises:
            BranchNotFound: the parent does not exist.
            MessageNotFound: the parent ends before the fork, or hides messages that the branch shows.
        """
        view = self._view(branch.parent)
        if branch.fork_seq > view.state.last_seq:
            raise MessageNotFound(self._at.key, seq=branch.fork_seq)
        if branch.base_seq < min(branch.fork_seq, view.state.base_seq):
            raise MessageNotFound(self._at.key, seq=branch.base_seq + 1)
        owner = view.owner(branch.fork_seq)
        return changes.new_branch(
            branch.name,
            owner.name,
            fork_seq=branch.fork_seq,
            base_seq=branch.base_seq,
            last_turn=turns_of_fork(branch, owner.ledger.turns_until(branch.fork_seq) or None),
            created_at=branch.created_at,
            now=self._now,
            pending=branch.pending,
        )

    def _append(self, name: str, messages: Sequence[Message], after: int | None) -> None:
        """Append messages to a branch; messages stored already are replays.

        Raises:
            ValidationError: ``after`` is given, and the messages are not stored at the positions that follow it.
        """
        view = self._view(name)
        known = view.stored(messages)
        pairs = ((message.turn, known[message.id].turn) for message in messages if message.id in known)
        here = {there: turn for there, turn in pairs if there is not None and turn is not None}
        if not (view.state.last_turn or known):
            earlier = turns_before(messages, view.state.ledger.offset)
            view = view._replace(state=msgspec.structs.replace(view.state, last_turn=earlier))
        conversation, placed = changes.append(view, self._at, messages, now=self._now, begun=here)
        for expected, message in enumerate(placed, (after or 0) + 1):
            if after is not None and message.seq != expected:
                raise ValidationError(
                    f"message {message.id!r} of branch {name!r} is stored at position {message.seq}, not {expected}"
                )
        if conversation is not None:
            state = conversation.branches[name]
            if state.pending in AT_ONCE:  # it has its first message, and a restore does not switch to a stored branch
                conversation = conversation.with_branches(msgspec.structs.replace(state, pending=""))
            self.conversation = conversation
            self.added += conversation.branches[name].last_seq - view.state.last_seq
            self._active_times.append(conversation.record.active_at)

    def _add_summary(self, summary: TranscriptSummary) -> None:
        """Add a summary, unless an equal one is stored, or a message that it covers is redacted.

        Raises:
            ValidationError: the summary ends after the last message of its branch.
        """
        view = self._view(summary.branch)
        state = view.state
        if summary.last_seq > state.last_seq:
            end = f"branch {state.name!r}, which ends at {state.last_seq}"
            raise ValidationError(f"the summary up to position {summary.last_seq} covers more than {end}")
        new_summary = Summary(
            summary.first_seq,
            summary.last_seq,
            summary.text,
            summary.model,
            summary.tokens,
            summary.created_at or self._now,
        )
        covered = filter(view.shows, range(summary.first_seq, summary.last_seq + 1))
        is_redacted = any(view.message(seq).state == State.REDACTED.value for seq in covered)
        if (self._is_new or not is_redacted) and _identity(new_summary) not in map(_identity, state.summaries):
            self.conversation = self.conversation.with_branches(
                msgspec.structs.replace(state, summaries=(*state.summaries, new_summary))
            )

    def _add_feedback(self, given: TranscriptFeedback) -> None:
        """Add feedback, unless the person has given some on the message already, or the branch does not show it.

        Raises:
            MessageNotFound: the conversation is new, and the branch has no such message.
        """
        view = self._view(given.branch)
        seq = view.locate(given.message_id)
        if seq is None:
            if self._is_new:
                raise MessageNotFound(self._at.key, message_id=given.message_id)
            return
        owner, message = view.owner(seq), view.message(seq)
        if any(each.user_key == given.user_key for each in owner.feedback.get(seq, ())):
            return
        comment = "" if message.state == State.REDACTED.value else given.comment
        first = given.created_at or given.updated_at or self._now
        new = Feedback(
            seq,
            given.message_id,
            given.vote,
            comment,
            given.user_key,
            None,
            model_of(message),
            first,
            given.updated_at or first,
            owner.feedback_number + 1,
        )
        self.conversation = self.conversation.with_branches(owner.with_feedback(new))

    def _view(self, name: str) -> BranchView:
        view = BranchView.of(self.conversation, name)
        if view is None:
            raise BranchNotFound(self._at.key, name)
        return view


def _identity(summary: Summary) -> tuple[int, int, str]:
    """The fields in which two equal summaries agree; model, tokens and time may differ."""
    return summary.first_seq, summary.last_seq, summary.text
