"""The table of rights, what counts as a removal, and as whom a message is sent: by values alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chat_memory import Message
from chat_memory.choices import MemberRole
from chat_memory.rules.rights import GRANTED, SUPERUSER, TABLE, Act, Reach, allows, lost, reach, shortened
from chat_memory.rules.sending import sent_as
from tests.tool_parts import NO_RESULTS, RESULTS

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_table_has_every_role_and_every_act() -> None:
    assert set(TABLE) == {*MemberRole.values, SUPERUSER}
    assert all(set(acts) == set(Act) for acts in TABLE.values())


@pytest.mark.parametrize("role", [None, "", "owner", "Admin"])
def test_who_has_no_role_may_nothing(role: str | None) -> None:
    assert not any(allows(role, act, own=True, granted=True) for act in Act)


@pytest.mark.parametrize("role", TABLE)
@pytest.mark.parametrize("act", Act)
def test_reach_says_whose_sessions(role: str, act: Act) -> None:
    granted = act in GRANTED
    assert allows(role, act, own=True, granted=granted) is (reach(role, act) is not Reach.NONE)
    assert allows(role, act, own=False, granted=granted) is (reach(role, act) is Reach.ALL)
    assert not (granted and allows(role, act, own=True, granted=False))


@pytest.mark.parametrize("role", TABLE)
def test_no_right_goes_further_than_the_right_to_read(role: str) -> None:
    order = [Reach.NONE, Reach.OWN, Reach.ALL]
    for act in (Act.WRITE, Act.DELETE, *GRANTED):
        assert order.index(reach(role, act)) <= order.index(reach(role, Act.READ))


def fields(**given: Any) -> dict[str, Any]:
    return {"pinned": False, "expires_at": None} | given


@pytest.mark.parametrize(
    ("stored", "given", "field"),
    [
        (fields(), {"expires_at": NOW + HOUR}, "expires_at"),
        (fields(), {"expires_at": NOW - HOUR}, "expires_at"),
        (fields(), {"expires_at": None}, None),
        (fields(expires_at=NOW + HOUR), {"expires_at": NOW + HOUR - timedelta(microseconds=1)}, "expires_at"),
        (fields(expires_at=NOW + HOUR), {"expires_at": NOW + HOUR}, None),
        (fields(expires_at=NOW + HOUR), {"expires_at": NOW + 2 * HOUR}, None),
        (fields(expires_at=NOW + HOUR), {"expires_at": None}, None),
        (fields(expires_at=NOW - 2 * HOUR), {"expires_at": NOW - HOUR}, "expires_at"),
        (fields(expires_at=NOW - HOUR), {"expires_at": NOW - HOUR}, None),
        (fields(expires_at=NOW - HOUR), {"expires_at": NOW}, "expires_at"),
        (fields(pinned=True), {"pinned": False}, "pinned"),
        (fields(pinned=True), {"pinned": True}, None),
        (fields(), {"pinned": False}, None),
        (fields(), {"pinned": True}, None),
        (fields(pinned=True), {"title": "t", "archived_at": None, "tags": []}, None),
    ],
)
def test_what_has_a_session_removed_sooner(stored: dict[str, Any], given: dict[str, Any], field: str | None) -> None:
    assert shortened(stored, given, NOW) == field


@pytest.mark.parametrize(
    ("stored", "after", "field"),
    [
        ({}, {"content": "new"}, None),
        ({"metadata": {"a": 1}}, {"metadata": {"a": 1, "b": 2}}, None),
        ({"metadata": {"a": 1}}, {"metadata": {"a": 2}}, "metadata"),
        ({"metadata": {"a": 1}}, {"metadata": None}, "metadata"),
        ({"metadata": {}}, {"metadata": None}, None),
        ({"extra": {"refusal": "no"}}, {"extra": {"refusal": "no", "x": 1}}, None),
        ({"extra": {"refusal": "no"}}, {"extra": {"refusal": ""}}, "refusal"),
        ({"extra": {"refusal": "no"}}, {"extra": None}, "refusal"),
    ],
)
def test_what_an_edit_loses(stored: dict[str, Any], after: dict[str, Any], field: str | None) -> None:
    assert lost(Message("assistant", "x", **stored), Message("assistant", **after)) == field


@pytest.mark.parametrize("form", RESULTS)
@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_a12_results_of_tools_are_seen_in_every_form(form: str, role: str) -> None:
    part, text = RESULTS[form], {"type": "text", "text": "x"}
    nested = {"type": "message", "content": [text, part]}
    for content, place in (([part], "content[0]"), ([text, part], "content[1]"), ([text, nested], "content[1]")):
        assert (Act.SEND_TOOL, place) in list(sent_as(Message(role, content)))
    assert (Act.SEND_TOOL, "items") in list(sent_as(Message(role, "x", extra={"items": [part]})))


@pytest.mark.parametrize("form", NO_RESULTS)
def test_a12_what_is_no_result_needs_no_grant(form: str) -> None:
    part = NO_RESULTS[form]
    assert (
        list(sent_as(Message("assistant", [part, {"type": "group", "content": [part]}], extra={"items": [part]}))) == []
    )


def test_a12_further_members_that_make_a_message_a_result_are_seen() -> None:
    as_item = Message.from_dict({"role": "user", "content": "", **RESULTS["Responses"]})
    assert list(sent_as(as_item)) == [(Act.SEND_TOOL, "type")]
    assert list(sent_as(Message.user("x", extra={"toolResult": {}}))) == [(Act.SEND_TOOL, "toolResult")]
    call = {"id": "c", "type": "function", "function": {"name": "t", "arguments": "{}"}}
    assert list(sent_as(Message.assistant(tool_calls=[call]))) == []
    assert list(sent_as(Message.assistant(tool_calls=[call | {"result": "x"}]))) == [(Act.SEND_TOOL, "tool_calls[0]")]


@pytest.mark.parametrize("role", ["system", "developer", "System ", "DEVELOPER"])
def test_a12_messages_of_the_system_are_seen_within_others(role: str) -> None:
    item = {"type": "message", "role": role, "content": [{"type": "input_text", "text": "x"}]}
    assert list(sent_as(Message.user([item]))) == [(Act.SEND_SYSTEM, "content[0]")]


def test_nesting_of_any_depth_is_no_recursion() -> None:
    part: Any = RESULTS["Anthropic"]
    for _level in range(100_000):
        part = [part]
    assert list(sent_as(Message.user([{"type": "group", "content": part}]))) == [(Act.SEND_TOOL, "content[0]")]
    assert list(sent_as(Message.assistant(tool_calls=[{"more": part}]))) == [(Act.SEND_TOOL, "tool_calls[0]")]
