"""The Redis adapter's arguments and keys: what is refused, and that no two things share a key."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
import redis.asyncio
from hypothesis import given, strategies as st

from chat_memory import ValidationError
from chat_memory.records import Address
from chat_memory.storage.listing import Filter
from chat_memory.storage.redis import RedisAdapter
from tests.strategies import keys

pytestmark = pytest.mark.once

tricky = st.text("ab:%/{}*sesion", min_size=1, max_size=12) | keys
slugs = st.text("ab._-", min_size=1, max_size=4)
prefixes = st.sampled_from(["", "p", "p:", "p:a", "sessions"])
places = st.tuples(prefixes, slugs, tricky, tricky, tricky)


class Recorder(redis.Redis):
    """A client that keeps the keys of the scripts and commands it is given; it connects to nothing."""

    def execute_command(self, *words: Any, **_options: Any) -> Any:
        """Keep the keys; answer as if there were nothing."""
        if words[0] == "EVALSHA":
            self.keys_used.update(words[3 : 3 + words[2]])
        return []

    def __init__(self) -> None:
        super().__init__()
        self.keys_used: set[str] = set()


def keys_of(prefix: str, workspace: str, key: str, branch: str, user_key: str) -> Iterator[tuple[str, Any]]:
    """Every key a conversation's calls touch, with what it stands for."""
    for name, meaning, call in (
        ("conversation", (workspace, key, branch), lambda a: a.messages.read(Address(workspace, key, branch))),
        ("sessions", (workspace,), lambda a: a.sessions.find(workspace)),
        ("sessions of a user", (workspace, user_key), lambda a: a.sessions.find(workspace, Filter(user_key=user_key))),
    ):
        client = Recorder()
        call(RedisAdapter(client, prefix))
        (used,) = client.keys_used
        yield used, (prefix, name, meaning)


@given(st.lists(places, min_size=2, max_size=4))
def test_no_two_things_share_a_key(drawn: list[tuple[str, str, str, str, str]]) -> None:
    """FEATURES N12, R13: whatever workspace, key, branch, user and prefix are."""
    meanings: dict[str, Any] = {}
    for place in drawn:
        for used, meaning in keys_of(*place):
            assert meanings.setdefault(used, meaning) == meaning


@given(places)
def test_one_brace_keeps_a_conversation_in_one_slot(place: tuple[str, str, str, str, str]) -> None:
    for used, _meaning in keys_of(*place):
        assert used.count("{") == used.count("}") == 1
        assert used.index("{") + 1 < used.index("}")


@pytest.mark.parametrize("kind", [redis.asyncio.Redis, redis.asyncio.RedisCluster])
def test_asyncio_client_is_refused(kind: Any) -> None:
    """FEATURES N14, R24."""
    with pytest.raises(ValidationError, match="client: must be a synchronous client"):
        RedisAdapter(kind.__new__(kind))


@pytest.mark.parametrize("thing", [None, "redis://localhost", object(), redis.ConnectionPool()])
def test_what_is_no_client_is_refused(thing: Any) -> None:
    with pytest.raises(ValidationError, match=r"client: must be a redis\.Redis"):
        RedisAdapter(thing)


@pytest.mark.parametrize("prefix", [None, 7, b"p", "a{b", "a}b"])
def test_prefix_that_would_move_keys_is_refused(prefix: Any) -> None:
    with pytest.raises(ValidationError, match="prefix"):
        RedisAdapter(redis.Redis(), prefix)


@pytest.mark.parametrize("ttl", [0, -1, 0.0009, float("nan"), float("inf"), 1e30, True, "60", timedelta(hours=1)])
def test_life_that_is_none_is_refused(ttl: Any) -> None:
    """FEATURES N11, R03: 0 is neither for ever nor at once."""
    with pytest.raises(ValidationError, match="ttl"):
        RedisAdapter(redis.Redis(), ttl=ttl)
