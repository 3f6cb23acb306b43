"""What the API shows a model of a session that is not in order, or too large."""

import pytest

from chat_memory import Message
from tests.acceptance.api_support import caller, stored
from tests.conversations import chat
from tests.histories import calling

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]


def test_r7_a_context_without_room_for_the_question_is_a_problem() -> None:
    me, session = caller("reader"), stored(messages=6)
    answer = me.get(f"{me.session(session)}context/", {"tokens": 1})
    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
    needed = chat().tail(1)[0].tokens
    assert (answer.json()["code"], f"needs {needed}" in answer.json()["detail"]) == ("window_too_small", True)


def test_r1_a_context_shows_no_call_without_its_result() -> None:
    me, session = caller("reader"), stored(messages=6)
    chat().append(calling("a", "b"), Message.tool("r", tool_call_id="a"), Message.user("well?"))
    shown = me.get(f"{me.session(session)}context/", {"turns": 9}).json()["results"]
    assert [call["id"] for message in shown for call in message["tool_calls"] or ()] == ["a"]
