"""What the package behind the document gets wrong, and what is right here, on every back end."""

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync
from django.db import connection, connections

import chat_memory
from chat_memory import conversation
from chat_memory.providers import (
    Failure,
    InMemoryConfig,
    MemoryConnectionError,
    MemoryNotFoundError,
    MemoryQuery,
    MemoryStorageError,
    Message,
    PostgresConfig,
    Success,
    create_in_memory_provider,
    create_postgres_provider,
)
from tests.acceptance.seeds.providers_world import contents_of, from_assistant, from_user, kept_in, provider_of
from tests.cache.caching import statements
from tests.watched_redis import names_in_redis

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)


async def found(provider: Any, **query: Any) -> list[str]:
    """The ids of what a query finds."""
    return [one.conversation_id for one in await provider.find_conversations(MemoryQuery(**query))]


async def test_every_filter_applies_on_every_back_end(provider: Any) -> None:
    """J01, J03, J19, J37, S1.3, S1.14: aware and naive times, a limit of 0, and filters together."""
    for number, owner in enumerate(["alice", "bob", "alice", "alice"], start=1):
        when = NOW - timedelta(days=10 * (5 - number))
        metadata = {"user_id": owner, "trace_id": f"t{number % 2}"}
        await provider.store_messages(f"c{number}", [from_user("x", created_at=when)], metadata)
    await provider.store_messages("c5", [from_user("x")])
    assert await found(provider) == ["c5", "c4", "c3", "c2", "c1"]
    assert await found(provider, user_id="alice") == ["c4", "c3", "c1"]
    assert await found(provider, conversation_id="c2") == ["c2"]
    assert await found(provider, conversation_id="c2", user_id="alice") == []
    assert await found(provider, trace_id="t1") == ["c3", "c1"]
    assert await found(provider, trace_id="t1", user_id="alice", limit=1, offset=1) == ["c1"]
    assert await found(provider, limit=2, offset=1) == ["c4", "c3"]
    assert await found(provider, limit=0) == []
    cut = NOW - timedelta(days=25)
    for moment in (cut, cut.astimezone().replace(tzinfo=None)):
        assert await found(provider, since=moment) == ["c5", "c4", "c3"]
        assert await found(provider, until=moment, user_id="alice") == ["c1"]
    assert await found(provider, since=NOW + timedelta(days=1)) == []


@pytest.mark.parametrize(
    "query", [{"limit": -1}, {"offset": -1}, {"user_id": ""}, {"since": "yesterday"}, {"limit": True}]
)
async def test_a_query_that_means_nothing_is_refused(provider: Any, query: dict[str, Any]) -> None:
    """J02, J19: none of it ever means all."""
    refused = await provider.find_conversations(MemoryQuery(**query))
    assert isinstance(refused, Failure)
    assert next(iter(query)) in str(refused.error) or "user" in str(refused.error)


async def test_erasing_finds_what_was_begun_anonymously(provider: Any) -> None:
    """J04, J05: what gets its owner later, and what nobody owns and names the user."""
    await provider.store_messages("begun", [from_user("1")])
    await provider.store_messages("begun", [from_user("2")], {"user_id": "alice"})
    await provider.append_messages("begun", [from_assistant("3")])
    assert (await provider.get_conversation("begun")).user_id == "alice"
    await provider.store_messages("named", [], {"topic": "x"})
    await provider.append_messages("named", [], {"user_id": "alice"})
    await provider.store_messages("other", [from_user("4")], {"user_id": "bob"})
    assert (await provider.get_stats("alice"))["user_conversations"] == 2
    assert await provider.clear_user_conversations("alice") == 2
    assert await found(provider) == ["other"]
    for nobody in ("", None):
        assert isinstance(await provider.clear_user_conversations(nobody), Failure)
    assert await found(provider) == ["other"]


async def test_a_conversation_does_not_change_hands(provider: Any) -> None:
    """J05: what metadata says of another user is refused, and nothing is stored."""
    await provider.store_messages("c", [from_user("1")], {"user_id": "alice"})
    for call in (provider.store_messages, provider.append_messages):
        refused = await call("c", [from_user("2")], {"user_id": "bob"})
        assert isinstance(refused.error, MemoryStorageError)
        assert "somebody else" in str(refused.error)
    assert await kept_in(provider, "c") == ["1"]
    assert (await provider.get_conversation("c")).metadata["user_id"] == "alice"


async def test_a_users_statistics_are_the_users(provider: Any) -> None:
    """J06, J25: and the number of messages is counted, never noted."""
    await provider.store_messages(
        "c", [from_user("1"), from_assistant("2")], {"user_id": "alice", "total_messages": 99}
    )
    await provider.append_messages("c", [from_user("3")])
    await provider.store_messages("d", [from_user("4")], {"user_id": "bob"})
    stats = await provider.get_stats("alice")
    assert (stats["total_conversations"], stats["total_messages"], stats["user_messages"]) == (1, 3, 3)
    assert (await provider.get_conversation("c")).metadata["total_messages"] == 3
    assert "total_messages" not in (await provider.place.chat("c").asession()).metadata
    assert (await provider.get_stats("nobody"))["avg_messages_per_conversation"] == 0
    assert stats["oldest_conversation"] == stats["newest_conversation"]


def test_redis_counts_conversations_alone_and_never_lists_all_keys(redis_client: redis.Redis) -> None:
    """J07, J24."""
    redis_client.set("jaf:memory:of somebody else", "1")
    provider = async_to_sync(provider_of)("redis", redis_client)
    async_to_sync(provider.store_messages)("c", [from_user("1")])

    def work() -> None:
        assert async_to_sync(provider.get_stats)()["total_conversations"] == 1
        assert async_to_sync(found)(provider) == ["c"]
        assert async_to_sync(provider.clear_user_conversations)("alice") == 0

    names = names_in_redis(redis_client, work)
    assert {"KEYS", "SCAN"} & set(names) == set()


def at_once(*calls: tuple[Any, ...]) -> list[Any]:
    """The answers of calls, each a method and its arguments, in as many threads."""

    def run(call: tuple[Any, ...]) -> Any:
        try:
            return async_to_sync(call[0])(*call[1:])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


@pytest.mark.django_db(transaction=True)
def test_appends_at_once_are_all_kept(provider: Any) -> None:
    """J08: with metadata that each of them sets."""
    async_to_sync(provider.store_messages)("c", [from_user("0")])
    numbers = range(1, 13)
    append = provider.append_messages
    answers = at_once(*((append, "c", [from_user(f"{number}")], {f"key{number}": number}) for number in numbers))
    assert all(isinstance(answer, Success) for answer in answers)
    kept = async_to_sync(provider.get_conversation)("c")
    assert sorted(contents_of(kept.messages), key=int) == [str(number) for number in range(13)]
    assert {kept.metadata[f"key{number}"] for number in numbers} == set(numbers)


@pytest.mark.django_db(transaction=True)
def test_taking_back_and_appending_at_once_lose_nothing(provider: Any) -> None:
    """J27, J36: the append comes before, and is counted among what went, or after, and stays."""
    for round_number in range(6):
        key = f"c{round_number}"
        given = [from_user("a", message_id="a"), from_user("b", message_id="b"), from_user("c", message_id="c")]
        async_to_sync(provider.store_messages)(key, given)
        removed, appended = at_once(
            (provider.truncate_conversation_after, key, "c"), (provider.append_messages, key, [from_user("late")])
        )
        assert isinstance(appended, Success)
        left = async_to_sync(kept_in)(provider, key)
        assert (left, removed.data) in [(["a", "b", "late"], 1), (["a", "b"], 2)]


def test_a_read_writes_nothing(provider: Any, redis_client: redis.Redis) -> None:
    """J09, J10, J13: neither the time of the last activity, nor anything else."""
    async_to_sync(provider.store_messages)("c", [from_user("1")], {"user_id": "alice"})
    before = provider.place.chat("c").session()

    async def read() -> None:
        await provider.get_conversation("c")
        await provider.get_recent_messages("c")
        await provider.find_conversations(MemoryQuery(user_id="alice"))
        await provider.get_conversation("unknown")
        await provider.get_previous_response_id("c")
        await provider.get_stats()

    written = {"SET", "HSET", "DEL", "EXPIRE", "PEXPIRE", "ZADD", "HDEL", "PERSIST"}
    assert written & set(names_in_redis(redis_client, async_to_sync(read))) == set()
    assert provider.place.chat("c").session() == before
    assert async_to_sync(found)(provider) == ["c"]


async def test_an_unknown_conversation_is_not_found(provider: Any) -> None:
    """J11, S1.10, S1.11, S1.12, S1.13: by the same error everywhere, and reading makes none."""
    for answer in (
        await provider.append_messages("nowhere", [from_user("1")]),
        await provider.append_messages("nowhere", [from_user("1")], {"k": 1}),
        await provider.get_recent_messages("nowhere"),
        await provider.truncate_conversation_after("nowhere", "m"),
        await provider.mark_regeneration_point("nowhere", "m", {}),
    ):
        assert isinstance(answer, Failure)
        assert isinstance(answer.error, MemoryNotFoundError)
        assert (answer.error.conversation_id, bool(answer)) == ("nowhere", False)
    assert (await provider.get_conversation("nowhere")) == Success(None)
    assert not await provider.get_conversation("nowhere")
    assert (await provider.delete_conversation("nowhere")).data is False
    assert await found(provider) == []


async def test_a_conversation_that_was_deleted_is_not_found_by_who_knew_it(provider: Any) -> None:
    """J10, J11: a handle that was kept does not bring it back, and finds the one that has its id later."""
    await provider.store_messages("c", [from_user("1")])
    await provider.append_messages("c", [from_user("2")])
    await provider.delete_conversation("c")
    assert isinstance((await provider.append_messages("c", [from_user("3")])).error, MemoryNotFoundError)
    assert isinstance((await provider.get_recent_messages("c")).error, MemoryNotFoundError)
    await provider.store_messages("c", [from_user("4")])
    await provider.append_messages("c", [from_user("5")])
    assert contents_of(await provider.get_recent_messages("c")) == ["4", "5"]


def test_an_append_costs_the_same_in_a_long_conversation() -> None:
    """J12, E12: the statements of one append through ``conversation()``, whatever is there."""
    provider = async_to_sync(create_postgres_provider)()
    async_to_sync(provider.store_messages)("c", [from_user(f"{number}") for number in range(300)])
    append, chat = async_to_sync(provider.append_messages), conversation("d")
    append("c", [from_user("known")])
    chat.append(chat_memory.Message.user("known"))
    usual = statements(lambda: chat.append(chat_memory.Message.user("1")))
    assert len(statements(lambda: append("c", [from_user("1")]))) == len(usual)
    recent = async_to_sync(provider.get_recent_messages)
    assert len(statements(lambda: recent("c", 20))) == len(statements(lambda: chat.tail(20)))


async def test_limits_of_recent_messages(provider: Any) -> None:
    """J14: 0 gives none, less is refused, and it is always a list."""
    await provider.store_messages("c", [from_user(f"{number}") for number in range(5)])
    assert (await provider.get_recent_messages("c", limit=0)).data == []
    assert contents_of((await provider.get_recent_messages("c", limit=2)).data) == ["3", "4"]
    assert len((await provider.get_recent_messages("c")).data) == 5
    refused = await provider.get_recent_messages("c", limit=-2)
    assert isinstance(refused.error.cause, ValueError)
    with pytest.raises(MemoryStorageError, match="limit"):
        next(iter(refused))


async def test_what_is_given_out_is_a_copy(provider: Any) -> None:
    """J15, S1.1."""
    await provider.store_messages(
        "c", [from_user("1", attachments=[{"kind": "file", "url": "x"}])], {"k": {"deep": [1]}}
    )
    held = await provider.get_conversation("c")
    held.metadata["k"]["deep"].append(2)
    held.messages[0].attachments.append("more")
    await provider.append_messages("c", [from_user("2")])
    assert len(held.messages) == 1
    again = await provider.get_conversation("c")
    assert again.metadata["k"] == {"deep": [1]}
    assert again.messages[0].attachments == [{"kind": "file", "url": "x"}]


async def test_times_in_metadata_become_text(provider: Any) -> None:
    """J17, J18: on every back end, at any depth; what was read can be stored again."""
    when = datetime(2024, 1, 15, 10, tzinfo=UTC)
    await provider.store_messages("c", [from_user("1")], {"when": when, "deep": {"at": [when]}})
    read = (await provider.get_conversation("c")).metadata
    assert datetime.fromisoformat(read["when"]) == datetime.fromisoformat(read["deep"]["at"][0]) == when
    await provider.store_messages("c", [], read)
    assert (await provider.get_conversation("c")).metadata == read
    refused = await provider.store_messages("d", [from_user("1")], {"object": object()})
    assert "metadata" in str(refused.error)
    assert not await provider.get_conversation("d")


async def test_nothing_leaves_a_provider_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    """J20, S1.23: messages stay, and a conversation that has to go is told of, without its id."""
    provider = create_in_memory_provider(InMemoryConfig(max_conversations=2, max_messages=3))
    await provider.store_messages("patient-4711", [from_user(f"{number}") for number in range(5)])
    assert await kept_in(provider, "patient-4711") == ["2", "3", "4"]
    assert contents_of(await provider.get_recent_messages("patient-4711")) == ["2", "3", "4"]
    assert provider.place.chat("patient-4711").count() == 5
    await provider.store_messages("b", [from_user("1")])
    assert caplog.text == ""
    await provider.store_messages("c", [from_user("1")])
    assert await found(provider) == ["c", "b"]
    assert "is full" in caplog.text
    assert "4711" not in caplog.text


async def test_closing_deletes_nothing(provider: Any) -> None:
    """J34, S1.18."""
    await provider.store_messages("c", [from_user("1")])
    assert isinstance(await provider.close(), Success)
    assert await kept_in(provider, "c") == ["1"]


def test_the_schema_has_what_the_document_prints() -> None:
    """J21, S1.28: an id that is unique, owner and times as columns, and an index by which a user's are found."""
    with connection.cursor() as cursor:
        columns = {column.name for column in connection.introspection.get_table_description(cursor, TABLE)}
        keys = connection.introspection.get_constraints(cursor, TABLE).values()
    assert {"id", "key", "user_key", "metadata", "created_at", "updated_at"} <= columns
    assert any(key["unique"] and "key" in (key["columns"] or ()) for key in keys)
    assert any(key["index"] and (key["columns"] or [""])[0] == "user_key" for key in keys)


TABLE = "chat_memory_session"


@pytest.mark.parametrize("table_name", ['victim"; DROP TABLE x', "a b", ""])
async def test_a_table_name_never_reaches_sql(table_name: str) -> None:
    """J23, S1.28: it is the name of a workspace."""
    refused = await create_postgres_provider(PostgresConfig(table_name=table_name))
    assert isinstance(refused.error, MemoryConnectionError)
    tenant = await create_postgres_provider(PostgresConfig(table_name="prod_conversations"))
    await tenant.store_messages("c", [from_user("1")])
    assert not await (await create_postgres_provider()).get_conversation("c")
    assert [message.content for message in await conversation("c", "prod_conversations").amessages()] == ["1"]


async def test_messages_have_a_time_and_a_position(provider: Any) -> None:
    """J26."""
    await provider.store_messages("c", [from_user("1"), from_assistant("2")])
    first, second = (await provider.get_conversation("c")).messages
    assert (first.seq, second.seq) == (1, 2)
    assert NOW - timedelta(minutes=5) < first.created_at <= second.created_at
    assert first.created_at.tzinfo is not None


async def test_ids_are_unique(provider: Any) -> None:
    """J28, E11: the same again is there once; the same id with other content is refused, and nothing is written."""
    one = from_user("1", message_id="x")
    for _again in range(2):
        assert isinstance(await provider.store_messages("c", [one]), Success)
        assert isinstance(await provider.append_messages("c", [one]), Success)
    for call in (provider.store_messages, provider.append_messages):
        refused = await call("c", [from_user("2", message_id="y"), from_user("other", message_id="x")])
        assert isinstance(refused.error, MemoryStorageError)
    twice = await provider.append_messages("c", [from_user("3", message_id="z"), from_user("4", message_id="z")])
    assert isinstance(twice, Failure)
    assert await kept_in(provider, "c") == ["1"]


def test_nothing_is_printed_and_no_text_logged(
    provider: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """J29."""
    caplog.set_level(logging.DEBUG, logger="chat_memory")
    async_to_sync(provider.store_messages)("patient-4711", [from_user("secret", message_id="m")])
    async_to_sync(provider.truncate_conversation_after)("patient-4711", "m")
    async_to_sync(provider.append_messages)("patient-4712", [from_user("secret")])
    assert capsys.readouterr().out == ""
    assert "secret" not in caplog.text
    assert "4711" not in caplog.text


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
async def test_what_cannot_be_stored_is_refused_everywhere_alike(provider: Any, text: str) -> None:
    """J35: before anything is written, the metadata included."""
    refused = await provider.store_messages("c", [from_user("1"), from_user(text)], {"k": 1})
    assert isinstance(refused.error, MemoryStorageError)
    assert "messages[1]" in str(refused.error)
    assert not await provider.get_conversation("c")
    assert isinstance(await provider.store_messages("c", [from_user("1")], {"k": text}), Failure)
    assert isinstance(await provider.store_messages(text, [from_user("1")]), Failure)
    assert await found(provider) == []


@pytest.mark.parametrize("given", [42, {"a": 1}, True], ids=repr)
async def test_e17_a_content_that_is_neither_text_nor_a_list_is_refused_by_name(provider: Any, given: Any) -> None:
    for field in ("content", "tool_calls", "attachments"):
        message = Message(**{"role": "assistant", "content": "x", field: given})
        outcome = await provider.store_messages("c1", [message])
        assert isinstance(outcome, Failure)
        assert str(outcome.error) == f"messages[0].{field}: must be a list, not {type(given).__name__}"
    for content in ("42", "[1, 2]", "null", '{"a": 1}', [{"type": "text", "text": "x", "detail": None}]):
        assert await provider.store_messages("c2", [Message("tool", content, tool_call_id="a")])
        assert (await provider.get_recent_messages("c2", 1))[0].content == content


@pytest.mark.parametrize("given", ["text", [1], [Message], None, {"a": 1}])
async def test_what_is_no_list_of_messages_is_refused(provider: Any, given: Any) -> None:
    """S1.9."""
    refused = await provider.store_messages("c", given)
    assert isinstance(refused.error, MemoryStorageError)
    assert "messages" in str(refused.error)
    assert not await provider.get_conversation("c")
