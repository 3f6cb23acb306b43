"""Lists of the API: in pages both ways, narrowed by conditions; a parameter that a list does not have is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chat_memory import Message, conversation
from chat_memory.models import Session, WorkspaceMember
from tests.acceptance.api_support import caller, listed_keys, stored

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def active_at(key: str, moment: datetime) -> None:
    """A session with one message of that time."""
    conversation(key, "acme").append(Message.user("x", created_at=moment))


def test_sessions_come_last_active_first_in_pages() -> None:
    me = caller("reader")
    for number in range(7):
        stored(f"k{number}")
    conversation("k2", "acme").append(Message.user("moves it up"))
    expected = ["k2", "k6", "k5", "k4", "k3", "k1", "k0"]
    pages = [me.get(me.sessions, {"page_size": 3}).json()]
    while pages[-1]["next"]:
        pages.append(me.get(pages[-1]["next"]).json())
    assert [listed_keys(page) for page in pages] == [expected[:3], expected[3:6], expected[6:]]
    assert pages[0]["previous"] is None
    back = me.get(pages[2]["previous"]).json()
    assert back["results"] == pages[1]["results"]
    assert me.get(back["previous"]).json()["results"] == pages[0]["results"]
    assert me.get(me.get(back["previous"]).json()["next"]).json()["results"] == pages[1]["results"]


def test_a_changed_title_moves_nothing_up() -> None:
    me = caller("writer")
    first, _second = stored("first"), stored("second")
    changed = me.patch(me.session(first), {"title": "new", "pinned": True}).json()
    assert listed_keys(me.get(me.sessions).json()) == ["second", "first"]
    assert changed["active_at"] < changed["updated_at"]


@pytest.mark.parametrize("backwards", [False, True])
def test_sessions_of_one_moment_are_neither_skipped_nor_repeated(backwards: bool) -> None:
    me = caller("reader")
    for number in range(5):
        active_at(f"k{number}", NOON)
    found, link = [], me.sessions + "?page_size=2"
    if backwards:
        while (page := me.get(link).json())["next"]:
            link = page["next"]
    while link:
        page = me.get(link).json()
        found += listed_keys(page)
        link = page["previous" if backwards else "next"]
    assert sorted(found) == [f"k{number}" for number in range(5)]


def test_the_links_of_a_list_keep_its_conditions() -> None:
    me = caller("reader")
    for number in range(6):
        conversation(f"k{number}", "acme").open(pinned=number % 2 == 0)
    page = me.get(me.sessions, {"pinned": "true", "page_size": 2}).json()
    assert (listed_keys(page), listed_keys(me.get(page["next"]).json())) == (["k4", "k2"], ["k0"])
    assert listed_keys(me.get(me.get(page["next"]).json()["previous"]).json()) == ["k4", "k2"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"archived": "true"}, "a"),
        ({"archived": "false"}, "bcd"),
        ({"pinned": "true"}, "b"),
        ({"pinned": "false"}, "acd"),
        ({"title": "RÜBE"}, "c"),
        ({"title": "%"}, ""),
        ({"tag": "red"}, "cd"),
        ({"tag": ["red", "blue"]}, "d"),
        ({"tag": ["red", "blue"], "archived": "true"}, ""),
        ({"user_key": "bob"}, "b"),
        ({"key": "d"}, "d"),
        ({"since": "2030-01-01T13:00:00Z"}, "bcd"),
        ({"since": "2030-01-01T15:00:00+02:00"}, "bcd"),
        ({"until": "2030-01-01T13:00:00Z"}, "a"),
        ({"since": "2030-01-01T13:00:00Z", "until": "2030-01-01T15:00:00Z"}, "bc"),
    ],
)
def test_sessions_are_found_by_what_they_are(query: dict[str, Any], expected: str) -> None:
    me = caller("reader")
    settings: dict[str, dict[str, Any]] = {
        "a": {"archived_at": NOON},
        "b": {"pinned": True},
        "c": {"title": "Eine Rübe", "tags": ["red"]},
        "d": {"tags": ["blue", "red"]},
    }
    for hour, (key, fields) in enumerate(settings.items()):
        chat = conversation(key, "acme", user="bob" if key == "b" else None)
        chat.open(**{"title": key, **fields})
        chat.append(Message.user("x", created_at=NOON + timedelta(hours=hour)))
    assert sorted(listed_keys(me.get(me.sessions, query).json())) == list(expected)


def test_conditions_find_nothing_that_a_member_may_not_see() -> None:
    me, other = caller("member"), caller("member")
    stored("mine", user=me.user)
    stored("theirs", user=other.user)
    stored("alike", user=str(me.user.pk))  # an equal key alone does not make a session mine
    for query in ({}, {"archived": "false"}, {"user_key": str(me.user.pk)}, {"since": "2001-01-01T00:00:00Z"}):
        assert listed_keys(me.get(me.sessions, query).json()) == ["mine"]
    assert listed_keys(me.get(me.sessions, {"user_key": str(other.user.pk)}).json()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("key", "user_key") for value in ("", "\x00", "x" * 256)),
        *((name, value) for name in ("archived", "pinned") for value in ("", "yes", "2", "null", "\u0661")),
        *(("title", value) for value in ("\x00", "x" * 201)),
        *(("tag", value) for value in ("", "\x00", "x" * 101)),
        *(
            (name, value)
            for name in ("since", "until")
            for value in ("", "now", "2030-01-01", "2030-01-01T00:00:00", "0001-01-01T00:00:00Z", "null", "\x00")
        ),
        ("since", "9999-12-31T23:59:59-14:00"),
        *(("page_size", value) for value in ("", "0", "-1", "1.5", "x", "null", "\u0661", "9" * 5000, "1e400")),
    ],
)
def test_an_unusable_condition_is_refused_by_name(name: str, value: str) -> None:
    me = caller()
    answer = me.get(me.sessions, {name: value})
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (400, "bad_request", name)


@pytest.mark.parametrize("name", ["key", "archived", "since", "page_size", "cursor"])
def test_a_condition_given_twice_is_refused(name: str) -> None:
    me = caller()
    answer = me.get(me.sessions, {name: ["1", "1"]})
    assert (answer.status_code, answer.json()["field"]) == (400, name)


@pytest.mark.parametrize("name", ["nonsense", "tags", "Archived", "user_id", "branch", "limit", "offset"])
def test_an_unknown_condition_is_refused_by_name(name: str) -> None:
    me, session = caller(), stored(messages=1)
    for address in (
        me.sessions,
        "/api/workspaces/",
        me.messages(session),
        f"{me.session(session)}branches/",
        f"{me.session(session)}context/",
        me.session(session),
    ):
        if name == "branch" and address.endswith(("messages/", "context/")):
            continue
        answer = me.get(address, {name: "1"})
        assert (answer.status_code, answer.json()["field"]) == (400, name)
        assert "Not a parameter of this address" in answer.json()["detail"]


def test_a_write_with_an_unknown_parameter_changes_nothing() -> None:
    """A mistyped ``branch`` would store on another one."""
    me, session = caller("admin"), stored(messages=1)
    said = {"role": "user", "content": "x"}
    for answer in (
        me.post(f"{me.messages(session)}?brnach=draft", said),
        me.post(f"{me.session(session)}fork/?from=draft", {"name": "n"}),
        me.post(f"{me.sessions}?key=k", {}),
        me.patch(f"{me.session(session)}?branch=draft", {"title": "t"}),
        me.client.delete(f"{me.session(session)}?branch=draft"),
    ):
        assert answer.status_code == 400
    assert Session.objects.count() == 1
    assert conversation("k", "acme").count() == 1


def test_the_format_of_drf_is_left_to_drf() -> None:
    me = caller()
    assert me.get(me.sessions, {"format": "json"}).status_code == 200


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "!!",
        "é",
        "WzEsMl0",
        "bnVsbA",
        "A" * 5000,
        "next",
        "next.",
        "previous.",
        "next. ",
        "up.acme",
    ],
)
def test_foreign_cursor_is_refused(cursor: str) -> None:
    me = caller()
    for address in (me.sessions, "/api/workspaces/"):
        answer = me.get(address, {"cursor": cursor})
        assert (answer.status_code, answer.json()["field"]) == (400, "cursor")


def test_workspaces_are_paged_both_ways() -> None:
    me = caller("reader", "a")
    for slug in "bcde":
        WorkspaceMember.objects.create(workspace=stored("k", slug).workspace, user=me.user)
    pages = [me.get("/api/workspaces/", {"page_size": 2}).json()]
    while pages[-1]["next"]:
        pages.append(me.get(pages[-1]["next"]).json())
    assert [[each["slug"] for each in page["results"]] for page in pages] == [["a", "b"], ["c", "d"], ["e"]]
    back = me.get(pages[-1]["previous"]).json()
    assert back["results"] == pages[1]["results"]
    first = me.get(back["previous"]).json()
    assert (first["results"], first["previous"]) == (pages[0]["results"], None)
