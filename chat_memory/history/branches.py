"""Owns the branches of a conversation, and the edit, redaction and truncation of stored messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, Self

import msgspec
from msgspec import UNSET, UnsetType

from chat_memory.choices import CURRENT, MAIN_BRANCH, State
from chat_memory.exceptions import BranchExists, BranchNotFound, MessageNotFound
from chat_memory.history import regrowing
from chat_memory.history.naming import user_key
from chat_memory.history.reading import Reads
from chat_memory.history.stamping import restated, without_words
from chat_memory.history.twins import twin
from chat_memory.records import Branch, Content, Message, Receipt, Revision, Span, reach, uuid7
from chat_memory.rules.json_values import unstorable
from chat_memory.rules.names import check_branch, plain
from chat_memory.rules.numbers import check_flag, message_place, optional_number, whole_number
from chat_memory.storage.contract import BranchStore, CutStore, EditStore
from chat_memory.storage.titles import first_title


class Branches(Reads):
    """Branches share the messages up to the fork; each has its own messages after it."""

    def branches(self) -> list[Branch]:
        """All branches of the conversation, ``main`` first; ``main`` is listed even before the first message.

        Raises:
            NotSupported: the back end has no branches.
        """
        return self.place.adapter.part(BranchStore).all(self.place.address) or [_main()]

    abranches = twin(branches)

    def fork(self, name: str, at: int | None = None) -> Self:
        """Create a branch that shares the messages up to position ``at``; the current branch stays the current one.

        No message is copied, however long the history is. An unknown conversation is created.

        Args:
            name: 1 to 100 characters without control characters.
            at: the last position to share; None: all messages.

        Returns:
            The conversation on the new branch.

        Raises:
            ValidationError: the name is not usable, or ``at`` is not a whole number from 0.
            BranchExists: a branch of this name exists.
            BranchNotFound: the branch of this handle does not exist.
            MessageNotFound: there is no message at ``at``.
            NotSupported: the back end has no branches.
        """
        name = check_branch(name)
        return self._forked(name, None if at is None else whole_number(at, "at"))[0]

    afork = twin(fork)

    def switch(self, name: str) -> None:
        """Make a branch the current one: every handle that names no branch reads it and appends to it from now on.

        Raises:
            BranchNotFound: there is no such branch.
            NotSupported: the back end has no branches.
        """
        self.place.adapter.part(BranchStore).switch(self.place.address, check_branch(name))

    aswitch = twin(switch)

    def merge(self, source: str, into: str) -> Receipt:
        """Append to one branch the messages that another one shows after their last shared position.

        Ids and times are kept, so merging again only adds the messages that ``source`` got in the meantime.

        Args:
            source: the branch to read from; it is not changed.
            into: the branch to append to.

        Raises:
            BranchNotFound: there is no such branch.
            MessageConflict: ``into`` has another message with the same id; nothing was written.
            NotSupported: the back end has no branches.
        """
        branches = {branch.name: branch for branch in self.branches()}
        for name in (source, into):
            if check_branch(name) not in branches:
                raise BranchNotFound(self.key, name)
        ours, theirs = reach(branches, source), reach(branches, into)
        shared = max(min(last, theirs[name]) for name, last in ours.items() if name in theirs)
        stored = self._on(source)._stored(Span(after=shared))
        if not stored:
            return Receipt(None, None, branches[into].version, False, (), into)
        fresh = [msgspec.structs.replace(message, seq=None) for message in stored]
        target = self._on(into)
        made = target.place.adapter.messages.append(target.place.address, fresh, title=first_title(fresh) or None)
        target._redact_as(self._on(source)._stored(Span(after=shared)), made.messages)
        return target.place.receipt(made)

    amerge = twin(merge)

    def _redact_as(self, source: Sequence[Message], copies: Sequence[Message]) -> None:
        """Redact copies whose originals were redacted during this merge, because that redaction missed the copies."""
        gone = {message.id for message in source if message.state == State.REDACTED.value}
        for copy in copies:
            if copy.id in gone and copy.state != State.REDACTED.value:
                self.redact(str(copy.id))

    def regenerate(
        self, at: int | str, *, switch: bool = False, until: Literal["begun", "complete"] | None = None
    ) -> Self:
        """Create a branch for another answer at a position; ``until`` says when it becomes the current one.

        The branch shares the messages before ``at``, and the message at ``at`` too if it is a user's. It never
        separates a tool call from its results: then it shares only the messages before the call. The former answer
        stays on its own branch. Further calls for the same answer return the same branch until it has become the
        current one.

        Args:
            at: the position or the id of the answer, or of its question.
            switch: whether the new branch becomes the current one at once, although it has no answer yet; each such
                call creates a branch of its own.
            until: "begun": the new branch becomes the current one with its first message; "complete": the caller
                switches to it, by ``switch(chat.branch)``, when the answer is complete. None: REGENERATE_UNTIL.

        Returns:
            The conversation on the new branch.

        Raises:
            ValidationError: an argument is not usable; the text says which.
            MessageNotFound: the conversation shows no such message.
            NotSupported: the back end has no branches.
        """
        check_flag(switch, "switch")
        pending = "" if switch else regrowing.pending(until)
        chat, place = self._on_current(), message_place(at, "at")
        seq = chat._position(place) if isinstance(place, str) else place
        return chat._on(regrowing.regenerated(chat, seq, pending).branch.name)

    aregenerate = twin(regenerate)

    def edit_and_branch(
        self,
        seq: int | str,
        content: Content,
        *,
        message_id: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Receipt:
        """Ask a question again in other words, on a new branch that forks before it and becomes the current one.

        The former question and its answers stay on their branch, the receipt's ``former_branch``; ``switch`` to that
        branch to undo this. If the new message is stored already, the call switches to its branch.

        Args:
            seq: the position or the id of a user's message.
            content: the content of the new message.
            message_id: the id of the new message; give one to make a retry safe.
            metadata: the metadata of the new message.

        Raises:
            ValidationError: the new message cannot be stored, or the message at ``seq`` is not a user's.
            MessageNotFound: the conversation shows no such message.
            MessageConflict: ``message_id`` is stored with another content.
            NotSupported: the back end has no branches.
        """
        return regrowing.edited_and_branched(self._on_current(), seq, content, message_id=message_id, metadata=metadata)

    aedit_and_branch = twin(edit_and_branch)

    def truncate_after(self, message_id: str, *, inclusive: bool = False) -> int:
        """Continue after a message as if nothing had followed it, on a new branch that ends there.

        The later messages stay on the former branch. A back end without branches (Redis) deletes them.

        Args:
            message_id: the id of the last message to keep.
            inclusive: whether that message is left out too.

        Returns:
            How many messages the conversation no longer shows.

        Raises:
            MessageNotFound: the conversation shows no message of this id.
            NotSupported: the back end can neither branch nor delete the end of a conversation.
        """
        if self.place.adapter.branches is None and self.place.adapter.cuts is not None:
            return self._cut(message_id, inclusive=inclusive)
        chat = self._on_current()
        last_kept = chat._position(message_id) - inclusive
        header = chat.place.adapter.messages.peek(chat.place.address)
        if header is not None and header.last_seq == last_kept:
            return 0
        _branch, last_seq = chat._forked(f"truncated-{uuid7()}", last_kept, switch=True)
        return last_seq - last_kept

    atruncate_after = twin(truncate_after)

    def edit(
        self,
        seq: int | str,
        content: Content | UnsetType = UNSET,
        *,
        metadata: dict[str, Any] | UnsetType | None = UNSET,
        extra: dict[str, Any] | UnsetType | None = UNSET,
        if_version: int | None = None,
    ) -> Message:
        """Replace the content, metadata or further fields of a message, on every branch that shares it.

        New content has its tokens counted again. A title made from the message is made again, and summaries that cover
        the message are deleted, so that the next summary covers the new content. ``revisions`` returns the former
        contents. New further fields have the tokens counted again too, unless a caller gave the number. Fields that
        are not given stay as they are. New content ends a stream in the message's place (``resume``, ``replace``) by
        DraftLost: its text may have the former content.

        Args:
            seq: the position of the message, or its id.
            content: the new content.
            metadata: replaces the whole metadata; None removes it.
            extra: further fields, merged into the present ones; a value of None removes that field, and None instead
                of a mapping removes all of them.
            if_version: refuse when the session has changed since this version.

        Raises:
            ValidationError: a message in this role cannot have the new value.
            MessageNotFound: the conversation shows no such message.
            MessageRedacted: the message was redacted.
            VersionConflict: the session is not at ``if_version``.
            NotSupported: the back end cannot edit messages.
        """
        named = {"content": content, "metadata": metadata, "extra": extra}
        given: dict[str, Any] = {name: value for name, value in named.items() if value is not UNSET}
        edits, version = self.place.adapter.part(EditStore), optional_number(if_version, "if_version")
        at, where = self.place.address, self._meant(seq)
        return edits.edit(at, where, partial(restated, **given), if_version=version).messages[0]

    aedit = twin(edit)

    def redact(self, seq: int | str, *, by: Any = None, if_version: int | None = None) -> Message:
        """Remove what a message says for good, on every branch that shows it; its position, id and role stay.

        Text and parts become "[redacted]", the state becomes ``redacted``. Metadata, further fields, former contents
        and a person's name are deleted. Tool calls and results keep their ids and tool names, so that a provider still
        accepts the conversation. Summaries that cover the message and a title made from it are deleted too. A retry of
        the append returns the redacted message. Redacting a redacted message changes nothing.

        Args:
            seq: the position of the message, or its id.
            by: who asked for it, recorded with the time: a user object, or the user's key as text; None: nobody.
            if_version: refuse when the session has changed since this version.

        Raises:
            ValidationError: ``by`` is not a user.
            MessageNotFound: the conversation shows no such message.
            VersionConflict: the session is not at ``if_version``.
            NotSupported: the back end cannot edit messages.
        """
        edits, version = self.place.adapter.part(EditStore), optional_number(if_version, "if_version")
        at, where, who = self.place.address, self._meant(seq), user_key(by, "by")
        return edits.redact(at, where, without_words, by=who, if_version=version).messages[0]

    aredact = twin(redact)

    def revisions(self, seq: int | str) -> list[Revision]:
        """The former contents of a message, by its position or id: one for each edit, oldest first.

        Raises:
            NotSupported: the back end cannot edit messages.
        """
        edits, place = self.place.adapter.part(EditStore), message_place(seq)
        known = isinstance(place, int) or not unstorable(place)
        return edits.revisions(self.place.address, place) if known else []

    arevisions = twin(revisions)

    def _cut(self, message_id: object, *, inclusive: bool) -> int:
        storable = isinstance(message_id, str) and not unstorable(message_id)
        cuts, at = self.place.adapter.part(CutStore), self.place.address
        gone = cuts.cut(at, plain(message_id), keep=not inclusive) if storable else None
        if gone is None:
            raise MessageNotFound(self.key, message_id=message_id)
        return gone

    def _meant(self, seq: object) -> int | str:
        """The position or the id that a caller gave, checked.

        Raises:
            MessageNotFound: no message can have this id.
        """
        place = message_place(seq)
        if isinstance(place, str) and unstorable(place):
            raise MessageNotFound(self.key, message_id=place)
        return place

    def _on_current(self) -> Self:
        """This conversation bound to the branch that is current now: a concurrent switch cannot redirect the write."""
        address = self.place.address
        if address.branch != CURRENT:
            return self
        record = self.place.adapter.sessions.get(address)
        return self._on(record.branch if record else MAIN_BRANCH)

    def _forked(self, name: str, seq: int | None, *, switch: bool = False) -> tuple[Self, int]:
        """The conversation on a new branch, and the last position that the forked branch had at that moment."""
        branches = self.place.adapter.part(BranchStore)
        if name == MAIN_BRANCH:
            raise BranchExists(self.key, MAIN_BRANCH)
        branch, left = branches.fork(self.place.address, name, seq, switch=switch)
        return self._on(branch.name), left.last_seq


def _main() -> Branch:
    """The branch that a conversation has before its first message."""
    now = datetime.now(UTC)
    return Branch(MAIN_BRANCH, None, 0, 0, 0, 0, current=True, created_at=now, updated_at=now)
