"""Our providers in the engine of jaf-py, with a fake model."""

from dataclasses import dataclass, field, replace
from typing import Any

import jaf
import pytest
import redis
from asgiref.sync import async_to_sync
from jaf import Agent, RunConfig, RunState, run
from jaf.core.regeneration import regenerate_conversation
from jaf.core.types import Attachment, RegenerationRequest, generate_run_id, generate_trace_id
from jaf.memory import types as theirs

from chat_memory.providers import (
    Failure,
    MemoryConfig,
    MemoryError,  # noqa: A004  # the document's name
    MemoryQuery,
    Message,
    Success,
    create_memory_provider_from_env,
)
from tests.acceptance.seeds.providers_world import (
    PROVIDERS,
    address_of,
    contents_of,
    from_assistant,
    from_user,
    kept_in,
    provider_of,
)

pytestmark = pytest.mark.django_db

KEY = "user-123-session-1"


class FakeModel:
    """Answers with the number of messages that it was shown, and keeps what that was."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.seen: list[list[Any]] = []

    async def get_completion(self, state: Any, agent: Any, config: Any) -> dict[str, Any]:
        self.seen.append(list(state.messages))
        answer = self.answers.pop(0) if self.answers else f"reply to {len(state.messages)}"
        if isinstance(answer, Exception):
            raise answer
        return {"message": answer if isinstance(answer, dict) else {"content": answer}}


@dataclass
class Owner:
    """A context whose owner the engine sees, which is an attribute."""

    user_id: str


@dataclass
class Talk:
    """A conversation through the engine."""

    memory: Any
    model: FakeModel = field(default_factory=FakeModel)
    key: str = KEY
    context: Any = field(default_factory=lambda: Owner("user-123"))
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> Any:
        agent = Agent(name="ChatBot", instructions=lambda state: "You are a helpful assistant.", tools=[])
        return RunConfig(
            agent_registry={"ChatBot": agent},
            model_provider=self.model,
            memory=self.memory,
            conversation_id=self.key,
            max_empty_response_retries=0,
            **self.options,
        )

    async def say(self, *messages: Any) -> Any:
        given = [jaf.Message(role="user", content=one) if isinstance(one, str) else one for one in messages]
        state = RunState(
            run_id=generate_run_id(),
            trace_id=generate_trace_id(),
            messages=given,
            current_agent_name="ChatBot",
            context=self.context,
            turn_count=0,
        )
        return await run(state, self.config)


@pytest.fixture(params=PROVIDERS)
def any_provider(request: pytest.FixtureRequest, redis_client: redis.Redis) -> Any:
    """An empty provider of each kind."""
    return async_to_sync(provider_of)(request.param, redis_client)


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_the_complete_example(kind: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.35, S1.36, S1.58: a second process goes on where the first one stopped."""
    monkeypatch.setenv("JAF_MEMORY_TYPE", {"database": "postgres"}.get(kind, kind))
    for name, value in address_of(redis_client).items():
        monkeypatch.setenv(f"JAF_REDIS_{name.upper()}", str(value))
    memory_provider = await create_memory_provider_from_env()
    result = None
    for question in ("Hello!", "And now?"):
        if kind != "memory":
            memory_provider = await create_memory_provider_from_env()
        memory_config = MemoryConfig(provider=memory_provider, auto_store=True, max_messages=100)
        result = await Talk(memory_config).say(question)
        assert result.outcome.status == "completed"
    assert result is not None
    assert result.outcome.output == "reply to 3"
    assert await kept_in(memory_provider, KEY) == ["Hello!", "reply to 1", "And now?", "reply to 3"]
    assert (await memory_provider.get_conversation(KEY)).user_id == "user-123"
    assert (await memory_provider.close()) is not None


async def test_answers_are_of_their_classes(any_provider: Any) -> None:
    """S1.4, S1.5, S1.2."""
    part = jaf.core.types.MessageContentPart(type="text", text="look")
    picture = Attachment(kind="image", mime_type="image/png", data="aGk=")
    call = jaf.core.types.ToolCall("c1", "function", jaf.core.types.ToolCallFunction("search", "{}"))
    given = [
        jaf.Message(role="user", content=[part], attachments=[picture], message_id="m1"),
        jaf.Message(role="assistant", content="", tool_calls=[call]),
        jaf.Message(role="tool", content="[]", tool_call_id="c1"),
    ]
    stored = await any_provider.store_messages("c", given)
    assert (type(stored), isinstance(stored, theirs.Success)) == (Success, True)
    found = await any_provider.get_conversation("c")
    assert isinstance(found.data, theirs.ConversationMemory)
    assert all(isinstance(message, jaf.Message) for message in found.messages)
    first, second, third = found.messages
    assert (first.content, first.attachments, first.message_id, first.text_content) == ([part], [picture], "m1", "look")
    assert (second.tool_calls, third.tool_call_id, third.content) == ([call], "c1", "[]")
    missing = await any_provider.append_messages("nowhere", [from_user("1")])
    assert (type(missing), isinstance(missing, theirs.Failure)) == (Failure, True)
    assert isinstance(missing.error, theirs.MemoryNotFoundError)
    assert isinstance(missing.error, MemoryError)
    assert (await any_provider.store_messages("c", given)).data.replayed
    assert len((await any_provider.get_conversation("c")).messages) == 3


async def test_limits_are_views(any_provider: Any) -> None:
    """E01, E04, E05, E16, E19, S1.37, S1.38: what an engine does not see stays stored, and calls keep results."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    history = [
        from_user("m0"),
        from_assistant("", tool_calls=[call]),
        Message("tool", "{}", tool_call_id="c1"),
        from_assistant("m3"),
    ]
    history += [role(f"m{n}") for n, role in enumerate([from_user, from_assistant] * 8, start=4)]
    limits: list[dict[str, Any]] = [{"max_messages": 4}, {"compression_threshold": 5}, {"max_messages": 18}]
    for given in limits:
        await any_provider.delete_conversation(KEY)
        await any_provider.store_messages(KEY, history)
        talk = Talk(MemoryConfig(any_provider, **given))
        assert (await talk.say("hi")).outcome.status == "completed"
        shown = contents_of(talk.model.seen[0])
        assert shown[-1] == "hi"
        assert shown[:-1] == [f"m{n}" for n in range(20 - len(shown) + 1, 20)]
        assert talk.model.seen[0][0].role == "user"
        assert len(shown) == {4: 5, 5: 5, 18: 17}[next(iter(given.values()))]
        assert await kept_in(any_provider, KEY) == [*contents_of(history), "hi", f"reply to {len(shown)}"]
    with pytest.raises(ValueError, match="max_messages"):
        MemoryConfig(any_provider, max_messages=0)


async def test_a_failed_load_destroys_nothing(any_provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """E02, E13: the turn is stored behind the history that could not be read."""
    history = [role(f"m{n}") for n, role in enumerate([from_user, from_assistant] * 10)]
    await any_provider.store_messages(KEY, history)
    memory = MemoryConfig(any_provider)

    async def fails(_conversation_id: str) -> Any:
        return Failure(MemoryError("down", "Test"))

    with monkeypatch.context() as patched:
        patched.setattr(memory.provider, "get_conversation", fails)
        assert (await Talk(memory).say("hi")).outcome.status == "completed"
    assert await kept_in(any_provider, KEY) == [*contents_of(history), "hi", "reply to 1"]


async def test_two_turns_at_once_are_both_kept(any_provider: Any) -> None:
    """E03, E11, E12, S1.42: a resent message is stored once, and the second turn writes two messages."""
    memory = MemoryConfig(any_provider)
    await any_provider.store_messages(KEY, [from_user("q0"), from_assistant("a0")])
    first, second = Talk(memory), Talk(memory)

    class Interrupted(FakeModel):
        async def get_completion(self, state: Any, agent: Any, config: Any) -> dict[str, Any]:
            await second.say("from tab 2")
            return await super().get_completion(state, agent, config)

    first.model = Interrupted()
    await first.say("from tab 1")
    kept = ["q0", "a0", "from tab 2", "reply to 3", "from tab 1", "reply to 3"]
    assert await kept_in(any_provider, KEY) == kept
    resent = jaf.Message(role="user", content="q1", message_id="q1")
    for _again in range(2):
        await Talk(memory).say(resent)
    assert (await kept_in(any_provider, KEY)).count("q1") == 1


async def test_what_is_deleted_during_a_turn_stays_deleted(any_provider: Any) -> None:
    """J10: only what the turn itself said is stored."""
    memory = MemoryConfig(any_provider)
    await any_provider.store_messages(KEY, [from_user("erase me"), from_assistant("a0")])

    class Erasing(FakeModel):
        async def get_completion(self, state: Any, agent: Any, config: Any) -> dict[str, Any]:
            await any_provider.delete_conversation(KEY)
            return await super().get_completion(state, agent, config)

    await Talk(memory, Erasing()).say("hi")
    assert await kept_in(any_provider, KEY) == ["hi", "reply to 3"]


async def test_any_tools_result_is_legal(any_provider: Any) -> None:
    """E17, S1.41: JSON that is no object does not stop the next turn, and is stored as it was."""
    memory = MemoryConfig(any_provider)
    for text in ("42", "[1, 2]", '"ok"', "null", "{}", "plain"):
        call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        await any_provider.store_messages(
            text, [from_user("q"), from_assistant("", tool_calls=[call]), Message("tool", text, tool_call_id="c1")]
        )
        talk = Talk(memory, key=text)
        result = await talk.say("hi")
        assert (result.outcome.status, talk.model.seen[0][2].text_content) == ("completed", text)
        assert await kept_in(any_provider, text) == ["q", "", text, "hi", "reply to 4"]


async def test_a_turn_that_fails_loses_nothing_that_was_stored(any_provider: Any) -> None:
    """E08, E09: the engine stores no turn that failed."""
    memory = MemoryConfig(any_provider)
    await any_provider.store_messages(KEY, [from_user("q0"), from_assistant("a0")])
    talk = Talk(memory, FakeModel(RuntimeError("model down")))
    assert (await talk.say("hi")).outcome.status == "error"
    assert await kept_in(any_provider, KEY) == ["q0", "a0"]


async def test_turns_are_counted_per_run(any_provider: Any) -> None:
    """E15: with a limit of what the engine sees, a long conversation goes on."""
    history = [role(f"m{n}") for n, role in enumerate([from_user, from_assistant] * 60)]
    await any_provider.store_messages(KEY, history, {"turn_count": 60})
    result = await Talk(MemoryConfig(any_provider, max_messages=20)).say("hi")
    assert result.outcome.status == "completed"


async def test_answering_again(any_provider: Any) -> None:
    """S1.43, E09, E10: the answer is made again; where there are branches, the old one is still there."""
    memory = MemoryConfig(any_provider)
    history = [role(f"m{n}") for n, role in enumerate([from_user, from_assistant] * 5)]
    await any_provider.store_messages(KEY, history)
    talk = Talk(memory)
    request = RegenerationRequest(conversation_id=KEY, message_id=history[3].message_id)
    result = await regenerate_conversation(request, talk.config, Owner("user-123"), "ChatBot")
    assert result.outcome.status == "completed"
    assert await kept_in(any_provider, KEY) == ["m0", "m1", "m2", "reply to 3"]
    edited = RegenerationRequest(
        conversation_id=KEY, message_id=history[2].message_id, context={"replace_user_message": "another"}
    )
    result = await regenerate_conversation(edited, talk.config, Owner("user-123"), "ChatBot")
    assert result.outcome.status == "completed"
    assert await kept_in(any_provider, KEY) == ["m0", "m1", "another", "reply to 3"]
    chat = any_provider.place.chat(KEY)
    if any_provider.place.adapter is None or any_provider.place.adapter.branches:
        assert contents_of(await chat._on("main").amessages()) == contents_of(history)


async def test_hooks_and_events(any_provider: Any) -> None:
    """S1.7, S1.8, S1.40: a hook may change what is stored, and what is stored already stays as it is."""
    events: list[Any] = []
    options = {
        "before_memory_store": lambda messages, state: [replace(one, content=f"[{one.content}]") for one in messages],
        "on_event": events.append,
    }
    memory = MemoryConfig(any_provider)
    for question in ("1", "2"):
        await Talk(memory, FakeModel("a"), options=options).say(question)
    assert await kept_in(any_provider, KEY) == ["[1]", "[a]", "[2]", "[a]"]
    told = [event.data for event in events if type(event).__name__ == "MemoryEvent"]
    assert [(data.operation, data.status) for data in told][:4] == [
        ("load", "start"),
        ("store", "start"),
        ("store", "end"),
        ("load", "start"),
    ]
    metadata = (await any_provider.get_conversation(KEY)).metadata
    assert {"user_id", "trace_id", "run_id", "agent_name", "turn_count"} <= metadata.keys()
    found = await any_provider.find_conversations(MemoryQuery(trace_id=metadata["trace_id"]))
    assert [one.conversation_id for one in found] == [KEY]
