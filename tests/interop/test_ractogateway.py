"""Our memory where ractogateway takes one: in its pipelines, and as the history of its chats."""

import json
from typing import Any

import pytest
import ractogateway.redis
import redis
from ractogateway._models.chat import ChatConfig, Message as TheirMessage
from ractogateway.adapters.base import LLMResponse
from ractogateway.pipelines import ListClassifierPipeline

from chat_memory.turns import Message, RedisChatMemory
from tests.acceptance.seeds.flow_world import CALL
from tests.acceptance.seeds.turns_world import KINDS, memory_of, said_in

pytestmark = pytest.mark.django_db


class FakeKit:
    """A developer kit whose model always chooses the first option."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def chat(self, config: Any) -> Any:
        self.asked.append(config)
        answer = {"selected": ["Billing"], "confidences": {"Billing": 0.9}}
        return LLMResponse(content=json.dumps(answer), parsed=answer)

    async def achat(self, config: Any) -> Any:
        return self.chat(config)


def pipeline_with(memory: Any, kit: Any) -> Any:
    """Their pipeline, with a memory of ours or of theirs."""
    return ListClassifierPipeline(kit, options=["Billing", "Sales"], output_format="string", memory=memory)


@pytest.mark.parametrize("kind", KINDS)
def test_their_pipeline_remembers_by_ours(kind: str, redis_client: redis.Redis) -> None:
    """S3.17: a memory is what has get_history and append."""
    memory, kit = memory_of(redis_client, kind), FakeKit()
    pipeline = pipeline_with(memory, kit)
    pipeline.run("My invoice is wrong", session_id="conv_abc")
    assert said_in(memory, "conv_abc") == ["My invoice is wrong", "Billing"]
    pipeline_with(memory_of(redis_client, kind), kit).run("And now?", session_id="conv_abc")
    assert "My invoice is wrong" in kit.asked[1].user_message
    assert memory.count("conv_abc") == 4


async def test_their_asynchronous_pipeline_too(redis_client: redis.Redis) -> None:
    """S3.17: it calls the memory as it is, without await."""
    memory = memory_of(redis_client)
    await pipeline_with(memory, FakeKit()).arun("My invoice is wrong", session_id="s")
    assert await memory.aget_history("s") == [
        {"role": "user", "content": "My invoice is wrong"},
        {"role": "assistant", "content": "Billing"},
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_history_is_what_their_chat_takes(kind: str, redis_client: redis.Redis) -> None:
    """S3.15, R10: whatever is stored, with calls of tools too."""
    memory = memory_of(redis_client, kind)
    memory.append("s", "system", "Be brief.")
    memory.append_many("s", [Message.user("weather?"), Message.assistant(None, tool_calls=[CALL])])
    memory.append_many("s", [Message.tool("sunny", tool_call_id="c1"), Message.assistant("It is sunny.")])
    history = [TheirMessage(**message) for message in memory.get_history("s")]
    config = ChatConfig(user_message="And tomorrow?", history=history)
    assert [message.role.value for message in config.history] == ["system", "user", "assistant"]
    with pytest.raises(ValueError, match="role"):
        TheirMessage(**memory.get_messages("s")[3].to_dict())


def test_ours_is_used_like_theirs(redis_client: redis.Redis) -> None:
    """S3.2, S3.3: the same calls in both give the same, and their configuration will do."""
    config = ractogateway.redis.ChatMemoryConfig(max_turns=2, ttl_seconds=60, key_prefix="app")
    theirs = ractogateway.redis.RedisChatMemory(client=redis_client, config=config)
    ours = RedisChatMemory(client=redis_client, config=config)
    seen: list[Any] = []
    for memory, name in ((theirs, "t"), (ours, "o")):
        for number in range(3):
            memory.append(name, "user", f"q{number}")
            memory.append(name, "assistant", f"a{number}")
        seen.append((memory.get_history(name), memory.count(name), redis_client.ttl(f"app:{name}") > 50))
        memory.clear(name)
        seen[-1] += (memory.get_history(name), memory.count(name), redis_client.exists(f"app:{name}"))
    assert seen[0] == seen[1]
    assert repr(ours) == repr(theirs)
