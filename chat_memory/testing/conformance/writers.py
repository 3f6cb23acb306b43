"""Owns the clauses of concurrent writers: threads that start at the same moment, without sleeping."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby, pairwise

from chat_memory.exceptions import MessageConflict, VersionConflict
from chat_memory.records import Change, Commit, Message
from chat_memory.storage.contract import Batch
from chat_memory.testing.conformance.kit import Kit, at_once, positions, user, users, where

WRITERS = 6
CALLS = 5
ROUNDS = 8


class WriterClauses(Kit):
    """See ``MessageStore`` and ``SessionStore``, with several writers."""

    def test_concurrent_calls_are_dense_adjacent_and_whole(self) -> None:
        """Nothing is lost or doubled, a call's messages are adjacent, and a writer's calls stay in order."""
        at_once(*(partial(self._write_calls, f"{writer}") for writer in range(WRITERS)))
        messages = self.messages.read(self.at()).messages
        assert positions(messages) == list(range(1, WRITERS * CALLS * 3 + 1))
        calls = [(call, [message.id for message in sent]) for call, sent in groupby(messages, _call_of)]
        assert len(calls) == WRITERS * CALLS
        assert all(ids == [f"{call}.{number}" for number in range(3)] for call, ids in calls)
        for writer in range(WRITERS):
            mine = [call for call, _ids in calls if call.startswith(f"{writer}.")]
            assert mine == [f"{writer}.{number}" for number in range(CALLS)]
        header = self.header()
        assert header is not None
        assert (header.version, header.last_seq) == (WRITERS * CALLS, WRITERS * CALLS * 3)

    def test_changes_form_one_chain(self) -> None:
        """Each change has the version and the token of the state before it; a cache relies on this."""
        commits = [commit for written in self._all_write() for commit in written]
        changes = sorted((commit.change for commit in commits if commit.change), key=_version)
        assert [_version(change) for change in changes] == list(range(1, len(commits) + 1))
        for before, after in pairwise(changes):
            assert (after.prev_version, after.prev_vtoken) == (before.header.version, before.header.vtoken)

    def test_the_same_call_sent_by_several_is_stored_once(self) -> None:
        """One caller stores the messages, and all get the same result."""
        for number in range(ROUNDS):
            messages = users(f"{number}.a", f"{number}.b")
            commits = at_once(*[partial(self.messages.append, self.at(), messages)] * WRITERS)
            assert sum(commit.change is not None for commit in commits) == 1
            assert all(commit.messages == commits[0].messages for commit in commits)
        assert len(self.ids()) == 2 * ROUNDS
        self._assert_dense()

    def test_overlapping_calls_store_each_message_once(self) -> None:
        for number in range(ROUNDS):
            ids = [f"{number}.{letter}" for letter in "abcdef"]
            calls = [users(*ids[start : start + 3]) for start in range(4)]
            commits = at_once(*(partial(self.messages.append, self.at(), messages) for messages in calls))
            places = {(message.id, message.seq) for commit in commits for message in commit.messages}
            assert len(places) == len(ids)
        assert sorted(filter(None, self.ids())) == sorted(f"{number}.{x}" for number in range(ROUNDS) for x in "abcdef")
        self._assert_dense()

    def test_one_of_two_contents_under_one_id_is_stored(self) -> None:
        for number in range(ROUNDS):
            contents = [f"content {writer}" for writer in range(WRITERS)]
            calls = [partial(self._try_append, user(f"{number}", content)) for content in contents]
            stored = [commit for commit in at_once(*calls) if commit]
            assert len(stored) == 1
        self._assert_dense()
        assert len(self.ids()) == ROUNDS

    def test_one_of_several_optimistic_writers_succeeds(self) -> None:
        for version in range(ROUNDS):
            calls = [
                partial(self._try_append, user(f"{version}.{writer}"), if_version=version) for writer in range(WRITERS)
            ]
            assert sum(commit is not None for commit in at_once(*calls)) == 1
        assert len(self.ids()) == ROUNDS

    def test_first_appends_make_one_session(self) -> None:
        for number in range(ROUNDS):
            key = f"new {number}"
            calls = [partial(self.messages.append, self.at(key), users(f"{writer}")) for writer in range(WRITERS)]
            commits = at_once(*calls)
            assert len({commit.header.session_id for commit in commits}) == 1
            assert sorted(commit.messages[0].seq or 0 for commit in commits) == list(range(1, WRITERS + 1))
        assert len(self.sessions.find(self.workspace)) == ROUNDS

    def test_opening_at_once_makes_one_session(self) -> None:
        answers = at_once(*[partial(self.sessions.open, self.at(), {"title": "t"})] * WRITERS)
        assert sum(made for _record, made in answers) == 1
        assert len({record.id for record, _made in answers}) == 1

    @where("changes_several")
    def test_calls_over_several_sessions_in_any_order_do_not_deadlock(self) -> None:
        """There is no deadlock, and readers see each call completely or not at all."""
        keys = "abc"
        for number in range(ROUNDS):
            orders = (keys, keys[::-1], "bca", "cab")
            batches: list[list[Batch]] = [
                [(self.at(key), users(f"{number}.{order}"), None) for key in order] for order in orders
            ]
            at_once(*(partial(self.messages.append_many, batch) for batch in batches))
        histories = [self.messages.read(self.at(key)).messages for key in keys]
        assert [positions(messages) for messages in histories] == [list(range(1, 4 * ROUNDS + 1))] * 3
        assert len({tuple(message.id for message in messages) for messages in histories}) == 1

    def test_append_racing_clear(self) -> None:
        """A call before the clear is completely hidden, one after it completely visible; positions stay dense."""
        for number in range(ROUNDS):
            at, messages = self.at(f"k{number}"), users("a", "b")
            self.messages.append(at, users("first"))
            commit, change = _pair(partial(self.messages.append, at, messages), partial(self.messages.clear, at))
            assert isinstance(commit, Commit)
            assert isinstance(change, Change)
            assert positions(commit.messages) == [2, 3]
            seen = ["a", "b"] if commit.header.version > change.header.version else []
            assert self.ids(key=at.key) == seen
            assert {commit.header.version, change.header.version} == {2, 3}

    def test_append_racing_delete(self) -> None:
        """All messages of a call are deleted with the old session, or all are in a new session."""
        for number in range(ROUNDS):
            at, messages = self.at(f"k{number}"), users("a", "b")
            old = self.messages.append(at, users("first")).header
            commit, gone = _pair(partial(self.messages.append, at, messages), partial(self.sessions.delete, at))
            assert isinstance(commit, Commit)
            assert gone is True
            read = self.messages.read(at)
            if commit.header.session_id == old.session_id:
                assert (read.messages, read.header) == ([], None)
            else:
                assert (positions(read.messages), read.header) == ([1, 2], commit.header)

    def test_reads_see_whole_calls(self) -> None:
        """A reader never sees a part of a call, or a header from another moment."""

        def watch() -> list[Commit]:
            for _round in range(WRITERS * CALLS):
                found = self.messages.read(self.at())
                last_seq = found.header.last_seq if found.header else 0
                assert len(found.messages) == last_seq
                assert last_seq % 3 == 0
            return []

        at_once(watch, *(partial(self._write_calls, f"{writer}") for writer in range(2)))

    def _all_write(self) -> list[list[Commit]]:
        return at_once(*(partial(self._write_calls, f"{writer}") for writer in range(WRITERS)))

    def _write_calls(self, writer: str) -> list[Commit]:
        """Make a writer's calls one after the other, three messages each."""
        calls = [users(*(f"{writer}.{call}.{number}" for number in range(3))) for call in range(CALLS)]
        return [self.messages.append(self.at(), messages) for messages in calls]

    def _try_append(self, message: Message, if_version: int | None = None) -> Commit | None:
        try:
            return self.messages.append(self.at(), [message], if_version=if_version)
        except (MessageConflict, VersionConflict):
            return None

    def _assert_dense(self) -> None:
        messages = self.messages.read(self.at()).messages
        assert positions(messages) == list(range(1, len(messages) + 1))


def _pair(one: Callable[[], object], other: Callable[[], object]) -> Sequence[object]:
    return at_once(one, other)


def _call_of(message: Message) -> str:
    return str(message.id).rpartition(".")[0]


def _version(change: Change) -> int:
    return change.header.version
