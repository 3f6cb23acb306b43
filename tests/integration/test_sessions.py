"""Conversations as people use them: named by what was asked first, found again, counted and summed up."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.test import override_settings
from pytest_django import DjangoAssertNumQueries

from chat_memory import Message, ValidationError, conversation
from chat_memory.models import Session
from chat_memory.sessions import Page, acount_sessions, afind_sessions, ausage, count_sessions, find_sessions, usage
from chat_memory.storage.contract import Adapter
from chat_memory.storage.listing import Cursor, Usage
from chat_memory.storage.memory import MemoryAdapter
from tests.conversations import chat

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def session_keys(page: Page) -> list[str]:
    return [session.key for session in page.sessions]


def found_keys(**wanted: Any) -> list[str]:
    return session_keys(find_sessions("acme", **wanted))


@pytest.fixture(params=["database", "memory"])
def adapter(request: pytest.FixtureRequest) -> Adapter | None:
    return MemoryAdapter() if request.param == "memory" else None


def test_conversations_are_found_by_what_people_know_of_them(adapter: Adapter | None) -> None:
    """FEATURES S1.14, J01, J02, J03, J37: every condition applies, on every back end."""
    user = get_user_model().objects.create(username="alice")
    chat("trip", user=user, adapter=adapter).append(Message.user("Where to go in May?"))
    chat("trip", user=user, adapter=adapter).update(tags=["travel", "2026"], pinned=True)
    chat("bread", user="bob", adapter=adapter).append(Message.user("How do I bake rye bread?"))
    chat("old", user="bob", adapter=adapter).open(title="Rye", archived_at=LONG_AGO)
    by: dict[str, dict[str, Any]] = {
        "trip": {"user": user},
        "old bread": {"user": "bob"},
        "bread": {"key": "bread"},
        "trip ": {"tags": ["travel"]},
        "old bread ": {"title": "rye"},
        "old": {"archived": True},
        " bread": {"user": "bob", "archived": False, "title": "BAKE"},
        "trip  ": {"pinned": True},
        "": {"user": user, "pinned": False},
        "old bread trip": {"since": LONG_AGO, "until": datetime.now(UTC) + timedelta(days=1)},
    }
    for expected, wanted in by.items():
        assert session_keys(find_sessions("acme", adapter=adapter, **wanted)) == expected.split(), wanted
        assert count_sessions("acme", adapter=adapter, **wanted) == len(expected.split())
    assert session_keys(find_sessions("other", adapter=adapter)) == []


def active(key: str, moment: datetime) -> None:
    """Have the newest message of a conversation be of that moment."""
    Session.objects.filter(key=key).update(active_at=moment, listed_at=moment)


def test_since_and_until_are_of_the_newest_message() -> None:
    """FEATURES J02: what was said seconds ago is not idle, whenever it began."""
    chat("young").append(Message.user("Hi"))
    chat("idle").append(Message.user("Hi"))
    active("idle", LONG_AGO)
    Session.objects.filter(key="young").update(created_at=LONG_AGO)
    chat("idle").update(title="It has been read again")
    assert found_keys(until=datetime.now(UTC) - timedelta(days=90)) == ["idle"]
    assert found_keys(since=datetime.now(UTC) - timedelta(days=90)) == ["young"]
    assert found_keys(since=LONG_AGO) == ["young", "idle"]
    assert found_keys(until=LONG_AGO) == []
    elsewhere = LONG_AGO.astimezone(tz=None) + timedelta(microseconds=1)
    assert found_keys(until=elsewhere) == ["idle"]


def test_lists_are_last_active_first(adapter: Adapter | None) -> None:
    """By the time of the newest message on any branch; a change that brings none moves nothing."""
    for key in "abcd":
        chat(key, adapter=adapter).append(Message.user("Hi"))
    chat("a", adapter=adapter).update(pinned=True, title="A")
    chat("b", adapter=adapter).clear()
    chat("c", adapter=adapter).fork("draft").append(Message.user("More"))
    chat("empty", adapter=adapter).open()
    chat("old", adapter=adapter).append(Message.user("Hi", created_at=LONG_AGO))
    assert session_keys(find_sessions("acme", adapter=adapter)) == ["empty", "c", "d", "b", "a", "old"]
    record = chat("old", adapter=adapter).session()
    assert record is not None
    assert (record.active_at, record.updated_at > LONG_AGO) == (LONG_AGO, True)


def test_conversations_of_a_user_are_those_the_user_owns(adapter: Adapter | None) -> None:
    """Who may write a session may give it any user key: an equal one makes nobody its owner."""
    ada = get_user_model().objects.create(username="ada")
    chat("hers", user=ada, adapter=adapter).open()
    chat("planted", user=str(ada.pk), adapter=adapter).open(title="Your bank details are needed")
    assert session_keys(find_sessions("acme", user=ada, adapter=adapter)) == ["hers"]
    assert count_sessions("acme", user=ada, adapter=adapter) == 1
    assert usage("acme", user=ada, adapter=adapter).sessions == 1
    assert session_keys(find_sessions("acme", user=str(ada.pk), adapter=adapter)) == ["planted"]


def test_pages_show_every_conversation_once(adapter: Adapter | None) -> None:
    for number in range(7):
        chat(f"{number}", adapter=adapter).append(Message.user("Hi"))
    seen: list[str] = []
    before: str | None = None
    while True:
        page = find_sessions("acme", before=before, size=3, adapter=adapter)
        seen += session_keys(page)
        if page.next is None:
            break
        before = page.next
        chat("6", adapter=adapter).append(Message.user("It is read already"))
    assert seen == [f"{number}" for number in reversed(range(7))]
    assert find_sessions("acme", size=7, adapter=adapter).next is None
    assert find_sessions("acme", user="nobody", adapter=adapter) == Page([], None)


def test_conversations_of_one_moment_are_all_shown() -> None:
    """By id where the time of the newest message is the same."""
    for number in range(5):
        chat(f"{number}").append(Message.user("Hi"))
        active(f"{number}", LONG_AGO)
    first = find_sessions("acme", size=2)
    second = find_sessions("acme", size=2, before=first.next)
    third = find_sessions("acme", size=2, before=second.next)
    shown = [*first.sessions, *second.sessions, *third.sessions]
    assert third.next is None
    assert [session.id for session in shown] == sorted((session.id for session in shown), reverse=True)
    assert len(shown) == 5


@override_settings(CHAT_MEMORY={"CACHE": "off"})
@pytest.mark.parametrize("look", [find_sessions, count_sessions, usage])
def test_one_query_whatever_there_is(
    look: Callable[..., object], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(3):
        chat(f"{number}", user="bob").append(Message.user("Hi"), Message.assistant("Hello"))
        chat(f"{number}").fork("draft")
        chat(f"{number}").switch("draft")
    everything: dict[str, Any] = {"user": "bob", "tags": [], "title": "h", "archived": False, "since": LONG_AGO}
    for wanted in ({}, everything):
        with django_assert_num_queries(1):
            look("acme", **wanted)


def test_a_listed_conversation_is_the_one_that_is_read() -> None:
    """FEATURES S0.22: messages per session, of the current branch."""
    chat().append(Message.user("1"), Message.assistant("2"), Message.user("3"))
    chat().fork("short", at=1)
    chat().switch("short")
    (listed,) = find_sessions("acme").sessions
    assert listed == chat().session()
    assert (listed.branch, listed.message_count, listed.title) == ("short", 1, "1")
    assert count_sessions("acme") == 1


def test_what_is_above_a_threshold_is_put_aside() -> None:
    """FEATURES S0.22: how many are active, and acting on the long ones."""
    for key, size in {"long": 5, "short": 2}.items():
        chat(key).append(*[Message.user("Hi")] * size)
    assert count_sessions("acme", archived=False) == 2
    for session in find_sessions("acme", archived=False).sessions:
        if session.message_count > 3:
            conversation(session.key, session.workspace).update(archived_at=datetime.now(UTC))
    assert found_keys(archived=False) == ["short"]


def test_an_owner_that_is_a_user_of_another_type_of_key_is_kept() -> None:
    user = get_user_model().objects.create(username="alice")
    chat(user=user).append(Message.user("Hi"))
    (listed,) = find_sessions("acme", user=user).sessions
    assert (listed.user_id, listed.user_key) == (user.pk, str(user.pk))
    assert listed == chat().session()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "workspace": ({"workspace": "no slug"}, "workspace"),
    "key of nothing": ({"key": ""}, "key"),
    "key with NUL": ({"key": "\x00"}, "key"),
    "user of a number": ({"user": 7}, "user"),
    "user of nothing": ({"user": ""}, "user"),
    "nobody": ({"user": AnonymousUser()}, "user"),
    "tags as text": ({"tags": "travel"}, "tags"),
    "a tag of nothing": ({"tags": ["a", ""]}, "tags[1]"),
    "title of a number": ({"title": 7}, "title"),
    "title with NUL": ({"title": "\x00"}, "title"),
    "title of a surrogate": ({"title": "\ud800"}, "title"),
    "since of text": ({"since": "2026-01-01"}, "since"),
    "since without a zone": ({"since": datetime(2026, 1, 1)}, "since"),  # noqa: DTZ001  # that is the point
    "until out of range": ({"until": datetime.max.replace(tzinfo=UTC)}, "until"),
    "archived as text": ({"archived": "yes"}, "archived"),
    "archived as a number": ({"archived": 1}, "archived"),
    "pinned as a number": ({"pinned": 1}, "pinned"),
}
BAD_PAGES: dict[str, tuple[dict[str, Any], str]] = {
    "size of nothing": ({"size": 0}, "size"),
    "negative size": ({"size": -1}, "size"),
    "size too large": ({"size": 1001}, "size"),
    "size of truth": ({"size": True}, "size"),
    "before of a number": ({"before": 7}, "before"),
    "before of words": ({"before": "yesterday"}, "before"),
    "before out of range": ({"before": f"{'9' * 18}.{'0' * 32}"}, "before"),
    "before of too much": ({"before": f"1.{'0' * 33}"}, "before"),
}


@pytest.mark.parametrize(("given", "field"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("look", [find_sessions, count_sessions, usage])
def test_a_bad_condition_is_named(look: Callable[..., object], given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        look(**{"workspace": "acme"} | given)
    assert caught.value.field == field


@pytest.mark.parametrize(("given", "field"), BAD_PAGES.values(), ids=BAD_PAGES)
def test_a_bad_page_is_named(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        find_sessions("acme", **given)
    assert caught.value.field == field


def test_an_unknown_condition_is_refused() -> None:
    with pytest.raises(TypeError, match="'colour' is no condition; there are archived, key, pinned, since, tags"):
        find_sessions("acme", colour="red")  # type: ignore[call-arg]


@pytest.mark.parametrize("moment", [LONG_AGO, datetime(1960, 2, 3, 4, 5, 6, 7, tzinfo=UTC), datetime.now(UTC)])
def test_a_cursor_is_text_and_back(moment: datetime) -> None:
    chat().open()
    place = Cursor(moment, chat().open().id)
    assert Cursor.parse(str(place)) == place


def test_usage_of_a_conversation(adapter: Adapter | None) -> None:
    """What was paid: every message once, those of other branches too."""
    assert chat(adapter=adapter).usage() == Usage()
    answer = Message.assistant("Two", tokens=7, metadata={"cost": 0.125})
    chat(adapter=adapter).append(Message.system("Be brief", tokens=2), Message.user("One", tokens=3), answer)
    again = chat(adapter=adapter).regenerate(3)
    again.append(Message.assistant("Zwei", tokens=11, metadata={"cost": 0.25}))
    chat("other", adapter=adapter).append(Message.user("Not of this one"))
    expected = Usage(1, 4, 5, 18, Decimal("0.375"))
    assert chat(adapter=adapter).usage() == again.usage() == chat(adapter=adapter, branch="main").usage() == expected
    assert expected.tokens == 23
    assert usage("acme", adapter=adapter).messages == 5


def test_usage_of_a_user_is_the_sum_over_owned_conversations(adapter: Adapter | None) -> None:
    for key, owner in {"a": "bob", "b": "bob", "c": "eve"}.items():
        chat(key, user=owner, adapter=adapter).append(Message.user("Hi", tokens=10), Message.assistant("Ho", tokens=1))
    assert usage("acme", user="bob", adapter=adapter) == Usage(2, 4, 20, 2)
    assert usage("acme", adapter=adapter) == Usage(3, 6, 30, 3)
    assert usage("acme", user="nobody", adapter=adapter) == Usage()


def test_usage_keeps_what_a_clear_has_hidden() -> None:
    """It was paid for; cleanup takes it from here too."""
    chat().append(Message.user("One", tokens=3))
    chat().clear()
    chat().append(Message.user("Two", tokens=4))
    assert (chat().count(), chat().usage()) == (1, Usage(1, 2, 7, 0))


def test_usage_of_a_deleted_row_is_not_that_of_a_later_one() -> None:
    chat().append(Message.user("One", tokens=3))
    row = Session.objects.get()
    handle = row.history()
    assert handle.usage().messages == 1
    chat().delete()
    chat().append(Message.user("Another's", tokens=4))
    assert handle.usage() == Usage()


def test_costs_are_exact() -> None:
    """Prices are per million tokens."""
    held = Usage(1, 2, 1_000_000, 500_000)
    assert held.cost("0.15", 0.6) == Decimal("0.45")
    assert held.cost(3, Decimal(15)) == Decimal("10.5")
    assert Usage().cost(3, 15) == 0
    costs = [Message.assistant("a", metadata={"cost": cost}) for cost in (0.1, 0.2, 0.7, 1e-7)]
    chat().append(*costs)
    assert chat().usage().recorded_cost == Decimal("1.0000001")


@pytest.mark.parametrize("price", [-1, "cheap", float("nan"), float("inf"), None])
def test_a_bad_price_is_named(price: Any) -> None:
    for given, field in (((price, 1), "input_price"), ((1, price), "output_price")):
        with pytest.raises(ValidationError) as caught:
            Usage().cost(*given)
        assert caught.value.field == field


TITLES: dict[str, tuple[Any, str]] = {
    "as it is": ("Where to go in May?", "Where to go in May?"),
    "on one line": ("  a\n\n\tb\u00a0c\x1b[0m ", "a b c [0m"),
    "eighty characters": ("x" * 40 + " " + "y" * 39, "x" * 40 + " " + "y" * 39),
    "cut at a word": ("sentence " * 10, "sentence " * 7 + "sentence…"),
    "cut behind a word": ("word " * 20, "word " * 15 + "word…"),
    "cut between words": ("x" * 79 + " and more", "x" * 79 + "…"),
    "one long word": ("x" * 81, "x" * 79 + "…"),
    "first text of parts": ([{"type": "image_url"}, {"type": "text", "text": "Who?"}, {"text": "No"}], "Who?"),
    "no text": ([{"type": "image_url"}, {"text": 7}], ""),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("content", "title"), TITLES.values(), ids=TITLES)
def test_the_message_of_the_first_user_gives_the_title(content: Any, title: str) -> None:
    chat().append(Message.system("You are a travel agent"))
    assert chat().open().title == ""
    chat().append(Message.user(content), Message.assistant("Well"))
    assert chat().open().title == title
    assert len(title) <= 80
    chat().append(Message.user("Later"))
    assert chat().open().title == title


def test_twins() -> None:
    chat(user="bob").append(Message.user("Hi", tokens=3))
    assert async_to_sync(afind_sessions)("acme", user="bob") == find_sessions("acme", user="bob")
    assert async_to_sync(afind_sessions)("acme", user="bob", size=1, before=None).next is None
    assert async_to_sync(acount_sessions)("acme", user="bob") == 1
    assert async_to_sync(ausage)("acme", user="bob") == async_to_sync(chat().ausage)() == Usage(1, 1, 3, 0)
