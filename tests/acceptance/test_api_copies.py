"""The API for clients that keep copies, and for the alternatives to a message."""

from typing import Any

import pytest

from chat_memory import Message, conversation
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
