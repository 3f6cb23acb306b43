"""A process that answers a question, one step at a time, so that it can be left, or can die, between any two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from chat_memory import Conversation, Message
from chat_memory.exceptions import DraftLost, TurnLost
from chat_memory.records import Receipt
from chat_memory.testing.providers import check_anthropic, check_openai

LONG = 3_600.0
"""Seconds of a lease, and of a wait: neither ends by itself while a test runs."""
LOST = (TurnLost, DraftLost)
"""What a worker is told from whom the question was taken."""


class Provider(NamedTuple):
    """The form in which a provider has calls and results, and what it accepts."""

    call: Callable[[str], Message]
    result: Callable[[str], Message]
    check: Callable[[Sequence[Message]], None]


def _call(name: str) -> Message:
    function = {"name": "clock", "arguments": "{}"}
    return Message.assistant(tool_calls=[{"id": name, "type": "function", "function": function}])


def _tool_use(name: str) -> Message:
    said = {"type": "text", "text": "Let me see."}
    return Message.assistant([said, {"type": "tool_use", "id": name, "name": "clock", "input": {}}])


def _taken_by_openai(messages: Sequence[Message]) -> None:
    check_openai([message.to_openai() for message in messages])


def _taken_by_anthropic(messages: Sequence[Message]) -> None:
    check_anthropic([{"role": each.role, "content": each.content} for each in messages if each.role != "system"])


PROVIDERS = (
    Provider(_call, lambda name: Message.tool("12:40", tool_call_id=name), _taken_by_openai),
    Provider(
        _tool_use,
        lambda name: Message.user([{"type": "tool_result", "tool_use_id": name, "content": "12:40"}]),
        _taken_by_anthropic,
    ),
)


class Answerer:
    """Answers a question as the how-to says: it goes on from what there is, and leaves where the turn is lost.

    Attributes:
        is_in: whether it is inside of the block of its turn; before, it waits.
        lapsed: whether its lease may be over.
        robbed: whether somebody has had a reason to take the question from it, or has removed something.
        is_over: whether the conversation is gone that it is in.
    """

    def __init__(self, chat: Conversation, asked: Message | str, provider: Provider, **terms: Any) -> None:
        self.chat, self.provider = chat, provider
        self.question = asked if isinstance(asked, str) else str(asked.id)
        self.ends_others = terms.get("busy") in ("interrupt", "rollback")
        self.turn = chat.turn(asked, **({"wait": LONG, "lease": LONG} | terms))
        self.stream: Any = None
        self.is_in = self.lapsed = self.robbed = self.is_over = False
        self._entering = self.turn._entering()  # `with` sleeps between these steps

    @property
    def place(self) -> tuple[str, str, int]:
        """What nobody else has at the same time."""
        return self.chat.key, self.turn.branch, self.turn.number

    @property
    def answers(self) -> bool:
        """Whether it has the right to answer, as far as it knows."""
        return self.is_in and self.turn.held

    def enter(self) -> bool:
        """One look at whether the question is to be had; whether the worker is in."""
        self.is_in = self.is_in or next(self._entering, None) is None
        return self.is_in

    def leave(self, error: BaseException | None = None) -> None:
        """The end of its blocks, the inner one first."""
        kind = None if error is None else type(error)
        try:
            if self.stream is not None:
                self.stream.__exit__(kind, error, None)
        except LOST as lost:
            kind, error = type(lost), lost
        finally:
            self.stream = None
            if self.is_in:
                self.turn.__exit__(kind, error, None)

    def work(self, choice: int) -> Sequence[Message]:
        """The next step of the answer; what was stored by it.

        Raises:
            LOST: the question was taken from it.
        """
        if self.stream is not None:
            return self._go_on_streaming(choice)
        missing = [call.id for call in self.turn.unanswered_calls]
        if missing and choice % 4:
            return self._stored(self.provider.result(str(missing[0]))).messages
        name = f"{self.question} {self.turn.branch} {len(self.turn.messages)}"
        steps: tuple[Callable[[], Sequence[Message]], ...] = (
            lambda: self._stored(self.provider.call(name)).messages,
            lambda: self._stored(self.provider.call(name), self.provider.result(name)).messages,
            lambda: self._stored(Message.assistant(f"It is that, {self.question}.")).messages,
            lambda: self._begin_streaming(resume=True),
            lambda: self._begin_streaming(resume=False),
        )
        return steps[choice % len(steps)]()

    def answer(self) -> Receipt:
        """All that is missing, and the answer."""
        results = [self.provider.result(str(call.id)) for call in self.turn.unanswered_calls]
        return self._stored(*results, Message.assistant(f"It is that, {self.question}."))

    def _stored(self, *messages: Message) -> Receipt:
        receipt = self.turn.append(*messages)
        self.lapsed = False
        return receipt

    def _begin_streaming(self, *, resume: bool) -> Sequence[Message]:
        stream = self.turn.stream(resume=resume, flush_seconds=LONG / 60)
        stream.__enter__()
        self.stream, self.lapsed = stream, False
        return ()

    def _go_on_streaming(self, choice: int) -> Sequence[Message]:
        stream = self.stream
        if choice % 3 == 0:
            stream.write(f"A piece of {self.question}. ")
            stream.flush()
            self.lapsed = False
            if not stream.stopped:
                return ()
        self.stream = None
        if choice % 3 == 2:  # the provider fails
            error = ConnectionError()
            stream.__exit__(type(error), error, None)
        else:
            stream.__exit__(None, None, None)
        self.lapsed = False
        return () if stream.message is None else (stream.message,)
