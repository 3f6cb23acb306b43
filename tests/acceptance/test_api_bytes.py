"""A page of messages is the same whether it was read as messages or joined from the cache's bytes."""

import json
from typing import Any

import pytest
from django.test import override_settings

from chat_memory import Message, conversation
from tests.acceptance.api_support import caller, stored

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.acceptance.api_urls")]

CALLS = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"b":1,"a":2}'}}]
KINDS = {
    "text": Message.user("hello"),
    "empty": Message.user(""),
    "None": Message.assistant(None, tool_calls=CALLS),
    "absent": Message.from_dict({"role": "assistant", "tool_calls": CALLS}),
    "parts": Message.user([{"type": "text", "text": "a"}, {"z": None, "a": [True, 1.5]}]),
    "no parts": Message.user([]),
    "tool": Message.tool('{"x": 1}', tool_call_id="c1", name="f"),
    "big numbers": Message.user(
        "n", metadata={"int": 2**80, "float": 1e300, "small": -0.1, "long": 12345678901234567890}
    ),
    "unicode": Message.user('é\u2028😀"\\/\n\t\x7f', name="Ådå", metadata={"ключ": "値"}),
    "looks like ours": Message.user('"},{"id":"x","seq":1}]'),
}


def pages_in(mode: str, me: Any, session: Any, query: dict[str, int]) -> tuple[Any, ...]:
    """The second answer of a mode, when its cache is warm."""
    with override_settings(CHAT_MEMORY={"CACHE": mode, "CACHE_MAX_AGE": 60}):
        me.get(me.messages(session), query)
        answer = me.get(me.messages(session), query)
    return answer.status_code, answer["ETag"], answer["Content-Type"], answer.json(), answer.content


@pytest.mark.parametrize("mode", ["strict", "bounded"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_message_is_written_alike(mode: str, kind: str) -> None:
    me, session = caller("admin"), stored(messages=1)
    conversation("k", "acme").append(KINDS[kind])
    assert pages_in(mode, me, session, {}) == pages_in("off", me, session, {})


@pytest.mark.parametrize("mode", ["strict", "bounded"])
@pytest.mark.parametrize("query", [{}, {"page_size": 3}, {"page_size": 500}, {"before_seq": 5}, {"after_seq": 4}])
@pytest.mark.parametrize("cleared", [False, True])
def test_pages_and_links_are_the_same(mode: str, query: dict[str, int], cleared: bool) -> None:
    me, session = caller("admin"), stored(messages=9)
    if cleared:
        conversation("k", "acme").clear()
    for messages in ((), (Message.user("10"), Message.user("11"))):
        conversation("k", "acme").append(*messages)
        assert pages_in(mode, me, session, query) == pages_in("off", me, session, query)


@pytest.mark.parametrize("mode", ["strict", "bounded"])
def test_page_is_never_older_than_the_etag_that_was_asked_for(mode: str) -> None:
    """Bounded too: the session's row is read for every request, and the cache must not be behind it."""
    me, session = caller("admin"), stored(messages=1)
    pages_in(mode, me, session, {})
    with override_settings(CHAT_MEMORY={"CACHE": "off"}):
        conversation("k", "acme").append(Message.user("2"))  # Redis is not told
    *_rest, body, _raw = pages_in(mode, me, session, {})
    assert [message["content"] for message in body["results"]] == ["1", "2"]


@pytest.mark.parametrize("branch", [None, "main", "draft"])
def test_a_hit_in_mode_strict_asks_the_database_once(branch: str | None, django_assert_num_queries) -> None:
    """The look-up has read the session's row, with which the entry is compared; a change is seen at once."""
    me, session = caller("admin"), stored(messages=2)
    chat = conversation("k", "acme", branch=branch)
    conversation("k", "acme").fork("draft")
    query = {"branch": branch} if branch else {}
    with override_settings(CHAT_MEMORY={"CACHE": "strict"}):
        for number in (3, 4):
            me.get(me.messages(session), query)
            with django_assert_num_queries(1):
                answer = me.get(me.messages(session), query)
            assert len(answer.json()["results"]) == number - 1
            chat.append(Message.user(str(number)))
        with override_settings(CHAT_MEMORY={"CACHE": "off"}):
            chat.append(Message.user("5"))  # Redis is not told
        answer = me.get(me.messages(session), query)
        assert [message["content"] for message in answer.json()["results"]] == ["1", "2", "3", "4", "5"]


def test_message_without_content_may_be_sent_back_as_it_came() -> None:
    me, session = caller(may_send_tool=True), stored()
    sent = {"role": "assistant", "tool_calls": CALLS, "id": "a"}
    kept = me.post(me.messages(session), sent).json()
    assert (kept["content"], kept["content_absent"]) == (None, True)
    again = me.post(me.messages(session), json.loads(json.dumps(kept)))
    assert (again.status_code, again.json()) == (200, kept)
