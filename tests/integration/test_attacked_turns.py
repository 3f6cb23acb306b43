"""What careless callers do to turns and streams: a clear error or the right answer, and nobody is blocked."""

import asyncio
import copy
import pickle
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, transaction
from django.test import override_settings

from chat_memory import Conversation, Message
from chat_memory.choices import TurnState
from chat_memory.exceptions import (
    DraftLost,
    MessageConflict,
    TooLarge,
    TurnLost,
    TurnNotFound,
    TurnTaken,
    ValidationError,
)
from chat_memory.history.turn import Turn
from chat_memory.models import Draft, Turn as TurnRow
from chat_memory.storage.contract import TurnStore
from chat_memory.storage.memory import MemoryAdapter
from tests.conversations import chat, contents
from tests.integration.streams import GoneError, fail, lapse, played
from tests.integration.test_turns import question

pytestmark = pytest.mark.django_db(transaction=True)
Chat = Callable[[], Conversation]
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.fixture(params=["models", "memory"])
def anew(request: pytest.FixtureRequest) -> Chat:
    """Makes handles on one conversation, in models and in memory."""
    more: dict[str, Any] = {"adapter": MemoryAdapter()} if request.param == "memory" else {}
    return lambda: chat(**more)


def answer(text: str, **more: Any) -> Message:
    return Message.assistant(text, **more)


def is_free(of: Conversation, ident: str = "q") -> bool:
    """Whether the next one gets the right to answer at once."""
    try:
        with of.turn(ident, taken="refuse") as turn:
            return turn.held
    except TurnTaken:
        return False


def tried(*steps: Callable[[], object]) -> list[str]:
    """The names of the errors that each of some steps ends with; "" where it does not."""
    names = []
    for step in steps:
        try:
            step()
        except Exception as error:  # noqa: BLE001  # which one it is, is compared
            names.append(type(error).__name__)
        else:
            names.append("")
    return names


# Ids: whatever else is stored in a turn, no answer is taken for one that is stored.


def test_an_answer_after_the_systems_message_of_a_former_attempt_is_stored(anew: Chat) -> None:
    """Who resumes does not know the system's messages, and gave the answer the id of one: it was dropped."""
    with anew().turn(question("q")) as turn:
        turn.append(Message.system("Answer in German."))
    with anew().turn("q") as turn:
        assert turn.append(Message.system("Answer in German.")).replayed
        assert not turn.append(answer("Hallo")).replayed
    assert contents(anew().messages()) == ["q", "Answer in German.", "Hallo"]


def test_an_id_of_another_turn_is_a_conflict_and_not_a_replay(anew: Chat) -> None:
    """Some servers give every answer the same id."""
    for text in ("q1", "q2"):
        with suppress(MessageConflict), anew().turn(question(text)) as turn:
            turn.append(answer(f"to {text}", id="chatcmpl-0"))
    assert contents(anew().messages()) == ["q1", "to q1", "q2"]
    with anew().turn("q2") as turn:
        assert tried(lambda: turn.append(answer("of its question", id="q2"))) == ["MessageConflict"]
        assert not turn.answered


def test_the_same_id_twice_in_a_turn_is_a_conflict_and_no_endless_loop(anew: Chat) -> None:
    with anew().turn(question("q")) as turn:
        turn.append(Message.assistant(tool_calls=[CALL], id="x"), Message.tool("r", tool_call_id="c1"))
        with pytest.raises(MessageConflict):
            turn.append(answer("done", id="x"))
        assert turn.append(Message.assistant(tool_calls=[CALL], id="x")).replayed
    assert anew().count() == 3


def test_what_is_appended_while_an_answer_is_streamed_takes_nothing_from_it(anew: Chat) -> None:
    """Both had the same id, and the text that was streamed was lost."""
    with anew().turn(question("q")) as turn, turn.stream() as stream:
        stream.write("Let me see")
        turn.append(Message.assistant(tool_calls=[CALL]), Message.tool("r", tool_call_id="c1"))
    assert contents(anew().messages()) == ["q", None, "r", "Let me see"]


# The right: nobody keeps it who is gone, and nobody has it who gave it up.


def test_a_note_behind_the_answer_does_not_take_the_turn_again(anew: Chat) -> None:
    with anew().turn(question("q")) as turn:
        turn.append(answer("a"))
        turn.append(Message.system("The user went offline."))
        with anew().turn(question("q2"), busy="reject") as other:
            assert other.held


def test_a_replay_that_says_something_else_keeps_the_turn(anew: Chat) -> None:
    """The reply to a call was lost, and the model then answers: the turn goes on from the call, and is still held."""
    with anew().turn(question("q")) as turn:
        turn.append(Message.assistant(tool_calls=[CALL]))
        assert turn._entered is not None
        turn._entered.stored.clear()  # as if the reply had been lost
        assert turn.append(answer("a")).replayed
        assert not is_free(anew())


def test_a_turn_has_ended_with_its_block(anew: Chat) -> None:
    with anew().turn(question("q")) as turn:
        late = turn.stream()
    steps = (lambda: turn.append(answer("late")), turn.renew, turn.stream, late.__enter__)
    assert tried(*steps) == ["TurnLost"] * 4
    assert contents(turn.prompt(turns=1)) == ["q"]
    assert is_free(anew())
    assert anew().count() == 1


def test_a_turn_is_entered_once_and_again_only_after_it_was_refused(anew: Chat) -> None:
    """Within itself it would wait for itself."""
    later = anew().turn("q", taken="refuse")
    with anew().turn(question("q")) as turn:
        with pytest.raises(ValidationError, match="once"), turn:
            pass
        with pytest.raises(TurnTaken), later:
            pass
        turn.renew()
    with later as got:
        assert got.held


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, SystemExit, GoneError])
def test_whatever_ends_the_block_gives_the_right_up(anew: Chat, kind: type[BaseException]) -> None:
    with pytest.raises(kind), anew().turn(question("q")):
        raise kind
    assert is_free(anew())


def test_who_stops_waiting_in_the_queue_leaves_nothing_held(anew: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("chat_memory.history.turn.time.sleep", interrupted)
    with anew().turn(question("q1")):
        with pytest.raises(KeyboardInterrupt), anew().turn(question("q2"), busy="enqueue"):
            pass
        assert is_free(anew(), "q2")


async def cancelled_in_entering(entering: Callable[[], Any], hold: Event) -> None:
    """Cancel a task that waits for the thread in which its block is entered."""
    blocker = asyncio.ensure_future(sync_to_async(hold.wait)())
    task = asyncio.ensure_future(entering())
    for _tick in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    hold.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await blocker


async def test_a_task_that_is_cancelled_while_it_takes_a_turn_holds_none(anew: Chat) -> None:
    await cancelled_in_entering(anew().turn(question("q")).__aenter__, Event())
    assert await anew().acount() == 1
    assert await sync_to_async(is_free)(anew())


async def test_a_task_that_is_cancelled_while_it_begins_a_stream_leaves_no_draft(anew: Chat) -> None:
    """Ten clients that went away early would have closed the conversation for two minutes."""
    await cancelled_in_entering(anew().streaming(id="s").__aenter__, Event())
    assert await anew().drafts.aentries() == []


async def test_a_task_that_is_cancelled_while_it_leaves_a_turn_gives_it_up(anew: Chat) -> None:
    turn = anew().turn(question("q"))
    await turn.__aenter__()
    await cancelled_in_entering(lambda: turn.__aexit__(None, None, None), Event())
    assert await sync_to_async(is_free)(anew())


def test_an_error_on_its_way_is_not_replaced_where_the_right_cannot_be_given_up(
    anew: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: Any, **_kwargs: Any) -> None:
        raise DatabaseError("away")

    def failing(*, of: BaseException | None) -> None:
        with anew().turn(question("q")) as turn:
            monkeypatch.setattr(turn._store, "release", away)
            if of:
                raise of

    with pytest.raises(GoneError):
        failing(of=GoneError())


def test_an_append_that_is_rolled_back_is_no_answer() -> None:
    """The turn took itself for answered, and stayed taken until its lease lapsed."""
    with chat().turn(question("q")) as turn:
        with suppress(GoneError), transaction.atomic():
            turn.append(answer("taken back"))
            fail()
        assert TurnRow.objects.get().state == TurnState.OPEN
        assert contents(turn.append(answer("a")).messages) == ["a"]
        assert contents(turn.messages) == ["a"]
    assert contents(chat().messages()) == ["q", "a"]
    with chat().turn(question("q2")) as turn, suppress(GoneError), transaction.atomic():
        turn.append(answer("taken back"))
        fail()
    assert is_free(chat(), "q2")


def test_neither_a_turn_nor_a_stream_is_pickled_or_copied(anew: Chat) -> None:
    """Two holders of one right would each take the other's messages for their own."""
    for thing in (anew().turn(question("q")), anew().streaming()):
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled"):
                way(thing)


# The question goes meanwhile.


def streamed_over(turn: Turn, step: Callable[[], object]) -> None:
    """Stream to a turn, with a step between two flushes."""
    with turn.stream() as stream:
        stream.write("An answer ")
        stream.flush()
        step()
        stream.write("to nothing")


def test_no_answer_comes_to_a_conversation_that_was_cleared_meanwhile(anew: Chat) -> None:
    for text in ("q1", "q2"):
        with anew().turn(question(text)) as turn:
            if text == "q1":
                anew().clear()
                assert tried(lambda: turn.append(answer("late")), turn.renew) == ["TurnLost"] * 2
                with pytest.raises(TurnNotFound):
                    turn.prompt(turns=1)
            else:
                with pytest.raises(TurnLost):
                    streamed_over(turn, anew().clear)
        assert contents(anew().messages()) == []
        assert anew().drafts.entries() == []
        assert anew().turn(question(f"after {text}"), busy="reject").__enter__().held
        anew().clear()


@pytest.mark.parametrize("how", ["append", "turn"])
def test_no_answer_to_a_question_that_was_taken_off_stands_under_another(anew: Chat, how: str) -> None:
    def ask_another() -> None:
        anew().pop()
        if how == "append":
            anew().append(question("q2"))
        else:
            with anew().turn(question("q2")) as other:
                other.append(answer("a2"))

    with anew().turn(question("q")) as turn, pytest.raises(TurnLost):
        streamed_over(turn, ask_another)
    assert [each for each in contents(anew().messages()) if each != "a2"] == ["q2"]
    assert anew().drafts.entries() == []


@pytest.mark.parametrize("shared", [False, True])
def test_a_question_that_a_branch_takes_off_takes_its_turn_along(anew: Chat, shared: bool) -> None:
    anew().append(question("q0"), question("q"))
    branch = anew().fork("b")
    if not shared:
        branch.append(question("own"))
    with branch.turn("q" if shared else "own") as turn:
        branch.pop()
        branch.append(question("another"))
        assert tried(lambda: turn.append(answer("late"))) == ["TurnLost"]
    assert contents(branch.messages())[-1] == "another"


def test_a_draft_that_comes_in_the_place_of_a_cleared_message_goes() -> None:
    """It stayed, was counted by MAX_DRAFTS, and could not be settled by anybody."""
    chat().append(question("q"))
    with suppress(GoneError):
        played(stream := chat().streaming(id="s"), lambda: stream.write("half"), fail)
    again = chat().streaming(resume="s")
    with pytest.raises(DraftLost):
        played(again, lambda: again.write(" and more"), chat().clear)
    assert not Draft.objects.exists()
    chat().append(Message.assistant("half", id="t", state="failed"))
    chat().streaming(resume="t").__enter__()
    chat().clear()
    lapse()
    assert chat().drafts.entries() == []
    assert not Draft.objects.exists()


def test_a_question_that_is_edited_or_redacted_meanwhile_is_answered_as_it_is(anew: Chat) -> None:
    with anew().turn(question("q")) as turn:
        anew().edit("q", "q, in other words")
        assert contents(turn.prompt(turns=1)) == ["q, in other words"]
        anew().redact("q")
        assert contents(turn.prompt(turns=1)) == ["[redacted]"]
        turn.append(answer("a"))
    with anew().turn(question("q")) as turn:
        assert turn.answered


# What cannot be stored as it is given.


def test_an_abandoned_draft_is_stored_whatever_the_limits_are_now() -> None:
    """It was refused, and so was every list, every further stream and every turn of the conversation."""
    stream = chat().streaming(id="s", metadata={"k": "m" * 2_000})
    stream.__enter__()
    stream.write("x" * 5_000)
    stream.flush()
    lapse()
    with override_settings(CHAT_MEMORY={"MAX_CONTENT_BYTES": 1_024, "MAX_METADATA_BYTES": 1_024}):
        assert chat().drafts.entries() == []
        (message,) = chat().messages()
    assert (len(str(message.content)), message.state) == (5_000, "abandoned")


def test_metadata_that_does_not_fit_beside_the_former_is_refused_at_the_begin(anew: Chat) -> None:
    anew().append(Message.assistant("half", id="s", state="failed", metadata={"a": "x" * 40_000}))
    with pytest.raises(TooLarge), anew().streaming(resume="s", metadata={"b": "x" * 40_000}):
        pass
    assert anew().drafts.entries() == []
    with anew().streaming(resume="s", metadata={"b": "x"}) as stream:
        stream.write(" and more")
    assert contents(anew().messages()) == ["half and more"]


@pytest.mark.parametrize(
    "said", [{"usage": 5}, {"usage": []}, {"metadata": "x"}, {"extra": 5}, {"tool_calls": "x"}, {"tokens": "x"}]
)
def test_what_is_no_object_is_refused_at_the_end_and_the_stream_goes_on(anew: Chat, said: dict[str, Any]) -> None:
    with anew().streaming(id="s") as stream:
        stream.write("text")
        with pytest.raises(ValidationError):
            stream.finish(**said)
        stream.write(" and more")
    assert contents(anew().messages()) == ["text and more"]


# Another question meanwhile.


def test_a_rollback_that_was_killed_half_way_is_repeated(anew: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question that was taken back stayed, and the repeated one was asked behind it."""

    class Killed(BaseException):
        """The process ended."""

    anew().append(question("q0"), answer("a0"))
    store = type(anew().place.adapter.part(TurnStore))
    with anew().turn(question("q1")):
        with monkeypatch.context() as patched:
            before = store.interrupt
            for end_before in (True, False):

                def killed(*args: Any, **kwargs: Any) -> None:
                    if not end_before:  # noqa: B023
                        before(*args, **kwargs)
                    raise Killed

                patched.setattr(store, "interrupt", killed)
                with pytest.raises(Killed), anew().turn(question("q2"), busy="rollback"):
                    pass
        with anew().turn(question("q2"), busy="rollback") as turn:
            assert contents(turn.prompt(turns=9)) == ["q0", "a0", "q2"]
    assert contents(anew().messages()) == ["q0", "a0", "q2"]
