"""Answers that are streamed within a turn: whose they are, what becomes of former attempts, and who may write."""

from contextlib import suppress
from typing import Any

import pytest

from chat_memory import Message
from chat_memory.exceptions import DraftLost, TurnLost, ValidationError
from chat_memory.maintenance import retention
from chat_memory.maintenance.integrity import check
from chat_memory.models import Draft, Turn as TurnRow
from chat_memory.storage.memory import MemoryAdapter
from tests.conversations import chat, contents
from tests.integration.streams import GoneError, end_leases, fail, lapse, played, states
from tests.integration.test_turns import tool_use
from tests.readers import Reader

pytestmark = pytest.mark.django_db(transaction=True)
ASKED = Message.user("q", id="q")


def attempt(*chunks: str, **options: Any) -> str | None:
    """Stream these chunks in the turn of the question, and have the provider fail; the id of the message."""
    with suppress(GoneError), chat().turn(ASKED) as turn:
        stream = turn.stream(**options)
        played(stream, *(lambda chunk=chunk: stream.write(chunk) for chunk in chunks), fail)
    return stream.id


def turns_of() -> list[tuple[Any, int | None]]:
    """What each message says, and its turn."""
    return [(message.content, message.turn) for message in chat().messages()]


def test_a_streamed_answer_is_of_its_turn() -> None:
    """Also where another question was asked meanwhile."""
    with chat().turn(ASKED) as turn, turn.stream(name="bot", metadata={"k": 1}) as stream:
        stream.write("An ")
        chat().append(Message.user("q2"))
        stream.write("answer")
    assert turn.answered
    assert turns_of() == [("q", 1), ("q2", 2), ("An answer", 1)]
    assert contents(chat().window(turns=9)) == ["q", "An answer", "q2"]
    assert stream.message is not None
    assert (stream.message.turn, stream.message.name, stream.message.metadata) == (1, "bot", {"k": 1})
    assert contents(turn.messages) == ["An answer"]


def test_it_has_the_id_that_an_append_would_give_it() -> None:
    with chat().turn(ASKED) as turn, turn.stream() as stream:
        stream.write("once")
    with chat("other").turn(ASKED) as turn, turn.stream() as other:
        other.write("once")
    assert stream.id != other.id
    with chat().turn("q", taken="look") as again:
        assert [message.id for message in again.messages] == [stream.id]
        assert (again.answered, again.held) == (True, False)
        with pytest.raises(TurnLost):
            again.stream()


def test_what_a_former_attempt_left_is_replaced() -> None:
    first = attempt("Half of")
    assert states() == [("q", "complete"), ("Half of", "failed")]
    with chat().turn(ASKED) as turn:
        assert not turn.answered
        with turn.stream() as stream:
            stream.write("All anew")
    assert states() == [("q", "complete"), ("All anew", "complete")]
    assert (stream.id, turns_of()[-1]) == (first, ("All anew", 1))


@pytest.mark.parametrize("state", ["failed", "abandoned"])
@pytest.mark.parametrize("budget", [{"turns": 2}, {"messages": 9}, {"tokens": 900}], ids=repr)
def test_a_prompt_has_what_is_gone_on_from_and_not_what_is_replaced(state: str, budget: Any) -> None:
    """A model goes on from an answer that it is shown the begin of; replaced by that, the answer would lack it."""
    chat().append(Message.user("q1"), Message.assistant("Half", state=state))
    with chat().turn(ASKED) as turn:
        turn.append(tool_use(), Message.tool("12:40", tool_call_id="c1"))
        turn.append(Message.assistant("It is ", state=state))
    chat().append(Message.system("note"), Message.user("q3"))
    chat().fork("other")
    for branch in ("main", "other"):
        with chat(branch=branch).turn("q") as turn:
            assert [each.role for each in turn.prompt(**budget, system=False)][2:] == ["user", "assistant", "tool"]
            assert contents(turn.prompt(**budget, system=False))[:2] == ["q1", "Half"]
            assert contents(turn.prompt(**budget, system=False, resume=True))[-1] == "It is"
            assert "It is " in contents(chat(branch=branch).window(**budget))
    with pytest.raises(ValidationError, match="resume"):
        turn.prompt(**budget, resume=1)  # type: ignore[arg-type]


def test_what_was_stopped_stays_in_a_prompt() -> None:
    with chat().turn(ASKED) as turn:
        turn.append(Message.assistant("It is ", state="stopped"))
        assert contents(turn.prompt(turns=1)) == ["q", "It is"]


def test_or_is_gone_on_from() -> None:
    first = attempt("Half of")
    with chat().turn(ASKED) as turn, turn.stream(resume=True) as stream:
        assert stream.text == "Half of"
        stream.write(" it")
    assert states()[-1] == ("Half of it", "complete")
    assert stream.id == first
    with chat("nothing left").turn(ASKED) as turn, turn.stream(resume=True) as stream:
        stream.write("anew")
    assert contents(chat("nothing left").messages()) == ["q", "anew"]


def test_a_model_that_writes_anew_is_not_shown_what_it_replaces() -> None:
    """It would go on from that, and the answer would lack its beginning."""
    attempt("Half of")
    with chat().turn(ASKED) as turn, suppress(GoneError), turn.stream(resume=True):
        assert contents(turn.prompt(turns=1)) == ["q", "Half of"]
        fail()
    with chat().turn(ASKED) as turn:
        assert contents(turn.prompt(turns=1)) == ["q"]
        assert contents(turn.prompt(turns=1, resume=True)) == ["q", "Half of"]
        with turn.stream() as stream:
            assert contents(turn.prompt(turns=1)) == ["q"]
            stream.write("All anew")
        assert contents(turn.prompt(turns=1)) == ["q", "All anew"]


def test_a_former_attempt_need_not_be_the_newest_message() -> None:
    attempt("Half of")
    chat().append(Message.user("q2"), Message.assistant("a2"))
    with chat().turn("q") as turn, turn.stream() as stream:
        stream.write("whole")
    assert turns_of() == [("q", 1), ("whole", 1), ("q2", 2), ("a2", 2)]


def test_calls_come_before_the_answer() -> None:
    with chat().turn(ASKED) as turn:
        with turn.stream() as stream:
            function = {"name": "clock", "arguments": "{}"}
            stream.finish(tool_calls=[{"id": "c1", "type": "function", "function": function}])
        assert not turn.answered
        turn.append(Message.tool("12:40", tool_call_id="c1"))
        with turn.stream() as stream:
            stream.write("twenty to one")
        assert turn.answered
    assert len({message.id for message in chat().messages()}) == 4


def test_a_flush_renews_the_right() -> None:
    with chat().turn(ASKED) as turn, turn.stream() as stream:
        end_leases()
        stream.write("alive")
        stream.flush()
        assert TurnRow.objects.filter(lease_until__gt=0, state="open").count() == 1


@pytest.mark.parametrize("how", ["flush", "finish", "end"])
def test_who_takes_a_lapsed_turn_finds_what_was_flushed(how: str) -> None:
    """And whoever had it is told at the next flush, and at the end."""

    def streamed() -> None:
        with chat().turn(ASKED) as turn, turn.stream() as stream:
            stream.write("flushed")
            stream.flush()
            stream.write(" and not flushed")
            end_leases()
            with chat().turn("q") as other:
                assert [(each.content, each.state) for each in other.messages] == [("flushed", "abandoned")]
                with other.stream(resume=True) as going_on:
                    going_on.write(", gone on from")
                if how != "end":
                    getattr(stream, how)()

    with pytest.raises(TurnLost):
        streamed()
    assert states() == [("q", "complete"), ("flushed, gone on from", "complete")]
    assert not Draft.objects.exists()


def test_who_is_interrupted_keeps_what_was_flushed() -> None:

    def streamed() -> None:
        with chat().turn(ASKED) as turn, turn.stream() as stream:
            stream.write("flushed")
            stream.flush()
            stream.write(" and not flushed")
            with chat().turn(Message.user("q2", id="q2"), busy="interrupt") as other:
                other.append(Message.assistant("a2"))
            stream.flush()

    with pytest.raises(TurnLost):
        streamed()
    assert turns_of() == [("q", 1), ("q2", 2), ("a2", 2), ("flushed", 1)]
    assert states()[-1] == ("flushed", "failed")
    with chat().turn("q") as turn, turn.stream() as stream:
        stream.write("whole")
    assert turns_of()[-1] == ("whole", 1)


def test_a_stopped_answer_is_an_answer() -> None:
    with chat().turn(ASKED) as turn:
        with turn.stream() as stream:
            stream.write("As far")
            chat().drafts.stop(stream.id)
            stream.flush()
            assert stream.stopped
        assert turn.answered
    assert states()[-1] == ("As far", "stopped")
    with chat().turn(ASKED) as again:
        assert (again.answered, again.held) == (True, False)


def test_a_stop_before_anything_new_is_one_too() -> None:
    attempt("Half of")
    with chat().turn(ASKED) as turn, turn.stream(resume=True) as stream:
        chat().drafts.stop(stream.id)
        stream.flush()
        assert stream.stopped
    assert (turn.answered, states()[-1]) == (True, ("Half of", "stopped"))


def test_a_draft_of_a_turn_that_is_held_is_not_abandoned() -> None:
    """The lease says whether its writer is alive; where that lapsed too, anybody stores it, in its turn."""

    def streamed() -> None:
        with chat().turn(ASKED) as turn, turn.stream() as stream:
            stream.write("So far")
            stream.flush()
            chat().append(Message.user("q2"))
            lapse()
            assert [draft.turn for draft in chat().drafts.entries()] == [1]
            assert (retention.clean_up(30).drafts, check().violations) == (0, 0)
            end_leases()
            assert chat().drafts.entries() == []
            assert turns_of() == [("q", 1), ("q2", 2), ("So far", 1)]
            stream.flush()

    with pytest.raises(DraftLost):
        streamed()
    assert states()[-1] == ("So far", "abandoned")


def test_who_lost_a_draft_may_begin_anew_in_the_same_block() -> None:
    with chat().turn(ASKED) as turn:
        with suppress(DraftLost), turn.stream() as stream:
            stream.write("So far")
            stream.flush()
            lapse()
            end_leases()
            assert chat().drafts.entries() == []
            stream.flush()
        with turn.stream(resume=True) as stream:
            stream.write(", so good")
    assert states() == [("q", "complete"), ("So far, so good", "complete")]


def test_a_stream_that_begins_after_the_right_was_lost_begins_nothing() -> None:
    with chat().turn(ASKED) as turn:
        end_leases()
        with chat().turn("q") as other:
            with pytest.raises(TurnLost), turn.stream():
                pass
            other.append(Message.assistant("a"))
    assert (contents(chat().messages()), Draft.objects.exists()) == (["q", "a"], False)


def test_bad_terms_begin_nothing() -> None:
    with chat().turn(ASKED) as turn:
        for bad in ({"resume": "yes"}, {"name": "\0"}, {"flush_seconds": 0}, {"flush_bytes": 0}, {"metadata": 7}):
            with pytest.raises(ValidationError):
                turn.stream(**bad)
    assert not Draft.objects.exists()


async def test_the_async_form_does_the_same() -> None:
    async with chat("async").turn(ASKED) as turn:
        async with turn.stream() as stream:
            await stream.awrite("An answer")
            await stream.aflush()
            await stream.afinish(usage={"total_tokens": 3})
        assert turn.answered
    (answer,) = turn.messages
    assert (answer.content, answer.turn, answer.metadata) == ("An answer", 1, {"usage": {"total_tokens": 3}})


def test_an_adapter_in_memory_does_the_same() -> None:
    adapter = MemoryAdapter()
    first = chat(adapter=adapter)
    with suppress(GoneError), first.turn(ASKED) as turn:
        stream = turn.stream()
        played(stream, lambda: stream.write("Half of"), fail)
    first.append(Message.user("q2"))
    with first.turn("q") as turn, turn.stream(resume=True) as stream:
        stream.write(" it")
    assert [(each.content, each.turn) for each in first.messages()] == [("q", 1), ("Half of it", 1), ("q2", 2)]
    assert turn.answered


def test_who_syncs_sees_each_state_of_a_streamed_answer() -> None:
    """What a stream changes of a stored message is told to readers who hold it."""
    copy = Reader(chat())
    for step in (
        lambda: attempt("Half of"),
        lambda: attempt(" it", resume=True),
        lambda: attempt("Anew"),
        lambda: chat().append(Message.user("q2")),
        answer_anew,
    ):
        copy.sync()
        step()
        copy.sync()
        assert copy.sync() == chat().messages()
    assert contents(copy.sync()) == ["q", "whole", "q2"]


def answer_anew() -> None:
    """Answer the question, in the place of what is there."""
    with chat().turn("q") as turn, turn.stream() as stream:
        stream.write("whole")


def test_an_answer_on_a_pending_branch_makes_it_current() -> None:
    """The prompt is of the branch that the question is on, and the former answer is shown until the new one is."""
    with chat().turn(ASKED) as turn:
        turn.append(Message.assistant("a"))
    chat().append(Message.user("q2"), Message.assistant("a2"))
    copy = Reader(chat())
    copy.sync()
    new = chat().regenerate(2)
    with new.turn("q") as turn:
        assert (turn.branch, turn.answered, turn.held) == (new.branch, False, True)
        assert contents(turn.prompt(tokens=1_000)) == ["q"]
        with turn.stream() as stream:
            stream.write("b")
            stream.flush()
            assert contents(chat().messages()) == ["q", "a", "q2", "a2"]
    assert contents(chat().messages()) == ["q", "b"]
    copy.sync()
    assert copy.sync() == chat().messages()
    assert contents(chat(branch="main").messages()) == ["q", "a", "q2", "a2"]


def test_an_append_in_a_turn_on_a_pending_branch_makes_it_current() -> None:
    with chat().turn(ASKED) as turn:
        turn.append(Message.assistant("a"))
    new = chat().regenerate(2)
    with new.turn("q") as turn:
        receipt = turn.append(Message.assistant("b"))
    assert (receipt.branch, receipt.former_branch) == (new.branch, "main")
    assert contents(chat().messages()) == ["q", "b"]


def test_answers_that_cross_reach_who_syncs() -> None:
    """What a reader holds is what a fresh reader gets, at each step of turns that cross."""
    copy = Reader(chat())
    with chat().turn(ASKED) as one, chat().turn(Message.user("q2", id="q2")) as two:
        copy.sync()
        two.append(Message.assistant("a2"))
        copy.sync()
        one.append(Message.assistant("a1"))
        copy.sync()
        assert copy.sync() == chat().messages()
    chat().edit(4, "a1, edited")
    chat().pop()
    copy.sync()
    assert copy.sync() == chat().messages()
    assert [message.turn for message in copy.sync()] == [1, 2, 2]
