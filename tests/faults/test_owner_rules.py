"""What the cache shows a handle with a user, where the entry is another's, was nobody's, or was left behind."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test.utils import CaptureQueriesContext
from redis import Redis

from chat_memory import Message, NotOwner, conversation
from chat_memory.models import Session

pytestmark = pytest.mark.django_db(transaction=True)

CACHED = pytest.mark.parametrize("mode", ["strict", "bounded"], indirect=True)
BOUNDED = pytest.mark.parametrize("mode", ["bounded"], indirect=True)
STATEMENTS = {"strict": 1, "bounded": 0}


def letters(**names: Any) -> str:
    """What a new handle reads of the conversation."""
    return "".join(str(message.content) for message in conversation("k", **names).tail(20))


def put(letter: str, **names: Any) -> None:
    conversation("k", **names).append(Message.user(letter))


def take_in_advance(user: str) -> None:
    """Make the session as the API does where a member chooses its key."""
    place = conversation("k", user=user).place
    place.adapter.sessions.open(place.address, {"key_from_client": True})


@CACHED
def test_a3_an_entry_of_somebody_else_is_not_shown(mode: str, counted: list[str]) -> None:
    """A3: however warm it is, for whichever handle; the owner and who gives no user are served by it."""
    put("a", user="ann")
    for _twice in range(2):
        assert (letters(user="ann"), letters()) == ("a", "a")
        for user in ("bob", AnonymousUser()):
            for read in (letters, lambda **names: conversation("k", **names).tail_json(20)):
                with pytest.raises(NotOwner):
                    read(user=user)
            with pytest.raises(NotOwner):
                conversation("k", user=user).window(turns=1)
    assert "hits" in counted
    assert mode


@CACHED
def test_the_owners_warm_reads_ask_the_owner_once(mode: str) -> None:
    """In mode bounded the database is asked once within CACHE_MAX_AGE, in strict the row as for every reader."""
    put("a", user="ann")
    for _twice in range(2):
        assert letters(user="ann") == "a"
    with CaptureQueriesContext(connection) as queries:
        assert letters(user="ann") == "a"
    assert len(queries) == STATEMENTS[mode]


@CACHED
@pytest.mark.parametrize("user", ["bob", AnonymousUser()], ids=["bob", "visitor"])
def test_a3_what_was_nobodys_is_not_shown_once_it_is_somebodys(mode: str, user: Any) -> None:
    """A3: that it was nobody's at the last read says nothing about the next one."""
    put("a")
    for _twice in range(3):
        assert letters(user=user) == "a"
    put("b", user="ann")
    for _twice in range(2):
        with pytest.raises(NotOwner):
            letters(user=user)
    assert (letters(user="ann"), letters()) == ("ab", "ab")
    assert mode


@CACHED
def test_a3_an_entry_that_was_left_is_not_shown_to_who_got_the_key(mode: str, redis_client: Redis) -> None:
    """A3: the announcement that the key is another's was lost, and Redis has the client's entry under it."""
    take_in_advance("ann")
    put("a", user="ann")
    assert (letters(), letters(user="ann")) == ("a", "a")
    left = {key: redis_client.dump(key) for key in redis_client.keys("cm:*")}
    assert left
    put("b", user="bob")
    for key, entry in left.items():
        redis_client.restore(key, 60_000, entry, replace=True)  # type: ignore[arg-type]
    for _twice in range(2):
        assert letters(user="bob") == "b"
    assert mode


@CACHED
def test_a3_a_handle_from_before_fills_nothing_for_who_got_the_key(mode: str) -> None:
    """A3: one without a user remembers the client's session, and reads it by its id."""
    take_in_advance("ann")
    put("a", user="ann")
    held = conversation("k")
    assert len(held.tail(20)) == 1
    put("b", user="bob")
    for _twice in range(2):
        held.tail(20)
        assert letters(user="bob") == "b"
    assert mode


@CACHED
def test_a_read_that_sees_nothing_hides_nothing_from_others(mode: str) -> None:
    """To bob the key is unknown; what others read there stays what is there."""
    take_in_advance("ann")
    put("a", user="ann")
    assert letters(user="bob") == ""
    assert (letters(), letters(user="ann")) == ("a", "a")
    assert mode


@BOUNDED
def test_a_session_that_takes_the_name_of_another_is_seen_as_it_is(mode: str) -> None:
    """What this process knows of an owner is about one session, not about a key."""
    put("a", user="ann")
    for _twice in range(2):
        assert letters(user="ann") == "a"
    Session.objects.filter(key="k", workspace__slug="default").update(key="elsewhere")  # past the event
    put("b", user="bob")
    assert letters() == "b"
    with pytest.raises(NotOwner):
        letters(user="ann")
    assert letters(user="bob") == "b"
    assert mode
