"""The cache hears of a change whoever makes it, before anybody else does, and for as long as its adapter lives."""

import gc
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from redis import Redis

from chat_memory import Message, conversation, signals, wiring
from chat_memory.cache import CachedAdapter
from chat_memory.cache.client import CacheClient
from chat_memory.cache.coherence import Coherence
from chat_memory.cache.policy import CachePolicy
from chat_memory.models import Session, Workspace
from chat_memory.records import Span
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.orm import DjangoAdapter
from tests.acceptance.command_line import run
from tests.faults.one_key import PATIENT
from tests.ways_out import WAYS, WAYS_OF_A_WORKSPACE

pytestmark = pytest.mark.django_db(transaction=True)

CACHED = ["strict", "bounded"]


def text_read(**names: Any) -> str:
    """What a reader sees."""
    return "".join(str(message.content) for message in conversation("k", "acme", **names).messages())


def seen_by_all() -> None:
    """Reads by every name, which leave their entries."""
    for branch in (None, "main", "draft"):
        text_read(branch=branch)


def entries_stored(client: Redis) -> int:
    """How many entries there are."""
    return len(client.keys("cm:{*"))


@pytest.fixture
def row() -> Session:
    """A conversation with a branch, which somebody has read by every name."""
    chat = conversation("k", "acme")
    chat.append(Message.user("a"), Message.user("b"))
    chat.fork("draft", at=1).append(Message.user("d"))
    seen_by_all()
    return Session.objects.get(workspace__slug="acme", key="k", branch="main")


@pytest.mark.parametrize("way", WAYS | WAYS_OF_A_WORKSPACE)
@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_nothing_stays_of_what_went(mode: str, way: str, row: Session, redis_client: Redis) -> None:
    """However it went, and by whatever name it was read."""
    assert entries_stored(redis_client) == 3
    (WAYS | WAYS_OF_A_WORKSPACE)[way](row)
    assert entries_stored(redis_client) == 0
    Workspace.objects.get_or_create(slug="acme")
    assert text_read() == ""


def by_import(folder: Path) -> None:
    lines = [{"id": "k", "messages": [{"role": "user", "content": text, "id": text} for text in "abc"]}]
    file = folder / "lines.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run("import", str(file), "--workspace", "acme")


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_append_past_the_cache_reaches_it(mode: str, counted: list[str]) -> None:
    conversation("k", "acme").append(Message.user("a"))
    assert text_read() == "a"
    conversation("k", "acme", adapter=DjangoAdapter()).append(Message.user("c"))
    counted.clear()
    assert text_read() == "ac"
    assert counted == ["hits"]


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_import_is_seen_at_once(mode: str, tmp_path: Path) -> None:
    conversation("k", "acme").append(Message.user("a", id="a"))
    assert text_read() == "a"
    by_import(tmp_path)
    assert text_read() == "abc"


CHANGES: dict[str, tuple[Callable[[], Any], dict[str | None, str]]] = {
    "clear": (lambda: conversation("k", "acme").clear(), {None: "", "main": "", "draft": "ad"}),
    "edit": (lambda: conversation("k", "acme").edit(1, "A"), {None: "Ab", "main": "Ab", "draft": "Ad"}),
    "switch": (lambda: conversation("k", "acme").switch("draft"), {None: "ad", "main": "ab", "draft": "ad"}),
    "delete of the branch": (
        lambda: conversation("k", "acme", branch="draft").delete(),
        {None: "ab", "main": "ab", "draft": ""},
    ),
    "edit of the branch alone": (
        lambda: conversation("k", "acme", branch="draft").edit(2, "D"),
        {None: "ab", "main": "ab", "draft": "aD"},
    ),
    "fork": (
        lambda: conversation("k", "acme").fork("new", at=1),
        {None: "ab", "main": "ab", "draft": "ad", "new": "a"},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_readers_by_every_name_see_it(mode: str, change: str, row: Session) -> None:
    """Who made it by the one name has told those who read by another; also who asked for what was not there yet."""
    make, expected = CHANGES[change]
    assert text_read(branch="new") == ""
    make()
    assert {branch: text_read(branch=branch) for branch in expected} == expected


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_title_set_on_a_branch_is_a_change_of_main(mode: str, row: Session) -> None:
    """Its row describes the conversation, so that its version moves; who reads it by its name sees that one."""
    conversation("k", "acme", branch="draft").update(title="t")
    row.refresh_from_db()
    header = conversation("k", "acme", branch="main").read(Span(last=5)).header
    assert header is not None
    assert header.version == row.version


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_change_of_no_message_leaves_the_entry(mode: str, counted: list[str]) -> None:
    """A summary is beside the messages, and they are as they were."""
    chat = conversation("k", "acme")
    chat.append(Message.user("a"), Message.user("b"))
    assert text_read() == "ab"
    assert chat.summarize(lambda _messages: "text", keep=1)
    counted.clear()
    assert (text_read(), counted) == ("ab", ["hits"])


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_who_hears_of_an_append_reads_it(mode: str) -> None:
    """The cache hears first: a receiver's read is of the new state."""
    chat = conversation("k", "acme")
    chat.append(Message.user("a"))
    assert text_read() == "a"
    seen = []

    def hear(**_said: Any) -> None:
        seen.append(text_read())

    signals.messages_appended.connect(hear)
    try:
        chat.append(Message.user("b"))
    finally:
        signals.messages_appended.disconnect(hear)
    assert seen == ["ab"]


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_process_that_only_writes_tells_the_cache(mode: str, row: Session, redis_client: Redis) -> None:
    """It has asked for no adapter yet: a command that cleans up, or an admin."""
    assert entries_stored(redis_client) == 3
    wiring._composition = type(wiring._composition)()
    gc.collect()
    row.delete()
    assert entries_stored(redis_client) == 0


@pytest.mark.parametrize("mode", CACHED)
def test_adapter_that_is_gone_hears_nothing(mode: Any, redis_client: Redis, counted: list[str]) -> None:
    store = MemoryAdapter()
    cached = in_memory(mode, CacheClient(lambda: redis_client), store=store)
    gone = weakref.ref(cached)
    del cached
    gc.collect()
    assert gone() is None
    counted.clear()
    conversation("k", adapter=store).append(Message.user("b"))
    assert counted == []


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_one_adapter_for_a_database(mode: str) -> None:
    """By whatever way it is asked for; each append is pushed once."""
    assert wiring.adapter() is wiring.adapter("default") is conversation("k").place.adapter
    assert wiring.adapter().name == "DjangoAdapter"


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_adapter_follows_the_router(mode: str, settings: Any) -> None:
    """Again at each call, since it may choose by the request."""
    connections.settings["other"] = {**connections["default"].settings_dict}
    try:
        assert wiring.adapter().alias == "default"
        settings.DATABASE_ROUTERS = [type("Router", (), {"db_for_write": lambda *_args, **_hints: "other"})()]
        assert wiring.adapter().alias == "other"
        assert wiring.adapter() is wiring.adapter("other") is not wiring.adapter("default")
    finally:
        connections["other"].close()
        del connections["other"]
        del connections.settings["other"]


def in_memory(
    mode: Any, client: CacheClient, deployment: bytes = b"memory", store: MemoryAdapter | None = None
) -> CachedAdapter:
    """A store of its own, or the one that is given, behind the cache."""
    policy = CachePolicy(mode, tail=50, ttl=None, max_age=60.0)
    return CachedAdapter(store or MemoryAdapter(), Coherence(client, policy), deployment)


@pytest.mark.parametrize("mode", CACHED)
def test_what_was_known_is_not_added_again(mode: Any, redis_client: Redis, counted: list[str]) -> None:
    """A store may tell of a retry with all its messages; those that are new go to the end of the entry."""
    adapter = in_memory(mode, CacheClient(lambda: redis_client))
    first = Message.user("a", id="a")
    conversation("k", adapter=adapter).append(first)
    assert len(conversation("k", adapter=adapter).messages()) == 1
    conversation("k", adapter=adapter).append(first, Message.user("b"))
    counted.clear()
    assert [message.content for message in conversation("k", adapter=adapter).messages()] == ["a", "b"]
    assert counted == ["hits"]


@pytest.mark.parametrize("mode", CACHED)
def test_store_is_told_apart_from_another(mode: Any, redis_client: Redis) -> None:
    """Two stores in memory with conversations of the same names: what is said in one is no change of the other."""
    told: list[str] = []

    class Telling(CacheClient):
        def run(self, name: str, key: str, *args: Any, **how: Any) -> Any:
            told.append(key)
            return super().run(name, key, *args, **how)

    one, other = (in_memory(mode, Telling(lambda: redis_client), name) for name in (b"1", b"2"))
    conversation("k", adapter=one).append(Message.user("a"))
    assert len(told) == 1
    conversation("k", adapter=other).append(Message.user("b"))
    assert len(told) == 2
    assert told[0] != told[1]


@pytest.mark.parametrize("mode", ["off"], indirect=True)
def test_without_a_cache_nothing_is_composed(mode: str, settings: Any) -> None:
    """Of settings that fit, nobody asks Redis; the adapter is the plain one."""
    settings.CHAT_MEMORY = {"CACHE": "off", "REDIS_CLIENT": PATIENT}
    assert isinstance(wiring.adapter(), DjangoAdapter)
    conversation("k", "acme").append(Message.user("a"))
    assert text_read() == "a"
