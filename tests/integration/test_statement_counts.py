"""How many statements a call sends: few for a new conversation and for a branch, and no more for more branches."""

from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from chat_memory import Message, conversation
from chat_memory.storage.orm import hints
from tests.conversations import chat

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("uncached")]


@pytest.fixture
def uncached():
    """What this process remembers of conversations of other tests is forgotten too."""
    for key in ("k", "another"):
        hints.forget(connection.alias, chat(key).place.address)
    with override_settings(CHAT_MEMORY={"CACHE": "off"}):
        yield


def statement_count(call) -> int:
    with CaptureQueriesContext(connection) as captured:
        call()
    return len(captured)


def question_and_answer(number: int = 1) -> list[Message]:
    return [Message.user(f"question {number}"), Message.assistant(f"answer {number}")]


def on_a_branch(key: str) -> None:
    """A conversation whose current branch is not main."""
    chat(key).append(*question_and_answer())
    chat(key).regenerate(2).append(Message.assistant("another answer"))


def with_branches(number: int) -> None:
    chat(f"{number} branches").append(*question_and_answer())
    for index in range(number):
        chat(f"{number} branches").fork(f"branch-{index}").append(Message.user(f"of branch {index}"))


@pytest.mark.postgresql
def test_a_first_turn_makes_workspace_session_title_and_messages_in_one_statement() -> None:
    assert statement_count(lambda: chat().append(*question_and_answer())) == 1
    record = chat().session()
    assert record is not None
    assert (record.title, record.title_made, record.message_count, record.version) == ("question 1", True, 2, 1)
    assert statement_count(lambda: chat("another").append(*question_and_answer())) == 1


@pytest.mark.postgresql
def test_a_later_turn_is_one_statement_also_the_first_users_of_an_untitled_session() -> None:
    chat().open()
    assert statement_count(lambda: chat().append(Message.user("names it"))) == 1
    record = chat().session()
    assert record is not None
    assert record.title == "names it"
    assert statement_count(lambda: chat().append(*question_and_answer())) == 1


@pytest.mark.postgresql
def test_a_branch_costs_what_main_costs() -> None:
    on_a_branch("k")
    chat().summarize(lambda _messages: "so far", keep=1)
    assert statement_count(lambda: chat().append(*question_and_answer(2))) == 1
    assert statement_count(lambda: chat().window(turns=1)) == 1
    assert statement_count(lambda: chat().window(messages=2)) == 1
    assert statement_count(lambda: chat().window(tokens=50)) == 1
    assert statement_count(lambda: chat().context(tokens=200)) <= 2
    named = conversation("k", workspace="acme", branch="main")
    assert statement_count(lambda: named.append(*question_and_answer(3))) == 1


@pytest.mark.postgresql
def test_r7_a_turn_that_does_not_fit_costs_no_further_statement() -> None:
    steps = [Message.assistant(f"step {number}", tokens=10) for number in range(200)]
    chat().append(Message.system("s", tokens=10), *question_and_answer(), Message.user("q", tokens=10), *steps)
    budgets: list[dict[str, Any]] = [{"messages": 5}, {"tokens": 60}]
    for budget in budgets:
        assert statement_count(lambda budget=budget: chat().window(**budget)) == 1
        assert [message.seq for message in chat().window(**budget)] == [1, 4, 201, 202, 203, 204]


@pytest.mark.postgresql
def test_a_process_that_has_not_seen_the_branch_needs_one_statement_more_to_read() -> None:
    on_a_branch("k")
    hints.forget(connection.alias, chat().place.address)
    assert statement_count(lambda: chat().append(*question_and_answer(2))) == 1
    hints.note(connection.alias, chat().place.address, branched=False)
    assert statement_count(lambda: chat().tail(5)) == 2
    assert statement_count(lambda: chat().tail(5)) == 1


@pytest.mark.postgresql
def test_a_hint_that_is_wrong_by_now_changes_no_answer() -> None:
    on_a_branch("k")
    chat().switch("main")
    hints.note(connection.alias, chat().place.address, branched=True)
    assert chat().append(Message.user("on main")).first_seq == 3
    hints.note(connection.alias, chat().place.address, branched=True)
    assert [message.content for message in chat().window(turns=1)] == ["on main"]
    assert [message.content for message in chat().tail(1)] == ["on main"]
    assert [branch.name for branch in chat().branches() if branch.current] == ["main"]


@pytest.mark.postgresql
def test_a_pop_is_two_statements_however_long_the_conversation_is() -> None:
    """One locks the row, the other takes the message; the rest begins and ends the transaction."""
    counts = []
    for number in (1, 60):
        for turn in range(number):
            chat(f"{number} turns").append(*question_and_answer(turn))
        counts.append(statement_count(lambda name=f"{number} turns": chat(name).pop()))
    assert counts == [4, 4]


@pytest.mark.parametrize("verb", ["edit", "redact", "delete", "update", "clear", "switch"])
def test_a_change_sends_as_many_statements_however_many_branches_share_it(verb: str) -> None:
    calls = {
        "edit": lambda each: each.edit(1, "other words"),
        "redact": lambda each: each.redact(1),
        "delete": lambda each: each.delete(),
        "update": lambda each: each.update(title="a title"),
        "clear": lambda each: each.clear(),
        "switch": lambda each: each.switch("branch-0"),
    }
    counts = []
    for number in (2, 40):
        with_branches(number)
        counts.append(statement_count(lambda name=f"{number} branches": calls[verb](chat(name))))
    assert counts[0] == counts[1]
