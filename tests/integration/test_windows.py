"""Windows and contexts of a conversation: what a model is shown, over both back ends."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from hypothesis import given, settings, strategies as st

from chat_memory import (
    ChatMemoryError,
    Conversation,
    Message,
    UnansweredCall,
    ValidationError,
    WindowTooSmall,
    conversation,
)
from chat_memory.records import uuid7
from chat_memory.rules.calls import starts_turn
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.redis import RedisAdapter
from chat_memory.testing.providers import check_anthropic
from tests.conversations import positions
from tests.histories import ANTHROPIC, FORMS, Form, accepts, as_blocks, calling, histories_of_forms, without_system

pytestmark = pytest.mark.django_db(transaction=True)

TALK = [
    Message.system("be kind", tokens=5),
    Message.user("one", tokens=10),
    Message.assistant("1", tokens=10),
    Message.user("two", tokens=10),
    calling("c1", "c2", tokens=10),
    Message.tool("a", tool_call_id="c1", tokens=10),
    Message.tool("b", tool_call_id="c2", tokens=10),
    Message.assistant("2", tokens=10),
    Message.user("three", tokens=10),
    Message.assistant("3", tokens=10),
]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({"turns": 0}, []),
        ({"turns": 1}, [1, 9, 10]),
        ({"turns": 2}, [1, 4, 5, 6, 7, 8, 9, 10]),
        ({"turns": 99}, list(range(1, 11))),
        ({"turns": 1, "system": False}, [9, 10]),
        ({"messages": 1}, [1, 9]),
        ({"messages": 2}, [1, 9, 10]),
        ({"messages": 6}, [1, 9, 10]),
        ({"messages": 7}, [1, 4, 5, 6, 7, 8, 9, 10]),
        ({"tokens": 15}, [1, 9]),
        ({"tokens": 24}, [1, 9]),
        ({"tokens": 25}, [1, 9, 10]),
        ({"tokens": 74}, [1, 9, 10]),
        ({"tokens": 75}, [1, 4, 5, 6, 7, 8, 9, 10]),
        ({"tokens": 70, "system": False}, [4, 5, 6, 7, 8, 9, 10]),
    ],
    ids=str,
)
def test_window_takes_whole_turns_within_the_budget(chats, budget: dict[str, Any], expected: list[int]) -> None:
    chat = chats()
    chat.append(*TALK)
    assert positions(chat.window(**budget)) == positions(async_to_sync(chat.awindow)(**budget)) == expected
    assert chat.window(**budget) == [message for message in chat.messages() if message.seq in expected]
    assert chat.context(**budget) == async_to_sync(chat.acontext)(**budget) == chat.window(**budget)


def test_nothing_is_a_window_of_nothing(chats) -> None:
    assert (chats().window(turns=3), chats().context(tokens=3), chats().session()) == ([], [], None)


@pytest.mark.parametrize("view", ["window", "context"])
@pytest.mark.parametrize("budget", [{}, {"turns": -1}, {"tokens": -5}, {"turns": 1, "messages": 1}, {"turns": "1"}])
def test_a_budget_that_is_none_is_refused(chats, view: str, budget: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        getattr(chats(), view)(**budget)


def test_what_was_cleared_is_in_no_window(chats) -> None:
    chat = chats()
    chat.append(*TALK)
    chat.clear()
    chat.append(Message.user("again"))
    assert [message.content for message in chat.window(turns=9)] == ["again"]


def test_a_handle_sees_what_another_stored_meanwhile(chats) -> None:
    one, other = chats(), chats()
    one.append(*TALK)
    assert positions(other.window(turns=1)) == [1, 9, 10]
    one.append(Message.user("four"))
    assert positions(other.window(turns=1)) == [1, 11]


def test_a_back_end_without_summaries_has_windows_and_contexts(redis_client) -> None:
    chat = conversation("k", adapter=RedisAdapter(redis_client))
    chat.append(*TALK)
    assert positions(chat.context(turns=1)) == positions(chat.window(turns=1)) == [1, 9, 10]


def test_r7_the_newest_question_is_never_lost(chats) -> None:
    """In an agent's loop the model sees what it works at."""
    chat = chats()
    chat.append(Message.system("s", tokens=10), Message.user("before", tokens=10), Message.user("q", tokens=10))
    for number in range(30):
        step = [calling(f"a{number}", f"b{number}", tokens=10)]
        step += [Message.tool("r", tool_call_id=f"{name}{number}", tokens=10) for name in "ab"]
        chat.append(*step)
        for budget in ({"messages": 6}, {"tokens": 75}):
            for view in (chat.window, async_to_sync(chat.awindow), chat.context):
                shown = view(**budget)
                assert positions(shown)[:2] == [1, 2 if number == 0 and len(shown) == 6 else 3]
                assert [message.tool_call_id for message in shown][-2:] == [f"a{number}", f"b{number}"]
                assert accepts(FORMS[0], shown)


def test_r7_a_budget_without_room_for_the_question_says_what_it_needs(chats) -> None:
    chat = chats()
    chat.append(*TALK)
    for view in (chat.window, chat.context, async_to_sync(chat.awindow), async_to_sync(chat.acontext)):
        with pytest.raises(WindowTooSmall, match="15") as refusal:
            view(tokens=14)
        assert (refusal.value.needed, refusal.value.budget) == (15, 14)
        assert isinstance(refusal.value, ChatMemoryError)
        assert positions(view(tokens=14, system=False)) == [9]


def test_r8_what_precedes_the_first_question_comes_where_asked(chats) -> None:
    chat = chats()
    chat.append(Message.system("s"), Message.assistant("Welcome!"), Message.user("q"), Message.assistant("a"))
    for view in (chat.window, chat.context, async_to_sync(chat.awindow)):
        assert positions(view(turns=10)) == [1, 3, 4]
        for budget in ({"turns": 1}, {"messages": 3}, {"tokens": 1_000}):
            assert positions(view(**budget, greeting=True)) == [1, 2, 3, 4]
        assert positions(view(messages=2, greeting=True)) == [1, 3, 4]
    chat.append(Message.user("p"))
    assert positions(chat.window(turns=1, greeting=True)) == [1, 5]
    assert positions(chat.fork("draft", at=2).window(turns=1, greeting=True)) == [1, 2]
    with pytest.raises(ValidationError, match="greeting"):
        chat.window(turns=1, greeting="yes")


def test_r9_old_notes_leave_room_for_the_newest_question(chats) -> None:
    chat = chats()
    for number in range(50):
        chat.append(Message.system(f"note {number}", tokens=100), Message.user("q", tokens=5))
    shown = chat.window(tokens=2_000)
    assert sum(message.tokens or 0 for message in shown) <= 2_000
    assert positions(without_system(shown)) == [100]
    assert positions(shown)[:2] == [1, 65]
    draft = chat.fork("draft")
    assert draft.window(tokens=2_000) == shown
    assert len(chat.window(turns=1)) == 51


def test_r3_results_in_a_users_message_begin_no_turn(chats) -> None:
    chat = chats()
    turn = [ANTHROPIC.call("let me see", ["t1"]), *ANTHROPIC.results(["t1"], ""), Message.assistant("42")]
    chat.append(Message.system("s"), Message.user("q"), *turn)
    for draft in (chat, chat.fork("draft"), chat.fork("early", at=3)):
        if draft.branch == "early":
            draft.append(*turn[1:])
        for budget in ({"turns": 1}, {"messages": 4}):
            assert positions(draft.window(**budget)) == [1, 2, 3, 4, 5]
        assert positions(draft.window(messages=3)) == [1, 2, 5]
        assert draft.session().last_turn == 1
        draft.append(Message.user("p"))
        assert draft.session().last_turn == 2
        assert positions(draft.window(turns=1)) == [1, 6]


def test_r1_calls_without_a_result_are_listed(chats) -> None:
    chat = chats()
    assert chat.unanswered_calls() == []
    chat.append(Message.user("q"), calling("a", "b"), Message.tool("r", tool_call_id="a"), Message.user("p"))
    expected = [UnansweredCall(2, "b", "clock", "{}")]
    assert chat.unanswered_calls() == async_to_sync(chat.aunanswered_calls)() == expected
    assert positions(chat.window(turns=1, pending=True)) == [4]
    draft = chat.fork("draft", at=2)
    assert [call.id for call in draft.unanswered_calls()] == ["a", "b"]
    assert positions(draft.window(turns=9)) == [1]
    assert positions(draft.window(turns=9, pending=True)) == positions(draft.context(turns=9, pending=True)) == [1, 2]
    draft.append(*(Message.tool("r", tool_call_id=each) for each in "ab"))
    assert (draft.unanswered_calls(), chat.unanswered_calls()) == ([], expected)
    chat.append(Message.tool("late", tool_call_id="b"))
    assert (chat.unanswered_calls(), positions(chat.window(turns=9))) == ([], [1, 2, 3, 5, 4])


def test_what_a_model_is_shown_is_accepted_after_an_edit(chats) -> None:
    chat = chats()
    chat.append(Message.user("q"), ANTHROPIC.call("so", ["a"]), *ANTHROPIC.results(["a"], ""), Message.user("p"))
    assert positions(chat.window(turns=9)) == [1, 2, 3, 4]
    chat.edit(2, [{"type": "text", "text": "never mind"}])
    assert positions(chat.window(turns=9)) == [1, 2, 4]
    assert accepts(ANTHROPIC, chat.window(turns=9))
    for seq, content in ((3, "words"), (4, ANTHROPIC.results(["a"], "")[0].content)):
        with pytest.raises(ValidationError, match="content"):
            chat.edit(seq, content)
    chat.edit(3, ANTHROPIC.results(["b"], "")[0].content)


def check_every_view(chat: Conversation, form: Form, history: list[Message], budget: dict[str, Any], keep: int) -> None:
    """Windows and contexts, before and after a summary, on main and on branches."""
    for each in (chat, *(chat.fork(f"at-{at}", at=at) for at in {keep % (len(history) + 1), len(history) // 2})):
        newest = max((message.seq or 0 for message in each.messages() if starts_turn(message)), default=0)
        check_view(partial(each.window, **budget), form, newest, budget)
        for _twice in range(2):
            covered = max((summary.last_seq for summary in each.summaries()), default=0)
            check_view(partial(each.context, **budget), form, newest if newest > covered else 0, budget)
            each.summarize(lambda _messages: "so far", keep=keep)


def check_view(view: Callable[[], list[Message]], form: Form, newest: int, budget: dict[str, Any]) -> None:
    try:
        shown = view()
    except WindowTooSmall:
        assert "tokens" in budget
        return
    assert accepts(form, [message for message in shown if message.seq])
    assert not newest or newest in [message.seq for message in shown if message.role == "user"]
    assert budget.get("tokens", 10**9) >= sum(message.tokens or 0 for message in shown)
    assert budget.get("messages", 10**9) >= len({message.seq for message in without_system(shown)})


drawn_views = given(
    histories_of_forms.filter(lambda drawn: len(drawn[1]) > 0),
    st.sampled_from(["turns", "messages", "tokens"]),
    st.integers(1, 60),
    st.integers(0, 40),
    st.booleans(),
)


@drawn_views
def test_every_view_is_taken_by_a_provider(
    drawn: tuple[Form, list[Message]], unit: str, size: int, keep: int, system: bool
) -> None:
    form, history = drawn
    chat = conversation("k", adapter=MemoryAdapter())
    chat.append(*history)
    check_every_view(chat, form, history, {unit: size, "system": system}, keep)


@settings(max_examples=20)
@drawn_views
def test_every_view_over_django_is_that_of_the_adapter_in_memory(
    drawn: tuple[Form, list[Message]], unit: str, size: int, keep: int, system: bool
) -> None:
    form, history = drawn
    budget = {unit: size, "system": system}
    key = f"k{uuid7()}"
    both = [conversation(key), conversation(key, adapter=MemoryAdapter())]
    for chat in both:
        chat.append(*history)
        check_every_view(chat, form, history, budget, keep)
    for branch in [branch.name for branch in both[1].branches()]:
        one, other = (conversation(key, branch=branch, adapter=chat.place.adapter) for chat in both)
        for view in ("window", "context"):
            assert shown_or_needed(partial(getattr(one, view), **budget)) == shown_or_needed(
                partial(getattr(other, view), **budget)
            )


def shown_or_needed(view: Callable[[], list[Message]]) -> Any:
    """What is shown but for times; or what is needed."""
    try:
        return [(message.seq, message.role, message.content, message.tool_calls) for message in view()]
    except WindowTooSmall as refusal:
        return str(refusal)


@pytest.mark.parametrize("view", ["window", "context"])
def test_a_result_message_that_is_shown_as_two_is_not_one_too_many(chats, view: str) -> None:
    chat = chats()
    (late,) = ANTHROPIC.results(["a"], "and then?")
    chat.append(Message.user("q"), ANTHROPIC.call("", ["a"]), Message.assistant("late"), late)
    shown = {n: getattr(chat, view)(messages=n) for n in range(1, 6)}
    assert [positions(shown[n]) for n in (3, 4, 5)] == [[4], [4], [1, 2, 4, 3, 4]]
    assert all(accepts(ANTHROPIC, messages) for messages in shown.values())


def test_results_for_many_calls_in_one_message_stay_within_the_budget(chats) -> None:
    chat = chats()
    chat.append(Message.system("s"), Message.user("q"), *(ANTHROPIC.call("", [each]) for each in "abc"))
    chat.append(*ANTHROPIC.results(["a", "b", "c"], ""))
    shown = {n: chat.window(messages=n) for n in range(1, 8)}
    assert positions(shown[5]) == positions(shown[6]) == [1, 2, 4, 6, 5, 6]
    assert positions(shown[7]) == [1, 2, 3, 6, 4, 6, 5, 6]
    assert all(len(without_system(messages)) <= n and accepts(ANTHROPIC, messages) for n, messages in shown.items())


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_a_context_under_a_ceiling_begins_with_a_question(chats, size: int) -> None:
    """Also where a summary takes the place that the question of an older turn had."""
    chat = chats("ceiling")
    for number in range(4):
        chat.append(Message.user(f"q{number}"), Message.assistant(f"a{number}"))
    chat.summarize(lambda _messages: "so far", keep=6)
    chat.append(Message.user("q4"))
    shown, cut = chat.context_within(turns=9, size=size, most=10**6)
    assert cut
    assert len(shown) <= size
    assert [message.role for message in shown][:2] == ["system", "user"]
    assert shown[-1].content == "q4"
    check_anthropic(as_blocks(shown))
