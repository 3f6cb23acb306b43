"""What ractogateway's memory gets wrong, and what is right here."""

import threading
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from redis.backoff import NoBackoff
from redis.retry import Retry

from chat_memory import conversation
from chat_memory.exceptions import Conflict, MessageConflict, StorageUnavailable, ValidationError
from chat_memory.storage.redis import clients
from chat_memory.turns import ChatMemoryConfig, Message, RedisChatMemory
from tests.acceptance.seeds.flow_world import CALL, asyncio_client
from tests.acceptance.seeds.turns_world import KINDS, memory_of, said_in, url_of
from tests.servers import start_redis

pytestmark = pytest.mark.django_db

TOOL_TURN = [
    Message.user("weather?"),
    Message.assistant(None, tool_calls=[CALL]),
    Message.tool("sunny", tool_call_id="c1"),
    Message.assistant("It is sunny."),
]


@pytest.fixture(params=KINDS)
def either_memory(request: pytest.FixtureRequest, redis_client: redis.Redis) -> RedisChatMemory:
    """A memory of two turns, in Redis and in the database."""
    return memory_of(redis_client, request.param, max_turns=2)


def test_the_cap_spares_system_messages(either_memory: RedisChatMemory) -> None:
    """R01."""
    either_memory.append("s", "system", "Be brief.")
    for number in range(5):
        either_memory.append_many("s", [Message.user(f"q{number}"), Message.assistant(f"a{number}")])
    assert said_in(either_memory) == ["Be brief.", "q3", "a3", "q4", "a4"]


def test_the_cap_is_of_turns(either_memory: RedisChatMemory) -> None:
    """R02: no call without its result, no answer without its question, however many messages a turn has."""
    either_memory.append_many("s", [Message.user("old"), Message.assistant("older")])
    either_memory.append_many("s", [*TOOL_TURN, Message.user("and tomorrow?")])
    assert said_in(either_memory) == ["weather?", "It is sunny.", "and tomorrow?"]
    roles = [message.role for message in either_memory.get_messages("s")]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_without_a_question_the_newest_come(either_memory: RedisChatMemory) -> None:
    for number in range(6):
        either_memory.append("s", "assistant", f"{number}")
    assert said_in(either_memory) == ["2", "3", "4", "5"]
    either_memory.append("t", "assistant", "Welcome!")
    either_memory.append("t", "user", "Hello")
    assert said_in(either_memory, "t") == ["Welcome!", "Hello"]


def test_a_life_is_in_milliseconds(redis_client: redis.Redis) -> None:
    """R03, R04: and what is shorter is refused."""
    memory_of(redis_client, ttl_seconds=1000.9).append("s", "user", "x")
    assert redis_client.pttl("ractogateway:memory:s") > 1_000_000
    memory_of(redis_client, ttl_seconds=0.5).append("t", "user", "x")
    with pytest.raises(ValueError, match="ttl_seconds"):
        ChatMemoryConfig(ttl_seconds=0.0001)


def test_a_url_has_one_pool(lone_redis: redis.Redis) -> None:
    """R05: whatever the number of memories and of calls."""
    url = url_of(lone_redis)
    before = lone_redis.info("stats")["total_connections_received"]
    for number in range(50):
        memory = RedisChatMemory(url=url)
        memory.append("s", "user", f"{number}")
        memory.get_history("s")
    assert lone_redis.info("stats")["total_connections_received"] - before == 1
    clients.client_at(url).close()


def test_a_count_is_of_what_is_shown(redis_client: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    """R06: and a damaged message is told of."""
    memory = memory_of(redis_client)
    memory.append_many("s", [{"role": "user", "content": "1"}, *TOOL_TURN])
    redis_client.hset("ractogateway:memory:s", "m:1", b"damaged")
    assert memory.count("s") == len(memory.get_history("s")) == 2
    assert "Skipped a damaged message" in caplog.text


def test_json_that_is_no_message_is_none(redis_client: redis.Redis) -> None:
    """R07."""
    memory = memory_of(redis_client)
    memory.append_many("s", [{"role": "user", "content": f"{number}"} for number in range(4)])
    for seq, value in enumerate(("5", "null", '{"foo": 1}'), 1):
        redis_client.hset("ractogateway:memory:s", f"m:{seq}", value)
    assert memory.get_history("s") == [{"role": "user", "content": "3"}]


@pytest.mark.parametrize(
    "wrong", [("banana", "x"), ("", "x"), (None, "x"), ("user", None), ("user", 3), ("user", b"x"), ("user", "\x00")]
)
def test_what_is_no_message_is_refused(wrong: tuple[Any, Any], either_memory: RedisChatMemory) -> None:
    """R08: and of several, none is stored."""
    role, content = wrong
    with pytest.raises(ValidationError, match=r"role|content"):
        either_memory.append("s", role, content)
    with pytest.raises(ValidationError, match=r"messages\[1\].(role|content)"):
        either_memory.append_many("s", [{"role": "user", "content": "x"}, {"role": role, "content": content}])
    with pytest.raises(ValidationError, match="banana"):
        either_memory.append("s", "user", "x", banana=1)
    for several in ("x", {"role": "user"}, [1], None):
        with pytest.raises(ValidationError, match="message"):
            either_memory.append_many("s", several)  # type: ignore[arg-type]
    assert either_memory.get_messages("s") == []


def test_a_message_is_stored_whole(either_memory: RedisChatMemory) -> None:
    """R09: and what was read can be stored elsewhere."""
    either_memory.append("s", "user", "x", id="m1", name="ada", metadata={"k": [1]})
    either_memory.append("s", "assistant", None, tool_calls=[CALL])
    either_memory.append("s", "tool", "found", tool_call_id="c1")
    first, second, third = either_memory.get_messages("s")
    assert (first.id, first.name, first.metadata, first.seq) == ("m1", "ada", {"k": [1]}, 1)
    assert first.created_at is not None
    assert (second.tool_calls, third.tool_call_id) == ([CALL], "c1")
    either_memory.append_many("copy", [first, second.to_dict(), third])
    assert [message.content for message in either_memory.get_messages("copy")] == ["x", None, "found"]
    with pytest.raises(MessageConflict):
        either_memory.append("s", "user", "other", id="m1")


def test_a_history_has_only_what_its_reader_knows(either_memory: RedisChatMemory) -> None:
    """R10, S3.15: roles and texts; of parts their texts."""
    either_memory.append_many("s", TOOL_TURN)
    picture = [{"type": "text", "text": "And this?"}, {"type": "image_url", "image_url": {"url": "https://x.example"}}]
    either_memory.append("s", "user", picture)
    history = either_memory.get_history("s")
    assert [(entry["role"], entry["content"]) for entry in history] == [
        ("user", "weather?"),
        ("assistant", "It is sunny."),
        ("user", "And this?"),
    ]
    assert {type(value) for entry in history for value in entry.values()} == {str}


@pytest.mark.parametrize("text", ["Paris. ", " Paris\n\n", "\u2003x\u2003"], ids=ascii)
def test_what_was_said_comes_back_letter_by_letter(either_memory: RedisChatMemory, text: str) -> None:
    either_memory.append("s", "user", text)
    either_memory.append("s", "assistant", text)
    assert [entry["content"] for entry in either_memory.get_history("s")] == [text, text]


@pytest.mark.parametrize("kind", KINDS)
def test_a_lower_cap_holds_for_reads_at_once(kind: str, redis_client: redis.Redis) -> None:
    """R11: and a higher one shows again what is stored."""
    memory = memory_of(redis_client, kind, max_turns=5)
    memory.append_many("s", [Message.user("q"), Message.assistant("a")] * 5)
    assert [len(said_in(memory_of(redis_client, kind, max_turns=turns))) for turns in (5, 2, 9)] == [10, 4, 10]


def test_a_turn_is_stored_whole(redis_client: redis.Redis) -> None:
    """R12: whoever else writes at once."""
    memory, start = memory_of(redis_client, max_turns=100), threading.Barrier(4)

    def write(name: str) -> None:
        start.wait()
        for number in range(10):
            turn = [Message.user(f"q{name}{number}"), Message.assistant(f"a{name}{number}")]
            memory.append_many("s", turn)

    writers = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    said = said_in(memory)
    assert len(said) == 80
    assert [question[1:] for question in said[::2]] == [answer[1:] for answer in said[1::2]]


@pytest.mark.parametrize("kind", KINDS)
def test_namespaces_never_meet(kind: str, redis_client: redis.Redis) -> None:
    """R13: whatever is in the prefixes and in the ids."""
    pairs = [
        ("app:a", "b"),
        ("app", "a:b"),
        ("app", "a%3Ab"),
        ("app:a%3A", "b"),
        ("ractogateway:memory", "a:b"),
        ("ractogateway:memory:a", "b"),
        ("ractogateway", "memory:a:b"),
        ("ractogateway:memory", "{default}"),
        ("ractogateway:memory", "app:a:b"),
    ]
    for prefix, name in pairs:
        memory_of(redis_client, kind, key_prefix=prefix).append(name, "user", f"{prefix} {name}")
    for prefix, name in pairs:
        assert said_in(memory_of(redis_client, kind, key_prefix=prefix), name) == [f"{prefix} {name}"]


@pytest.mark.django_db(transaction=True)
def test_what_is_durable_survives_an_empty_redis(redis_client: redis.Redis) -> None:
    """R14: the cache is filled again."""
    durable = memory_of(redis_client, "durable", ttl_seconds=60)
    durable.append("s", "user", "x")
    assert said_in(durable) == ["x"]
    redis_client.flushdb()
    assert (said_in(durable), durable.count("s")) == (["x"], 1)


def test_an_outage_is_an_error_of_ours_or_none(redis_client: redis.Redis) -> None:
    """R15: what is durable does not even notice."""
    with start_redis() as server:
        client = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0))
        lost = memory_of(client)
        lost.append("s", "user", "x")
    for call in (
        lambda: lost.append("s", "user", "y"),
        lambda: lost.get_history("s"),
        lambda: lost.count("s"),
        lambda: lost.clear("s"),
    ):
        with pytest.raises(StorageUnavailable):
            call()
    durable = memory_of(client, "durable")
    durable.append("s", "user", "x")
    assert said_in(durable) == ["x"]


def test_a_value_of_another_program_stays(redis_client: redis.Redis) -> None:
    """R16: also its life, and also one that the original wrote."""
    memory = memory_of(redis_client, ttl_seconds=60)
    redis_client.set("ractogateway:memory:s", "theirs")
    redis_client.rpush("ractogateway:memory:t", '{"role": "user", "content": "theirs"}')
    for name in "st":
        for call in (memory.get_history, memory.clear, memory.count, lambda name: memory.append(name, "user", "x")):
            with pytest.raises(Conflict, match=f"ractogateway:memory:{name}"):
                call(name)
        assert redis_client.ttl(f"ractogateway:memory:{name}") == -1
    assert redis_client.get("ractogateway:memory:s") == b"theirs"


@pytest.mark.parametrize("wrong", ["", None, 7, "a\x00", "x" * 256])
def test_a_conversation_has_a_name(wrong: Any, either_memory: RedisChatMemory) -> None:
    """R17."""
    for call in (
        lambda: either_memory.append(wrong, "user", "x"),
        lambda: either_memory.get_history(wrong),
        lambda: either_memory.count(wrong),
        lambda: either_memory.clear(wrong),
    ):
        with pytest.raises(ValidationError, match="conversation_id"):
            call()


@pytest.mark.parametrize("renews", [False, True])
def test_reading_renews_the_life_only_where_it_shall(renews: bool, redis_client: redis.Redis) -> None:
    """R18."""
    memory = memory_of(redis_client, ttl_seconds=60, renew_on_read=renews)
    memory.append("s", "user", "x")
    redis_client.expire("ractogateway:memory:s", 10)
    assert said_in(memory) == ["x"]
    assert (redis_client.ttl("ractogateway:memory:s") > 10) == renews


@pytest.mark.parametrize("kind", KINDS)
async def test_every_call_has_a_twin(kind: str, redis_client: redis.Redis) -> None:
    """R24: and an asyncio client is as good."""
    memory = memory_of(asyncio_client(redis_client), kind)
    await memory.aappend("s", "user", "1", name="ada")
    await memory.aappend_many("s", [Message.assistant("2")])
    assert await memory.aget_history("s") == [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}]
    assert [message.name for message in await memory.aget_messages("s")] == ["ada", None]
    assert await sync_to_async(memory.count)("s") == await memory.acount("s") == 2
    await memory.aclear("s")
    assert await memory.acount("s") == 0


async def test_the_database_is_not_asked_under_an_event_loop_but_by_the_twins(redis_client: redis.Redis) -> None:
    """R24: Django's own error says so, and nothing is stored by halves."""
    memory = memory_of(redis_client, "durable")
    with pytest.raises(SynchronousOnlyOperation):
        memory.append("s", "user", "x")
    assert await memory.aget_history("s") == []


@pytest.mark.django_db(transaction=True)
def test_a_memory_shows_what_it_wrote_in_every_mode_of_the_cache(redis_client: redis.Redis, settings: Any) -> None:
    for mode in ("off", "strict", "bounded"):
        settings.CHAT_MEMORY = {"CACHE": mode}
        memory = memory_of(redis_client, "durable")
        for number in range(3):
            memory.append(mode, "user", f"{number}")
            assert said_in(memory, mode)[-1] == f"{number}"


@pytest.mark.django_db(transaction=True)
def test_a_memory_reads_what_it_wrote_though_the_cache_is_behind(redis_client: redis.Redis, settings: Any) -> None:
    """In mode bounded, whose entries may be of an earlier state."""
    settings.CHAT_MEMORY = {"CACHE": "bounded"}
    memory = memory_of(redis_client, "durable")
    memory.append("s", "user", "1")
    assert said_in(memory) == ["1"]
    kept = {key: redis_client.dump(key) for key in redis_client.scan_iter()}
    memory.append("s", "assistant", "2")
    for key, value in kept.items():
        redis_client.restore(key, 60_000, value, replace=True)  # type: ignore[arg-type]
    assert said_in(memory_of(redis_client, "durable")) == ["1"]
    assert said_in(memory) == ["1", "2"]


def test_the_life_of_what_is_durable_is_that_of_its_cache() -> None:
    """Nothing in the database expires by it."""
    memory = RedisChatMemory(durable=True, config=ChatMemoryConfig(ttl_seconds=60))
    assert memory.conversation("s").place.address.cache_ttl == 60
    memory.append("s", "user", "x")
    assert conversation("s").session().expires_at is None  # type: ignore[union-attr]
