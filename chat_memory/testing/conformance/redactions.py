"""Owns the clauses of ``redact``: what is left of a message, on which branches, and which events are sent."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

import msgspec
import pytest

from chat_memory.choices import State
from chat_memory.exceptions import MessageNotFound, MessageRedacted, VersionConflict
from chat_memory.records import Message, Transcript, TranscriptSummary
from chat_memory.rules.redaction import PLACEHOLDER, redacted
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import Restored
from chat_memory.testing.conformance.branches import grow
from chat_memory.testing.conformance.kit import SENT_AT, Kit, answer, user, users, where

may_redact = where("edits")
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q": "secret"}'}}


class RedactionClauses(Kit):
    """See ``EditStore.redact``."""

    @may_redact
    def test_a_redaction_leaves_place_and_role(self) -> None:
        said = user("b", "secret", name="Ada", metadata={"a": "secret"}, extra={"audio": {"id": "secret"}}, tokens=90)
        self.messages.append(self.at(), [user("a"), said, user("c")])
        stored, before = self.messages.read(self.at()).messages, self.header()
        commit = self.redact(2)
        assert before is not None
        assert commit.change is not None
        assert (commit.header, commit.header.version) == (self.header(), before.version + 1)
        assert (commit.change.prev_version, commit.change.prev_vtoken) == (before.version, before.vtoken)
        left = self.messages.read(self.at()).messages
        assert (left[0], left[2]) == (stored[0], stored[2])
        assert commit.messages == (left[1],)
        assert left[1] == Message(
            "user",
            PLACEHOLDER,
            id="b",
            seq=2,
            created_at=SENT_AT,
            state=State.REDACTED.value,
            tokens=left[1].tokens,
            turn=stored[1].turn,
        )

    @may_redact
    def test_a_redaction_keeps_calls_and_results_together(self) -> None:
        call = Message("assistant", None, id="a", tool_calls=[CALL], created_at=SENT_AT, tokens=5)
        result = Message("tool", "secret", id="b", name="find", tool_call_id="c1", created_at=SENT_AT, tokens=5)
        self.messages.append(self.at(), [user("q"), call, result])
        self.redact("a")
        self.redact("b")
        _question, asked, answered = self.messages.read(self.at()).messages
        assert asked.tool_calls == [{**CALL, "function": {"name": "find", "arguments": "{}"}}]
        assert asked.content is None
        assert (answered.content, answered.tool_call_id, answered.name) == (PLACEHOLDER, "c1", "find")

    @may_redact
    def test_a_redaction_takes_former_contents_along(self) -> None:
        self.append("a", "b")
        self.rewrite(1, "secret")
        self.rewrite(2, "B")
        self.redact(1)
        assert self.edits.revisions(self.at(), 1) == []
        assert [former.content for former in self.edits.revisions(self.at(), 2)] == ["b"]

    @may_redact
    def test_a_redaction_happens_once(self) -> None:
        self.append("a")
        done = self.redact(1)
        with self.listening() as events:
            again = self.redact("a")
        assert (again.change, again.header, again.messages) == (None, done.header, done.messages)
        assert events == []

    @may_redact
    def test_a_redacted_message_takes_no_other_words(self) -> None:
        """A late edit, for example by a process that is still writing the answer, must not bring its text back."""
        self.append("a")
        done = self.redact(1)
        with pytest.raises(MessageRedacted) as caught:
            self.rewrite(1, "secret")
        assert (caught.value.key, caught.value.seq) == ("k", 1)
        assert (self.header(), self.contents()) == (done.header, [PLACEHOLDER])

    @may_redact
    def test_a_retry_of_a_redacted_message_is_a_replay(self) -> None:
        """Whatever the retry's content: nothing is left to compare it with, and the receipt has no redacted text."""
        self.append("a", "b")
        done = self.redact(1)
        for said in (user("a"), user("a", "other"), answer("a", name="n")):
            commit = self.messages.append(self.at(), [said])
            assert (commit.change, commit.messages, commit.header) == (None, done.messages, done.header)
        commit = self.messages.append(self.at(), [user("a", "secret"), user("c")])
        assert [message.content for message in commit.messages] == [PLACEHOLDER, "c"]
        assert self.contents() == [PLACEHOLDER, "b", "c"]

    @where("edits", "archive", "summaries")
    def test_a_restore_brings_nothing_of_a_redacted_message_back(self) -> None:
        """Neither the message nor a summary made before the redaction; everything else is restored."""
        stored = [msgspec.structs.replace(message, seq=None) for message in users("a", "b")]
        summary = TranscriptSummary("main", 1, 2, "of a and b", created_at=SENT_AT)
        transcript = Transcript("k", stored, summaries=[summary])
        assert self._restored(transcript) == Restored(made=True, messages=2)
        assert [each.text for each in self.summaries.all(self.at())] == ["of a and b"]
        self.redact("a")
        assert self._restored(transcript) == Restored(replayed=2)
        assert (self.contents(), self.summaries.all(self.at())) == ([PLACEHOLDER, "b"], [])
        later = msgspec.structs.replace(summary, first_seq=2, text="of b")
        assert self._restored(Transcript("k", stored, summaries=[later])) == Restored(replayed=2)
        assert [each.text for each in self.summaries.all(self.at())] == ["of b"]

    @where("edits", "archive")
    def test_a_redacted_message_is_restored_as_it_is(self) -> None:
        self.append("a")
        (left,) = self.redact("a").messages
        again = Transcript("k", [msgspec.structs.replace(left, seq=None)])
        assert self._restored(again) == Restored(replayed=1)
        assert self._restored(again, "other") == Restored(made=True, messages=1)
        assert self.messages.read(self.at("other")).messages == [left]
        assert self.messages.append(self.at("other"), [user("a", "anything")]).change is None

    @may_redact
    def test_a_redaction_of_what_is_not_shown_is_refused(self) -> None:
        self.append("a", "b")
        self.messages.clear(self.at())
        before = self.append("c")
        for place in (0, 1, 4, "a", "d"):
            with pytest.raises(MessageNotFound):
                self.redact(place)
        with pytest.raises(MessageNotFound):
            self.redact(1, key="unknown")
        with pytest.raises(VersionConflict):
            self.edits.redact(self.at(), 3, redacted, if_version=before.version + 1)
        assert (self.header(), self.contents()) == (before, ["c"])
        assert self.edits.redact(self.at(), 3, redacted, if_version=before.version).change is not None

    @where("edits", "branches")
    def test_a_redaction_is_sent_once_for_each_branch_that_shows_the_message(self) -> None:
        grow(self)
        with self.listening() as events:
            commit = self.redact(1, branch="two")
        assert {self.contents(branch)[0] for branch in ("main", "one", "two")} == {PLACEHOLDER}
        assert {event.branch: event.commit for event in events} == {"main": None, "one": None, "two": commit}
        assert len(events) == 3
        assert {(event.kind, event.first_seq, event.last_seq) for event in events} == {(Kind.REDACTED, 1, 1)}
        assert {event.header for event in events} == {self.header(branch=name) for name in ("main", "one", "two")}

    @where("edits", "branches")
    def test_a_redaction_after_the_fork_is_of_its_branch_alone(self) -> None:
        grow(self)
        main = self.header(branch="main")
        self.redact(3, branch="two")
        assert self.contents("one") == ["1", "2", PLACEHOLDER, "4", "y"]
        assert (self.contents("main"), self.header(branch="main")) == (["1", "2", "z"], main)

    @where("edits", "branches")
    def test_a_redaction_reaches_the_copy_that_a_merge_has_made(self) -> None:
        """Another message that only has the same id stays."""
        self.append("a")
        for name, text in (("one", "secret"), ("other", "another")):
            self.branches.fork(self.at(), name)
            self.messages.append(self.at(branch=name), [user("s", text)])
        (copied,) = (message for message in self.messages.read(self.at(branch="one")).messages if message.id == "s")
        self.messages.append(self.at(), [*users("b"), msgspec.structs.replace(copied, seq=None)])
        self.rewrite(3, "secret, edited")
        self.edits.edit(self.at(branch="one"), "s", lambda stored: msgspec.structs.replace(stored, metadata={"a": 1}))
        with self.listening() as events:
            self.redact("s", branch="one")
        assert self.contents("main") == ["a", "b", PLACEHOLDER]
        assert (self.contents("one"), self.contents("other")) == (["a", PLACEHOLDER], ["a", "another"])
        assert {event.branch: event.first_seq for event in events} == {"one": 2, "main": 3}

    def _restored(self, transcript: Transcript, key: str = "k") -> Restored:
        (found,) = self.archive.restore([(self.at(key), msgspec.structs.replace(transcript, key=key))])
        return found
