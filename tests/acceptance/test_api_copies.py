"""The API for clients that keep copies, and for the alternatives to a message."""

from typing import Any

import pytest
from django.test import override_settings

from chat_memory import Message, conversation
from chat_memory.models import Session
from tests.acceptance.api_support import Caller, caller, stored
from tests.conversations import all_contents, chat

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]


def siblings(me: Caller, session: Any, seq: int) -> str:
    return f"{me.messages(session)}{seq}/siblings/"


def told_contents(answer: Any, part: str = "messages") -> list[Any]:
    return [message["content"] for message in answer.json()[part]]


def test_a_client_brings_its_copy_of_a_session_up_to_date() -> None:
    me, session = caller(), stored(messages=2)
    address = f"{me.session(session)}changes/"
    first = me.get(address)
    assert (told_contents(first), first.json()["void_from"], first.json()["more"]) == (["1", "2"], 1, False)
    chat().edit(2, "else")
    chat().append(Message.user("3"))
    answer = me.get(address, {"cursor": first.json()["cursor"]})
    assert (told_contents(answer), told_contents(answer, "changed"), answer.json()["void_from"]) == (
        ["3"],
        ["else"],
        None,
    )
    assert me.get(address, {"cursor": "m1x"}).status_code == 422
    same = me.get(address, {"cursor": answer.json()["cursor"]})
    again = me.get(address, {"cursor": answer.json()["cursor"]}, **{"If-None-Match": same["ETag"]})
    assert again.status_code == 304


def test_a_client_brings_its_list_up_to_date_and_sees_its_own_alone() -> None:
    me, other = caller("member"), caller("writer")
    mine, theirs = stored("mine", user=me.user), stored("theirs", user=other.user)
    address = "/api/workspaces/acme/changes/"
    first = me.get(address).json()
    assert ([each["key"] for each in first["changed"]], first["begins_anew"]) == (["mine"], True)
    assert {each["key"] for each in other.get(address).json()["changed"]} == {"mine", "theirs"}
    conversation("mine", "acme").delete()
    gone = me.get(address, {"cursor": first["cursor"]}).json()
    assert (gone["gone"], gone["begins_anew"]) == ([str(mine.id)], False)
    assert str(theirs.id) not in gone["gone"]
    assert caller(None).get(address).status_code == 404


@pytest.mark.parametrize("where", ["sessions", "messages"])
def test_a_page_of_changes_ends_at_its_bytes(where: str, settings: Any) -> None:
    settings.CHAT_MEMORY = {"MAX_ANSWER_BYTES": 100_000}
    me, large = caller("admin"), {"text": "x" * 40_000}
    for number in range(5 if where == "sessions" else 1):
        chat(str(number)).open(metadata=large)
        chat(str(number)).append(*(Message.user(str(index), id=str(index), metadata=large) for index in range(5)))
    address = "/api/workspaces/acme/changes/"
    if where == "messages":
        address = f"{me.session(Session.objects.get())}changes/"
    cursor: dict[str, str] = {}
    pages = []
    for _round in range(2):
        while True:
            answer = me.get(address, {"page_size": 500, **cursor})
            assert len(answer.content) < 100_000
            told = answer.json()
            pages.append([each["id"] for part in ("messages", "changed") for each in told.get(part, ())])
            cursor = {"cursor": told["cursor"]}
            if not told["more"]:
                break
        if not _round:
            assert sorted(map(len, pages)) == [1, 2, 2]
            for seq in range(1, 6):  # all of them are changed, and are told again
                chat("0").edit(seq, f"else {seq}") if where == "messages" else chat(str(seq - 1)).update(title="t")
    ids = [ident for page in pages for ident in page]
    assert (len(set(ids)), len(ids)) == (5, 10)


def test_the_largest_conversation_comes_alone() -> None:
    me = caller("admin")
    for key in "abc":
        chat(key).open(metadata={"text": "x" * 40_000})
    with override_settings(CHAT_MEMORY={"MAX_ANSWER_BYTES": 1_024}):
        seen: list[list[str]] = []
        cursor: dict[str, str] = {}
        more = True
        while more:
            told = me.get("/api/workspaces/acme/changes/", cursor).json()
            seen.append([each["key"] for each in told["changed"]])
            cursor, more = {"cursor": told["cursor"]}, told["more"]
    assert sorted(filter(None, seen)) == [["a"], ["b"], ["c"]]


def test_an_answer_is_made_again_and_switched_to_and_back() -> None:
    """As a front end does: the former answer stays until the other one has begun, and an undo goes back."""
    me, session = caller(), stored()
    chat().append(Message.user("q"), Message.assistant("first"))
    address = f"{me.messages(session)}2/regenerate/"
    made = me.post(address, {})
    told = made.json()
    assert (made.status_code, told["former_branch"], told["last_seq"]) == (201, "main", 1)
    again = me.post(address, {})
    assert (again.status_code, again.json()) == (200, told)
    assert all_contents(chat()) == ["q", "first"]
    assert told_contents(me.get(made["Location"]), "results") == ["q"]
    sent = me.post(made["Location"], {"role": "assistant", "content": "second"})
    assert (sent.status_code, all_contents(chat())) == (201, ["q", "second"])
    switch = f"{me.session(session)}switch/"
    back = me.post(switch, {"branch": told["former_branch"]})
    assert (back.status_code, back.json()) == (200, {"branch": "main", "former_branch": told["branch"]})
    assert all_contents(chat()) == ["q", "first"]
    assert me.post(switch, {"branch": "main"}).json() == {"branch": "main", "former_branch": None}
    assert me.get(me.session(session)).json()["last_seq"] == 2


def test_an_answer_can_wait_until_it_is_complete() -> None:
    me, session = caller(), stored()
    chat().append(Message.user("q"), Message.assistant("first"))
    told = me.post(f"{me.messages(session)}2/regenerate/?branch=main", {"until": "complete"}).json()
    me.post(f"{me.messages(session)}?branch={told['branch']}", {"role": "assistant", "content": "second"})
    assert all_contents(chat()) == ["q", "first"]
    assert me.post(f"{me.session(session)}switch/", {"branch": told["branch"]}).status_code == 200
    assert all_contents(chat()) == ["q", "second"]


def test_what_cannot_be_made_again_or_switched_to_is_refused() -> None:
    me, session = caller(), stored(messages=2)
    for seq, body, status in (
        (9, {}, 404),
        ("x", {}, 404),
        (1, {"until": "later"}, 422),
        (1, {"until": 1}, 422),
        (1, {"switch": True}, 422),
        (1, [], 422),
    ):
        assert me.post(f"{me.messages(session)}{seq}/regenerate/", body).status_code == status
    assert me.post(f"{me.messages(session)}1/regenerate/?branch=none", {}).status_code == 404
    switch = f"{me.session(session)}switch/"
    for body, status in (({"branch": "none"}, 404), ({"branch": ""}, 422), ({"branch": "a\x00"}, 422), ({}, 422)):
        assert me.post(switch, body).status_code == status
    assert me.post(f"{switch}?branch=main", {"branch": "main"}).status_code == 400


@pytest.mark.parametrize(
    ("role", "own", "status"),
    [
        ("member", True, 200),
        ("member", False, 404),
        ("reader", True, 403),
        ("reader", False, 403),
        ("writer", False, 200),
        ("admin", False, 200),
        (None, True, 404),
    ],
)
def test_who_may_make_an_answer_again_and_switch(role: str | None, own: bool, status: int) -> None:
    me = caller(role)
    session = stored(user=me.user if own else caller("member").user, messages=2)
    chat().fork("b", at=1)
    made = me.post(f"{me.messages(session)}2/regenerate/", {})
    assert made.status_code == (201 if status == 200 else status)
    assert me.post(f"{me.session(session)}switch/", {"branch": "b"}).status_code == status
    assert len(chat().branches()) == 2 + (status == 200)
    record = chat().session()
    assert record is not None
    assert record.branch == ("b" if status == 200 else "main")


def test_a_question_is_asked_again_and_its_alternatives_are_listed() -> None:
    me, session = caller(), stored(messages=2)
    body = {"content": "other", "id": "new"}
    answer = me.post(siblings(me, session, 1), body)
    told = answer.json()
    assert (answer.status_code, told["message"]["content"], told["former_branch"]) == (201, "other", "main")
    assert me.get(answer["Location"]).json()["id"] == "new"
    assert all_contents(chat()) == ["other"]
    assert me.post(siblings(me, session, 1), body).status_code == 200
    results = me.get(siblings(me, session, 1)).json()["results"]
    assert [(each["branch"], each["is_current"], each["number"], each["count"]) for each in results] == [
        ("main", False, 1, 2),
        (told["branch"], True, 2, 2),
    ]
    assert me.get(siblings(me, session, 9)).status_code == 404
    assert caller("reader").post(siblings(me, session, 1), body).status_code == 403
    assert caller("member").get(siblings(me, session, 1)).status_code == 404
