"""A program of its own: many processes write to a few conversations and tell what was acknowledged.

`python -m tests.integration.writers DATABASE CALLS WRITERS` prints one JSON line for each writer. It forks them
itself, since a test process may have threads.
"""

import json
import os
import random
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

import django
from django.conf import settings
from django.db import OperationalError, transaction

from chat_memory import Message, Receipt, append_many, conversation
from chat_memory.history.conversation import Conversation
from tests.rollback import Undone

WORKSPACE = "writers"
PATIENCE = 300.0
KEYS = ("a", "b", "c")


class Writer:
    """One process: random calls, every one repeated with the same ids until it is acknowledged."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.random = random.Random(number)
        self.sent = 0
        self.calls: list[tuple[str, list[str]]] = []
        self.refused: list[str] = []
        self.seen: Counter[str] = Counter()

    def messages(self, size: int) -> list[Message]:
        """New messages, numbered in the order in which this writer sends them."""
        start, self.sent = self.sent, self.sent + size
        made = [str(uuid.UUID(int=self.random.getrandbits(128))) for _ in range(size)]
        return [Message.user(f"{self.number}:{start + index}", id=message_id) for index, message_id in enumerate(made)]

    def run(self, calls: int) -> None:
        """Make that many calls, of each kind at least one."""
        choices = (self.append, self.retry, self.half_known, self.roll_back, self.append_many)
        chosen = [*choices, *self.random.choices(choices, (60, 12, 10, 6, 12), k=calls - len(choices))]
        self.random.shuffle(chosen)
        for choice in chosen:
            self.seen[choice.__name__] += 1
            choice()

    def append(self) -> tuple[str, list[Message], Receipt]:
        """A call of one message or a few, in a transaction of its own or in one of ours."""
        key, messages = self.random.choice(KEYS), self.messages(self.random.choice((1, 1, 1, 2, 3, 5)))
        receipt = self.acknowledged(lambda: self.chat(key).append(*messages))
        self.calls.append((key, ids_of(messages)))
        return key, messages, receipt

    def retry(self) -> None:
        """The writer never saw the answer: the same call again."""
        key, messages, receipt = self.append()
        again = self.acknowledged(lambda: self.chat(key).append(*messages))
        self.seen["retry differs"] += not again.replayed or again.messages != receipt.messages

    def half_known(self) -> None:
        """A call of which a part is stored already."""
        key, messages, receipt = self.append()
        fresh = self.messages(2)
        more = self.acknowledged(lambda: self.chat(key).append(*messages, *fresh))
        self.calls.append((key, ids_of(fresh)))
        self.seen["half known differs"] += more.messages[: len(messages)] != receipt.messages or more.replayed

    def roll_back(self) -> None:
        """A call taken back with the transaction around it."""
        messages = self.messages(2)

        def write() -> None:
            with transaction.atomic():
                self.chat(self.random.choice(KEYS)).append(*messages)
                raise Undone

        try:
            self.acknowledged(write, outer=False)
        except Undone:
            self.refused += ids_of(messages)

    def append_many(self) -> None:
        """One call over two conversations, in any order."""
        batches = {self.chat(key): self.messages(2) for key in self.random.sample(KEYS, 2)}
        self.acknowledged(lambda: append_many(batches))
        self.calls += [(chat.key, ids_of(messages)) for chat, messages in batches.items()]

    def acknowledged(self, call: Callable[[], Any], outer: bool | None = None) -> Any:
        """The answer to a call; a whole transaction of ours is repeated where the database asks for it."""
        while True:
            try:
                if self.random.random() < 0.4 if outer is None else outer:
                    with transaction.atomic():
                        return call()
                return call()
            except OperationalError as error:
                self.seen[f"repeated after {type(error.__cause__).__name__}"] += 1

    def chat(self, key: str) -> Conversation:
        """A handle as a request makes it: a new one for each call."""
        return conversation(key, WORKSPACE)


def ids_of(messages: list[Message]) -> list[str]:
    """The ids, as they are told."""
    return [message.id or "" for message in messages]


def work(number: int, calls: int, barrier: Any, answers: Any) -> None:
    """The life of a writer process."""
    writer = Writer(number)
    barrier.wait()
    writer.run(calls)
    answers.put({"calls": writer.calls, "refused": writer.refused, "seen": writer.seen})


def main(database: str, calls: int, writers: int) -> None:
    """Fork the writers, wait, print what they say."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    settings.DATABASES["default"]["NAME"] = database
    django.setup()
    context = get_context("fork")
    barrier, answers = context.Barrier(writers), context.Queue()
    processes = [context.Process(target=work, args=(number, calls, barrier, answers)) for number in range(writers)]
    for process in processes:
        process.start()
    for _process in processes:
        sys.stdout.write(json.dumps(answers.get(timeout=PATIENCE)) + "\n")
    for process in processes:
        process.join()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
