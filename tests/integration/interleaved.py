"""The workers of an interleaving: each goes on by one step, dies, or is told that it has lost its question."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from chat_memory import Conversation, Message, conversation
from chat_memory.exceptions import MessageConflict, TurnNotFound, TurnTaken
from chat_memory.models import Draft, Turn as TurnRow
from chat_memory.rules.calls import calls, starts_turn
from chat_memory.storage.memory import MemoryAdapter
from tests.integration.answering import LONG, LOST, Answerer, Provider

WRITTEN = ("complete", "stopped")
BUSY = (*["beside"] * 5, "reject", "enqueue", "enqueue", "interrupt", "rollback")
TAKEN = ("wait", "wait", "refuse", "look")


class Move(NamedTuple):
    """Something that a client or a worker does; ``n`` and ``how`` choose what there is to choose."""

    verb: str
    tab: int
    n: int
    how: int


class Stored:
    """Conversations in Django's models."""

    adapter: Any = None

    def lapse(self, workspace: str) -> None:
        """All leases end, and no writer was heard of for long."""
        TurnRow.objects.filter(workspace__slug=workspace).update(lease_until=0)
        Draft.objects.filter(workspace__slug=workspace).update(touched=1_000)


class InMemory:
    """Conversations in memory, with a clock of their own."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.adapter: Any = MemoryAdapter(clock=lambda: self.now)

    def lapse(self, _workspace: str) -> None:
        """All leases end, and no writer was heard of for long."""
        self.now += timedelta(seconds=2 * LONG)


class Answering:
    """Two conversations of a workspace, and those who answer the questions in them.

    What a worker has stored is known by the ids of the messages: ``answers`` has the question of each.
    """

    provider: Provider
    ground: ClassVar[type[Stored | InMemory]] = Stored
    done: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.place, self.workspace = self.ground(), f"w-{uuid.uuid4().hex}"
        self.asked: dict[str, dict[str, str]] = {"k0": {}, "k1": {}}
        self.edited: set[str] = set()
        self.answers: dict[str, str] = {}
        self.workers: list[Answerer] = []
        self.number = 0

    def chat(self, key: str, branch: str | None = None) -> Conversation:
        return conversation(key, self.workspace, branch=branch, adapter=self.place.adapter)

    # What workers do.

    def work(self, _chat: Conversation, step: Move) -> None:
        """One of them goes on."""
        if self.workers:
            self.go_on(self.workers[step.n % len(self.workers)], step.how)

    def crash(self, _chat: Conversation, step: Move) -> None:
        """Kill -9; others wait until the lease lapses, and a waiting one is just gone."""
        if self.workers:
            self.workers.pop(step.n % len(self.workers))

    def lapse(self, *_step: Any) -> None:
        """Long after: every lease is over, also that of who is only slow."""
        self.place.lapse(self.workspace)
        for worker in self.workers:
            worker.lapsed = True

    def everybody_is_answered(self, *_step: Any) -> None:
        """After whatever crashed, no question is left that cannot be answered."""
        self.lapse()
        self.workers.clear()
        for key in self.asked:
            for message in shown_by(self.chat(key)):
                if starts_turn(message):
                    self.answer_at_once(self.chat(key), str(message.id))

    def answer_at_once(self, chat: Conversation, question: str) -> None:
        worker = Answerer(chat, question, self.provider, wait=0)
        assert worker.enter()
        if not worker.turn.answered:
            assert worker.turn.held
            self.note(worker, worker.answer().messages)
        assert worker.turn.answered
        worker.leave()

    def go_on(self, worker: Answerer, choice: int) -> None:
        if not worker.is_in:
            self.enter(worker)
        elif worker.stream is None and worker.turn.answered:
            self.finish(worker)
        elif worker.stream is None and choice % 12 == 7:
            self.finish(worker)  # gives up
        else:
            with self.told_of_loss(worker, TurnNotFound):
                stored = worker.work(choice)
                if worker.stream is not None:
                    self.answers[worker.stream.id] = worker.question
                self.note(worker, stored)

    def take(self, chat: Conversation, asked: Message | str, how: int) -> None:
        """A process that wants to answer a question begins."""
        busy = BUSY[how % len(BUSY)]
        worker = Answerer(chat, asked, self.provider, busy=busy, taken=TAKEN[how // len(BUSY) % len(TAKEN)])
        self.workers.append(worker)
        self.enter(worker)

    def enter(self, worker: Answerer) -> None:
        if worker.ends_others:
            for other in self.at(worker.chat.key):
                other.robbed = True
        try:
            with self.told_of_loss(worker):
                if worker.enter():
                    self.is_in(worker)
        except TurnTaken:
            self.workers.remove(worker)
        except TurnNotFound:
            self.workers.remove(worker)
            assert worker.chat.get(worker.question) is None
        except MessageConflict:
            self.workers.remove(worker)
            assert worker.question in self.edited

    def is_in(self, worker: Answerer) -> None:
        """Of two who have the right to answer one question, the first has lost it."""
        if not worker.turn.held:
            self.finish(worker)
            return
        for other in self.at(worker.chat.key):
            if other is not worker and other.answers and other.place == worker.place:
                assert other.lapsed or other.robbed or other.turn.answered
                other.robbed = True
        self.done["taken"] += 1

    def finish(self, worker: Answerer) -> None:
        if worker in self.workers:
            self.workers.remove(worker)
        worker.leave()

    @contextmanager
    def told_of_loss(self, worker: Answerer, *others: type[Exception]) -> Iterator[None]:
        """A worker that is told that it has lost a question leaves; nobody is told so without a reason."""
        try:
            yield
        except Exception as lost:
            if not isinstance(lost, (*LOST, *others)):
                raise
            self.workers.remove(worker)
            worker.leave(lost)
            self.done["lost"] += 1
            if not (worker.robbed or worker.lapsed):
                raise AssertionError("nobody has taken it") from lost

    def note(self, worker: Answerer, messages: Sequence[Message]) -> None:
        self.answers |= {str(message.id): worker.question for message in messages}
        self.done["answered"] += any(map(is_final, messages))

    # What is known.

    def count(self) -> int:
        self.number += 1
        return self.number

    def question(self, key: str) -> Message:
        """A new one."""
        ident = f"q{self.count()}"
        self.asked[key][ident] = f"What is {ident}?"
        return Message.user(self.asked[key][ident], id=ident)

    def at(self, key: str) -> list[Answerer]:
        return [worker for worker in self.workers if worker.chat.key == key]

    def branches(self, key: str) -> list[str]:
        return [branch.name for branch in self.chat(key).branches()]

    def has(self, worker: Answerer) -> bool:
        """Whether the branch is there that a worker is on."""
        return worker.is_in and worker.turn.branch in self.branches(worker.chat.key)

    def shows(self, worker: Answerer) -> bool:
        """Whether the question is shown that a worker is at, and in its turn: it may have come again in another."""
        turn = worker.turn
        found = self.chat(worker.chat.key, turn.branch).get(worker.question) if self.has(worker) else None
        return found is not None and found.turn == turn.number


def shown_by(chat: Conversation) -> list[Message]:
    """All that a conversation shows.

    In the mode bounded an append by another name of the branch is told only who asks for its version.
    """
    record = chat.session() if chat.place.address.branch else None
    return chat.messages(min_version=record.version if record else 0)


def is_final(message: Message) -> bool:
    """Whether this is an answer: a whole one, or as far as somebody let it go."""
    return message.role == "assistant" and message.state in WRITTEN and not calls(message)
