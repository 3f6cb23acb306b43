"""Owns the clauses of owners: a call for a user reaches only the user's own or ownerless sessions; keys can move."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from chat_memory.exceptions import NotOwner
from chat_memory.records import Address, Budget, Commit, SessionRecord, Span, Summary, Transcript
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import NO_FIELDS
from chat_memory.storage.listing import Filter
from chat_memory.testing.conformance.kit import SENT_AT, Kit, at_once, positions, users, where

ROUNDS = 8
USERS = 4
FROM_CLIENT = {"key_from_client": True}


class OwnerClauses(Kit):
    """See ``Address.reaches``."""

    def test_a_session_of_somebody_else_is_refused(self) -> None:
        """With every method; nothing is written, no event is sent, and the error does not name the owner."""
        self.messages.append(self.of("ann"), users("a", "b"))
        before = self._whole_state()
        with self.listening() as events:
            for at in (self.of("bob"), self.at(anonymous=True)):
                for call in (*self._of_messages(at), *self._of_sessions(at), *self._of_further_parts(at)):
                    with pytest.raises(NotOwner) as caught:
                        call()
                    error = caught.value
                    assert (error.key, error.workspace, error.user_key) == ("k", self.workspace, at.user_key)
                    assert "ann" not in str(error)
        assert (events, self._whole_state()) == ([], before)

    @where("branches")
    def test_a_branch_of_somebody_else_is_refused(self) -> None:
        self.messages.append(self.of("ann"), users("a", "b"))
        self.branches.fork(self.of("ann"), "draft")
        for branch in ("main", "draft", "not there"):
            for call in self._of_messages(self.of("bob", branch=branch)):
                with pytest.raises(NotOwner):
                    call()
        assert self.ids(branch="draft") == ["a", "b"]
        self.branches.switch(self.at(), "draft")
        for call in self._of_messages(self.of("bob")):
            with pytest.raises(NotOwner):
                call()
        assert positions(self.messages.append(self.of("ann", branch="draft"), users("c")).messages) == [3]

    def test_ids_of_an_earlier_answer_do_not_help(self) -> None:
        """Neither to the session of another user, nor to a later session with the same key."""
        header = self.messages.append(self.of("ann"), users("a")).header
        ids: dict[str, Any] = {"session_id": header.session_id, "workspace_id": header.workspace_id}
        for call in self._of_messages(self.of("bob", **ids)):
            with pytest.raises(NotOwner):
                call()
        self.sessions.delete(self.of("ann"))
        assert self.messages.read(self.of("bob", **ids)).messages == []
        self.messages.append(self.of("bob", **ids), users("b"))
        with pytest.raises(NotOwner):
            self.messages.read(self.of("ann", **ids))

    def test_the_owner_and_who_reaches_all_are_served(self) -> None:
        self.messages.append(self.of("ann"), users("a"))
        for at in (self.of("ann"), self.at(), self.of("bob", any_owner=True)):
            assert [message.id for message in self.messages.read(at).messages] == ["a"]
            record = self.sessions.get(at)
            assert record is not None
            assert record.user_key == "ann"
        self.messages.append(self.of("bob", any_owner=True), users("b"))
        assert self._owner_of("k") == "ann"

    def test_what_is_nobodys_is_reached_by_all_until_it_is_somebodys(self) -> None:
        self.append("a")
        for at in (self.at(anonymous=True), self.of("ann"), self.of("bob")):
            assert len(self.messages.read(at).messages) == 1
        self.messages.append(self.at(anonymous=True), users("b"))
        assert self._owner_of("k") == ""
        self.messages.append(self.of("ann"), users("c"))
        assert self._owner_of("k") == "ann"
        for at in (self.at(anonymous=True), self.of("bob")):
            with pytest.raises(NotOwner):
                self.messages.read(at)
            with pytest.raises(NotOwner):
                self.messages.append(at, users("d"))
        assert self.ids() == ["a", "b", "c"]

    @where("changes_several")
    def test_one_session_of_somebody_else_refuses_several(self) -> None:
        self.messages.append(self.of("ann", key="theirs"), users("a"))
        batches = [(self.of("bob", key=key), users("b"), None) for key in ("new", "theirs")]
        with pytest.raises(NotOwner):
            self.messages.append_many(batches)
        assert (self.ids(key="new"), self.ids(key="theirs")) == ([], ["a"])

    def test_one_of_several_users_gets_a_new_key(self) -> None:
        """The loser is refused and has written nothing, whether the session was opened before or not."""
        for number in range(ROUNDS):
            key = f"k{number}"
            if number % 2:
                self.sessions.open(self.at(key))
            calls = [
                partial(self._append_or_lose, self.of(f"user {user}", key=key), f"{user}") for user in range(USERS)
            ]
            stored = [commit.messages[0].id for commit in at_once(*calls) if commit]
            assert len(stored) == 1
            assert (self.ids(key=key), self._owner_of(key)) == (stored, f"user {stored[0]}")

    @where("archive")
    def test_restoring_reaches_every_session(self) -> None:
        """A restore is an operator's call, and an existing session keeps its owner."""
        self.messages.append(self.of("ann"), users("a"))
        transcript = Transcript("k", users("a", "b"))
        (restored,) = self.archive.restore([(self.of("bob"), transcript)])
        assert (restored.error, restored.messages) == (None, 1)
        assert self._owner_of("k") == "ann"

    def of(self, user_key: str, key: str = "k", **fields: Any) -> Address:
        """The address of a conversation for a user."""
        return self.at(key, user_key=user_key, **fields)

    def _owner_of(self, key: str) -> str | None:
        record = self.sessions.get(self.at(key))
        return record.user_key if record else None

    def _whole_state(self) -> list[Any]:
        """All that a call might have changed."""
        return [self.sessions.get(self.at()), self.messages.read(self.at()), self.sessions.find(self.workspace)]

    def _of_messages(self, at: Address) -> list[Callable[[], object]]:
        messages = self.messages
        return [
            partial(messages.append, at, users("c")),
            partial(messages.append, at, users("a")),
            partial(messages.append, at, users("c"), if_version=1),
            partial(messages.read, at),
            partial(messages.read, at, Span(last=1)),
            partial(messages.read, at, Span(first=1)),
            partial(messages.read, at, Span(system=True)),
            partial(messages.read_json, at, Span(last=1)),
            partial(messages.peek, at),
            *(partial(messages.window, at, each) for each in (Budget(turns=9), Budget(messages=9), Budget(tokens=9))),
            partial(messages.locate, at, "a"),
            partial(messages.locate, at, "unknown"),
            partial(messages.pop, at),
            partial(messages.clear, at),
        ]

    def _of_sessions(self, at: Address) -> list[Callable[[], object]]:
        sessions = self.sessions
        return [
            partial(sessions.get, at),
            partial(sessions.open, at, {"title": "t"}),
            partial(sessions.update, at, {"title": "t"}),
            partial(sessions.delete, at),
        ]

    def _of_further_parts(self, at: Address) -> list[Callable[[], object]]:
        calls: list[Callable[[], object]] = []
        if self.offers("branches"):
            verbs = self.branches
            calls += [partial(verbs.all, at), partial(verbs.fork, at, "new"), partial(verbs.switch, at, "main")]
        if self.offers("edits"):
            edits, restate = self.edits, self.saying("other")
            calls += [partial(edits.edit, at, 1, restate), partial(edits.redact, at, 1, restate)]
            calls += [partial(edits.revisions, at, 1)]
        if self.offers("summaries"):
            calls += [partial(self.summaries.all, at), partial(self.summaries.claim, at, 1)]
        return calls

    def _append_or_lose(self, at: Address, message_id: str) -> Commit | None:
        try:
            return self.messages.append(at, users(message_id))
        except NotOwner:
            return None


class YieldingClauses(OwnerClauses):
    """See ``SessionRecord.key_from_client``."""

    @where("yields_keys")
    def test_a_session_is_told_apart_by_who_chose_its_key(self) -> None:
        made, _is_new = self.sessions.open(self.of("ann"), FROM_CLIENT)
        other, _is_new = self.sessions.open(self.of("ann", key="other"))
        assert (made.key_from_client, other.key_from_client) == (True, False)
        found = {record.key: record.key_from_client for record in self.sessions.find(self.workspace)}
        assert found == {"k": True, "other": False}

    @where("yields_keys")
    def test_a_clients_key_reads_as_unknown_to_others(self) -> None:
        self._taken("a")
        before = self._whole_state()
        bob = self.of("bob")
        with self.listening() as events:
            assert (self.messages.read(bob).messages, self.messages.peek(bob)) == ([], None)
            assert (self.sessions.get(bob), self.messages.locate(bob, "a")) == (None, None)
            assert (self.messages.pop(bob), self.messages.clear(bob), self.sessions.delete(bob)) == (None, None, False)
        assert (events, self._whole_state()) == ([], before)

    @where("yields_keys")
    @pytest.mark.parametrize("first", ["append", "open", "fork", "append_many"])
    def test_a_clients_key_yields_to_the_first_write(self, first: str) -> None:
        """The client's session keeps its id and its messages, and continues under another key."""
        if first in ("fork", "append_many") and not self.offers({"fork": "branches"}.get(first, "changes_several")):
            pytest.skip(f"{self.adapter.name} cannot do this")
        theirs, bob = self._taken("a"), self.of("bob")
        with self.listening() as events:
            if first == "append":
                self.messages.append(bob, users("b"))
            elif first == "open":
                self.sessions.open(bob, NO_FIELDS)
            elif first == "fork":
                self.branches.fork(bob, "draft")
            else:
                self.messages.append_many([(bob, users("b"), None)])
        key = f"k~{theirs.id}"
        moved, made = self.sessions.get(self.of("ann", key=key)), self.sessions.get(bob)
        assert moved is not None
        assert made is not None
        assert (moved.id, moved.user_key, moved.version) == (theirs.id, "ann", theirs.version + 1)
        assert (made.user_key, made.key_from_client, made.id != theirs.id) == ("bob", False, True)
        assert self.ids(key=key) == ["a"]
        assert "a" not in self.ids()
        told = [(event.key, event.former_key) for event in events if event.kind is Kind.RENAMED]
        assert told == [(key, "k")]
        with pytest.raises(NotOwner):
            self.messages.read(self.of("ann"))
        assert [record.key for record in self.sessions.find(self.workspace, Filter(user_key="ann"))] == [key]

    @where("yields_keys", "branches")
    def test_branches_go_with_a_session_that_yields(self) -> None:
        theirs = self._taken("a")
        self.branches.fork(self.of("ann"), "draft", switch=True)
        self.messages.append(self.of("ann"), users("b"))
        self.messages.append(self.of("bob"), users("c"))
        key = f"k~{theirs.id}"
        assert (self.ids(key=key), self.ids(key=key, branch="main")) == (["a", "b"], ["a"])
        assert [branch.name for branch in self.branches.all(self.of("bob"))] == ["main"]
        assert (self.ids(), self.ids(branch="draft")) == (["c"], [])

    @where("yields_keys")
    def test_the_new_key_fits_and_is_free(self) -> None:
        long = "ü" * 255
        theirs = self._taken("a", key=long)
        self.messages.append(self.of("bob", key=long), users("b"))
        taken = self._taken("c")
        self.sessions.open(self.of("ann", key=f"k~{taken.id}"), FROM_CLIENT)
        self.messages.append(self.of("bob"), users("d"))
        keys = {record.id: record.key for record in self.sessions.find(self.workspace, Filter(user_key="ann"))}
        assert keys[theirs.id] == f"{long[:218]}~{theirs.id}"
        assert keys[taken.id].startswith(f"k~{taken.id}-")
        assert self.ids(key=keys[taken.id]) == ["c"]

    @where("yields_keys")
    def test_only_to_a_user_and_never_to_who_reaches_all(self) -> None:
        theirs = self._taken("a")
        for at in (self.at(), self.of("bob", any_owner=True), self.of("ann")):
            assert self.messages.append(at, users(f"of {at.user_key} {at.any_owner}")).header.session_id == theirs.id
        assert self._owner_of("k") == "ann"

    @where("yields_keys")
    def test_writers_of_both_at_once(self) -> None:
        """Of several first writes of the user one moves the client's session, and no message goes to the other's."""
        for number in range(ROUNDS):
            key = f"k{number}"
            theirs = self._taken("a", key=key)
            bob, ann = self.of("bob", key=key), self.of("ann", key=key)
            calls = [partial(self._append_or_lose, bob, f"bob {call}") for call in range(USERS)]
            at_once(*calls, *(partial(self._append_or_lose, ann, f"ann {call}") for call in range(USERS)))
            moved = self.ids(key=f"{key}~{theirs.id}")
            assert sorted(str(ident) for ident in self.ids(key=key)) == [f"bob {call}" for call in range(USERS)]
            assert not [ident for ident in moved if str(ident).startswith("bob")]

    @where("yields_keys", "archive")
    def test_a_clients_key_yields_to_what_is_restored(self) -> None:
        """An export names owners by their keys alone: the owner's own conversation stays the same."""
        theirs = self._taken("a")
        transcript = Transcript("k", users("b"))
        own, others = self.archive.restore([(self.of("ann"), transcript), (self.of("bob"), transcript)])
        assert (own.made, others.made, others.error) == (False, True, None)
        assert (self.ids(key=f"k~{theirs.id}"), self.ids()) == (["a", "b"], ["b"])
        assert self._owner_of("k") == "bob"

    @where("yields_keys", "summaries")
    def test_a_summary_that_is_late_stays_with_what_it_is_of(self) -> None:
        self._taken("a", "b")
        claim = self.summaries.claim(self.of("ann"), 0)
        assert claim is not None
        self.messages.append(self.of("bob"), users("c", "d"))
        late = Summary(claim.first_seq, claim.last_seq, "of ann", "", 0, SENT_AT)
        assert not self.summaries.keep(self.at(), claim, late)
        assert self.summaries.all(self.of("bob")) == []

    def _taken(self, *ids: str, key: str = "k") -> SessionRecord:
        """A session of ann's, whose key she chose through the API."""
        self.sessions.open(self.of("ann", key=key), FROM_CLIENT)
        self.messages.append(self.of("ann", key=key), users(*ids))
        record = self.sessions.get(self.at(key))
        assert record is not None
        return record
