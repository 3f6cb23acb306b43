"""ETag, If-None-Match and If-Match of the API (RFC 9110): the tag moves with every change, and guards writes."""

import pytest

from chat_memory import Message
from chat_memory.models import Session
from tests.acceptance.api_support import caller, stored

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]

SAID = {"role": "user", "content": "x"}


def tag(me, session) -> str:
    return str(me.get(me.session(session))["ETag"])


def test_tag_moves_with_every_change() -> None:
    me, session = caller(), stored()
    chat = session.history()
    seen = [tag(me, session)]
    for change in (
        lambda: me.post(me.messages(session), SAID),
        lambda: me.patch(me.session(session), {"title": "t"}),
        lambda: chat.append(Message.user("y")),
        chat.clear,
    ):
        change()
        seen.append(tag(me, session))
        assert me.get(me.messages(session))["ETag"] == seen[-1]
    assert len(set(seen)) == len(seen)


def test_tag_differs_where_only_the_token_does() -> None:
    """A restore may bring a version back with another history."""
    me, session = caller(), stored(messages=1)
    before = tag(me, session)
    Session.objects.filter(pk=session.pk, workspace=session.workspace).update(vtoken=session.vtoken ^ 1)
    assert tag(me, session) != before


def test_replay_does_not_move_the_tag() -> None:
    me, session = caller(), stored()
    me.post(me.messages(session), SAID, **{"Idempotency-Key": "k"})
    before = tag(me, session)
    assert me.post(me.messages(session), SAID, **{"Idempotency-Key": "k"}).status_code == 200
    assert tag(me, session) == before


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_unchanged_is_not_sent_again(form: str) -> None:
    me, session = caller(), stored(messages=1)
    condition = {"If-None-Match": form.format(tag(me, session))}
    for address in (me.session(session), me.messages(session), f"{me.messages(session)}1/"):
        answer = me.get(address, **condition)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer["ETag"] == tag(me, session)
    if form != "*":
        me.post(me.messages(session), SAID)
        assert me.get(me.messages(session), **condition).status_code == 200


@pytest.mark.parametrize("transaction", [pytest.param(True, marks=pytest.mark.django_db(transaction=True)), False])
def test_write_is_refused_where_the_session_has_changed(transaction: bool) -> None:
    me, session = caller("admin"), stored()
    old = {"If-Match": tag(me, session)}
    assert me.post(me.messages(session), SAID, **old).status_code == 201
    new = {"If-Match": tag(me, session)}
    for stale in (old, {"If-Match": '"x"'}, {"If-Match": "x"}, {"If-Match": f"W/{new['If-Match']}"}):
        refused = [
            me.post(me.messages(session), SAID, **stale),
            me.patch(me.session(session), {"title": "t"}, **stale),
            me.delete(me.session(session), **stale),
        ]
        assert [answer.status_code for answer in refused] == [412] * 3
        assert {answer.json()["code"] for answer in refused} == {"version_conflict"}
    shown = me.get(me.session(session))
    assert (shown["ETag"], shown.json()["title"], shown.json()["message_count"]) == (new["If-Match"], "x", 1)
    changed = me.patch(me.session(session), {"title": "t"}, **new)
    assert changed.status_code == 200
    assert me.post(me.messages(session), SAID, **{"If-Match": f'"x", {changed["ETag"]}'}).status_code == 201
    assert me.post(me.messages(session), SAID, **{"If-Match": "*"}).status_code == 201
    assert me.delete(me.session(session), **{"If-Match": tag(me, session)}).status_code == 204


def test_retry_of_a_guarded_write_is_still_a_replay() -> None:
    """RFC 9110, 13.1.1: a change that has been made already is not refused for having been made."""
    me, session = caller(), stored(messages=1)
    headers = {"If-Match": tag(me, session), "Idempotency-Key": "k"}
    assert [me.post(me.messages(session), SAID, **headers).status_code for _ in range(2)] == [201, 200]
    assert me.post(me.messages(session), SAID, **headers | {"Idempotency-Key": "l"}).status_code == 412
