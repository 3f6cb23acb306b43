"""Messages of other people's programs come in whole and go out whole, by every way in and out."""

import io
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from django.core.management import call_command
from hypothesis import HealthCheck, given, settings, strategies as st

from chat_memory import Message, MessageConflict, ValidationError, conversation
from chat_memory.maintenance.importing import import_conversations
from chat_memory.models import Message as MessageRow, Session
from chat_memory.records import MESSAGE_KEYS
from chat_memory.testing.providers import check_openai
from tests import strategies
from tests.acceptance.api_support import caller
from tests.acceptance.command_line import run, write

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ASKED = {"role": "user", "content": "x"}
SERVER_KEYS = {"id", "seq", "turn", "created_at", "tokens", "metadata", "state"}


def through_python(message: dict[str, Any]) -> None:
    conversation("k", "acme").append(Message.from_dict(message))


def through_api(message: dict[str, Any]) -> None:
    me = caller("admin", may_send_system=True, may_send_tool=True)
    session = me.post(me.sessions, {"key": "k"}).json()
    answer = me.post(me.messages(session["id"]), message)
    assert answer.status_code == 201, answer.json()


def through_import(message: dict[str, Any]) -> None:
    report = import_conversations([json.dumps({"id": "k", "messages": [message]}).encode()], "acme")
    assert report.faults == ()


def through_own_form(message: dict[str, Any]) -> None:
    report = import_conversations([json.dumps({"key": "k", "messages": [message]}).encode()], "acme")
    assert report.faults == ()


WAYS_IN = (through_python, through_api, through_import, through_own_form)


def from_python() -> dict[str, Any]:
    (message,) = conversation("k", "acme").messages()
    return message.to_dict()


def from_api() -> dict[str, Any]:
    me = caller("admin")
    (message,) = me.get(me.messages(Session.objects.get(key="k"))).json()["results"]
    absent = {name for name in MESSAGE_KEYS if message.get(name) is None and name != "content"}
    hidden = {"content"} if message.get("content_absent") else set()
    return {name: value for name, value in message.items() if name not in absent | hidden | {"content_absent"}}


def from_export(form: str) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(run("export", "-", "--workspace", "acme", "--format", form))
    (message,) = line["messages"]
    return dict(message)


WAYS_OUT: tuple[Callable[[], dict[str, Any]], ...] = (
    from_python,
    from_api,
    lambda: from_export("chat_memory"),
    lambda: from_export("openai"),
)

SHAPES: dict[str, dict[str, Any]] = {
    "r13 reasoning": {"role": "assistant", "content": "", "reasoning_content": "why", "tool_calls": [CALL]},
    "r13 details": {"role": "assistant", "content": "x", "reasoning_details": [{"type": "t"}], "annotations": []},
    "r14 refusal": {"role": "assistant", "content": None, "refusal": "No."},
    "r14 dump": {"role": "assistant", "content": None, "refusal": None, "audio": None, "function_call": None},
    "r15 audio": {"role": "assistant", "content": None, "audio": {"id": "a"}},
    "r15 function": {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
    "r15 absent": {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
    "r15 developer": {"role": "developer", "content": "Be brief."},
    "r16 calls": {"role": "assistant", "content": "x", "tool_calls": []},
    "r17 name": {"role": "user", "content": "x", "name": "Ada Lovelace"},
    "r18 call": {"role": "tool", "content": "x", "tool_call_id": "call__thought__" + "A" * 4_557},
    "r19 null": {"role": "assistant", "content": None},
    "r19 calls": {"role": "assistant", "content": None, "tool_calls": []},
    "r19 annotations": {"role": "assistant", "content": None, "annotations": []},
    "r19 absent": {"role": "assistant"},
    "a key named extra": {"role": "user", "content": "x", "extra": {"extra": 1}},
    "an assistant in parts": {"role": "assistant", "parts": [{"type": "text", "text": "x"}]},
    "order and numbers": {"role": "user", "content": "x", "z": {"z": 2**70, "a": [1.5, None, True]}, "b": 0},
}


@pytest.mark.parametrize("way_in", WAYS_IN)
@pytest.mark.parametrize("name", SHAPES)
def test_r13_r14_r15_r16_r17_r18_r19_what_comes_in_goes_out(name: str, way_in: Callable[..., None]) -> None:
    given_message = SHAPES[name]
    way_in(given_message)
    for way_out in WAYS_OUT:
        shown = way_out()
        assert {key: value for key, value in shown.items() if key not in SERVER_KEYS} == given_message
    before = (MessageRow.objects.count(), conversation("k", "acme").messages())
    stored = conversation("k", "acme").messages()[0]
    conversation("k", "acme").append(Message.from_dict({**given_message, "id": stored.id}))
    assert (MessageRow.objects.count(), conversation("k", "acme").messages()) == before


@pytest.mark.parametrize("way_in", [through_python, through_import, through_own_form])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(message=strategies.messages, data=st.data())
def test_a_message_is_the_same_by_every_way(way_in: Callable[..., None], message: Message, data: st.DataObject) -> None:
    nested = data.draw(st.none() | st.integers(1, 30))
    extra = dict(message.extra or {})
    if nested:
        extra["deep"] = nest(nested)
    message = msgspec.structs.replace(message, extra=extra or None, metadata=message.metadata or None)
    conversation("k", "acme").delete()
    way_in(message.to_dict())
    (stored,) = conversation("k", "acme").messages()
    kept = {"id", "seq", "turn", "created_at", "tokens"}
    assert [getattr(stored, name) for name in message.__struct_fields__ if name not in kept] == [
        getattr(message, name) for name in message.__struct_fields__ if name not in kept
    ]
    out = io.BytesIO()
    for line in exported():
        out.write(line)
    import_conversations(out.getvalue().splitlines(), "copy")
    (copied,) = conversation("k", "copy").messages()
    assert copied == msgspec.structs.replace(stored, tokens=copied.tokens)
    conversation("k", "copy").delete()


def nest(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": [value]} if levels < 15 else {"a": value}
    return value


def exported() -> list[bytes]:
    text = run("export", "-", "--workspace", "acme")
    return [line.encode() for line in text.splitlines(keepends=True)]


def test_r13_a_replay_with_other_reasoning_is_a_conflict() -> None:
    chat = conversation("k", "acme")
    chat.append(Message.assistant("x", id="m", extra={"reasoning_content": "why"}))
    with pytest.raises(MessageConflict):
        chat.append(Message.assistant("x", id="m", extra={"reasoning_content": "because"}))


def test_a_retry_may_lack_what_was_noted_since() -> None:
    chat = conversation("k", "acme")
    given = Message.assistant("x", id="m", metadata={"a": 1}, extra={"reasoning_content": "why"})
    chat.append(given)
    chat.edit("m", metadata={"a": 1, "rating": 5}, extra={"annotations": []})
    assert chat.append(given).replayed
    assert chat.append(Message.assistant("x", id="m")).replayed
    for other in ({"metadata": {"a": 2}}, {"metadata": {"b": 1}}, {"extra": {"reasoning_content": "so"}}):
        with pytest.raises(MessageConflict):
            chat.append(Message.assistant("x", id="m", **other))
    report = import_conversations([json.dumps({"key": "k", "messages": [given.to_dict()]}).encode()], "acme")
    assert (report.replayed, report.damaged) == (1, 0)


def test_an_edit_sets_further_fields_beside_those_there_are() -> None:
    chat = conversation("k", "acme")
    call = {"name": "f", "arguments": "{}"}
    chat.append(Message.assistant(None, id="m", extra={"function_call": call, "refusal": None}))
    assert chat.edit("m", extra={"usage": 7}).extra == {"function_call": call, "refusal": None, "usage": 7}
    assert chat.edit("m", extra={"usage": None, "refusal": None}).extra == {"function_call": call}
    assert chat.edit("m", extra=None).extra is None
    with pytest.raises(ValidationError) as caught:
        chat.edit("m", extra=[1])  # type: ignore[arg-type]
    assert caught.value.field == "extra"


@pytest.mark.parametrize("way_in", [through_python, through_import, through_own_form])
def test_nothing_comes_in_as_redacted_that_was_not(way_in: Callable[..., None]) -> None:
    with pytest.raises((ValidationError, AssertionError), match="state: may be redacted only"):
        way_in({"role": "user", "content": "card 4111", "state": "redacted"})
    assert not MessageRow.objects.exists()
    way_in({"role": "user", "content": "[redacted]", "state": "redacted"})
    assert conversation("k", "acme").messages()[0].state == "redacted"


def test_r16_r17_what_a_model_is_sent_is_made_to_fit() -> None:
    assert Message.assistant("x", tool_calls=[], name="").to_openai() == {"role": "assistant", "content": "x"}
    names = {"Ada Lovelace": "Ada_Lovelace", "search.web/2": "search_web_2", "n" * 70: "n" * 64}
    assert {name: Message.user("x", name=name).to_openai()["name"] for name in names} == names
    for name in ("Ада", "李", "  ", "🙂"):
        assert "name" not in Message.user("x", name=name).to_openai()
    assert Message("function", "42", name="погода").to_openai()["name"] == "______"


TYPED = {"type": "function", "function": {"name": "f", "arguments": '{"city":"Åre"}'}}


@pytest.mark.parametrize(
    ("call", "sent"),
    [
        ({"id": "a", **TYPED}, {"id": "a", **TYPED}),
        ({"id": "a", "index": 0, "function": TYPED["function"]}, {"id": "a", "index": 0, **TYPED}),
        ({"id": "a", "function": {"name": "f", "arguments": {"city": "Åre"}}}, {"id": "a", **TYPED}),
        ({"name": "f", "args": {"city": "Åre"}, "id": "a", "type": "tool_call"}, {"id": "a", **TYPED}),
        ({"name": "f", "parameters": {"city": "Åre"}, "id": "a"}, {"id": "a", **TYPED}),
        (
            {"id": "a", "type": "function", "function": {"name": "f"}},
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ),
        ({"id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}, None),
    ],
    ids=repr,
)
def test_r16_calls_as_others_write_them_are_sent_as_openai_takes_them(call: dict[str, Any], sent: Any) -> None:
    """Mistral leaves the type out, Ollama gives arguments as an object, LangChain and Cohere name the tool outside."""
    stored = conversation("k", "acme").append(
        Message.user("q"), Message.assistant(tool_calls=[call]), Message.tool("r", tool_call_id="a")
    )
    shown = [message.to_openai() for message in conversation("k", "acme").window(turns=1)]
    check_openai(shown)
    assert shown[1]["tool_calls"] == [sent or call]
    assert stored.messages[1].tool_calls == [call]
    assert stored.messages[1].to_dict()["tool_calls"] == [call]


def test_r16_arguments_of_the_older_form_and_contents_without_parts_are_sent_as_openai_takes_them() -> None:
    older = Message.assistant(extra={"function_call": {"name": "f", "arguments": {"x": 1}}})
    assert older.to_openai()["function_call"] == {"name": "f", "arguments": '{"x":1}'}
    assert older.extra == {"function_call": {"name": "f", "arguments": {"x": 1}}}
    for empty in (Message.user([]), Message.tool([], tool_call_id="a"), Message.assistant([])):
        assert empty.to_openai()["content"] == ""
    refused = Message.assistant([], extra={"refusal": "No."})
    check_openai([{"role": "user", "content": "q"}, refused.to_openai()])


def test_r15_to_openai_may_leave_the_rest_out() -> None:
    refused = Message.assistant(None, extra={"refusal": "No.", "reasoning_content": "why"})
    assert refused.to_openai(extra=False) == {"role": "assistant", "content": ""}
    assert refused.to_openai()["content"] is None
    developer = Message.from_dict({"role": "developer", "content": "x"})
    assert developer.to_openai()["role"] == "developer"
    assert developer.to_openai(extra=False)["role"] == "system"


def test_r18_a_call_and_its_result_are_stored_or_refused_together() -> None:
    chat = conversation("k", "acme")
    for length in (416, 900, 4_572, 10_000):
        call_id = "c" * length
        chat.append(Message.assistant(tool_calls=[{**CALL, "id": call_id}]), Message.tool("r", tool_call_id=call_id))
    chat.append(Message.user("x", id="m" * 512))
    assert chat.count() == 9
    with pytest.raises(ValidationError, match="10000"):
        chat.append(Message.tool("r", tool_call_id="c" * 10_001))
    with pytest.raises(ValidationError, match="512"):
        chat.append(Message.user("x", id="m" * 513))


@pytest.mark.parametrize("way_in", WAYS_IN)
def test_r21_the_key_that_was_not_understood_is_named(way_in: Callable[..., None]) -> None:
    with pytest.raises((ValidationError, AssertionError), match=r"'parts'.*no field of a message"):
        way_in({"role": "user", "parts": [{"type": "text", "text": "x"}]})
    assert not MessageRow.objects.exists()


LINES = [{"id": "k", "messages": [{**ASKED, "created_at": moment}]} for moment in (1699017614, 1699017614.5)]


@pytest.mark.parametrize("line", [*LINES, {"key": "k", "created_at": 1699017614, "messages": LINES[0]["messages"]}])
def test_r31_unix_seconds_are_times(line: dict[str, Any]) -> None:
    assert import_conversations([json.dumps(line).encode()], "acme").faults == ()
    (message,) = conversation("k", "acme").messages()
    assert message.created_at
    assert int(message.created_at.timestamp()) == 1699017614
    assert message.created_at.isoformat().startswith("2023-11-03T13:20:14")


@pytest.mark.parametrize("moment", [1699017614000, -1e30, 10**400])
def test_r31_a_number_that_is_no_time_is_named(moment: float) -> None:
    line = json.dumps({"id": "k", "messages": [{**ASKED, "created_at": moment}]})
    (fault,) = import_conversations([line.encode()], "acme").faults
    assert "messages[0].created_at" in fault.reason or "out of range" in fault.reason


def test_r32_whole_numbers_are_ids() -> None:
    calling = {"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": 9}]}
    lines = [
        {"id": 42, "messages": [{**ASKED, "id": 7}, calling, {"role": "tool", "content": "r", "tool_call_id": 9}]},
        {"key": 43, "user_key": 5, "messages": [{**ASKED, "id": 2**70}]},
    ]
    assert import_conversations([json.dumps(line).encode() for line in lines], "acme").faults == ()
    messages = conversation("42", "acme").messages()
    assert (messages[0].id, messages[2].tool_call_id) == ("7", "9")
    assert [call["id"] for call in messages[1].tool_calls or ()] == ["9"]
    (big,) = conversation("43", "acme").messages()
    assert (big.id, Session.objects.get(key="43").user_key) == (str(2**70), "5")
    again = import_conversations([json.dumps(line).encode() for line in lines], "acme")
    assert (again.messages, again.replayed) == (0, 4)


def test_r33_what_is_too_large_or_deep_is_named_with_its_setting() -> None:
    tools = [
        {"type": "function", "function": {"name": f"f{number}", "description": "x" * 1000}} for number in range(80)
    ]
    deep: Any = {"type": "object"}
    for _ in range(40):
        deep = {"type": "object", "properties": deep}
    for line, setting in (({"tools": tools}, "MAX_METADATA_BYTES"), ({"tools": [deep]}, "32 levels")):
        (fault,) = import_conversations([json.dumps({"id": "k", "messages": [ASKED], **line}).encode()], "acme").faults
        assert setting in fault.reason


def test_r35_the_message_that_differs_is_named() -> None:
    def imported(*messages: dict[str, Any], form: str = "id") -> str:
        report = import_conversations([json.dumps({form: "r35", "messages": messages}).encode()], "acme")
        return report.faults[0].reason if report.faults else ""

    first, second = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
    assert imported(first, second) == ""
    assert imported(first, {**second, "content": "other"}).startswith("messages[1]: message id ")
    assert imported({"role": "system", "content": "s"}, first, second).startswith("messages[0]: message id ")
    assert imported({**first, "content": "other"}, form="key").endswith("different content, at position 1")


def test_r35_a_message_of_a_branch_is_named_with_its_branch() -> None:
    line: dict[str, Any] = {"key": "k", "messages": [ASKED], "branches": [{"name": "b", "fork_seq": 1, "messages": []}]}
    line["branches"][0]["messages"] = [{**ASKED, "id": "m"}]
    assert import_conversations([json.dumps(line).encode()], "acme").faults == ()
    line["branches"][0]["messages"][0]["content"] = "y"
    (fault,) = import_conversations([json.dumps(line).encode()], "acme").faults
    assert fault.reason.startswith("branches[0].messages[0]: message id 'm'")


@pytest.mark.parametrize("second", ["ok", "other"])
def test_r36_both_messages_of_one_id_are_named(second: str) -> None:
    twice = [{**ASKED, "id": "run-1"}, ASKED, {**ASKED, "content": second, "id": "run-1"}]
    (fault,) = import_conversations([json.dumps({"id": "r36", "messages": twice}).encode()], "acme").faults
    assert fault.reason == "messages: messages[0] and messages[2] have the same id 'run-1'"


def test_r37_keys_without_a_field_are_counted_and_named(tmp_path: Any) -> None:
    camel = [
        ASKED,
        {"role": "assistant", "content": "", "toolCalls": [CALL]},
        {**ASKED, "toolCallId": "c", "weight": 1},
    ]
    bad = {"id": "bad", "messages": [{"role": "wizard", "content": "x", "neverStored": 1}]}
    path = write(tmp_path / "in", {"id": "k", "userId": 1, "messages": [*camel, camel[1]]}, bad)
    told = io.StringIO()
    with pytest.raises(Exception, match="left out 1"):
        call_command("chat_memory_import", path, workspace="acme", stdout=told, stderr=io.StringIO())
    assert "kept, but without a field of their own: toolCalls (2)" in told.getvalue()
    report = import_conversations(path.read_bytes().splitlines(), "acme")
    assert report.further_keys == {"toolCalls": 2, "userId": 1, "toolCallId": 1, "weight": 1}


def test_r37_hostile_keys_cannot_flood_a_report() -> None:
    messages = [{**ASKED, f"\x1b{number}{'k' * 500}": 1} for number in range(300)]
    report = import_conversations([json.dumps({"id": "k", "messages": messages}).encode()], "acme")
    assert len(report.further_keys) == 101
    assert report.further_keys["..."] == 200
    assert all(name.isprintable() and len(name) < 300 for name in report.further_keys)
