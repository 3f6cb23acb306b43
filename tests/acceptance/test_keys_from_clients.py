"""Keys that clients choose: taken in advance they show nobody another's words, and the server's never yield."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.test import Client
from redis import Redis

from chat_memory import Message, NotOwner, append_many, conversation
from chat_memory.history.conversation import of_session
from chat_memory.maintenance.importing import import_conversations
from chat_memory.models import Session
from chat_memory.sessions import find_sessions
from chat_memory.signals import session_updated
from tests.acceptance.api_support import Caller, caller, listed_keys, stored
from tests.cache.caching import caching
from tests.conversations import contents

pytestmark = [pytest.mark.django_db(transaction=True)]

KEY = "user-bob"
SECRET = "bob's secret"


@pytest.fixture(params=["off", "strict", "bounded"])
def caching_mode(request: pytest.FixtureRequest, redis_client: Redis) -> Iterator[str]:
    """Each mode of the cache, at work."""
    url = "redis://{host}:{port}/{db}".format(**redis_client.connection_pool.connection_kwargs)
    with caching(request.param, url):
        yield request.param


@pytest.fixture(params=["object", "text"])
def bob(request: pytest.FixtureRequest) -> Any:
    """The user for whom the server opens the conversation."""
    return caller("member").user if request.param == "object" else "bob"


@pytest.fixture
def ann() -> Caller:
    """A member who chose the server's key first, and said something."""
    return _with_key(caller("member"))


def _with_key(member: Caller, key: str = KEY) -> Caller:
    made = member.post(member.sessions, {"key": key})
    assert made.status_code == 201
    assert member.post(member.messages(made.json()["id"]), {"role": "user", "content": "ann's"}).status_code == 201
    return member


def _session_of(member: Caller) -> Any:
    (found,) = member.get(member.sessions).json()["results"]
    return found


def _said(member: Caller, session_id: str) -> list[str]:
    return [each["content"] for each in member.get(member.messages(session_id)).json()["results"]]


def _warm(member: Caller) -> None:
    """Entries of the client's session under every name that the key has."""
    _said(member, _session_of(member)["id"])
    for branch in (None, "main"):
        for _twice in range(2):
            assert contents(conversation(KEY, "acme", branch=branch).tail(20)) == ["ann's"]


def _in_sync(user: Any) -> list[Any]:
    chat = conversation(KEY, "acme", user=user)
    assert (chat.tail(20), chat.session(), chat.count()) == ([], None, 0)
    chat.append(Message.user(SECRET))
    return contents(chat.tail(20))


def _in_async(user: Any) -> list[Any]:
    async def talk() -> list[Any]:
        chat = conversation(KEY, "acme", user=user)
        assert (await chat.atail(20), await chat.asession(), await chat.acount()) == ([], None, 0)
        await chat.aappend(Message.user(SECRET))
        return contents(await chat.atail(20))

    return async_to_sync(talk)()


@pytest.mark.parametrize("talk", [_in_sync, _in_async])
@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
@pytest.mark.usefixtures("caching_mode")
def test_a3_who_takes_a_key_in_advance_reads_nothing(
    ann: Caller, bob: Any, talk: Callable[[Any], list[Any]], *, is_warm: bool
) -> None:
    """A3: neither by the API, nor by Python; bob reads what is his alone, by fresh handles and by every name too."""
    before = _session_of(ann)
    if is_warm:
        _warm(ann)
    assert talk(bob) == [SECRET]
    after = _session_of(ann)
    assert (after["id"], after["key"]) == (before["id"], f"{KEY}~{before['id']}")
    for _twice in range(2):
        assert _said(ann, before["id"]) == ["ann's"]
        for branch in (None, "main"):
            for user in (bob, None):
                assert contents(conversation(KEY, "acme", user=user, branch=branch).tail(20)) == [SECRET]
            with pytest.raises(NotOwner):
                conversation(KEY, "acme", user=ann.user, branch=branch).tail(20)
        assert contents(conversation(after["key"], "acme", user=ann.user).tail(20)) == ["ann's"]
    assert listed_keys(ann.get(ann.sessions, {"key": KEY}).json()) == []
    assert ann.post(ann.sessions, {"key": KEY}).json()["code"] == "key_taken"
    made = Session.objects.get(workspace__slug="acme", key=KEY)
    assert ann.get(ann.session(made.pk)).status_code == 404
    assert (made.key_from_client, made.user_id) == (False, getattr(bob, "pk", None))


@pytest.mark.usefixtures("caching_mode")
def test_a3_the_session_that_yields_goes_on(ann: Caller) -> None:
    """A3: its owner writes on by its id, its tag has moved, hosts hear of the key, and staff sees both."""
    before = ann.get(ann.session(_session_of(ann)["id"]))
    heard: list[Any] = []

    def hear(**signal: Any) -> None:
        heard.append((signal["key"], signal["fields"]))

    session_updated.connect(hear)
    try:
        conversation(KEY, "acme", user="bob").append(Message.user(SECRET))
    finally:
        session_updated.disconnect(hear)
    session_id = before.json()["id"]
    key = f"{KEY}~{session_id}"
    assert heard == [(key, ("key",))]
    after = ann.get(ann.session(session_id))
    assert (after.json()["key"], after["ETag"] != before["ETag"]) == (key, True)
    assert ann.post(ann.messages(session_id), {"role": "user", "content": "more"}).status_code == 201
    assert ann.post(f"{ann.session(session_id)}fork/", {"name": "draft"}).status_code == 201
    assert _said(ann, session_id) == ["ann's", "more"]
    assert contents(conversation(KEY, "acme", user="bob").messages()) == [SECRET]
    get_user_model().objects.create_superuser("root", password="x")
    staff = Client()
    staff.login(username="root", password="x")
    page = staff.get("/admin/chat_memory/session/").content.decode()
    assert key in page


def test_a3_a_batch_and_an_import_take_the_key_too(ann: Caller) -> None:
    """A3 by other doors: ``append_many``, and a file that names the owner."""
    session_id = _session_of(ann)["id"]
    append_many({conversation(KEY, "acme", user="bob"): [Message.user(SECRET)]})
    assert _said(ann, session_id) == ["ann's"]
    _with_key(ann, "imported")
    line = {"key": "imported", "user_key": "bob", "messages": [{"role": "user", "content": SECRET, "id": "m"}]}
    for made in (1, 0):
        report = import_conversations([json.dumps(line).encode()], "acme", form="chat_memory")
        assert (report.sessions, report.damaged) == (made, 0)
    imported = conversation("imported", "acme").session()
    assert imported is not None
    assert (imported.user_key, imported.key_from_client) == ("bob", False)
    for session in ann.get(ann.sessions).json()["results"]:
        assert _said(ann, session["id"]) == ["ann's"]


def test_a3_who_knows_the_new_key_hinders_nobody(ann: Caller) -> None:
    """A3: the id is known to who made the session, so the key it would get can be taken as well."""
    session_id = _session_of(ann)["id"]
    _with_key(ann, f"{KEY}~{session_id}")
    conversation(KEY, "acme", user="bob").append(Message.user(SECRET))
    keys = {session["key"] for session in ann.get(ann.sessions).json()["results"]}
    assert len(keys) == 2
    assert KEY not in keys
    assert contents(conversation(KEY, "acme", user="bob").messages()) == [SECRET]


@pytest.mark.parametrize("role", ["member", "writer", "admin"])
def test_a3_a_key_of_the_servers_never_yields(role: str) -> None:
    """A3 the other way round: whoever owns the session, and whatever role asks, nothing changes."""
    me, other = caller(role), caller("member")
    for key, owner in (("nobodys", None), ("hers", other.user), ("texts", "bob")):
        before = Session.objects.filter(pk=stored(key, user=owner, messages=1).pk).values().get()
        answer = me.post(me.sessions, {"key": key, "title": "mine"})
        if role == "member":
            assert (answer.status_code, answer.json()["code"]) == (409, "key_taken")
            assert "user_key" not in answer.json()
            assert me.get(me.session(before["id"])).status_code == 404
        else:
            assert (answer.status_code, answer.json()["id"]) == (200, str(before["id"]))
        assert Session.objects.filter(pk=before["id"]).values().get() == before
        if owner is not None:
            with pytest.raises(NotOwner):
                conversation(key, "acme", user=me.user).append(Message.user("x"))
    assert not find_sessions("acme", user=me.user).sessions


def test_only_a_key_that_a_member_chose_is_from_a_client() -> None:
    member, writer = caller("member"), caller("writer")
    made = {
        "chosen": member.post(member.sessions, {"key": "chosen"}),
        "null": member.post(member.sessions, {"key": None}),
        "none": member.post(member.sessions, {}),
        "derived": member.post(member.sessions, {}, **{"Idempotency-Key": "1"}),
        "writer": writer.post(writer.sessions, {"key": "writer"}),
    }
    ids = {name: answer.json()["id"] for name, answer in made.items()}
    found = {name: Session.objects.get(pk=ident).key_from_client for name, ident in ids.items()}
    assert found == {"chosen": True, "null": False, "none": False, "derived": False, "writer": False}


def test_two_members_who_choose_one_key_are_as_before(ann: Caller) -> None:
    """A client takes no key from a client."""
    other = caller("member")
    assert other.post(other.sessions, {"key": KEY}).json()["code"] == "key_taken"
    assert ann.post(ann.sessions, {"key": KEY}).status_code == 200
    assert _session_of(ann)["key"] == KEY


def test_handles_of_a_row_and_of_the_api_are_not_checked() -> None:
    """Nor are their branches: the row names its owner by the key alone."""
    me = caller("member")
    chat = of_session(stored("k", user=me.user, messages=1))
    chat.fork("draft").append(Message.user("x"))
    assert contents(conversation("k", "acme", user=me.user, branch="draft").messages()) == ["1", "x"]
    assert chat.count() == 1
