"""What models are shown of turns that cross, break off and branch, by the rules of each provider."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from chat_memory import ChatMemoryError, Conversation, Message, WindowTooSmall, conversation
from chat_memory.choices import PARTIAL
from chat_memory.history.turn import Turn
from chat_memory.rules.calls import starts_turn
from chat_memory.storage.memory import MemoryAdapter
from tests.histories import BEDROCK, FORMS, GEMINI, Form, accepts, some_messages

pytestmark = pytest.mark.once
STEPS = ("ask", "tell", "tell", "tell", "stream", "append", "note", "branch", "again", "edit", "redact", "summarize")
BUDGETS: list[dict[str, Any]] = [{unit: n} for unit in ("turns", "messages", "tokens") for n in (1, 3, 40)]


class Played:
    """A conversation in memory, and the turns that are open in it."""

    def __init__(self, form: Form) -> None:
        self.form, self.adapter = form, MemoryAdapter()
        self.turns: list[Turn] = []

    def on(self, branch: str | None = None) -> Conversation:
        return conversation("k", adapter=self.adapter, branch=branch)

    def step(self, data: st.DataObject) -> None:
        name, chat, say = data.draw(st.sampled_from(STEPS)), self.on(), self.form.say
        stored = chat.messages()
        if name == "ask":
            self.turns.append(chat.turn(Message.user(say("q")), taken="look").__enter__())
        elif name in ("tell", "stream") and self.turns:
            self.answer(data.draw(st.sampled_from(self.turns)), data, streams=name == "stream")
        elif name == "append":
            chat.append(*self.several(data))
        elif name == "note":
            chat.append(Message.system("note"))
        elif name == "summarize":
            chat.summarize(lambda _messages: "so far", keep=data.draw(st.integers(0, 4)))
        elif stored:
            self.change(name, chat, data.draw(st.integers(1, len(stored))))

    def answer(self, turn: Turn, data: st.DataObject, *, streams: bool) -> None:
        if not streams:
            turn.append(*self.several(data))
            return
        with suppress(RuntimeError), turn.stream() as stream:
            stream.write("It is ")
            if data.draw(st.booleans()):
                raise RuntimeError

    def several(self, data: st.DataObject) -> list[Message]:
        """Some messages; an assistant's may have broken off."""
        state = data.draw(st.sampled_from(["complete", *sorted(PARTIAL)]))
        found = data.draw(some_messages(self.form))
        return [msgspec.structs.replace(each, state=state) if each.role == "assistant" else each for each in found]

    def change(self, name: str, chat: Conversation, seq: int) -> None:
        say = self.form.say
        if name == "branch":
            other = f"branch-{len(chat.branches())}"
            chat.fork(other, at=seq)
            chat.switch(other)
        elif name == "again":
            chat.regenerate(seq, switch=True)
        elif name == "edit":
            chat.edit(seq, say("other words"))
        else:
            chat.redact(seq)

    def views(self) -> Iterator[tuple[Turn | None, Callable[..., list[Message]]]]:
        """All that a model may be shown; of a prompt with its turn."""
        for branch in self.on().branches():
            chat = self.on(branch.name)
            yield from ((None, view) for view in (chat.window, chat.context))
        yield from ((turn, turn.prompt) for turn in self.turns)


def as_parts(message: Message, form: Form) -> Message:
    """As a host sends a text, such as one that was streamed, where the provider takes parts alone."""
    if form not in (BEDROCK, GEMINI) or isinstance(message.content, list):
        return message
    return msgspec.structs.replace(message, content=[{"text": message.content}])


@settings(max_examples=300)
@given(st.data(), st.sampled_from(FORMS), st.integers(4, 24))
def test_whatever_crosses_breaks_off_and_branches_each_provider_takes_it(
    data: st.DataObject, form: Form, steps: int
) -> None:
    played = Played(form)
    for _ in range(steps):
        with suppress(ChatMemoryError):  # a turn was lost, a message is redacted already, and so on
            played.step(data)
    for turn, view in played.views():
        for budget in BUDGETS:
            try:
                shown = [message for message in view(**budget) if message.role != "system"]
            except WindowTooSmall:
                assert "tokens" in budget
                continue
            except ChatMemoryError:
                assert turn is not None  # its question is not shown any more
                continue
            of_texts = all(isinstance(message.content, str) for message in shown)  # then its form is not known
            assert accepts(form, [as_parts(message, form) for message in shown]) or (form is BEDROCK and of_texts)
            if turn is not None:
                assert max(message.turn or 0 for message in shown) == turn.number
                assert [each for each in shown if starts_turn(each)][-1].turn == turn.number
