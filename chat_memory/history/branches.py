"""Owns the branches of a conversation, and changes in the midst of it."""

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
    """Branches share the messages before the fork; those after it are each branch's own."""

    def branches(self) -> list[Branch]:
        """All branches of the conversation, ``main`` first; it is there from the start.

        Raises:
            NotSupported: the back end has no branches.
        """
        return self.place.adapter.part(BranchStore).all(self.place.address) or [_main()]

    abranches = twin(branches)

    def fork(self, name: str, at: int | None = None) -> Self:
        """A new branch that shares the messages up to position ``at``; the conversation itself goes on as before.

        Nothing is copied, however long the history is. An unknown conversation is made.

        Args:
            name: 1 to 100 characters without control characters.
            at: the last position to share; None: all there are.

        Returns:
            The conversation on the new branch.

        Raises:
            ValidationError: the name is not usable, or ``at`` is no whole number from 0.
            BranchExists: there is one of this name.
            BranchNotFound: this handle's own branch is not there.
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
        """Append to one branch what another shows after the last position they share, ids and times kept.

        What is there already is a replay: to merge again adds nothing but what ``source`` has got meanwhile.

        Args:
            source: the branch to take from; it stays as it is.
            into: the branch to append to.

        Raises:
            BranchNotFound: there is no such branch.
            MessageConflict: the other branch has another message of the same id; nothing was written.
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
        """Redact the copies of messages that were redacted while they were copied: no copy was there yet to redact."""
        gone = {message.id for message in source if message.state == State.REDACTED.value}
        for copy in copies:
            if copy.id in gone and copy.state != State.REDACTED.value:
                self.redact(str(copy.id))

    def regenerate(
        self, at: int | str, *, switch: bool = False, until: Literal["begun", "complete"] | None = None
    ) -> Self:
        """A branch on which the answer at a position can be made again; the former answer stays current meanwhile.

        It shares what is before ``at``, and a user's message there too. Where that would separate a tool call from one
        of its results, it shares only what is before the call. The old answer stays on its branch. Of several calls for
        the same answer the first makes the branch and the others find it, until it has become the current one.

        Args:
            at: the position or the id of the answer, or of its question.
            switch: whether the new branch is the current one from now on, although it shows no answer yet; each such
                call makes a branch of its own.
            until: "begun": the first message on the new branch makes it the current one; "complete": the caller does,
                by ``switch(chat.branch)``, when the answer is complete. None: as REGENERATE_UNTIL says.

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
        """Ask a question again in other words: a new branch from before it, with the new message, is the current one.

        The former question and what followed it stay on their branch, which the receipt names as ``former_branch``:
        ``switch`` to it undoes this. Where the new message is stored already, its branch is switched to.

        Args:
            seq: the position or the id of a user's message.
            content: what the new message says.
            message_id: the id of the new message; a caller who wants to retry gives one.
            metadata: of the new message.

        Raises:
            ValidationError: the new message cannot be stored, or the message is no user's.
            MessageNotFound: the conversation shows no such message.
            MessageConflict: ``message_id`` is stored with another content.
            NotSupported: the back end has no branches.
        """
        return regrowing.edited_and_branched(self._on_current(), seq, content, message_id=message_id, metadata=metadata)

    aedit_and_branch = twin(edit_and_branch)

    def truncate_after(self, message_id: str, *, inclusive: bool = False) -> int:
        """Go on after a message as if nothing had followed it; what did stays on the old branch.

        A back end without branches, which is Redis, deletes it.

        Args:
            message_id: the last message to stay.
            inclusive: whether that one goes too.

        Returns:
            How many messages the conversation no longer shows.

        Raises:
            MessageNotFound: the conversation shows no message of this id.
            NotSupported: the back end can do neither.
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
        """Give a message other content, metadata or further fields, on every branch that shares it.

        With other content its tokens are counted again, a title that was made of it is made anew, and summaries that
        cover it are removed, so that the next one covers it as it is now. ``revisions`` has its former contents. What
        is not given stays as it is.

        Args:
            seq: the position of the message, or its id.
            content: what it says from now on.
            metadata: in place of its metadata as a whole; None: none.
            extra: further fields that are set beside those it has; a value of None removes a field, and None in place
                of a mapping removes all.
            if_version: refuse when the session has changed since this version.

        Raises:
            ValidationError: a message in this role cannot have this.
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

        Text and parts become "[redacted]", its state ``redacted``. Metadata, further fields, former contents and the
        name of a person go; tool calls and results keep their ids and the names of tools, so that a provider accepts
        what is around them. What was made of the message goes too: a title, and summaries that cover it. A retry of its
        append is answered by the redacted message. A message that is redacted stays as it is.

        Args:
            seq: the position of the message, or its id.
            by: who asked for it, noted beside the time: a user object, or the user's key as text; None: nobody.
            if_version: refuse when the session has changed since this version.

        Raises:
            ValidationError: ``by`` is no user.
            MessageNotFound: the conversation shows no such message.
            VersionConflict: the session is not at ``if_version``.
            NotSupported: the back end cannot edit messages.
        """
        edits, version = self.place.adapter.part(EditStore), optional_number(if_version, "if_version")
        at, where, who = self.place.address, self._meant(seq), user_key(by, "by")
        return edits.redact(at, where, without_words, by=who, if_version=version).messages[0]

    aredact = twin(redact)

    def revisions(self, seq: int | str) -> list[Revision]:
        """The former contents of the message at a position or of an id, one for each edit of it, oldest first.

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
        """The position or the id that a caller gave.

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
        """The conversation on a new branch, and the last position of the branch that was left, at that moment."""
        branches = self.place.adapter.part(BranchStore)
        if name == MAIN_BRANCH:
            raise BranchExists(self.key, MAIN_BRANCH)
        branch, left = branches.fork(self.place.address, name, seq, switch=switch)
        return self._on(branch.name), left.last_seq


def _main() -> Branch:
    """The branch that a conversation has before its first message."""
    now = datetime.now(UTC)
    return Branch(MAIN_BRANCH, None, 0, 0, 0, 0, current=True, created_at=now, updated_at=now)
