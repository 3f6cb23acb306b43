"""The API's search: who finds what, what is refused, pages, and what the worst texts cost."""

from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from chat_memory import Message, conversation
from chat_memory.api import lookup
from chat_memory.exceptions import SearchTooLong
from chat_memory.models import Workspace
from chat_memory.rules.searching import LONGEST_SEARCH, MAX_TERMS
from chat_memory.sessions import search
from tests.acceptance.api_support import Caller, caller

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.acceptance.api_urls")]


def ask(member: Caller, **query: object) -> object:
    answer = member.get(f"/api/workspaces/{member.workspace}/search/", query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def keys_answered(member: Caller, q: str, **query: object) -> list[str]:
    page: dict[str, list[dict[str, str]]] = ask(member, q=q, **query)  # type: ignore[assignment]
    return [found["key"] for found in page["results"]]


def test_members_find_in_what_their_role_reads() -> None:
    reader, member, stranger = caller("reader"), caller("member"), caller("reader", "rival")
    conversation("mine", "acme", user=member.user).append(Message.user("bread"))
    conversation("nobodys", "acme").append(Message.user("bread"))
    conversation("same-key", "acme", user=str(member.user.pk)).append(Message.user("bread"))
    assert set(keys_answered(reader, "bread")) == {"mine", "nobodys", "same-key"}
    assert keys_answered(member, "bread") == ["mine"]
    assert keys_answered(stranger, "bread") == []
    assert stranger.get("/api/workspaces/acme/search/", {"q": "bread"}).status_code == 404
    assert caller(None).get("/api/workspaces/acme/search/", {"q": "bread"}).status_code == 404


def test_a_result_has_the_session_and_its_best_hit() -> None:
    me = caller("writer")
    chat = conversation("k", "acme", user=me.user)
    chat.append(Message.user("Hi"), Message.assistant("<b>Bread</b> & butter"))
    (found,) = ask(me, q="bread")["results"]  # type: ignore[index]
    message, session = chat.get(2), chat.session()
    assert message is not None
    assert message.created_at is not None
    assert session is not None
    moment = message.created_at.isoformat().replace("+00:00", "Z")
    assert found == {
        "id": str(session.id),
        "key": "k",
        "user_key": str(me.user.pk),
        "title": "Hi",
        "pinned": False,
        "archived_at": None,
        "active_at": moment,
        "hits": 1,
        "hit": {
            "seq": 2,
            "id": message.id,
            "role": "assistant",
            "created_at": moment,
            "excerpt": [
                {"text": "<b>", "marked": False},
                {"text": "Bread", "marked": True},
                {"text": "</b> & butter", "marked": False},
            ],
        },
    }
    assert me.get(f"{me.messages(session)}{found['hit']['seq']}/").json()["id"] == message.id


def test_conditions_leave_out_what_does_not_meet_them() -> None:
    me = caller("reader")
    conversation("old", "acme", user="ann").append(Message.user("bread"))
    conversation("new", "acme").append(Message.user("bread"))
    conversation("old", "acme").update(pinned=True, archived_at=None)
    newest = conversation("new", "acme").session()
    assert newest is not None
    moment = newest.active_at.isoformat().replace("+00:00", "Z")
    assert (keys_answered(me, "bread", since=moment), keys_answered(me, "bread", until=moment)) == (["new"], ["old"])
    assert (keys_answered(me, "bread", user_key="ann"), keys_answered(me, "bread", pinned="true")) == (["old"], ["old"])
    assert (keys_answered(me, "bread", archived="true"), set(keys_answered(me, "bread", archived="false"))) == (
        [],
        {"old", "new"},
    )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "q"),
        ({"q": ""}, "q"),
        ({"q": "-a"}, "q"),
        ({"q": "a\x00"}, "q"),
        ({"q": "x" * (LONGEST_SEARCH + 1)}, "q"),
        ({"q": "w " * (MAX_TERMS + 1)}, "q"),
        ({"q": ["a", "b"]}, "q"),
        ({"q": "a", "since": "yesterday"}, "since"),
        ({"q": "a", "user_key": ""}, "user_key"),
        ({"q": "a", "page_size": "0"}, "page_size"),
        ({"q": "a", "cursor": "x"}, "cursor"),
        ({"q": "a", "cursor": "next.x"}, "cursor"),
        ({"q": "a", "cursor": "next.9999999999"}, "cursor"),
        ({"q": "a", "colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_name(query: dict[str, object], field: str) -> None:
    answer = caller("reader").get("/api/workspaces/acme/search/", query)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (400, "bad_request", field)


def test_pages_lead_to_each_other_both_ways() -> None:
    me = caller("reader")
    for number in range(5):
        conversation(f"k{number}", "acme").append(Message.user("bread " * (number + 1)))
    whole = keys_answered(me, "bread")
    assert sorted(whole) == [f"k{number}" for number in range(5)]
    first = ask(me, q="bread", page_size=2)
    second = me.get(first["next"]).json()  # type: ignore[index]
    third = me.get(second["next"]).json()
    pages = [[found["key"] for found in page["results"]] for page in (first, second, third)]  # type: ignore[index]
    assert pages == [whole[:2], whole[2:4], whole[4:]]
    assert (first["previous"], third["next"]) == (None, None)  # type: ignore[index]
    assert [found["key"] for found in me.get(third["previous"]).json()["results"]] == whole[2:4]
    back = me.get(second["previous"]).json()
    assert [found["key"] for found in back["results"]] == whole[:2]
    assert back["previous"] is None


def test_a_page_asks_as_few_statements_as_an_empty_one() -> None:
    me = caller("reader")

    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            ask(me, q="bread", page_size=100)
        return len(queries)

    conversation("k", "acme").append(Message.user("bread"))
    few = statements()
    for number in range(20):
        conversation(f"k{number}", "acme").append(Message.user("bread"))
    bound = 3 if connection.vendor == "postgresql" else 0  # a transaction of its own bounds the time
    assert statements() == few <= 5 + bound


def test_a_search_that_takes_too_long_is_ended_on_every_door() -> None:
    """And the next one is not."""
    me = caller("admin")
    chat = conversation("k", "acme")
    chat.append(*(Message.user(f"bread {number} " * 20) for number in range(2_000)))
    with override_settings(CHAT_MEMORY={"SEARCH_SECONDS": 0.000_001}):
        answer = me.get("/api/workspaces/acme/search/", {"q": "bread or 1*"})
        assert (answer.status_code, answer.json()["code"]) == (503, "search_too_long")
        assert answer["Retry-After"] == "5"
        with pytest.raises(SearchTooLong):
            chat.search("bread or 1*")
        with pytest.raises(SearchTooLong):
            search("bread or 1*", "acme")
    assert keys_answered(me, "bread or 1*") == ["k"]


def test_a_search_finds_nothing_of_the_tenant_that_has_taken_the_slug(monkeypatch) -> None:
    """The membership that was looked up is of the workspace that had the slug until then."""
    me = caller("admin")
    conversation("k", "acme").append(Message.user("our bread"))
    find = lookup.find_workspace

    def find_and_rename(*names: Any) -> Any:
        found = find(*names)
        Workspace.objects.filter(slug="acme").update(slug="former")
        conversation("theirs", "acme").append(Message.user("their bread"))
        return found

    assert len(me.get("/api/workspaces/acme/search/", {"q": "bread"}).json()["results"]) == 1
    monkeypatch.setattr(lookup, "find_workspace", find_and_rename)
    answer = me.get("/api/workspaces/acme/search/", {"q": "bread"})
    assert (answer.status_code, answer.json()["results"]) == (200, [])
