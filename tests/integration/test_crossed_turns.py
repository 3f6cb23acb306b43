"""What random interleavings of turns have found: each the shortest way to it."""

from contextlib import suppress
from typing import Any

import pytest

from chat_memory import Message
from chat_memory.exceptions import DraftLost, TurnLost, TurnNotFound
from tests.conversations import chat, contents
from tests.integration.answering import PROVIDERS, Answerer
from tests.integration.streams import GoneError, end_leases, fail, played
from tests.readers import Reader

pytestmark = pytest.mark.django_db(transaction=True)
LARGE: Any = {"tokens": 10_000}
CALL = {"id": "c", "type": "function", "function": {"name": "clock", "arguments": "{}"}}


def with_own_id(text: str) -> Message:
    return Message.user(text, id=text)


def break_off(of: Any, text: str = "Half of") -> None:
    """Stream a part of an answer in a turn, and have the provider fail."""
    stream = of.stream()
    with suppress(GoneError):
        played(stream, lambda: stream.write(text), fail)


def kept(shown: list[Message]) -> list[tuple[Any, int | None, str]]:
    return [(message.content, message.turn, message.state) for message in shown]


def test_a_question_that_is_hidden_need_not_be_rolled_back(chats) -> None:
    with chats().turn(with_own_id("q1")):
        chats().clear()
        with chats().turn(with_own_id("q2"), busy="rollback") as turn:
            assert (turn.branch, contents(turn.prompt(**LARGE))) == ("main", ["q2"])


def test_who_answers_a_question_that_its_branch_shows_no_more_is_told(chats) -> None:
    """The call came to stand under the question before."""
    chats().append(with_own_id("q1"), with_own_id("q2"))
    new = chats().regenerate(2, switch=True)
    with new.turn("q2") as turn:
        assert chats().pop().content == "q2"
        with pytest.raises(TurnLost):
            turn.append(Message.assistant(tool_calls=[CALL]))
    assert contents(new.messages()) == ["q1"]


@pytest.mark.parametrize("end", ["flush", "finish"])
def test_what_was_streamed_goes_with_its_question(chats, end: str) -> None:
    """It came to stand under the question before, which was then answered a second time."""

    def streamed() -> None:
        with chats().turn(with_own_id("q2")) as turn, turn.stream() as stream:
            stream.write("So far")
            stream.flush()
            assert chats().pop().content == "q2"
            getattr(stream, end)()

    with chats().turn(with_own_id("q1")) as turn:
        turn.append(Message.assistant("a1"))
    with pytest.raises((TurnLost, DraftLost)):
        streamed()
    assert (contents(chats().messages()), chats().drafts.entries()) == (["q1", "a1"], [])
    with chats().turn("q1") as turn:
        assert turn.answered


def test_a_part_that_was_taken_off_is_nothing_to_go_on_from(chats) -> None:
    with chats().turn(with_own_id("q")) as turn:
        break_off(turn)
        assert chats().pop().content == "Half of"
        with turn.stream(resume=True) as stream:
            stream.write("Anew")
    assert kept(chats().messages()) == [("q", 1, "complete"), ("Anew", 1, "complete")]


def test_a_part_that_was_redacted_stays_as_it_is(chats) -> None:
    with chats().turn(with_own_id("q")) as turn:
        break_off(turn)
        chats().redact(2)
        with turn.stream() as stream:
            stream.write("Anew")
    assert kept(chats().messages())[1:] == [("[redacted]", 1, "redacted"), ("Anew", 1, "complete")]


def test_a_stream_in_the_place_of_a_part_that_is_hidden_has_no_question(chats) -> None:
    chats().append(with_own_id("q1"))
    with chats().turn(with_own_id("q2")) as turn:
        break_off(turn)
        chats().clear()
        with pytest.raises(TurnLost), turn.stream():
            pass


def test_a_part_that_two_branches_show_is_replaced_on_neither(chats) -> None:
    """The branch whose answer stood behind it got a second one."""
    with chats().turn(with_own_id("q")) as turn:
        break_off(turn)
        turn.append(Message.assistant("a"))
    new = chats().regenerate(3)
    with new.turn("q") as turn:
        assert contents(turn.messages) == ["Half of"]
        with turn.stream() as stream:
            stream.write("b")
    assert kept(chats(branch="main").messages())[1:] == [("Half of", 1, "failed"), ("a", 1, "complete")]
    assert kept(new.messages())[1:] == [("Half of", 1, "failed"), ("b", 1, "complete")]


def test_nor_where_the_other_branch_is_made_meanwhile(chats) -> None:
    copy = Reader(chats())
    with chats().turn(with_own_id("q")) as turn:
        break_off(turn)
        copy.sync()
        with turn.stream(resume=True) as stream:
            stream.write(" it")
            chats().fork("other", at=2)
    assert kept(chats().messages())[1:] == [("Half of", 1, "failed"), ("Half of it", 1, "complete")]
    assert contents(turn.messages) == ["Half of", "Half of it"]
    assert kept(chats(branch="other").messages())[1:] == [("Half of", 1, "failed")]
    assert copy.sync() == chats().messages()


def test_a_question_that_came_again_in_another_turn_has_no_prompt_in_its_former_one(chats) -> None:
    chats().append(with_own_id("q1"))
    with chats().turn(with_own_id("q2")) as turn:
        for _each in range(2):
            chats().pop()
        chats().append(with_own_id("q2"), with_own_id("q3"))
        with pytest.raises(TurnNotFound):
            turn.prompt(**LARGE)


def test_a_hole_in_a_turn_leaves_its_question_answerable(chats) -> None:
    """Who resumed gave the answer the id of the result, so that it was taken for a replay, again and again."""
    with chats().turn(with_own_id("q")) as turn:
        turn.append(Message.assistant(tool_calls=[CALL]))
        chats().pop()
        turn.append(Message.tool("12:40", tool_call_id="c"))
    with chats().turn("q") as turn:
        receipt = turn.append(Message.assistant("a"))
        assert (receipt.replayed, turn.answered) == (False, True)


def test_who_waited_for_others_still_has_its_own_right() -> None:
    """The lease had lapsed while it waited, somebody else had the question, and yet it began to answer."""
    with chat().turn(with_own_id("q1")):
        waiting = Answerer(chat(), with_own_id("q2"), PROVIDERS[0], busy="enqueue")
        assert not waiting.enter()
        end_leases()
        with chat().turn("q2"), pytest.raises(TurnLost):
            waiting.enter()
