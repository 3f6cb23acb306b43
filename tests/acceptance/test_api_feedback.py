"""Feedback over HTTP: a user's own on a message, lists of it, and a workspace's sums."""

from typing import Any

import pytest

from chat_memory import Message, conversation
from chat_memory.models import Feedback, Session
from chat_memory.rules.feedback import COMMENT_LENGTH
from tests.acceptance.api_support import Caller, caller, stored

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]


def give(me: Caller, address: str, body: Any) -> Any:
    return me.client.put(address, body, format="json")


def votes_on(me: Caller, session: Session, seq: int = 1) -> str:
    """The address of the feedback on a message."""
    return f"{me.messages(session)}{seq}/feedback/"


def test_users_give_change_and_remove_their_own() -> None:
    me, other = caller(), caller()
    session = stored(messages=2)
    answer = give(me, votes_on(me, session), {"vote": 1, "comment": "yes"})
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["seq"], shown["vote"], shown["comment"], shown["user_key"]) == (1, 1, "yes", str(me.user.pk))
    assert give(other, votes_on(me, session), {"vote": -1}).json()["comment"] == ""
    assert give(me, votes_on(me, session), {"vote": -1}).json()["created_at"] == shown["created_at"]
    assert [each["user_key"] for each in me.get(votes_on(me, session)).json()["results"]] == [
        str(me.user.pk),
        str(other.user.pk),
    ]
    for _again in range(2):
        assert me.delete(votes_on(me, session)).status_code == 204
    page = me.get(f"{me.session(session)}feedback/").json()
    assert (page["up"], page["down"], page["comments"], len(page["results"])) == (0, 1, 0, 1)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "vote"),
        ({"vote": 2}, 422, "vote"),
        ({"vote": True}, 422, "vote"),
        ({"vote": 1, "comment": None}, 422, "comment"),
        ({"vote": 1, "comment": "x" * (COMMENT_LENGTH + 1)}, 422, "comment"),
        ({"vote": 1, "by": "anna"}, 422, "by"),
        ([], 422, None),
    ],
)
def test_what_is_no_feedback_is_refused(body: Any, status: int, field: str | None) -> None:
    me, session = caller(), stored(messages=1)
    answer = give(me, votes_on(me, session), body)
    assert (answer.status_code, answer.json().get("field")) == (status, field)
    assert answer["Content-Type"] == "application/problem+json"
    assert not Feedback.objects.exists()


def test_what_is_not_there_takes_no_feedback() -> None:
    me, session = caller(), stored(messages=1)
    for seq in (2, "01", "x"):
        assert give(me, f"{me.messages(session)}{seq}/feedback/", {"vote": 1}).status_code == 404
        assert me.delete(f"{me.messages(session)}{seq}/feedback/").status_code == 404
    assert me.get(f"{me.session(session)}feedback/", {"cursor": "next.x"}).status_code == 400
    assert me.get(f"{me.session(session)}feedback/", {"cursor": "next.1-1"}).status_code == 200
    assert me.get(f"{me.session(session)}feedback/", {"branch": "unknown"}).status_code == 404


def test_a_redacted_message_takes_no_comment() -> None:
    me, session = caller(), stored(messages=1)
    session.history().redact(1)
    answer = give(me, votes_on(me, session), {"vote": 1, "comment": "it said"})
    assert (answer.status_code, answer.json()["code"]) == (409, "message_redacted")
    assert give(me, votes_on(me, session), {"vote": 1}).status_code == 200


@pytest.mark.parametrize(
    ("role", "own", "reads", "gives", "sums"),
    [
        ("member", True, True, True, False),
        ("member", False, False, False, False),
        ("reader", False, True, False, True),
        ("writer", False, True, True, True),
        ("admin", False, True, True, True),
        (None, False, False, False, False),
    ],
)
def test_feedback_goes_by_the_table_of_rights(
    role: str | None, *, own: bool, reads: bool, gives: bool, sums: bool
) -> None:
    """Reading a session is reading its feedback, writing to it is giving some; the sums are of all sessions."""
    me = caller(role)
    session = stored(user=me.user if own else None, messages=1)
    unseen = 403 if reads else 404
    assert me.get(f"{me.session(session)}feedback/").status_code == (200 if reads else 404)
    assert me.get(votes_on(me, session)).status_code == (200 if reads else 404)
    assert give(me, votes_on(me, session), {"vote": 1}).status_code == (200 if gives else unseen)
    assert me.delete(votes_on(me, session)).status_code == (204 if gives else unseen)
    answer = me.get("/api/workspaces/acme/feedback/")
    assert answer.status_code == (200 if sums else 403 if role else 404)


def test_lists_are_paged_in_both_directions() -> None:
    me, session = caller(), stored(messages=3)
    for seq in (1, 2, 3):
        for who in ("anna", "ben"):
            session.history().feedback.give(seq, 1, by=who)
    seen, address = [], f"{me.session(session)}feedback/?page_size=4"
    first = me.get(address).json()
    second = me.get(first["next"]).json()
    assert (first["previous"], second["next"]) == (None, None)
    seen = [(each["seq"], each["user_key"]) for each in first["results"] + second["results"]]
    assert seen == [(seq, who) for seq in (1, 2, 3) for who in ("anna", "ben")]
    assert me.get(second["previous"]).json()["results"] == first["results"]
    one = me.get(f"{votes_on(me, session, 2)}?page_size=1").json()
    two = me.get(one["next"]).json()
    assert [each["user_key"] for each in one["results"] + two["results"]] == ["anna", "ben"]
    assert two["next"] is None


def test_a_branch_shows_the_feedback_on_what_it_shares() -> None:
    me, session = caller(), stored(messages=2)
    session.history().fork("draft", at=1).append(Message.user("x"))
    session.history().feedback.give(1, 1, by="anna")
    assert give(me, f"{votes_on(me, session, 2)}?branch=draft", {"vote": -1}).status_code == 200
    page = me.get(f"{me.session(session)}feedback/", {"branch": "draft"}).json()
    assert [(each["seq"], each["vote"]) for each in page["results"]] == [(1, 1), (2, -1)]
    assert [each["seq"] for each in me.get(f"{me.session(session)}feedback/").json()["results"]] == [1]


def test_sums_of_a_workspace() -> None:
    me = caller("reader")
    chat = conversation("k", "acme")
    chat.append(Message.assistant("a", metadata={"model": "m"}))
    chat.feedback.give(1, -1, "why", by="anna")
    address = "/api/workspaces/acme/feedback/"
    assert me.get(address).json() == {"up": 0, "down": 1, "comments": 1}
    assert me.get(address, {"by": "model"}).json()["models"] == [{"up": 0, "down": 1, "comments": 1, "model": "m"}]
    (day,) = me.get(address, {"by": "day"}).json()["days"]
    assert day == {"up": 0, "down": 1, "comments": 1, "day": f"{Feedback.objects.get().updated_at:%Y-%m-%d}"}
    later = {"since": "2999-01-01T00:00:00Z"}
    assert me.get(address, {**later, "by": "day"}).json() == {"up": 0, "down": 0, "comments": 0, "days": []}
    for wrong in ({"by": "year"}, {"since": "2026-01-01"}, {"since": "2026-01-01T00:00:00"}):
        assert me.get(address, wrong).status_code == 400
