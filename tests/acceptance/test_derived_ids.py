"""Ids derived from an Idempotency-Key: nobody computes another's (A5, A6), and a retry outlives a new secret."""

from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat_memory import Message, conversation
from chat_memory.api.http.idempotency import derived_id
from chat_memory.models import Message as MessageRow, Session
from tests.acceptance.api_support import Caller, caller, stored

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]

ONCE = {"Idempotency-Key": "once"}
SAID = {"role": "user", "content": "x"}
FORMER_SPACE = UUID("0e4ce3a2-6a51-5d0c-9c5f-6a3b0f1d8e27")


def append(me: Caller, session: Any, body: Any = None, **headers: str) -> Any:
    return me.post(me.messages(session), body or SAID, **(headers or ONCE))


def former(namespace: UUID, me: Caller, *parts: Any) -> str:
    """The id that anybody could compute from what everybody knows."""
    return str(uuid5(namespace, msgspec.json.encode([str(me.user.pk), *parts]).decode()))


def is_version_8(text: str) -> bool:
    return UUID(text).version == 8 and UUID(text).variant == "specified in RFC 4122" and str(UUID(text)) == text


def test_a5_keys_and_a6_ids_are_of_version_8_and_known_to_the_secret_alone(settings) -> None:
    me, session = caller(), stored()
    shown = append(me, session).json()["id"]
    key = me.post(me.sessions, {}, **ONCE).json()["key"]
    assert is_version_8(shown)
    assert is_version_8(key)
    assert shown != former(session.id, me, "once", 0)
    assert key != former(FORMER_SPACE, me, "once", "acme")
    names = (session.id, me.user.pk, "once", 0)
    assert derived_id(settings.SECRET_KEY, *names) == shown
    for other in ("", "guessed", settings.SECRET_KEY + " ", settings.SECRET_KEY.encode() + b"\0"):
        assert derived_id(other, *names) != shown
    settings.SECRET_KEY = "another secret of the site"
    other_site = me.post(me.messages(session), [SAID, SAID], **{"Idempotency-Key": "once"}).json()
    assert shown not in {message["id"] for message in other_site}


def test_a6_a_message_of_the_id_that_could_be_computed_does_no_harm() -> None:
    bob, mallory, session = caller(), caller(), stored()
    taken = former(session.id, bob, "once", 0)
    assert mallory.post(mallory.messages(session), {**SAID, "content": "mine", "id": taken}).status_code == 201
    assert append(bob, session).status_code == 201
    assert [message.content for message in conversation("k", "acme").messages()] == ["mine", "x"]


def test_a5_a_session_of_the_key_that_could_be_computed_does_no_harm() -> None:
    bob, mallory = caller("member"), caller("member")
    taken = former(FORMER_SPACE, bob, "once", "acme")
    assert mallory.post(mallory.sessions, {"key": taken}).status_code == 201
    opened = bob.post(bob.sessions, {}, **ONCE)
    assert (opened.status_code, opened.json()["user_key"]) == (201, str(bob.user.pk))
    assert Session.objects.count() == 2


def test_two_users_sessions_and_workspaces_with_one_header_never_meet() -> None:
    ann, bob, session, other = caller(), caller(), stored(), stored("other")
    elsewhere = Caller(ann.user, "globex")
    stored("k", "globex").workspace.members.create(user=ann.user, role="writer")
    answers = [append(ann, session), append(bob, session), append(ann, other)]
    ids = [answer.json()["id"] for answer in answers]
    keys = [me.post(me.sessions, {}, **ONCE).json()["key"] for me in (ann, bob, elsewhere)]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert len({*ids, *keys}) == 6
    tricky = [append(ann, session, [SAID, SAID], **{"Idempotency-Key": key}) for key in ("a", "a,1", 'a",1,"')]
    assert len({message["id"] for answer in tricky for message in answer.json()}) == 6


@pytest.mark.parametrize("body", [SAID, [SAID], [SAID, SAID], [{**SAID, "id": "own"}, SAID, SAID]])
@pytest.mark.parametrize("fallbacks", [["first"], ["unused", "first", "older"], [b"first"]])
def test_a_retry_after_a_change_of_the_secret_is_a_replay(body: Any, fallbacks: list[Any], settings) -> None:
    me, session = caller(), stored()
    settings.SECRET_KEY = "first"
    first = append(me, session, body)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second", fallbacks
    again = append(me, session, body)
    assert (first.status_code, again.status_code, again.json()) == (201, 200, first.json())
    fresh = append(me, session, body, **{"Idempotency-Key": "other"})
    if "id" not in str(body):
        assert fresh.status_code == 201
    settings.SECRET_KEY_FALLBACKS = []
    assert append(me, session, SAID, **{"Idempotency-Key": "other still"}).status_code == 201


def test_a_retry_of_what_is_hidden_is_a_replay_after_a_change_of_the_secret_too(settings) -> None:
    me, session = caller(), stored()
    settings.SECRET_KEY = "first"
    append(me, session)
    conversation("k", "acme").clear()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second", ["first"]
    assert append(me, session).status_code == 200
    assert MessageRow.objects.count() == 1


def test_a_session_made_before_a_change_of_the_secret_is_found_by_its_retry(settings) -> None:
    me = caller()
    settings.SECRET_KEY = "first"
    first = me.post(me.sessions, {}, **ONCE).json()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second", ["first"]
    again = me.post(me.sessions, {}, **ONCE)
    assert (again.status_code, again.json()) == (200, first)
    assert me.post(me.sessions, {}, **{"Idempotency-Key": "other"}).status_code == 201
    assert Session.objects.count() == 2


def test_what_was_stored_under_the_secret_of_today_comes_first(settings) -> None:
    """Both may be there where one process had the new secret before the others did."""
    me, session = caller(), stored()
    for secret in ("first", "second"):
        settings.SECRET_KEY = secret
        append(me, session)
    settings.SECRET_KEY_FALLBACKS = ["first"]
    answer = append(me, session)
    assert (answer.status_code, answer.json()["seq"]) == (200, 2)


def test_fallbacks_cost_one_statement_and_none_cost_none(settings) -> None:
    me, session = caller(), stored()
    conversation("k", "acme").append(Message.user("warm"))

    def cost(body: Any, **headers: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert me.post(me.messages(session), body, **headers).status_code == 201
        return len(asked)

    settings.RAW_CURSOR = False
    cost([SAID, SAID])
    without = cost([SAID, SAID])
    assert cost([SAID, SAID], **ONCE) == without
    settings.SECRET_KEY_FALLBACKS = ["first", "older"]
    assert cost([SAID, SAID]) == without
    assert cost([SAID, SAID], **{"Idempotency-Key": "two"}) == without + 1
