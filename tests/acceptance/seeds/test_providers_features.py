"""The features of the document's providers that its code does not show, by their ids in FEATURES.md."""

import copy
import json
import pickle
from datetime import UTC, datetime
from inspect import signature
from typing import Any

import pytest
import redis
from django.test import override_settings

from chat_memory import Message as CoreMessage, conversation, providers
from chat_memory.exceptions import ChatMemoryError, ValidationError
from chat_memory.providers import (
    ConversationMemory,
    Failure,
    MemoryConfig,
    MemoryConnectionError,
    MemoryError,  # noqa: A004  # the document's name
    MemoryNotFoundError,
    MemoryQuery,
    MemoryStorageError,
    Message,
    PostgresConfig,
    Success,
    create_in_memory_provider,
    create_postgres_provider,
    test_memory_provider_connection,
)
from tests.acceptance.seeds.providers_world import (
    CALL,
    contents_of,
    from_assistant,
    from_user,
    kept_in,
    provider_of,
)

pytestmark = pytest.mark.django_db


@pytest.mark.once
def test_a_success_is_used_as_its_data() -> None:
    """S1.4, J31: by attribute, item, iteration, length, truth, text and comparison; None is false."""
    success: Any = Success(["a", "b"])
    assert (success[0], list(success), len(success), success.index("b")) == ("a", ["a", "b"], 2, 1)
    assert f"{success} {Success(3):02d}" == "['a', 'b'] 03"
    assert (bool(Success([])), bool(Success(None)), bool(Success(0)), bool(success)) == (False, False, False, True)
    assert success == ["a", "b"] == Success(["a", "b"])
    assert Success(3) != Success(4)
    assert "b" in success
    assert copy.deepcopy(success) == pickle.loads(pickle.dumps(success)) == success
    with pytest.raises(AttributeError):
        _ = success.no_such_name


@pytest.mark.once
def test_a_failure_raises_its_error_where_it_is_used_as_data() -> None:
    """S1.4, S1.5, J30."""
    failure = Failure(MemoryStorageError("broken", "Redis", "store_messages", ValueError("why")))
    assert not failure
    for use in (len, list, lambda one: one["x"], lambda one: one.messages, lambda one: one.data):
        with pytest.raises(MemoryStorageError, match="broken") as raised:
            use(failure)
        assert raised.value.operation == "store_messages"
        assert isinstance(raised.value.__cause__, ValueError)
    assert copy.deepcopy(failure).error.operation == "store_messages"


@pytest.mark.once
def test_errors_are_exceptions_of_one_hierarchy() -> None:
    """S1.5, J30: with the fields of the document, equal by them, and whole after a pickle."""
    errors: list[Any] = [
        MemoryConnectionError("m", "p"),
        MemoryNotFoundError("m", "p", "c"),
        MemoryStorageError("m", "p", "op", None),
        MemoryError("m", "p"),
    ]
    for error in errors:
        assert isinstance(error, MemoryError)
        assert isinstance(error, ChatMemoryError)
        again = pickle.loads(pickle.dumps(error))
        assert (again, hash(again), str(again)) == (error, hash(error), "m")
    assert len(set(errors)) == 4
    assert (errors[1].conversation_id, errors[2].operation) == ("c", "op")


async def test_a_message_keeps_all_it_is_given(provider: Any) -> None:
    """S1.2: parts, attachments, calls, ids; and what other doors stored with it."""
    picture = {"kind": "image", "mime_type": "image/png", "url": "https://example.org/a.png"}
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "x"}}]
    given = [
        Message(role="user", content=parts, attachments=[picture], message_id="m1"),
        Message(role="assistant", content="", tool_calls=[CALL]),
        Message(role="tool", content="[]", tool_call_id="c1"),
        Message(role="assistant", content="", extra={"content": None, "name": "ada", "reasoning_content": "hm"}),
    ]
    await provider.store_messages("c", given)
    found = (await provider.get_conversation("c")).messages
    assert list(found) == given
    assert [one.extra for one in found] == [None, None, None, given[3].extra]
    assert (await provider.place.chat("c").atail(1))[0].content is None
    again = [Message(**json.loads(json.dumps(one.dict()))) for one in found]
    assert again == given
    assert isinstance(await provider.store_messages("c", again), Success)
    assert len((await provider.get_conversation("c")).messages) == 4
    assert Message("user", "1").message_id != Message("user", "1").message_id


async def test_what_other_doors_stored_is_read_and_given_back() -> None:
    """S1.2, J18: with fields that this dialect has not."""
    chat = conversation("c", user="alice")
    await chat.aappend(
        CoreMessage.from_dict({"role": "developer", "content": "x"}),
        CoreMessage.user("1", name="ada", metadata={"k": 1}),
        CoreMessage.from_dict({"role": "assistant", "tool_calls": [CALL], "refusal": None}),
        CoreMessage.tool("r", tool_call_id="c1"),
    )
    stored = await chat.amessages()
    provider = await create_postgres_provider()
    held = await provider.get_conversation("c")
    assert (held.user_id, held.metadata["user_id"]) == ("alice", "alice")
    again = [Message(**one.dict()) for one in held.messages]
    assert isinstance(await provider.store_messages("copy", again, held.metadata), Success)
    assert await conversation("copy").amessages() == stored
    assert isinstance(await provider.store_messages("c", again), Success)
    assert await chat.amessages() == stored


async def test_store_creates_adds_and_merges(provider: Any) -> None:
    """S1.9: metadata is merged by its keys, and nothing is replaced."""
    receipt = await provider.store_messages("c", [from_user("1")], {"a": 1, "b": {"x": 1}})
    assert (receipt.first_seq, receipt.last_seq) == (1, 1)
    await provider.store_messages("c", [from_user("2")], {"b": 2, "c": None})
    held = await provider.get_conversation("c")
    assert contents_of(held.messages) == ["1", "2"]
    assert [held.metadata[name] for name in "abc"] == [1, 2, None]
    assert {"created_at", "updated_at", "last_activity", "total_messages"} <= held.metadata.keys()
    assert held.metadata["last_activity"] == held.messages[-1].created_at.isoformat()
    await provider.store_messages("empty", [])
    assert (await provider.get_conversation("empty")).messages == ()


async def test_truncation(provider: Any) -> None:
    """S1.19: inclusive; an unknown message takes nothing off; the first one takes all."""
    await provider.store_messages("c", [from_user(name, message_id=name) for name in "abcd"])
    assert await provider.truncate_conversation_after("c", "x") == 0
    assert await provider.truncate_conversation_after("c", "c") == 2
    held = await provider.get_conversation("c")
    assert contents_of(held.messages) == ["a", "b"]
    assert (held.metadata["regeneration_truncated"], held.metadata["messages_removed"]) == (True, 2)
    assert datetime.fromisoformat(held.metadata["truncated_at"]) <= datetime.now(UTC)
    await provider.append_messages("c", [from_user("c", message_id="c")])
    assert await kept_in(provider, "c") == ["a", "b", "c"]
    assert await provider.truncate_conversation_after("c", "a") == 3
    assert await kept_in(provider, "c") == []
    await provider.append_messages("c", [from_user("e")])
    assert await kept_in(provider, "c") == ["e"]


async def test_what_was_truncated_stays_on_its_branch() -> None:
    """S1.19, S1.44, E10: in a database."""
    provider = await create_postgres_provider()
    await provider.store_messages("c", [from_user(name, message_id=name) for name in "abc"])
    await provider.truncate_conversation_after("c", "b")
    old = await conversation("c", branch="main").amessages()
    assert [message.content for message in old] == ["a", "b", "c"]


async def test_a_conversation_until_a_message(provider: Any) -> None:
    """S1.20: exclusive, with what was left out in the metadata."""
    await provider.store_messages("c", [from_user(name, message_id=name) for name in "abc"])
    before = await provider.get_conversation_until_message("c", "c")
    assert contents_of(before.messages) == ["a", "b"]
    counts = {"original_message_count": 3, "truncated_message_count": 2}
    added = {"truncated_for_regeneration": True, "truncated_until_message": "c"} | counts
    assert {name: before.metadata[name] for name in added} == added
    assert contents_of((await provider.get_conversation_until_message("c", "a")).messages) == []
    assert (await provider.get_conversation_until_message("c", "x")).data is None
    assert (await provider.get_conversation_until_message("d", "x")).data is None
    assert await kept_in(provider, "c") == ["a", "b", "c"]


async def test_regeneration_points(provider: Any) -> None:
    """S1.21, S1.43."""
    await provider.store_messages("c", [from_user("1", message_id="m")], {"kept": True})
    for number in (1, 2):
        assert isinstance(await provider.mark_regeneration_point("c", "m", {"reason": number}), Success)
    metadata = (await provider.get_conversation("c")).metadata
    assert (metadata["regeneration_count"], metadata["kept"]) == (2, True)
    assert [point["reason"] for point in metadata["regeneration_points"]] == [1, 2]
    assert metadata["last_regeneration"] == metadata["regeneration_points"][1]
    assert metadata["last_regeneration"]["message_id"] == "m"


async def test_response_ids(provider: Any) -> None:
    """S1.22: the newest response and the one before it; going back leaves none before it."""

    async def noted() -> tuple[Any, ...]:
        calls = (
            provider.get_previous_response_id,
            provider.get_prior_response_id,
            provider.get_previous_response_message_id,
            provider.get_previous_response_message_index,
        )
        return tuple([(await call("c")).data for call in calls])

    assert await noted() == (None, None, None, None)
    assert isinstance(await provider.set_previous_response_id("c", "r1", "m1", 2, user_id="alice"), Success)
    assert await noted() == ("r1", None, "m1", 2)
    await provider.set_previous_response_id("c", "r2", message_id="m2", message_index=4)
    assert await noted() == ("r2", "r1", "m2", 4)
    await provider.set_previous_response_id("c", "r1", shift=False)
    assert await noted() == ("r1", None, None, None)
    held = await provider.get_conversation("c")
    assert (held.user_id, held.messages) == ("alice", ())


async def test_an_engine_sees_what_was_said_since_it_was_silent(provider: Any) -> None:
    """S1.6, E06: ``ttl`` is a view, and what it hides is still stored."""
    old = datetime(2024, 1, 1, tzinfo=UTC)
    await provider.store_messages("c", [from_user("1", created_at=old), from_assistant("2", created_at=old)])
    memory = MemoryConfig(provider, ttl=3600).provider
    assert contents_of((await memory.get_conversation("c")).messages) == []
    await memory.append_messages("c", [from_user("3"), from_assistant("4")])
    assert contents_of((await memory.get_conversation("c")).messages) == ["3", "4"]
    assert await kept_in(provider, "c") == ["1", "2", "3", "4"]


async def test_an_engine_sees_the_summary_of_what_it_does_not_see() -> None:
    """S1.38, E04: derived, and the originals are kept."""
    provider = await create_postgres_provider()
    history = [role(f"{number}") for number, role in enumerate([from_user, from_assistant] * 10)]
    await provider.store_messages("c", history)
    await conversation("c").asummarize(lambda messages: f"{len(messages)} messages", keep=4)
    seen = (await MemoryConfig(provider, compression_threshold=6).provider.get_conversation("c")).messages
    assert "16 messages" in seen[0].content
    assert contents_of(seen[1:]) == ["16", "17", "18", "19"]
    assert len(await kept_in(provider, "c")) == 20
    await MemoryConfig(provider, compression_threshold=6).provider.store_messages("c", [*seen, from_user("new")])
    assert await kept_in(provider, "c") == [*contents_of(history), "new"]


async def test_an_engines_view_keeps_system_messages_and_calls_with_results(provider: Any) -> None:
    """S1.37, E05, E16: a window begins at a question, in front of which the instructions stay."""
    history = [Message("system", "be kind"), from_user("1"), from_assistant("2")]
    history += [
        from_user("3"),
        from_assistant("", tool_calls=[CALL]),
        Message("tool", "{}", tool_call_id="c1"),
        from_assistant("4"),
    ]
    await provider.store_messages("c", history)
    memory = MemoryConfig(provider, max_messages=5)
    seen = (await memory.provider.get_conversation("c")).messages
    assert [one.role for one in seen] == ["system", "user", "assistant", "tool", "assistant"]
    for refused in (0, -1, True, "5"):
        with pytest.raises(ValidationError, match="max_messages"):
            MemoryConfig(provider, max_messages=refused)  # type: ignore[arg-type]


async def test_the_place_of_a_response_is_among_what_an_engine_sees(provider: Any) -> None:
    """S1.22, S1.37: where its message is not seen, there is no response to go on from."""
    history = [
        role(f"{number}", message_id=f"m{number}") for number, role in enumerate([from_user, from_assistant] * 5)
    ]
    await provider.store_messages("c", history)
    await provider.set_previous_response_id("c", "r", "m7", 8)
    memory = MemoryConfig(provider, max_messages=4).provider
    assert (await memory.get_conversation("c")).metadata["previous_response_message_index"] == 2
    await provider.set_previous_response_id("c", "r", "m1", 2)
    assert "previous_response_id" not in (await memory.get_conversation("c")).metadata


@pytest.mark.once
async def test_a_config_takes_a_provider_or_the_answer_that_has_it() -> None:
    """S1.6, J31: and no failure."""
    provider = create_in_memory_provider()
    answers: list[Any] = [provider, Success(provider)]
    for given in answers:
        memory = MemoryConfig(provider=given)
        await memory.provider.store_messages("c", [from_user("1")])
        assert (memory.auto_store, memory.store_on_completion, memory.max_messages) == (True, True, None)
    assert await kept_in(provider, "c") == ["1", "1"]
    with pytest.raises(MemoryConnectionError, match="down"):
        MemoryConfig(Failure(MemoryConnectionError("down", "Redis")))


@pytest.mark.once
def test_the_names_of_the_design_are_there() -> None:
    """J31: and the one that looks like a test is none."""
    names = """ConversationMemory MemoryProvider MemoryQuery MemoryConfig InMemoryConfig RedisConfig PostgresConfig
        create_in_memory_provider create_redis_provider create_postgres_provider create_memory_provider_from_env
        get_memory_provider_info test_memory_provider_connection Success Failure MemoryError MemoryConnectionError
        MemoryNotFoundError MemoryStorageError Message"""
    assert set(names.split()) <= set(providers.__all__)
    assert test_memory_provider_connection.__test__ is False  # type: ignore[attr-defined]
    assert list(signature(MemoryConfig).parameters)[:5] == [
        *("provider", "auto_store", "max_messages", "ttl", "compression_threshold")
    ]


async def test_workspaces_keep_conversations_apart(redis_client: redis.Redis) -> None:
    """S1.28, S1.16: and prefixes in Redis; the erasure of one leaves the other."""
    for kind, name in (("database", "table_name"), ("redis", "key_prefix")):
        one, two = [await provider_of(kind, redis_client, **{name: value}) for value in ("one", "two")]
        await one.store_messages("c", [from_user("1")], {"user_id": "alice"})
        assert not await two.get_conversation("c")
        assert await two.clear_user_conversations("alice") == 0
        assert (await two.get_stats())["total_conversations"] == 0
        assert (await one.find_conversations(MemoryQuery()))[0].conversation_id == "c"


async def test_a_workspace_that_may_not_be_made_is_a_failure() -> None:
    """S1.9."""
    with override_settings(CHAT_MEMORY={"CREATE_WORKSPACES": False, "CACHE": "off"}):
        provider = await create_postgres_provider(PostgresConfig(table_name="unknown"))
        assert "unknown" in str((await provider.store_messages("c", [from_user("1")])).error)
        memory = create_in_memory_provider()
        await memory.store_messages("c", [from_user("1")])
        assert await kept_in(memory, "c") == ["1"]


@pytest.mark.once
def test_a_conversation_takes_any_list() -> None:
    """S1.1."""
    assert ConversationMemory("c").messages == ()
    assert ConversationMemory("c", messages=[from_user("1")]).messages[0].content == "1"
