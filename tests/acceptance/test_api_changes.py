"""PATCH and DELETE of a message: what they change, who may, and at which version."""

from typing import Any

import pytest

from chat_memory import Message, conversation
from chat_memory.models import Redaction, Session
from tests.acceptance.api_support import Caller, caller, stored

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]


def session_saying(*messages: Message, user: Any = None) -> Session:
    """A session with these messages."""
    session = stored(user=user)
    conversation("k", "acme").append(*messages)
    return session


def address(me: Caller, session: Session, seq: object = 1) -> str:
    return f"{me.messages(session)}{seq}/"


def test_patch_sets_content_and_metadata() -> None:
    me, session = caller("admin"), stored(messages=2)
    before = me.get(address(me, session)).json()
    answer = me.patch(address(me, session), {"content": "new", "metadata": {"a": 1}})
    assert answer.status_code == 200
    assert answer.json() == before | {"content": "new", "metadata": {"a": 1}, "tokens": answer.json()["tokens"]}
    read = me.get(address(me, session))
    assert (read.json(), read["ETag"]) == (answer.json(), answer["ETag"])
    assert me.patch(address(me, session), {"metadata": None}).json()["metadata"] is None
    assert me.get(address(me, session)).json()["content"] == "new"
    assert [former.content for former in conversation("k", "acme").revisions(1)] == ["1"]


def test_patch_sets_and_takes_away_further_members() -> None:
    me = caller("admin")
    session = session_saying(Message.assistant("a", extra={"refusal": None, "audio": {"id": "x"}}))
    answer = me.patch(address(me, session), {"usage": {"total_tokens": 3}, "audio": None}).json()
    assert (answer["usage"], "audio" in answer, answer["refusal"]) == ({"total_tokens": 3}, False, None)
    (message,) = conversation("k", "acme").messages()
    assert message.extra == {"refusal": None, "usage": {"total_tokens": 3}}


def test_patch_of_nothing_changes_nothing() -> None:
    me, session = caller(), stored(messages=1)
    tag = me.get(address(me, session))["ETag"]
    answer = me.patch(address(me, session), {})
    assert (answer.status_code, answer["ETag"]) == (200, tag)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "assistant"}, "role"),
        ({"seq": 3}, "seq"),
        ({"tool_calls": []}, "tool_calls"),
        ({"content": None}, "content"),
        ({"content": 5}, "content"),
        ({"metadata": []}, "metadata"),
        ({"usage": "a\x00"}, "extra.usage"),
        ([], None),
    ],
)
def test_patch_refuses_what_it_cannot_store(body: Any, field: str | None) -> None:
    me, session = caller(), stored(messages=1)
    tag = me.get(address(me, session))["ETag"]
    answer = me.patch(address(me, session), body)
    assert (answer.status_code, answer.json().get("field")) == (422, field)
    assert me.get(address(me, session))["ETag"] == tag


def test_r55_delete_redacts_for_good() -> None:
    me = caller("admin")
    session = session_saying(Message.user("my password is hunter2", id="q"), Message.assistant("a"))
    assert me.patch(address(me, session), {"content": "hunter2!"}).status_code == 200
    answer = me.delete(address(me, session))
    assert (answer.status_code, answer.content) == (204, b"")
    read = me.get(address(me, session))
    assert (read.json()["content"], read.json()["state"], read.json()["id"]) == ("[redacted]", "redacted", "q")
    assert "hunter2" not in me.get(me.messages(session)).content.decode()
    assert me.get(me.session(session)).json()["title"] == ""
    assert conversation("k", "acme").revisions(1) == []
    noted = Redaction.objects.get(workspace=session.workspace_id)
    assert (noted.by, noted.seq, noted.session_id) == (str(me.user.pk), 1, session.pk)
    again = me.post(me.messages(session), {"role": "user", "content": "my password is hunter2", "id": "q"})
    assert (again.status_code, again.json()) == (200, read.json())
    assert me.delete(address(me, session)).status_code == 204
    assert me.get(address(me, session))["ETag"] == read["ETag"]
    refused = me.patch(address(me, session), {"content": "hunter2"})
    assert (refused.status_code, refused.json()["code"]) == (409, "message_redacted")


@pytest.mark.parametrize("method", ["patch", "delete"])
@pytest.mark.parametrize("seq", ["0", "3", "x", "01", "99999999999999999999"])
def test_what_is_not_there_answers_404(method: str, seq: str) -> None:
    me, session = caller("admin"), stored(messages=2)
    assert send(me, method, address(me, session, seq)).status_code == 404


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_a_change_of_another_version_answers_412(method: str) -> None:
    me, session = caller("admin"), stored(messages=2)
    old = me.get(address(me, session))["ETag"]
    conversation("k", "acme").append(Message.user("3"))
    answer = send(me, method, address(me, session), **{"If-Match": old})
    assert (answer.status_code, answer.json()["code"]) == (412, "version_conflict")
    assert me.get(address(me, session)).json()["content"] == "1"
    now = me.get(address(me, session))["ETag"]
    assert send(me, method, address(me, session), **{"If-Match": now}).status_code in (200, 204)
    assert me.get(address(me, session)).json()["content"] != "1"


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_a_change_is_made_on_the_branch_that_is_named(method: str) -> None:
    me, session = caller("admin"), stored(messages=2)
    conversation("k", "acme").fork("draft", at=1).append(Message.user("of draft"))
    path = f"{address(me, session, 2)}?branch=draft"
    tag = me.get(path)["ETag"]
    assert send(me, method, path, **{"If-Match": tag}).status_code in (200, 204)
    assert me.get(path).json()["content"] != "of draft"
    assert me.get(address(me, session, 2)).json()["content"] == "2"


@pytest.mark.parametrize(
    ("role", "own", "patched", "deleted"),
    [
        ("member", True, 200, 204),
        ("member", False, 404, 404),
        ("reader", True, 403, 403),
        ("reader", False, 403, 403),
        ("writer", True, 200, 204),
        ("writer", False, 200, 403),
        ("admin", False, 200, 204),
        (None, False, 404, 404),
    ],
)
def test_who_may(role: str | None, own: bool, patched: int, deleted: int) -> None:
    me = caller(role)
    session = stored(user=me.user if own else None, messages=1)
    assert send(me, "patch", address(me, session)).status_code == patched
    assert send(me, "delete", address(me, session)).status_code == deleted


@pytest.mark.parametrize(
    ("message", "grant"),
    [(Message.system("s"), "may_send_system"), (Message.tool("t", tool_call_id="c"), "may_send_tool")],
)
def test_words_of_a_system_or_tool_need_the_grant(message: Message, grant: str) -> None:
    me = caller()
    session = session_saying(message)
    answer = send(me, "patch", address(me, session))
    assert (answer.status_code, answer.json()["field"]) == (403, "role")
    assert me.get(address(me, session)).json()["content"] == message.content
    grants: dict[str, Any] = {grant: True}
    granted = caller(**grants)
    assert send(granted, "patch", address(granted, session)).status_code == 200


def send(me: Caller, method: str, path: str, **headers: str) -> Any:
    return me.patch(path, {"content": "changed"}, **headers) if method == "patch" else me.delete(path, **headers)
