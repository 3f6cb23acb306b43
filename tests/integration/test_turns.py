"""Turns: one answers a question at a time, a prompt ends with its own turn, and answers stand with their questions."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings, strategies as st

from chat_memory import Message
from chat_memory.exceptions import (
    MessageConflict,
    NotSupported,
    TransactionOpen,
    TurnLost,
    TurnNotFound,
    TurnTaken,
    ValidationError,
)
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.testing.providers import check_openai
from tests.conversations import chat, contents
from tests.integration.streams import end_leases
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
BUDGET: Any = {"tokens": 10_000}


def question(text: str) -> Message:
    return Message.user(text, id=text)


def tool_use(name: str = "c1") -> Message:
    function = {"name": "clock", "arguments": "{}"}
    return Message.assistant(None, tool_calls=[{"id": name, "type": "function", "function": function}])


def test_a_turn_stores_question_and_answer() -> None:
    with chat().turn(question("q")) as turn:
        assert (turn.number, turn.branch, turn.held, turn.answered) == (1, "main", True, False)
        assert contents(turn.prompt(**BUDGET)) == ["q"]
        receipt = turn.append(Message.assistant("a"))
        assert (receipt.first_seq, receipt.replayed, turn.answered) == (2, False, True)
    assert [(message.content, message.turn) for message in chat().messages()] == [("q", 1), ("a", 1)]
    record = chat().session()
    assert record is not None
    assert record.title == "q"


async def test_the_async_twin_does_the_same() -> None:
    async with chat("async").turn(question("q")) as turn:
        assert contents(await turn.aprompt(**BUDGET)) == ["q"]
        await turn.arenew()
        await turn.aappend(Message.assistant("a"))
    async with chat("async").turn("q") as turn:
        assert (turn.answered, turn.held, contents(turn.messages)) == (True, False, ["a"])


def test_n53_a_regenerate_between_question_and_answer_moves_nothing() -> None:
    """F1 of the newcomer's list: the answer lands under its own question, on the branch the question is on."""
    chat().append(Message.user("q1"), Message.assistant("a1"))
    with chat().turn(question("q2")) as turn:
        chat().regenerate(2, switch=True)
        assert contents(turn.prompt(**BUDGET)) == ["q1", "a1", "q2"]
        turn.append(Message.assistant("a2"))
    assert contents(chat(branch="main").messages()) == ["q1", "a1", "q2", "a2"]
    assert contents(chat().messages()) == ["q1"]


def test_a_prompt_ends_with_its_own_question() -> None:
    """F2: two questions at once."""
    with chat().turn(question("qB")) as b, chat().turn(question("qA")) as a:
        b.append(Message.assistant("aB"))
        assert contents(a.prompt(**BUDGET)) == ["qB", "aB", "qA"]
        assert contents(b.prompt(**BUDGET)) == ["qB", "aB"]
        assert contents(b.prompt(turns=1)) == ["qB", "aB"]
        a.append(Message.assistant("aA"))
    assert contents(chat().window(turns=9)) == ["qB", "aB", "qA", "aA"]


def test_a_double_submit_asks_the_model_once() -> None:
    """F6: who comes second gets the stored answer, whatever the model would say now."""
    for said in ("first", "second"):
        with chat().turn(question("q")) as turn:
            if not turn.answered:
                turn.append(Message.assistant(said))
            assert contents(turn.messages) == ["first"]
    with pytest.raises(MessageConflict), chat().turn(Message.user("another text", id="q")):
        pass


def test_who_resumes_goes_on_from_calls_and_results() -> None:
    with chat().turn(question("q")) as turn:
        turn.append(tool_use("c1"), Message.tool("12:40", tool_call_id="c1"))
        turn.append(tool_use("c2"))
    with chat().turn("q") as turn:
        assert [each.id for each in turn.unanswered_calls] == ["c2"]
        assert turn.prompt(**BUDGET)[-1].content == "12:40"
        turn.append(Message.tool("12:41", tool_call_id="c2"))
        turn.append(Message.assistant("twenty to one"))
    check_openai([message.to_openai() for message in chat().window(**BUDGET)])
    assert [message.role for message in chat().messages()] == ["user", *["assistant", "tool"] * 2, "assistant"]


def test_a_lost_reply_to_an_append_is_a_replay() -> None:
    with chat().turn(question("q")) as turn:
        stored = turn.append(tool_use("c1")).messages[0]
        assert turn._entered is not None
        turn._entered.stored.clear()  # as if the answer had been lost
        again = turn.append(tool_use("c2"))
        assert (again.replayed, again.messages[0]) == (True, stored)
    assert chat().count() == 2


def test_what_is_taken_is_refused_looked_at_or_waited_for() -> None:
    with chat().turn(question("q")) as holder:
        with pytest.raises(TurnTaken) as caught, chat().turn("q", taken="refuse"):
            pass
        assert (caught.value.turn, 0 < caught.value.seconds <= 60) == (1, True)
        with pytest.raises(TurnTaken), chat().turn("q", wait=0):
            pass
        with chat().turn("q", taken="look") as looking:
            assert (looking.held, looking.answered) == (False, False)
            with pytest.raises(TurnLost):
                looking.append(Message.assistant("a"))
        holder.append(Message.assistant("a"))
        with chat().turn("q") as waited:
            assert contents(waited.messages) == ["a"]


def test_a_turn_that_is_taken_says_until_when() -> None:
    with chat().turn(question("q")), pytest.raises(TurnTaken) as caught, chat().turn("q", taken="refuse"):
        pass
    assert "somebody else is answering it, whose right lapses in " in str(caught.value)


def test_a_turn_is_used_inside_of_its_block() -> None:
    turn = chat().turn(question("q"))
    for use in (lambda: turn.append(Message.assistant("a")), lambda: turn.prompt(turns=1), turn.stream, turn.renew):
        with pytest.raises(TurnLost, match="inside of its with block, which was not entered"):
            use()
    assert chat().count() == 0


def test_another_answer_is_a_turn_of_the_branch_that_regenerate_makes() -> None:
    with chat().turn(question("q")) as first:
        first.append(Message.assistant("a"))
    with chat().regenerate("q").turn("q") as again:
        assert (again.answered, again.messages) == (False, [])
        assert contents(chat().messages()) == ["q", "a"]
        with again.stream() as stream:
            stream.write("b")
    assert contents(chat().messages()) == ["q", "b"]
    assert [each.position for each in chat().siblings(str(again.messages[0].id))] == ["1 of 2", "2 of 2"]


def test_a_lease_that_lapsed_lets_the_next_go_on_and_the_late_one_know() -> None:
    with chat().turn(question("q")) as first:
        first.append(tool_use("c1"))
        end_leases()
        with chat().turn("q", wait=0) as second:
            assert [each.id for each in second.unanswered_calls] == ["c1"]
            with pytest.raises(TurnLost):
                first.append(Message.assistant("late"))
            second.append(Message.tool("r", tool_call_id="c1"), Message.assistant("a"))
    assert chat().count() == 4


def test_reject_stores_nothing_beside_another_question() -> None:
    with chat().turn(question("q1")) as first:
        with pytest.raises(TurnTaken), chat().turn(question("q2"), busy="reject"):
            pass
        assert contents(chat().messages()) == ["q1"]
        first.append(Message.assistant("a1"))
        with chat().turn(question("q2"), busy="reject") as second:
            assert second.held


def test_enqueue_stores_at_once_and_waits() -> None:
    with chat().turn(question("q1")) as first:
        with pytest.raises(TurnTaken), chat().turn(question("q2"), busy="enqueue", wait=0):
            pass
        assert contents(chat().messages()) == ["q1", "q2"]
        first.append(Message.assistant("a1"))
        with chat().turn("q2", busy="enqueue", wait=0) as second:
            assert contents(second.prompt(**BUDGET)) == ["q1", "a1", "q2"]


def test_interrupt_ends_those_before_it_and_keeps_what_they_stored() -> None:
    with chat().turn(question("q1")) as first:
        first.append(tool_use("c1"))
        with chat().turn(question("q2"), busy="interrupt") as second:
            with pytest.raises(TurnLost):
                first.append(Message.tool("r", tool_call_id="c1"))
            assert contents(second.prompt(**BUDGET)) == ["q1", "q2"]
            second.append(Message.assistant("a2"))
    assert chat().count() == 4


def test_rollback_goes_on_before_the_question_that_is_being_answered() -> None:
    chat().append(Message.user("q0"), Message.assistant("a0"))
    with chat().turn(question("q1")) as first:
        first.append(tool_use("c1"))
        for _retry in range(2):
            with chat().turn(question("q2"), busy="rollback") as second:
                assert contents(second.prompt(**BUDGET)) == ["q0", "a0", "q2"]
        with pytest.raises(TurnLost):
            first.append(Message.tool("r", tool_call_id="c1"))
    assert contents(chat().messages()) == ["q0", "a0", "q2"]
    assert contents(chat(branch="main").messages()) == ["q0", "a0", "q1", None]


def test_a_summary_stands_for_what_precedes_the_question_alone() -> None:
    chat().append(Message.user("q1"), Message.assistant("a1"))
    with chat().turn(question("q2")) as turn:
        chat().append(Message.user("q3"), Message.assistant("a3"), Message.user("q4"))
        chat().summarize(lambda _messages: "of all", keep=1)
        assert contents(turn.prompt(**BUDGET)) == ["q1", "a1", "q2"]


def _named(field: str, value: Any) -> Any:
    return {field: value}


def test_what_is_no_question_is_refused() -> None:
    wrong: Any
    value: Any
    for wrong in (Message.assistant("a"), 7, Message.user([{"type": "tool_result", "tool_use_id": "t"}])):
        with pytest.raises(ValidationError, match="question"):
            chat().turn(wrong)
    for field, value in (("taken", "grab"), ("busy", "panic"), ("wait", -1), ("lease", 0), ("lease", True)):
        with pytest.raises(ValidationError, match=field):
            chat().turn(question("q"), **_named(field, value))
    for unknown in ("unknown", "\x00"):
        with pytest.raises(TurnNotFound), chat().turn(unknown):
            pass
    with chat().turn(question("q")) as turn, pytest.raises(ValidationError, match=r"messages\[1\]"):
        turn.append(Message.assistant("a"), Message.user("a question"))
    assert contents(chat().messages()) == ["q"]
    with pytest.raises(TurnLost):
        chat().turn("q").append(Message.assistant("not entered"))


def test_a_question_that_is_gone_has_no_prompt() -> None:
    with chat().turn(question("q")) as turn:
        chat().clear()
        with pytest.raises(TurnNotFound):
            turn.prompt(**BUDGET)


def test_no_turn_is_taken_inside_a_transaction() -> None:
    for asked in (question("q"), "q"):
        with transaction.atomic(), pytest.raises(TransactionOpen), chat().turn(asked):
            pass
    assert chat().count() == 0


def test_a_back_end_without_turns_says_so() -> None:
    adapter = MemoryAdapter()
    adapter.turns = None  # type: ignore[assignment]
    with pytest.raises(NotSupported, match="right to answer"), chat(adapter=adapter).turn(question("q")):
        pass


@pytest.mark.postgresql
@pytest.mark.parametrize("branch", [False, True])
def test_a_turn_costs_at_most_four_statements(branch: bool) -> None:
    with override_settings(CHAT_MEMORY={"CACHE": "off"}):
        chat().append(Message.user("q1"), Message.assistant("a1"))
        if branch:
            chat().regenerate(2).append(Message.assistant("another"))
        for number in range(3):
            with CaptureQueriesContext(connection) as captured, chat().turn(question(f"more {number}")) as turn:
                turn.prompt(**BUDGET)
                turn.append(Message.assistant("a"))
            assert len(captured) <= 4, [query["sql"] for query in captured]


class Crossing:
    """A conversation in memory, in which turns are taken, answered and crossed in any order."""

    def __init__(self) -> None:
        self.adapter = MemoryAdapter()
        self.turns: list[Any] = []
        self.asked = 0

    @property
    def chat(self) -> Any:
        return chat(adapter=self.adapter)

    def ask(self, _which: int) -> None:
        self.asked += 1
        self.turns.append(self.chat.turn(question(f"q{self.asked}")).__enter__())

    def fork(self, which: int) -> None:
        if self.chat.count():
            self.chat.fork(f"b{len(self.chat.branches())}", 1 + which % self.chat.count())

    def switch(self, which: int) -> None:
        names = [branch.name for branch in self.chat.branches()]
        if self.chat.count():
            self.chat.switch(names[which % len(names)])

    def plain(self, which: int) -> None:
        self.chat.append(Message.user("plain") if which % 2 else Message.assistant("plain"))

    def use(self, which: int) -> None:
        for turn in self.turns[which : which + 1]:
            name = f"{turn.question.id}-{len(turn.messages)}"
            turn.append(tool_use(name))
            turn.append(Message.tool("r", tool_call_id=name))

    def say(self, which: int) -> None:
        for turn in self.turns[which : which + 1]:
            turn.append(Message.assistant(f"a of {turn.question.id}"))


STEPS = st.tuples(
    st.sampled_from([name for name in vars(Crossing) if name[0] != "_" and name != "chat"]), st.integers(0, 5)
)


@given(st.lists(STEPS, max_size=25))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_crosses_prompts_fit_and_answers_stand_with_their_questions(steps: list[tuple[str, int]]) -> None:
    crossing = Crossing()
    for step, which in steps:
        getattr(crossing, step)(which)
        for turn in crossing.turns:
            check(turn, which)
    for branch in crossing.chat.branches():
        window = chat(adapter=crossing.adapter, branch=branch.name).window(turns=99, system=False)
        numbers = [message.turn or 0 for message in window]
        assert numbers == sorted(numbers)


def check(turn: Any, size: int) -> None:
    """A prompt is one a provider takes, and ends with the turn of its question."""
    for budget in ({"turns": 1 + size}, {"messages": 1 + size}, {"tokens": 200}):
        prompt = turn.prompt(**budget)
        check_openai([message.to_openai() for message in prompt])
        assert prompt[-1].turn == turn.number
        assert next(message.id for message in prompt if message.turn == turn.number) == turn.question.id


def test_sixteen_processes_on_four_questions_under_kill_9_answer_each_once() -> None:
    chat("killed").append(Message.system("Be brief."))
    command = [sys.executable, "-m", "tests.integration.killed_turns", str(connection.settings_dict["NAME"])]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True, timeout=PATIENCE * 4)
    assert (ended.returncode, ended.stderr) == (0, "")
    told = json.loads(ended.stdout)
    assert told["killed"] > 0
    answers = Counter(message.turn for message in chat("killed").messages() if message.content == "the answer")
    assert answers == dict.fromkeys(range(1, 5), 1)
    window = [message.to_openai() for message in chat("killed").window(**BUDGET)]
    check_openai(window)
    assert sorted(message["content"] for message in window if message["role"] == "user") == told["questions"]
