"""The Redis adapter beyond the contract: lives, damage, foreign values, outages, scripts, Cluster."""

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from chat_memory import Conflict, Message, MessageNotFound, NotSupported, StorageUnavailable, append_many, conversation
from chat_memory.history.conversation import Conversation
from chat_memory.storage.contract import Adapter
from chat_memory.storage.listing import Filter
from chat_memory.storage.redis import PREFIX, RedisAdapter
from chat_memory.testing.conformance import AdapterConformance
from tests.servers import start_redis
from tests.waiting import eventually
from tests.watched_redis import names_in_redis

pytestmark = pytest.mark.once

KEY = f"{PREFIX}{{default:k:main}}"
SLOTS = 16384


@pytest.fixture
def expiring(redis_client: redis.Redis) -> Conversation:
    """A conversation that lives for a minute."""
    return conversation("k", adapter=RedisAdapter(redis_client, ttl=60))


def life(client: redis.Redis, key: str = KEY) -> int:
    """Milliseconds a key has left; negative: it is not there, or never expires."""
    left: int = client.pttl(key)
    return left


def milliseconds(client: Any) -> int:
    """The time by the clock that ends the life of keys."""
    seconds, microseconds = client.time()
    return int(seconds) * 1_000 + int(microseconds) // 1_000


def stored_keys(client: Any) -> list[str]:
    """Every key there is, as text."""
    return [key.decode() for key in client.scan_iter()]


def test_life_is_set_with_the_value_in_milliseconds(redis_client: redis.Redis) -> None:
    """FEATURES N10, R04: no moment at which the key would stay for ever."""
    began = milliseconds(redis_client)
    conversation("k", adapter=RedisAdapter(redis_client, ttl=1_000.9)).append(Message.user("x"))
    left = life(redis_client)
    assert 1_000_900 - (milliseconds(redis_client) - began) <= left <= 1_000_900


@pytest.mark.parametrize("write", ["append", "clear", "update"])
def test_every_write_renews_the_life(expiring: Conversation, redis_client: redis.Redis, write: str) -> None:
    expiring.append(Message.user("x", id="a"))
    redis_client.pexpire(KEY, 5_000)
    CALLS[write](expiring)
    assert life(redis_client) > 5_000


def test_no_read_renews_the_life(expiring: Conversation, redis_client: redis.Redis) -> None:
    """FEATURES R18, J09: documented so, and a replay is a read."""
    expiring.append(Message.user("x", id="a"))
    redis_client.pexpire(KEY, 5_000)
    for read in ("messages", "count", "session", "open"):
        getattr(expiring, read)()
    assert expiring.append(Message.user("x", id="a")).replayed
    assert 0 < life(redis_client) <= 5_000


@pytest.mark.parametrize("owner", [None, "bob"])
def test_a_read_renews_the_life_where_the_adapter_says_so(redis_client: redis.Redis, owner: str | None) -> None:
    """R18: and the place in the lists with it, also in the owner's."""
    adapter = RedisAdapter(redis_client, ttl=60, renew_on_read=True)
    conversation("k", user=owner, adapter=adapter).append(Message.user("x"))
    for key in stored_keys(redis_client):
        redis_client.pexpire(key, 5_000)
        if key.endswith("::expiries"):
            members: Any = redis_client.zrange(key, 0, -1)
            redis_client.zadd(key, dict.fromkeys(members, 1))
    assert [message.content for message in conversation("k", adapter=adapter).tail(5)] == ["x"]
    assert {life(redis_client, key) > 50_000 for key in stored_keys(redis_client) if "k:main" in key} == {True}
    assert [record.key for record in adapter.sessions.find("default", Filter(user_key=owner))] == ["k"]
    assert RedisAdapter(redis_client, renew_on_read=True).sessions.count("default") == 1


def test_without_a_ttl_nothing_expires(expiring: Conversation, redis_client: redis.Redis) -> None:
    """FEATURES N11: what another writer let expire stays as well."""
    expiring.append(Message.user("x"))
    conversation("k", adapter=RedisAdapter(redis_client)).append(Message.user("y"))
    assert {life(redis_client, key) for key in stored_keys(redis_client)} == {-1}


def test_what_expired_is_gone_whole_and_leaves_the_lists(redis_client: redis.Redis) -> None:
    adapter = RedisAdapter(redis_client, ttl=60)
    for key in "ab":
        conversation(key, user="bob", adapter=adapter).append(Message.user("x", id="a"))
    redis_client.pexpire(f"{PREFIX}{{default:a:main}}", 0)
    gone = conversation("a", adapter=adapter)
    assert (gone.messages(), gone.session()) == ([], None)
    assert [record.key for record in adapter.sessions.find("default")] == ["b"]
    assert [record.key for record in adapter.sessions.find("default", Filter(user_key="bob"))] == ["b"]
    assert redis_client.zcard(f"{PREFIX}{{default}}:sessions") == 1
    assert gone.append(Message.user("x", id="a")).first_seq == 1


def test_lists_go_with_the_last_that_expires(redis_client: redis.Redis) -> None:
    """Nothing that expires leaves anything behind but the workspace."""
    for ttl in (30, 60):
        conversation(f"{ttl}", user="bob", adapter=RedisAdapter(redis_client, ttl=ttl)).append(Message.user("x"))
    lists = [key for key in stored_keys(redis_client) if ":sessions" in key]
    assert len(lists) == 4
    assert all(50_000 < life(redis_client, key) <= 60_001 for key in lists)
    conversation("stays", user="bob", adapter=RedisAdapter(redis_client)).append(Message.user("x"))
    assert {life(redis_client, key) for key in lists} == {-1}


def test_expired_entries_are_taken_out_by_writers(redis_client: redis.Redis) -> None:
    """A list that nobody reads does not grow for ever."""
    adapter = RedisAdapter(redis_client, ttl=0.001)
    for number in range(50):
        conversation(f"{number}", adapter=adapter).append(Message.user("x"))
    assert redis_client.zcard(f"{PREFIX}{{default}}:sessions") < 10


DAMAGE: dict[str, Callable[[Any], Any]] = {
    "not JSON": lambda client: client.hset(KEY, "m:2", b"secret \xff"),
    "JSON but no message": lambda client: client.hset(KEY, "m:2", b'{"secret": 1}'),
    "cut off": lambda client: client.hset(KEY, "m:2", client.hget(KEY, "m:2")[:-1]),
    "gone": lambda client: client.hdel(KEY, "m:2"),
    "empty": lambda client: client.hset(KEY, "m:2", b""),
    "of another": lambda client: client.hset(KEY, "m:2", b"00000000" + client.hget(KEY, "m:1")[8:]),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_message_is_skipped_reported_and_not_counted(
    expiring: Conversation, redis_client: redis.Redis, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """FEATURES N19, R06, R07, J29."""
    expiring.append(*(Message.user(f"secret {number}", id=f"{number}") for number in (1, 2, 3)))
    DAMAGE[name](redis_client)
    assert [message.seq for message in expiring.messages()] == [1, 3]
    assert expiring.count() == 2
    (listed,) = RedisAdapter(redis_client).sessions.find("default")
    assert listed.message_count == 2
    (logged,) = caplog.records
    assert logged.levelno == logging.WARNING
    assert "position 2" in logged.getMessage()
    assert "secret" not in caplog.text
    assert expiring.append(Message.user("secret 2", id="2")).replayed
    receipt = expiring.append(Message.user("secret 2", id="2"), Message.user("next"))
    assert (receipt.last_seq, receipt.version) == (4, 2)


def test_what_follows_a_message_is_deleted_in_one_step(expiring: Conversation, redis_client: redis.Redis) -> None:
    """There are no branches to leave it on: positions, ids, turns and a made title are as if it had never come."""
    expiring.append(*(Message(who, text, id=text) for who, text in zip(("user", "assistant") * 2, "abcd", strict=True)))
    version = expiring.open().version
    names = names_in_redis(redis_client, lambda: expiring.truncate_after("b"))
    assert names.count("EVALSHA") + names.count("EVAL") <= 3
    kept = expiring.open()
    assert (kept.last_seq, kept.last_turn, kept.version, kept.title) == (2, 1, version + 1, "a")
    assert expiring.truncate_after("b") == 0
    assert expiring.open().version == kept.version
    assert expiring.append(Message.user("other", id="c")).first_seq == 3
    assert expiring.truncate_after("a", inclusive=True) == 3
    emptied = expiring.open()
    assert (expiring.messages(), emptied.last_turn, emptied.title) == ([], 0, "")
    assert not {b"m:", b"i:", b"s:"} & {name[:2] for name in redis_client.execute_command("HKEYS", KEY)}
    for unknown in ("a", "never", 5, "\0"):
        with pytest.raises(MessageNotFound):
            expiring.truncate_after(unknown)  # type: ignore[arg-type]
    with pytest.raises(MessageNotFound):
        conversation("unknown", adapter=RedisAdapter(redis_client)).truncate_after("a")


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_goes_with_what_follows_a_message(expiring: Conversation, redis_client: redis.Redis, name: str) -> None:
    """And its id is free again."""
    expiring.append(*(Message.user(f"{number}", id=f"{number}") for number in (1, 2, 3)))
    DAMAGE[name](redis_client)
    assert expiring.truncate_after("1") == 2
    assert not expiring.append(Message.user("new", id="2")).replayed
    assert [message.content for message in expiring.messages()] == ["1", "new"]
    expiring.clear()
    with pytest.raises(MessageNotFound):
        expiring.truncate_after("1")


def test_foreign_fields_are_not_messages(expiring: Conversation, redis_client: redis.Redis) -> None:
    expiring.append(Message.user("x"))
    redis_client.hset(KEY, mapping={"m:2": "x", "m:foo": "y", "i:foo": "z", "other": "w"})
    assert (len(expiring.messages()), expiring.count()) == (1, 1)
    assert expiring.append(Message.user("y", id="b")).first_seq == 2
    assert [message.content for message in expiring.messages()] == ["x", "y"]


CALLS: dict[str, Callable[[Conversation], Any]] = {
    "append": lambda chat: chat.append(Message.user("x")),
    "messages": lambda chat: chat.messages(),
    "count": lambda chat: chat.count(),
    "open": lambda chat: chat.open(title="t"),
    "update": lambda chat: chat.update(title="t"),
    "clear": lambda chat: chat.clear(),
    "truncate_after": lambda chat: chat.truncate_after("1"),
    "delete": lambda chat: chat.delete(),
}
FOREIGN: dict[str, Callable[[redis.Redis], Any]] = {
    "text": lambda client: client.set(KEY, "theirs"),
    "list": lambda client: client.rpush(KEY, "theirs"),
    "hash": lambda client: client.hset(KEY, "theirs", 1),
    "newer format": lambda client: client.hset(KEY, mapping={"format": 4, "version": "x"}),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_value_under_our_key_is_refused_and_left_alone(
    expiring: Conversation, redis_client: redis.Redis, kind: str, call: str
) -> None:
    """FEATURES R16."""
    FOREIGN[kind](redis_client)
    before = redis_client.dump(KEY)
    with pytest.raises(Conflict, match="another program or version"):
        CALLS[call](expiring)
    assert (redis_client.dump(KEY), life(redis_client)) == (before, -1)


@pytest.mark.parametrize("call", CALLS)
def test_outage_is_one_error_of_ours(call: str) -> None:
    """FEATURES R15."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        client = redis.Redis(port=nobody.getsockname()[1], retry=Retry(NoBackoff(), 0))
        chat = conversation("k", adapter=RedisAdapter(client))
        with pytest.raises(StorageUnavailable, match="ConnectionError") as caught:
            CALLS[call](chat)
    assert isinstance(caught.value.__cause__, redis.ConnectionError)


def test_full_store_refuses_a_write_whole_and_still_reads() -> None:
    with start_redis("--maxmemory", "6mb", "--maxmemory-policy", "noeviction") as server:
        client = redis.Redis.from_url(server.url)
        chat = conversation("k", adapter=RedisAdapter(client))
        with pytest.raises(StorageUnavailable, match="OutOfMemory"):
            fill(chat)
        assert len(chat.messages()) == chat.count() == chat.tail(1)[0].seq
        assert chat.count() % 2 == 0
        client.close()


def fill(chat: Conversation) -> None:
    """Append turns of two until the store refuses one."""
    for _turn in range(10_000):
        chat.append(Message.user("x" * 10_000), Message.assistant("y" * 10_000))


def test_scripts_come_back_after_they_were_forgotten(lone_redis: redis.Redis) -> None:
    chat = conversation("k", adapter=RedisAdapter(lone_redis))
    for use in (lambda: chat.append(Message.user("x")), chat.messages):
        use()
        lone_redis.script_flush()
    assert chat.append(Message.user("y")).first_seq == 2


def test_a_window_is_one_script_and_sends_no_more_than_it_may_need(lone_redis: redis.Redis) -> None:
    """N16, N37: system messages come from where they are, and the others are not looked through."""
    chat = conversation("k", adapter=RedisAdapter(lone_redis))
    chat.append(Message.system("Be brief."), *[Message.user("x" * 1_000) for _ in range(800)], Message.system("Bye."))
    names = names_in_redis(lone_redis, lambda: chat.window(turns=3))
    assert names.count("EVALSHA") == 1
    before = lone_redis.info("stats")["total_net_output_bytes"]
    assert [message.content[:3] for message in chat.window(turns=3)] == ["Be ", "xxx", "xxx", "xxx", "Bye"]  # type: ignore[index]
    assert lone_redis.info("stats")["total_net_output_bytes"] - before < 40_000


def test_system_messages_that_are_taken_off_or_hidden_are_gone(redis_client: redis.Redis) -> None:
    chat = conversation("k", adapter=RedisAdapter(redis_client))
    chat.append(Message.system("1"), Message.user("2"), Message.system("3"))
    assert [message.content for message in chat.window(turns=1)] == ["1", "2", "3"]
    assert chat.pop() is not None
    assert [message.content for message in chat.window(turns=1)] == ["1", "2"]
    chat.append(Message.system("4", extra={"role": "developer"}))
    assert [message.content for message in chat.window(turns=1)] == ["1", "2", "4"]
    chat.clear()
    chat.append(Message.user("5"))
    assert [message.content for message in chat.window(turns=1)] == ["5"]


@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_call_is_one_script_whatever_its_size(expiring: Conversation, redis_client: redis.Redis, size: int) -> None:
    """FEATURES N17, E12: the lists are kept in the same step."""
    expiring.append(Message.user("x"))
    names = names_in_redis(redis_client, lambda: expiring.append(*(Message.user("x") for _ in range(size))))
    assert names.count("EVALSHA") == 1


def test_keys_are_never_searched(redis_client: redis.Redis) -> None:
    """FEATURES J24, R23."""
    adapter = RedisAdapter(redis_client)

    def use() -> None:
        for key in ("a", "*", "b*"):
            conversation(key, user="u*", adapter=adapter).append(Message.user("x"))
        conversation("*", adapter=adapter).delete()
        assert [record.key for record in adapter.sessions.find("default", Filter(user_key="u*"))] == ["b*", "a"]

    names = names_in_redis(redis_client, use)
    assert "HSET" in names  # what scripts do is seen
    assert not {"KEYS", "SCAN"} & {*names}


def test_client_that_decodes_is_as_good(redis_client: redis.Redis) -> None:
    """FEATURES S0.4: the documents build theirs with decode_responses=True."""
    options = redis_client.connection_pool.connection_kwargs
    client = redis.Redis(host=options["host"], port=options["port"], db=options["db"], decode_responses=True)
    chat = conversation("ü", user="ö", adapter=RedisAdapter(client))
    chat.append(Message.user("é", id="ä"))
    client.hset(f"{PREFIX}{{default:%C3%BC:main}}", "m:1", b"\xff")
    assert (chat.messages(), chat.count()) == ([], 0)
    (listed,) = RedisAdapter(client).sessions.find("default", Filter(user_key="ö"))
    assert (listed.key, listed.user_key) == ("ü", "ö")
    client.close()


def test_append_many_writes_nothing(expiring: Conversation, redis_client: redis.Redis) -> None:
    with pytest.raises(
        NotSupported, match="RedisAdapter cannot change several conversations at once, here 1"
    ) as caught:
        append_many({expiring: [Message.user("x")]})
    assert (caught.value.adapter, caught.value.part) == ("RedisAdapter", "")
    assert stored_keys(redis_client) == []


def test_prefixes_do_not_meet(redis_client: redis.Redis) -> None:
    """FEATURES R13, R23."""
    chats = [conversation("k", adapter=RedisAdapter(redis_client, prefix)) for prefix in ("app:", "app:a:", "")]
    for chat in chats:
        chat.append(Message.user("x"))
    chats[0].delete()
    assert [chat.count() for chat in chats] == [0, 1, 1]


@pytest.fixture(scope="module")
def one_node_cluster() -> Iterator[redis.RedisCluster]:
    """A Cluster of one node: commands that span slots are refused as in any."""
    with socket.socket() as bus:
        bus.bind(("127.0.0.1", 0))
        port = bus.getsockname()[1]
    with start_redis("--cluster-enabled", "yes", "--cluster-port", str(port)) as server:
        with redis.Redis(port=server.port) as node:
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
            eventually(lambda: b"cluster_state:ok" in node.execute_command("CLUSTER", "INFO", NEVER_DECODE=True))
        client = redis.RedisCluster(host="127.0.0.1", port=server.port)
        yield client
        client.close()


class TestCluster(AdapterConformance):
    """The kit on a Cluster."""

    changes_several = False
    yields_keys = False

    @pytest.fixture(autouse=True)
    def _client(self, one_node_cluster: redis.RedisCluster) -> None:
        self.client = one_node_cluster

    def make_adapter(self) -> Adapter:
        return RedisAdapter(self.client, ttl=600)

    def test_cluster_really_refuses_what_spans_slots(self) -> None:
        node = self.client.get_primaries()[0].redis_connection
        assert node is not None
        with pytest.raises(ResponseError, match="same slot"):
            node.execute_command("EVAL", "return 1", 2, "a", "b")

    def test_a_plain_client_learns_that_there_are_slots(self) -> None:
        node = self.client.get_primaries()[0].redis_connection
        adapter = RedisAdapter(node, "plain:")
        for content in "ab":
            conversation("k", "w", adapter=adapter).append(Message.user(content))
        assert [message.content for message in conversation("k", "w", adapter=adapter).messages()] == ["a", "b"]
        assert [record.key for record in adapter.sessions.find("w")] == ["k"]

    def test_conversations_of_a_workspace_lie_in_several_slots(self) -> None:
        for number in range(20):
            self.append("a", key=f"{number}")
        ours = [key for key in stored_keys(self.client) if f"{{{self.workspace}:" in key]
        assert len(ours) == 20
        assert len({self.client.keyslot(key) for key in ours}) > 15
