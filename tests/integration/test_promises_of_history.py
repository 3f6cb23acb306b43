"""What the documents' histories promise or get wrong: a test for each id of FEATURES, over Django's models."""

import asyncio
import json
import threading
from typing import Any

import pytest
from django.db import connections

from chat_memory import Message, MessageConflict, MessageNotFound, ValidationError, conversation
from chat_memory.history.selection import SUMMARY_PREFIX
from chat_memory.storage.memory import MemoryAdapter
from tests.conversations import chat, contents, say_with_ids
from tests.histories import calling
from tests.integration.summarizers import counting, failing
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

IMAGE = [
    {"type": "text", "text": "What is it?"},
    {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
]


def newest_window(unit: str, size: Any) -> list[Message]:
    wanted: dict[str, Any] = {unit: size}
    return chat().window(**wanted)


def test_s0_2_history_in_this_process() -> None:
    """FEATURES S0.2."""
    memory = MemoryAdapter()
    say_with_ids("a", "b", to=chat(adapter=memory))
    assert contents(chat(adapter=memory).messages()) == ["a", "b"]
    chat(adapter=memory).clear()
    assert chat(adapter=memory).messages() == []
    assert chat().messages() == []


def test_s0_3_a_window_is_a_view() -> None:
    """FEATURES S0.3."""
    say_with_ids(*"abcdefghijkl")
    assert contents(chat().window(messages=10)) == list("cdefghijkl")
    assert chat().count() == 12


def test_s0_18_create_switch_and_merge_branches() -> None:
    """FEATURES S0.18."""
    say_with_ids("a")
    assert chat().branch == "main"
    draft = chat().fork("draft")
    draft.fork("of the draft")
    chat().switch("draft")
    say_with_ids("b")
    chat().switch("main")
    assert contents(chat().messages()) == ["a"]
    chat().merge("draft", "main")
    assert contents(chat().messages()) == ["a", "b"]


def test_s0_23_five_roles_and_no_other() -> None:
    """FEATURES S0.23."""
    roles = ["system", "user", "assistant", "function", "tool"]
    chat().append(*(Message(role, "x", name="n", metadata={"k": 1}) for role in roles))
    assert [(one.role, one.name, one.metadata) for one in chat().messages()] == [
        (role, "n", {"k": 1}) for role in roles
    ]
    with pytest.raises(ValidationError, match="role"):
        chat().append(Message("robot", "x"))


def test_s0_24_content_in_parts() -> None:
    """FEATURES S0.24."""
    chat().append(Message.user(IMAGE))
    assert chat().messages()[0].content == IMAGE
    assert chat().window(turns=1)[0].content == IMAGE


def test_s0_25_factories_take_any_field() -> None:
    """FEATURES S0.25."""
    for make in (Message.system, Message.user, Message.assistant):
        message = make("x", name="n", metadata={"k": 1}, id="1")
        assert (message.content, message.name, message.metadata, message.id) == ("x", "n", {"k": 1}, "1")


def test_s0_26_the_form_of_openai() -> None:
    """FEATURES S0.26: an empty object is kept where all is kept."""
    chat().append(Message.user("x", name="n", metadata={}))
    stored = chat().messages()[0]
    assert stored.to_openai() == {"role": "user", "content": "x", "name": "n"}
    assert stored.to_dict()["metadata"] == {}


def test_s0_27_results_by_name_and_by_call() -> None:
    """FEATURES S0.27: stored with or without a call, and shown to a model behind it."""
    called = Message.assistant(extra={"function_call": {"name": "clock", "arguments": "{}"}})
    chat().append(Message.user("time?"), called, Message("function", "12:40", name="clock"))
    chat().append(calling("c1"), Message.tool("12:41", name="clock", tool_call_id="c1"))
    shown = [(one.name, one.tool_call_id) for one in chat().window(turns=1)[2:]]
    assert shown == [("clock", None), (None, None), ("clock", "c1")]
    chat().append(Message("function", "12:42", name="sundial"))
    assert chat().tail(1)[0].name == "sundial"
    assert len(chat().window(turns=1)) == 5


def test_s0_28_each_message_has_id_time_position_and_tokens() -> None:
    """FEATURES S0.28."""
    say_with_ids("a")
    message = chat().messages()[0]
    assert message.seq == 1
    assert None not in (message.id, message.created_at, message.tokens)


def test_s0_35_at_fifty_the_oldest_are_summarised(settings) -> None:
    """FEATURES S0.35: automatically, as a system message in the context, half of them kept."""
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 50, "SUMMARIZER": "tests.integration.summarizers.counting"}
    say_with_ids(*(f"m{number}" for number in range(49)))
    assert chat().summaries() == []
    say_with_ids("m49")
    context = chat().context(turns=50)
    assert (context[0].role, context[0].content) == ("system", f"{SUMMARY_PREFIX}25 from m0")
    assert contents(context[1:]) == [f"m{number}" for number in range(25, 50)]
    assert chat().count() == 50


def test_s0_38_nothing_is_loaded_before_it_is_asked_for(django_assert_num_queries) -> None:
    """FEATURES S0.38."""
    with django_assert_num_queries(0):
        chat()


def test_s0_39_a_summary_is_made_once_and_goes_on_from_there() -> None:
    """FEATURES S0.39: until there is more to say."""
    say_with_ids("a", "b")
    assert chat().summarize(counting, keep=0) is not None
    assert chat().summarize(failing, keep=0) is None
    say_with_ids("c")
    assert chat().summarize(counting, keep=0) is not None


@pytest.mark.parametrize("unit", ["turns", "messages", "tokens"])
def test_n35_a_window_of_0_is_empty_and_a_negative_one_an_error(unit: str) -> None:
    """FEATURES N35."""
    say_with_ids("a", "b", "c")
    assert newest_window(unit, 0) == []
    for wrong in (-2, None, 2.0, "2"):
        with pytest.raises(ValueError, match=unit):
            newest_window(unit, wrong)


def test_n36_what_is_shown_and_what_is_kept_are_two_things() -> None:
    """FEATURES N36."""
    say_with_ids(*"abcdefghijklmnopqrst")
    assert len(chat().window(messages=10)) == 10
    assert len(chat().messages()) == 20


def test_n37_a_window_keeps_the_system_prompt_and_begins_with_a_question() -> None:
    """FEATURES N37."""
    chat().append(Message.system("be kind"), Message.user("a"))
    chat().append(calling("c1"), Message.tool("1", tool_call_id="c1"), Message.assistant("b"))
    assert [one.role for one in chat().window(messages=2)] == ["system", "user", "assistant"]
    assert [one.role for one in chat().window(messages=4)] == ["system", "user", "assistant", "tool", "assistant"]


def test_n39_factories_and_dictionaries_lose_nothing() -> None:
    """FEATURES N39."""
    message = Message.user("x", name="n", metadata={"k": {}}, id="1")
    assert Message.from_dict(json.loads(json.dumps(message.to_dict()))) == message
    chat().append(message)
    stored = chat().messages()[0]
    assert Message.from_dict(json.loads(json.dumps(stored.to_dict()))) == stored


def test_n41_the_newest_come_oldest_first() -> None:
    """FEATURES N41: whatever the clock says."""
    say_with_ids("a", "b")
    times = [one.created_at for one in chat().messages()]
    chat().append(*(Message.user(text, created_at=times[0]) for text in "cd"))
    assert contents(chat().tail(3)) == ["b", "c", "d"]
    assert contents(chat().window(turns=3)) == ["b", "c", "d"]


def test_n42_no_name_of_a_workspace_means_all_of_them() -> None:
    """FEATURES N42."""
    for workspace in ("a", "b"):
        conversation("k", workspace=workspace).append(Message.user(workspace))
    with pytest.raises(ValidationError):
        conversation("k", workspace="")
    assert conversation("k", workspace=None).workspace == "default"
    assert conversation("k").messages() == conversation("k").window(turns=9) == []


@pytest.mark.parametrize("adapter", [None, MemoryAdapter()], ids=["django", "memory"])
def test_n43_what_is_read_is_a_copy(adapter: MemoryAdapter | None) -> None:
    """FEATURES N43."""
    given = {"k": [1]}
    chat(adapter=adapter).append(Message.user([{"type": "text", "text": "x"}], metadata=given))
    given["k"].append(2)
    for read in (lambda: chat(adapter=adapter).messages(), lambda: chat(adapter=adapter).window(turns=1)):
        tampered: Any = read()[0]
        tampered.metadata["k"].append(3)
        tampered.content.append("tampered")
        assert (read()[0].metadata, read()[0].content) == ({"k": [1]}, [{"type": "text", "text": "x"}])


def test_n44_a_summarizer_is_any_function() -> None:
    """FEATURES N44."""
    say_with_ids("a", "b")
    assert chat().summarize(lambda messages: str(len(messages)), keep=1) is not None


@pytest.mark.parametrize("keep", [0, 1, 5, 9])
def test_n45_a_summary_of_any_size_loses_nothing(keep: int) -> None:
    """FEATURES N45: nor does an append meanwhile, nor is the order another."""
    say_with_ids(*"abcdefghij")

    def summarizer(messages: list[Message]) -> str:
        say_with_ids("arrives meanwhile")
        return " ".join(str(one.content) for one in messages)

    made = chat().summarize(summarizer, keep=keep)
    assert made is not None
    assert made.text == " ".join("abcdefghij"[: 10 - keep])
    later = [*"abcdefghij"[10 - keep :], "arrives meanwhile"]
    assert contents(chat().context(turns=99)) == [SUMMARY_PREFIX + made.text, *later]
    assert contents(chat().messages()) == [*"abcdefghij", "arrives meanwhile"]


async def test_n46_coroutines_can_be_asked_again() -> None:
    """FEATURES N46: several at once too, and they see what has changed."""
    for text in "ab":
        await chat().aappend(Message.user(text))
        one, other = await asyncio.gather(chat().acontext(turns=9), chat().acontext(turns=9))
        assert one == other
    assert contents(await chat().acontext(turns=9)) == ["a", "b"]


def test_n47_main_is_there_before_anything_is() -> None:
    """FEATURES N47."""
    assert [branch.name for branch in chat().branches()] == ["main"]
    draft = chat().fork("draft")
    say_with_ids("a", to=draft)
    for _ in range(2):
        chat().merge("draft", "main")
    assert contents(chat().messages()) == ["a"]


def test_n48_two_handles_never_drift_apart() -> None:
    """FEATURES N48."""
    one, other = chat(), chat()
    say_with_ids("1", to=one)
    assert contents(one.messages()) == contents(other.messages()) == ["1"]
    say_with_ids("2", to=other)
    assert contents(one.messages()) == contents(one.window(turns=9)) == ["1", "2"]
    other.fork("draft", at=1).switch("draft")
    assert contents(one.messages()) == contents(one.window(turns=9)) == ["1"]


def test_e01_a_limit_of_the_context_deletes_nothing() -> None:
    """FEATURES E01."""
    say_with_ids(*(f"m{number}" for number in range(20)))
    assert len(chat().context(messages=4)) == 4
    say_with_ids("hi")
    assert chat().count() == 21


def test_e04_compression_deletes_nothing() -> None:
    """FEATURES E04."""
    say_with_ids(*(f"m{number}" for number in range(30)))
    chat().summarize(counting, keep=8)
    assert len(chat().context(turns=99)) == 9
    assert chat().count() == len(chat().messages()) == 30


def test_e05_compression_parts_no_call_from_its_result() -> None:
    """FEATURES E05: wherever the summary ends."""
    for _ in range(2):
        chat().append(Message.user("q"), calling("t1", "t2"), Message.tool("1", tool_call_id="t1"))
        chat().append(Message.user("hello?"), Message.tool("2", tool_call_id="t2"), Message.assistant("a"))
    for keep in range(11, -1, -1):
        chat().summarize(counting, keep=keep)
        shown = chat().context(turns=99)[1:]
        calls = sum(len(one.tool_calls or ()) for one in shown)
        assert calls == sum(one.role == "tool" for one in shown)


def test_e09_an_answer_stays_while_the_new_one_is_made() -> None:
    """FEATURES E09: and when the model fails."""
    chat().append(Message.user("q1"), Message.assistant("a1"))
    chat().regenerate(2)
    chat().switch("main")
    assert contents(chat().messages()) == ["q1", "a1"]


def test_e10_another_early_answer_destroys_no_later_turn() -> None:
    """FEATURES E10."""
    for number in range(5):
        chat().append(Message.user(f"q{number}"), Message.assistant(f"a{number}"))
    chat().regenerate(2).append(Message.assistant("better"))
    assert contents(chat().messages()) == ["q0", "better"]
    assert len(chat(branch="main").messages()) == 10


def test_e11_a_history_sent_again_is_not_stored_again() -> None:
    """FEATURES E11: on a branch of it neither."""
    history = [Message.user("q1", id="1"), Message.assistant("a1", id="2")]
    chat().append(*history)
    receipt = chat().append(*history, Message.user("q2", id="3"))
    assert (contents(chat().messages()), receipt.last_seq) == (["q1", "a1", "q2"], 3)
    assert chat().fork("draft").append(*history).replayed


def test_e16_no_window_begins_within_a_tool_exchange() -> None:
    """FEATURES E16."""
    chat().append(
        Message.user("q"),
        calling("c1"),
        Message.tool("1", tool_call_id="c1"),
        Message.assistant("a"),
        Message.user("r"),
    )
    for budget in range(5, 40):
        for unit in ("turns", "messages", "tokens"):
            assert [one.role for one in newest_window(unit, budget)][:1] == ["user"]


@pytest.mark.parametrize("said", ["42", "[1, 2]", '"ok"', "null", "", "{"])
def test_e17_any_text_is_a_tool_result(said: str) -> None:
    """FEATURES E17: later turns go on."""
    chat().append(Message.user("q"), calling("c1"), Message.tool(said, tool_call_id="c1"))
    say_with_ids("next")
    assert contents(chat().window(turns=2)) == ["q", None, said, "next"]


@pytest.mark.parametrize("read", ["tail", "head"])
def test_j14_0_is_none_and_a_negative_number_an_error(read: str) -> None:
    """FEATURES J14: and the answer is always a list."""
    say_with_ids("a", "b", "c")
    assert getattr(chat(), read)(0) == []
    assert isinstance(getattr(chat(), read)(2), list)
    with pytest.raises(ValueError, match="n:"):
        getattr(chat(), read)(-2)


def test_j26_order_is_the_position_and_each_has_a_time() -> None:
    """FEATURES J26."""
    say_with_ids("a", "b")
    say_with_ids("c")
    assert [one.seq for one in chat().messages()] == [1, 2, 3]
    assert all(one.created_at is not None for one in chat().messages())


def test_j27_what_is_appended_while_it_is_cut_is_not_lost() -> None:
    """FEATURES J27: it is counted as hidden and stays on the old branch, or it comes after the cut."""
    for number in range(8):
        one = f"race-{number}"
        say_with_ids("a", "b", "c", to=chat(one))
        together = threading.Barrier(2)

        def late(one: str = one, together: threading.Barrier = together) -> None:
            together.wait(PATIENCE)
            say_with_ids("late", to=chat(one))
            connections.close_all()

        thread = threading.Thread(target=late)
        thread.start()
        together.wait(PATIENCE)
        hidden = chat(one).truncate_after("a")
        thread.join(PATIENCE)
        shown, old = contents(chat(one).messages()), contents(chat(one, branch="main").messages())
        late_first, late_last = (3, ["a"], ["a", "b", "c", "late"]), (2, ["a", "late"], ["a", "b", "c"])
        assert (hidden, shown, old) in (late_first, late_last)


def test_j28_an_id_is_there_once() -> None:
    """FEATURES J28: so that a cut is where it was meant."""
    say_with_ids("a", "x", "b")
    with pytest.raises(MessageConflict):
        chat().append(Message.user("another", id="x"))
    with pytest.raises(ValidationError, match="same id"):
        chat().append(Message.user("c", id="y"), Message.user("d", id="y"))
    assert contents(chat().until("x")) == ["a", "x"]
    assert chat().truncate_after("x") == 1
    with pytest.raises(MessageNotFound):
        chat().truncate_after("b")
