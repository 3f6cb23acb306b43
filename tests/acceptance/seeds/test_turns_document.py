"""The code of the document on ractogateway's memory (seed 003), over the same calls, and each feature it has."""

import inspect
from typing import Any

import pytest
import redis

from chat_memory import conversation
from chat_memory.exceptions import ValidationError
from chat_memory.turns import ChatMemoryConfig, RedisChatMemory
from tests.acceptance.seeds.turns_world import DURABLE, KINDS, memory_of, said_in, url_of

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("kind", KINDS)
def test_the_example(kind: str, redis_client: redis.Redis) -> None:
    """S3.2, S3.3, S3.5, S3.8: the block of the document."""
    memory = RedisChatMemory(
        url=url_of(redis_client),
        config=ChatMemoryConfig(max_turns=20, ttl_seconds=1800),
        **DURABLE[kind],
    )
    assert memory.append("conv_abc", "user", "What is the capital of France?") is None  # type: ignore[func-returns-value]
    memory.append("conv_abc", "assistant", "Paris.")
    assert memory.get_history("conv_abc") == [
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": "Paris."},
    ]


@pytest.mark.once
def test_names_and_defaults() -> None:
    """S3.2, S3.3: as printed, by name only; what is ours comes behind."""
    parameters = inspect.signature(RedisChatMemory).parameters.values()
    assert {each.kind for each in parameters} == {inspect.Parameter.KEYWORD_ONLY}
    defaults = {each.name: each.default for each in parameters}
    assert defaults == {
        "url": "redis://localhost:6379/0",
        "client": None,
        "config": None,
        "durable": False,
        "workspace": None,
    }
    config = ChatMemoryConfig()
    assert (config.max_turns, config.ttl_seconds, config.key_prefix) == (10, None, "ractogateway:memory")
    for name in ("append", "get_history", "clear", "count"):
        assert not inspect.iscoroutinefunction(getattr(RedisChatMemory, name))


def test_one_key_for_a_conversation(redis_client: redis.Redis) -> None:
    """S3.1, S3.4: the document's; no list of JSON, but one value all the same."""
    memory = memory_of(redis_client, key_prefix="app")
    memory.append("conv_abc", "user", "x")
    assert redis_client.type("app:conv_abc") == b"hash"
    assert [key for key in redis_client.scan_iter() if key.startswith(b"app:") and b"{" not in key] == [b"app:conv_abc"]
    memory_of(redis_client).append("conv_abc", "user", "x")
    assert redis_client.exists("ractogateway:memory:conv_abc")


@pytest.mark.parametrize("kind", KINDS)
def test_the_oldest_are_not_shown(kind: str, redis_client: redis.Redis) -> None:
    """S3.6."""
    memory = memory_of(redis_client, kind, max_turns=2)
    for number in range(5):
        memory.append("s", "user", f"q{number}")
        memory.append("s", "assistant", f"a{number}")
    assert said_in(memory) == ["q3", "a3", "q4", "a4"]


def test_an_append_renews_the_time_to_live(redis_client: redis.Redis) -> None:
    """S3.7."""
    memory = memory_of(redis_client, ttl_seconds=1800)
    memory.append("s", "user", "x")
    redis_client.expire("ractogateway:memory:s", 60)
    memory.append("s", "user", "y")
    assert 1700 < redis_client.ttl("ractogateway:memory:s") <= 1800
    redis_client.pexpire("ractogateway:memory:s", 0)
    assert (memory.get_history("s"), memory.count("s")) == ([], 0)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_known_of_a_conversation_that_is_not_there(kind: str, redis_client: redis.Redis) -> None:
    """S3.8, S3.10, S3.11."""
    memory = memory_of(redis_client, kind)
    assert (memory.get_history("s"), memory.count("s")) == ([], 0)
    memory.clear("s")
    memory.append("s", "user", "x")
    memory.append("t", "user", "y")
    assert (memory.count("s"), memory.count("t")) == (1, 1)
    memory.clear("s")
    assert (memory.get_history("s"), memory.count("s"), memory.count("t")) == ([], 0, 1)


def test_damage_costs_one_message(redis_client: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    """S3.9."""
    memory = memory_of(redis_client)
    memory.append_many("s", [{"role": "user", "content": content} for content in "123"])
    redis_client.hset("ractogateway:memory:s", "m:2", b"{broken")
    assert said_in(memory) == ["1", "3"]
    assert "position 2" in caplog.text


@pytest.mark.once
def test_it_shows_how_it_is_set() -> None:
    """S3.12."""
    memory = RedisChatMemory(config=ChatMemoryConfig(max_turns=20, ttl_seconds=1800, key_prefix="app"))
    assert repr(memory) == "RedisChatMemory(max_turns=20, ttl=1800s, prefix='app')"
    assert repr(RedisChatMemory(durable=True)) == (
        "RedisChatMemory(max_turns=10, ttl=Nones, prefix='ractogateway:memory', durable=True)"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_another_process_goes_on(kind: str, redis_client: redis.Redis) -> None:
    """S3.14."""
    memory_of(redis_client, kind).append("s", "user", "x")
    other = memory_of(redis_client, kind)
    other.append("s", "assistant", "y")
    assert said_in(other) == ["x", "y"]


def test_what_is_durable_is_a_conversation_of_the_app(redis_client: redis.Redis) -> None:
    """S3.14: in the workspace that is named, under the id that is given."""
    memory = RedisChatMemory(durable=True, workspace="acme")
    memory.append("conv_abc", "user", "x")
    assert [message.content for message in conversation("conv_abc", "acme").messages()] == ["x"]
    assert RedisChatMemory(durable=True).get_history("conv_abc") == []


def test_a_long_conversation_costs_what_is_shown(lone_redis: redis.Redis) -> None:
    """S3.16: no call sends or reads more than the window."""
    memory = memory_of(lone_redis, max_turns=2)
    memory.append_many("s", [{"role": role, "content": "x"} for _ in range(500) for role in ("user", "assistant")])
    lone_redis.config_resetstat()
    memory.append("s", "user", "y")
    memory.get_history("s")
    assert lone_redis.info("commandstats").get("cmdstat_hgetall") is None
    sent = lone_redis.info("stats")["total_net_output_bytes"]
    assert sent < 20_000


@pytest.mark.once
@pytest.mark.parametrize(
    "given",
    [
        {"max_turns": 0},
        {"max_turns": True},
        {"max_turns": 1.5},
        {"ttl_seconds": 0},
        {"ttl_seconds": -1},
        {"ttl_seconds": "60"},
        {"key_prefix": "{app}"},
        {"key_prefix": None},
        {"renew_on_read": "yes"},
    ],
)
def test_a_configuration_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    """S3.3: with the name of what is wrong."""
    (name,) = given
    with pytest.raises(ValueError, match=name):
        ChatMemoryConfig(**given)


@pytest.mark.once
def test_arguments_that_cannot_be_are_refused() -> None:
    """S3.2: when the memory is made, and not at the first message."""
    wrong: list[tuple[str, Any]] = [
        ("url", "http://localhost"),
        ("url", None),
        ("client", object()),
        ("config", {"max_turns": 3}),
        ("durable", 1),
        ("workspace", "a b"),
    ]
    for name, value in wrong:
        with pytest.raises(ValidationError, match=name):
            RedisChatMemory(**{name: value})
