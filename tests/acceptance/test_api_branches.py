"""Branches, forks and contexts through the API: the current branch is read, tagged and written, and nobody else's."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import override_settings

from chat_memory import Message, conversation
from chat_memory.models import Session
from tests.acceptance.api_support import Caller, caller, stored
from tests.conversations import chat

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]

HOSTILE = '"><script>alert(1)</script>/?&=#% ж'
SAID = {"role": "user", "content": "said"}


def on(branch: str, address: str) -> tuple[str, dict[str, str]]:
    """The arguments of a read on a branch."""
    return address, {"branch": branch}


def listed_contents(answer: Any) -> list[Any]:
    return [message["content"] for message in answer.json()["results"]]


def fork(me: Caller, session: Any, **body: Any) -> Any:
    return me.post(f"{me.session(session)}fork/", body)


def session_with_branch(at: int | None = None) -> tuple[Caller, Session]:
    """A conversation of three messages and a branch of it, with one of its own."""
    me, session = caller("admin"), stored(messages=3)
    chat().fork("draft", at)
    chat(branch="draft").append(Message.user("drafted", id="d"))
    return me, session


def test_a_fork_is_answered_by_the_branch() -> None:
    me, session = caller(), stored(messages=3)
    answer = fork(me, session, name=HOSTILE, at=2)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["name"], made["parent"], made["fork_seq"], made["last_seq"]) == (HOSTILE, "main", 2, 2)
    assert (made["message_count"], made["current"]) == (2, False)
    listed = me.get(f"{me.session(session)}branches/").json()
    assert [each["name"] for each in listed["results"]] == ["main", HOSTILE]
    assert (listed["results"][1], listed["next"], listed["previous"]) == (made, None, None)
    assert listed_contents(me.get(answer["Location"])) == ["1", "2"]


def test_a_branch_is_forked_where_it_is_asked_for() -> None:
    me, session = session_with_branch(at=1)
    answer = me.post(f"{me.session(session)}fork/?branch=draft", {"name": "deeper"})
    assert (answer.json()["parent"], answer.json()["fork_seq"]) == ("draft", 2)
    assert listed_contents(me.get(*on("deeper", me.messages(session)))) == ["1", "drafted"]
    assert fork(me, session, name="whole", at=None).json()["message_count"] == 3


def test_a_new_conversation_has_its_main_branch() -> None:
    me, session = caller("reader"), stored()
    (main,) = me.get(f"{me.session(session)}branches/").json()["results"]
    assert (main["name"], main["current"], main["message_count"]) == ("main", True, 0)


@pytest.mark.parametrize("name", ["draft", "main"])
def test_a_taken_name_is_a_conflict(name: str) -> None:
    me, session = session_with_branch()
    answer = fork(me, session, name=name)
    assert (answer.status_code, answer.json()["code"]) == (409, "branch_exists")
    assert Session.objects.count() == 2


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "name"),
        ({"name": None}, 422, "name"),
        ({"name": ""}, 422, "name"),
        ({"name": 1}, 422, "name"),
        ({"name": "x" * 101}, 422, "name"),
        ({"name": "a\x00"}, 422, "name"),
        ({"name": "a\nb"}, 422, "name"),
        ({"name": "n", "at": "1"}, 422, "at"),
        ({"name": "n", "at": 1.0}, 422, "at"),
        ({"name": "n", "at": True}, 422, "at"),
        ({"name": "n", "at": -1}, 422, "at"),
        ({"name": "n", "switch": True}, 422, "switch"),
        ([], 422, None),
        ({"name": "n", "at": 4}, 404, None),
        ({"name": "n", "at": 10**40}, 404, None),
    ],
)
def test_an_unusable_fork_makes_nothing(body: Any, status: int, field: str | None) -> None:
    me, session = caller(), stored(messages=3)
    answer = me.post(f"{me.session(session)}fork/", body)
    assert (answer.status_code, answer.json().get("field")) == (status, field)
    assert Session.objects.count() == 1


def test_half_a_character_in_a_name_is_refused() -> None:
    me, session = caller(), stored(messages=1)
    answer = me.raw(f"{me.session(session)}fork/", '{"name": "\\ud800"}')
    assert (answer.status_code, answer.json()["field"]) == (422, "name")


def test_a_reader_reads_branches_and_forks_none() -> None:
    _admin, session = session_with_branch()
    me = caller("reader")
    assert fork(me, session, name="n").status_code == 403
    assert me.post(f"{me.messages(session)}?branch=draft", SAID).status_code == 403
    assert listed_contents(me.get(*on("draft", me.messages(session))))[-1] == "drafted"
    assert me.get(f"{me.session(session)}branches/").status_code == 200


def test_a_branch_is_read_and_appended_to_by_name() -> None:
    me, session = session_with_branch(at=2)
    address = me.messages(session)
    answer = me.post(f"{address}?branch=draft", SAID)
    assert (answer.status_code, answer.json()["seq"]) == (201, 4)
    assert answer["Location"] == f"http://testserver{address}4/?branch=draft"
    assert me.get(answer["Location"]).json() == answer.json()
    assert listed_contents(me.get(*on("draft", address))) == ["1", "2", "drafted", "said"]
    assert listed_contents(me.get(address)) == listed_contents(me.get(*on("main", address))) == ["1", "2", "3"]


def test_pages_of_a_branch_keep_to_it() -> None:
    me, session = caller(), stored(messages=7)
    chat().fork("draft", 5)
    chat(branch="draft").append(*(Message.user(f"d{number}") for number in (6, 7, 8)))
    found: list[Any] = []
    link, query = me.messages(session), {"branch": "draft", "page_size": "3"}
    while link:
        page = me.get(link, query)
        found, link, query = listed_contents(page) + found, page.json()["previous"], {}
    assert found == ["1", "2", "3", "4", "5", "d6", "d7", "d8"]


@pytest.mark.parametrize("message_id", ["d", "shared"])
def test_one_message_of_a_branch_by_position_and_by_id(message_id: str) -> None:
    me, session = caller(), stored()
    chat().append(Message.user("s", id="shared"))
    chat().fork("draft")
    chat(branch="draft").append(Message.user("drafted", id="d"))
    chat().append(Message.user("mine", id="m"))
    (found,) = me.get(me.messages(session), {"branch": "draft", "id": message_id}).json()["results"]
    assert found["id"] == message_id
    assert me.get(*on("draft", f"{me.messages(session)}{found['seq']}/")).json() == found
    assert me.get(me.messages(session), {"branch": "draft", "id": "m"}).json()["results"] == []
    assert bool(me.get(me.messages(session), {"id": message_id}).json()["results"]) is (message_id == "shared")


@pytest.mark.parametrize("cache", ["off", "strict", "bounded"])
@pytest.mark.django_db(transaction=True)
def test_a_session_is_its_current_branch(cache: str) -> None:
    """Messages, counters, lists and appends follow the head; a named main stays what it was."""
    me, session = session_with_branch(at=2)
    with override_settings(CHAT_MEMORY={"CACHE": cache, "CACHE_MAX_AGE": 60}):
        for _ in range(2):
            assert listed_contents(me.get(me.messages(session))) == ["1", "2", "3"]
        chat().switch("draft")
        assert me.post(me.messages(session), SAID).json()["seq"] == 4
        for _ in range(2):
            assert listed_contents(me.get(me.messages(session))) == ["1", "2", "drafted", "said"]
            assert listed_contents(me.get(*on("main", me.messages(session)))) == ["1", "2", "3"]
    shown = me.get(me.session(session)).json()
    assert (shown["id"], shown["message_count"], shown["last_seq"]) == (str(session.id), 4, 4)
    assert me.get(me.sessions).json()["results"] == [shown]
    current = [each["name"] for each in me.get(f"{me.session(session)}branches/").json()["results"] if each["current"]]
    assert current == ["draft"]
    assert me.post(me.sessions, {"key": "k"}).json() == shown


@pytest.mark.parametrize("head", ["main", "draft", "deeper"])
def test_the_tag_moves_with_every_change_of_what_is_shown(head: str) -> None:
    """Also with a change that only the root sees, made through a branch that is not the current one."""
    me, session = session_with_branch(at=2)
    chat(branch="draft").fork("deeper")
    chat().switch(head)
    seen = [me.get(me.session(session))["ETag"]]
    for change in (
        lambda: chat().append(Message.user("more")),
        lambda: me.post(me.messages(session), SAID),
        lambda: me.patch(me.session(session), {"title": "by the API"}),
        lambda: chat(branch="main").update(title="through main"),
        lambda: chat(branch="draft").update(title="through draft"),
        lambda: chat(branch="deeper").update(title="through deeper"),
        lambda: chat().edit(1, "edited"),
        lambda: chat(branch="main").edit(2, "edited where it is shared"),
        lambda: chat().switch("main" if head == "draft" else "draft"),
        lambda: chat().switch(head),
        lambda: chat().regenerate(2).append(Message.assistant("another answer")),
        lambda: chat().clear(),
    ):
        change()
        seen.append(me.get(me.session(session))["ETag"])
        assert me.get(me.messages(session))["ETag"] == seen[-1]
        for address in (me.session(session), me.messages(session)):
            assert me.get(address, **{"If-None-Match": seen[-1]}).status_code == 304
            assert me.get(address, **{"If-None-Match": seen[-2]}).status_code == 200
    assert len(set(seen)) == len(seen)


def test_what_is_not_shown_leaves_the_tag() -> None:
    me, session = session_with_branch(at=2)
    before = me.get(me.session(session))["ETag"]
    chat(branch="draft").append(Message.user("elsewhere"))
    assert me.get(me.session(session))["ETag"] == before


def test_writes_are_guarded_on_the_current_branch() -> None:
    me, session = session_with_branch(at=2)
    old = {"If-Match": me.get(me.session(session))["ETag"]}
    chat().switch("draft")
    for answer in (
        me.post(me.messages(session), SAID, **old),
        me.patch(me.session(session), {"title": "t"}, **old),
        me.delete(me.session(session), **old),
    ):
        assert answer.status_code == 412
    changed = me.patch(me.session(session), {"title": "t"}, **{"If-Match": me.get(me.session(session))["ETag"]})
    assert changed.status_code == 200
    assert changed.json() == me.get(me.session(session)).json()
    assert changed["ETag"] == me.get(me.session(session))["ETag"]
    new = {"If-Match": changed["ETag"]}
    assert me.post(f"{me.messages(session)}?branch=main", SAID, **new).status_code == 412
    assert me.post(me.messages(session), SAID, **new).status_code == 201
    on_main = {"If-Match": me.get(*on("main", me.messages(session)))["ETag"]}
    assert me.post(f"{me.messages(session)}?branch=main", SAID, **on_main).status_code == 201
    assert me.delete(me.session(session), **{"If-Match": me.get(me.session(session))["ETag"]}).status_code == 204
    assert not Session.objects.exists()


def test_a_retry_on_a_branch_is_a_replay() -> None:
    me, session = session_with_branch(at=2)
    address, key = f"{me.messages(session)}?branch=draft", {"Idempotency-Key": "k"}
    assert [me.post(address, SAID, **key).status_code for _ in range(2)] == [201, 200]
    chat().switch("draft")
    assert me.post(me.messages(session), SAID, **key).status_code == 200


@pytest.mark.parametrize("method", ["messages", "message", "post", "fork", "context"])
@pytest.mark.parametrize("name", ["nobody's", "theirs", "other", HOSTILE, "DRAFT"])
def test_an_unknown_branch_is_not_found(method: str, name: str) -> None:
    """Among them one of another tenant's conversation of the same key, and one of another conversation here."""
    me, session = session_with_branch()
    theirs, other = conversation("k", "globex"), conversation("other", "acme")
    for foreign, branch in ((theirs, "theirs"), (other, "other")):
        foreign.append(Message.user("secret"))
        foreign.fork(branch)
    unknown = me.get(me.session(uuid4()))
    answer = called(me, session, method, {"branch": name})
    assert (answer.status_code, answer.content) == (404, unknown.content)
    assert [theirs.count(), other.count(), chat().count()] == [1, 1, 3]


@pytest.mark.parametrize("method", ["messages", "message", "post", "fork", "context"])
@pytest.mark.parametrize("name", ["", "a\x00", "x" * 101, "a\nb"])
def test_what_can_be_no_branch_is_refused(method: str, name: str) -> None:
    me, session = session_with_branch()
    answer = called(me, session, method, {"branch": name})
    assert (answer.status_code, answer.json()["field"]) == (400, "branch")


def called(me: Caller, session: Any, method: str, query: dict[str, str]) -> Any:
    """What a request on a branch answers; each would be good on one that is there."""
    of = me.session(session)
    if method in {"post", "fork"}:
        address, body = (f"{of}messages/", SAID) if method == "post" else (f"{of}fork/", {"name": "new"})
        return me.client.post(address, body, format="json", query_params=query)
    names = {"messages": "messages/", "message": "messages/1/", "context": "context/"}
    return me.get(f"{of}{names[method]}", query | ({"turns": "1"} if method == "context" else {}))


@pytest.mark.parametrize("role", ["member", None])
def test_the_branches_of_others_are_not_there(role: str | None) -> None:
    _admin, session = session_with_branch()
    me, unknown = caller(role), uuid4()
    branch = Session.objects.get(branch="draft")
    for row in (session, branch):
        for name in ("context/?turns=1", "branches/", "messages/?branch=draft", ""):
            hidden, nothing = (me.get(f"{me.session(each)}{name}") for each in (row, unknown))
            assert (hidden.status_code, hidden.content) == (404, nothing.content)
        assert fork(me, row, name="n").status_code == 404


def test_a_branch_has_no_address_of_a_session() -> None:
    """Else it could be deleted, or given a title, past its conversation."""
    me, _session = session_with_branch()
    branch = Session.objects.get(branch="draft")
    assert me.get(me.session(branch)).status_code == 404
    assert me.delete(me.session(branch)).status_code == 404


def test_the_branches_of_an_own_session_are_a_members() -> None:
    me = caller("member")
    session = stored(user=me.user, messages=2)
    assert fork(me, session, name="mine", at=1).status_code == 201
    assert me.post(f"{me.messages(session)}?branch=mine", SAID).status_code == 201
    assert listed_contents(me.get(*on("mine", me.messages(session)))) == ["1", "said"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"turns": 2}, ["rules", "b", "B", "c"]),
        ({"messages": 3}, ["rules", "b", "B", "c"]),
        ({"messages": 2}, ["rules", "c"]),
        ({"tokens": 10**17}, ["rules", "a", "A", "b", "B", "c"]),
        ({"tokens": 0}, []),
        ({"turns": 0}, []),
        ({"turns": 1, "branch": "draft"}, ["rules", "b", "B"]),
    ],
)
def test_context_is_what_a_model_is_shown(query: dict[str, Any], expected: list[str]) -> None:
    me, session = caller("reader"), stored()
    said = [Message.user("a"), Message.assistant("A"), Message.user("b"), Message.assistant("B"), Message.user("c")]
    chat().append(Message.system("rules"), *said)
    chat().fork("draft", 5)
    answer = me.get(f"{me.session(session)}context/", query)
    assert (answer.status_code, listed_contents(answer)) == (200, expected)
    assert (answer.json()["next"], answer.json()["previous"]) == (None, None)


def test_context_shows_a_summary_as_soon_as_it_is_there() -> None:
    """A summary does not move the session's tag, so a context has none."""
    me, session = caller("reader"), stored(messages=6)
    tag, address = me.get(me.session(session))["ETag"], f"{me.session(session)}context/"
    before = me.get(address, {"turns": 2}, **{"If-None-Match": tag})
    assert (before.status_code, "ETag" in before, listed_contents(before)) == (200, False, ["5", "6"])


@pytest.mark.django_db(transaction=True)
def test_context_replaces_what_a_summary_covers() -> None:
    me, session = caller("reader"), stored(messages=6)
    chat().summarize(lambda messages: f"{len(messages)} <b>said</b>", keep=2)
    found = me.get(f"{me.session(session)}context/", {"turns": 4}).json()["results"]
    assert [message["content"] for message in found] == [
        "Previous conversation summary: 4 <b>said</b>",
        "5",
        "6",
    ]
    assert (found[0]["role"], found[0]["seq"], found[1]["seq"]) == ("system", None, 5)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"turns": 1, "tokens": 1},
        {"turns": "x"},
        {"tokens": -1},
        {"messages": "1.5"},
        {"messages": ""},
        {"tokens": "\u0663"},
        {"turns": "9" * 5000},
        {"turns": "\x00"},
    ],
)
def test_a_context_takes_one_readable_budget(query: dict[str, Any]) -> None:
    me, session = caller(), stored(messages=1)
    answer = me.get(f"{me.session(session)}context/", query)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.json()["field"] in {"turns", *query}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("depth", [1, 4])
def test_c8_reads_along_a_lineage_cost_the_same_at_any_depth(depth: int, django_assert_num_queries) -> None:
    """What a lineage of 900 takes, ``test_costs`` measures."""
    me, session = caller("admin"), stored(messages=2)
    names = [f"b{number}" for number in range(depth)]
    for parent, name in zip([None, *names], names, strict=False):
        chat(branch=parent).fork(name)
        chat(branch=name).append(Message.user(name))
    chat().switch(names[-1])
    with override_settings(CHAT_MEMORY={"CACHE": "off"}):
        with django_assert_num_queries(2):
            answer = me.get(me.messages(session))
        with django_assert_num_queries(2):
            assert me.get(*on(names[-1], me.messages(session))).json() == answer.json()
        with django_assert_num_queries(1):
            assert me.get(me.messages(session), **{"If-None-Match": answer["ETag"]}).status_code == 304
        with django_assert_num_queries(2):
            assert me.get(me.sessions).status_code == 200
