"""Handles with a user: every call reaches what is the user's or nobody's, at no further statement."""

import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from redis import Redis

from chat_memory import Conversation, Message, NotOwner, ValidationError, aappend_many, append_many, conversation
from chat_memory.models import Workspace
from chat_memory.sessions import find_sessions
from chat_memory.storage.listing import Usage
from chat_memory.storage.redis import RedisAdapter
from tests.conversations import contents
from tests.integration.conftest import Chats

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def zoe() -> User:
    return User.objects.create_user("zoe")


@pytest.fixture
def eve() -> User:
    return User.objects.create_user("eve")


CALLS: dict[str, Callable[[Conversation], Any]] = {
    "append": lambda chat: chat.append(Message.user("x")),
    "append nothing": lambda chat: chat.append(),
    "append_many": lambda chat: append_many({chat: [Message.user("x")]}),
    "append_many of nothing": lambda chat: append_many({chat: []}),
    "open": lambda chat: chat.open(title="t"),
    "get_or_create": lambda chat: chat.get_or_create(),
    "update": lambda chat: chat.update(title="t"),
    "edit": lambda chat: chat.edit(1, "x"),
    "redact": lambda chat: chat.redact(1),
    "pop": lambda chat: chat.pop(),
    "clear": lambda chat: chat.clear(),
    "delete": lambda chat: chat.delete(),
    "fork": lambda chat: chat.fork("new"),
    "switch": lambda chat: chat.switch("draft"),
    "merge": lambda chat: chat.merge("draft", "main"),
    "regenerate": lambda chat: chat.regenerate(1),
    "truncate_after": lambda chat: chat.truncate_after("a"),
    "summarize": lambda chat: chat.summarize(lambda _messages: "s", keep=1),
    "tail": lambda chat: chat.tail(9),
    "tail_json": lambda chat: chat.tail_json(9),
    "head": lambda chat: chat.head(9),
    "messages": lambda chat: chat.messages(),
    "since": lambda chat: chat.since(0),
    "until": lambda chat: chat.until("a"),
    "get": lambda chat: chat.get(1),
    "get by id": lambda chat: chat.get("a"),
    "get an unknown id": lambda chat: chat.get("?"),
    "count": lambda chat: chat.count(),
    "session": lambda chat: chat.session(),
    "usage": lambda chat: chat.usage(),
    "window": lambda chat: chat.window(turns=9),
    "context": lambda chat: chat.context(tokens=999),
    "unanswered_calls": lambda chat: chat.unanswered_calls(),
    "summaries": lambda chat: chat.summaries(),
    "branches": lambda chat: chat.branches(),
    "revisions": lambda chat: chat.revisions(1),
}


def branched_chat(chats: Chats, owner: Any) -> Conversation:
    """A conversation of an owner, with a branch."""
    chat = chats(user=owner)
    chat.append(Message.user("a", id="a"), Message.assistant("b"))
    chat.fork("draft")
    return chat


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a3_every_call_on_a_session_of_somebody_else_is_refused(
    chats: Chats, zoe: User, eve: User, call: Callable[[Conversation], Any]
) -> None:
    """A3: by a user object, by a text that is the owner's primary key, by a visitor; on each branch."""
    chat = branched_chat(chats, zoe)
    before = chat.session(), chat.messages(), chat.branches()
    for user in (eve, "eve", str(zoe.pk), AnonymousUser()):
        for branch in (None, "main", "draft"):
            with pytest.raises(NotOwner) as caught:
                call(chats(user=user, branch=branch))
            error = caught.value
            who = "" if isinstance(user, AnonymousUser) else str(getattr(user, "pk", user))
            assert (error.key, error.workspace, error.user_key) == ("k", "acme", who)
    assert (chat.session(), chat.messages(), chat.branches()) == before


def test_a3_a_text_is_another_systems_key(chats: Chats, zoe: User) -> None:
    """A3, A11: an equal key does not make the user the owner, in neither direction."""
    chats(user=str(zoe.pk)).append(Message.user("of another system"))
    with pytest.raises(NotOwner):
        chats(user=zoe).tail(1)
    assert len(chats(user=str(zoe.pk)).tail(1)) == 1


def test_a3_every_twin_is_refused(chats: Chats, zoe: User) -> None:
    branched_chat(chats, zoe)

    async def all_of_them() -> None:
        for call in (
            lambda chat: chat.aappend(Message.user("x")),
            lambda chat: chat.atail(1),
            lambda chat: chat.awindow(turns=1),
            lambda chat: chat.asession(),
            lambda chat: chat.aclear(),
            lambda chat: aappend_many({chat: [Message.user("x")]}),
        ):
            with pytest.raises(NotOwner):
                await call(chats(user="eve"))

    async_to_sync(all_of_them)()
    assert chats(user=zoe).count() == 2


def test_an_option_reaches_any_owners(chats: Chats, zoe: User) -> None:
    branched_chat(chats, zoe)
    for given in ({"user": "eve", "any_owner": True}, {"user": None}, {"user": zoe}):
        assert contents(chats(**given).tail(9)) == ["a", "b"]
    chats(user="eve", any_owner=True).append(Message.user("c"))
    copied = pickle.loads(pickle.dumps(chats(user="eve", any_owner=True).place.address))
    assert copied.any_owner
    record = chats().session()
    assert record is not None
    assert record.user_id == zoe.pk
    with pytest.raises(ValidationError, match="any_owner"):
        chats(user="eve", any_owner="yes")


def test_what_is_nobodys_is_adopted_by_the_first_write(chats: Chats, zoe: User, eve: User) -> None:
    """By a visitor's never, who reaches it as long as it is nobody's."""
    chats(user=AnonymousUser()).append(Message.user("a"))
    held = chats(user=eve)
    assert contents(held.tail(9)) == ["a"]
    chats(user=zoe).append(Message.user("b"))
    for user in (AnonymousUser(), eve):
        with pytest.raises(NotOwner):
            chats(user=user).tail(9)
    with pytest.raises(NotOwner):
        held.tail(9)
    with pytest.raises(NotOwner):
        held.append(Message.user("c"))
    assert contents(chats(user=zoe).tail(9)) == ["a", "b"]


def test_the_session_of_a_deleted_user_is_no_other_users(zoe: User, eve: User) -> None:
    """Its key is kept, so it is not nobody's."""
    conversation("k", user=zoe).append(Message.user("a"))
    key = str(zoe.pk)
    zoe.delete()
    with pytest.raises(NotOwner):
        conversation("k", user=eve).tail(1)
    again = get_user_model().objects.create_user("again", pk=int(key))
    for user in (again, key):
        with pytest.raises(NotOwner):
            conversation("k", user=user).tail(1)
        with pytest.raises(NotOwner):
            conversation("k", user=user).append(Message.user("b"))
    assert find_sessions(user=key).sessions == []
    assert contents(conversation("k").tail(9)) == ["a"]


def test_usage_of_what_yields_is_none(chats: Chats) -> None:
    place = chats(user="ann").place
    place.adapter.sessions.open(place.address, {"key_from_client": True})
    chats(user="ann").append(Message.user("a"))
    assert (chats(user="bob").usage(), chats(user="ann").usage().messages) == (Usage(), 1)


@pytest.mark.once
def test_redis_tells_a_users_key_from_a_text(redis_client: Redis, zoe: User, eve: User) -> None:
    """A3 over Redis alone; no key yields there."""
    adapter = RedisAdapter(redis_client)
    chat = conversation("k", user=zoe, adapter=adapter)
    chat.place.adapter.sessions.open(chat.place.address, {"key_from_client": True})
    chat.append(Message.user("a"))
    for user in (eve, str(zoe.pk), AnonymousUser()):
        for call in (
            lambda chat: chat.tail(1),
            lambda chat: chat.append(Message.user("x")),
            lambda chat: chat.delete(),
        ):
            with pytest.raises(NotOwner):
                call(conversation("k", user=user, adapter=adapter))
    assert contents(conversation("k", user=zoe, adapter=adapter).messages()) == ["a"]


def test_error_is_pickled() -> None:
    error = NotOwner("k", "acme", "bob")
    assert str(error) == (
        "conversation 'k' in workspace 'acme' belongs to somebody else than user 'bob': open it for its owner "
        "(a user object where it was made for one), or with any_owner=True in trusted code"
    )
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.key, again.workspace, again.user_key) == (str(error), "k", "acme", "bob")


STEPS: list[Callable[[Conversation], Any]] = [
    lambda chat: chat.append(Message.user("b")),
    lambda chat: chat.tail(9),
    lambda chat: chat.window(turns=2),
    lambda chat: chat.summaries(),
    lambda chat: chat.get("a"),
    lambda chat: chat.update(title="t"),
    lambda chat: chat.pop(),
]


@pytest.mark.parametrize("user", ["text", "object"])
def test_the_owner_is_compared_by_no_further_statement(user: str, zoe: User) -> None:
    """By names and by the ids that a handle remembers, at the first write and later."""
    Workspace.objects.create(slug="acme")
    conversation("k", "acme").tail(1)  # the cache has learnt the database's name
    unchecked = _statements("of nobody")
    assert _statements("owned", user=zoe if user == "object" else "bob") == unchecked


def _statements(key: str, **names: Any) -> list[int]:
    """How many statements each step takes: the first write, then each by the handle that wrote and by a fresh one."""
    held = conversation(key, "acme", **names)
    numbers = [_counted(lambda: held.append(Message.user("a", id="a")))]
    for step in STEPS:
        numbers.append(_counted(partial(step, held)))
        numbers.append(_counted(partial(step, conversation(key, "acme", **names))))
    return numbers


def _counted(call: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as queries:
        call()
    return len(queries)
