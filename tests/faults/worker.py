"""A process under faults: threads that read and write, or forked children of which each dies in mid-write.

`python -m tests.faults.worker JSON` says "ready", begins when it is sent a line, and ends when its input does. Now and
then it leaves in a file what it has counted so far; at the end what it did and saw, as JSON lines in another one.
"""

import json
import os
import random
import select
import sys
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import django
from django.apps import apps
from django.db import connection, transaction

from chat_memory import Message, NotFound, conversation, metrics
from chat_memory.cache import connecting
from chat_memory.cache.coherence import Coherence
from chat_memory.history.conversation import Conversation
from tests.rollback import Undone

WORKSPACE = "faults"
EVERYTHING = 10**6
KINDS = ("tail", "tail", "tail", "json", "json", "messages", "since")
PAUSE = 0.002
PATIENCE = 0.15
"""Seconds until Redis counts as silent: on a machine that has much else to do its 50 ms would pass without a fault."""
CHILD_CALLS = 12
BETWEEN_REPORTS = 0.25
"""Seconds."""


class Counts:
    """What the threads of a process have counted together, the cache's own counts too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: Counter[str] = Counter()
        metrics.add = self.add

    def add(self, name: str, by: int = 1) -> None:
        with self._lock:
            self._counted[name] += by

    def all(self) -> Counter[str]:
        with self._lock:
            return self._counted.copy()


class Life:
    """One thread, or one child: random calls, each noted with its begin and end."""

    def __init__(self, config: dict[str, Any], name: str, counts: Counts) -> None:
        self.random = random.Random(f"{config['seed']}/{name}")
        self.keys = [f"{config['run']}-{number}" for number in range(config["keys"])]
        self.kept = {key: conversation(key, WORKSPACE) for key in self.keys}
        self.notes: deque[dict[str, Any]] = deque()
        self.counts = counts
        connection.ensure_connection()
        self.pid = connection.connection.info.backend_pid
        self.key, self.begin = "", 0.0

    def step(self) -> None:
        """One call."""
        choices = (self.read, self.append, self.retry, self.transact, self.clear, self.update, self.delete, self.lag)
        (choice,) = self.random.choices(choices, (70, 18, 3, 5, 1.5, 2, 0.7, 0.6))
        self.key = self.random.choice(self.keys)
        self.begin = time.time()
        self.counts.add(choice.__name__)
        try:
            choice()
        except NotFound:
            self.counts.add("not found")
        finally:
            self.wrote()

    def chat(self) -> Conversation:
        """A handle as a request makes it, or one that knows the ids of the session as it was."""
        return self.kept[self.key] if self.random.random() < 0.3 else conversation(self.key, WORKSPACE)

    def messages(self, size: int) -> list[Message]:
        return [Message.user("x", id=uuid.UUID(int=self.random.getrandbits(128)).hex) for _ in range(size)]

    def read(self, own: str = "", least: int = 0, writer: Conversation | None = None) -> None:
        """One read of any kind; own: the message that it must show; writer: the handle that stored it."""
        chat, kind, n = writer or self.chat(), self.random.choice(KINDS), 0
        begin = time.time()
        if kind == "tail":
            n = self.random.choice((5, 20, 50))
            found = chat.tail(n, min_version=least)
        elif kind == "json":
            n = 20
            found = [Message.from_dict(data) for data in json.loads(chat.tail_json(n, min_version=least))]
        elif kind == "since":
            n = self.random.randrange(60)
            found = chat.since(n, min_version=least)
        else:
            n = EVERYTHING
            found = chat.messages(min_version=least)
        end = time.time()
        got = [(message.seq, message.id) for message in found]
        asked = {"kind": kind, "n": n, "own": own, "knows": writer is not None}
        self.counts.add("reads")
        self.note(what="read", key=self.key, begin=begin, end=end, got=got, **asked)

    def append(self) -> None:
        messages = self.messages(self.random.choice((1, 1, 1, 2, 4)))
        chat = self.chat()
        receipt = chat.append(*messages)
        self.wrote()
        if self.random.random() < 0.5:
            self.read(messages[-1].id or "", receipt.version, self.random.choice((chat, None)))

    def retry(self) -> None:
        """The writer never saw the answer: the same call again, with a new message behind."""
        chat, messages = self.chat(), self.messages(2)
        chat.append(*messages)
        self.wrote()
        chat.append(*messages, *self.messages(self.random.randrange(2)))

    def transact(self) -> None:
        """One append or two in a transaction that sees itself, and often fails."""
        with suppress(Undone), transaction.atomic():
            for _ in range(self.random.choice((1, 2))):
                messages = self.messages(1)
                self.chat().append(*messages)
                if [message.id for message in self.chat().tail(1)] != [messages[0].id]:
                    self.note(what="error", error="a transaction does not see itself")
            if self.random.random() < 0.4:
                self.counts.add("rolled back")
                raise Undone

    def clear(self) -> None:
        self.chat().clear()

    def update(self) -> None:
        self.chat().update(title=f"{self.random.random()}")

    def delete(self) -> None:
        self.chat().delete()

    def lag(self) -> None:
        """The host's own read, which its router sends to the replica."""
        receipt = self.chat().append(*self.messages(1))
        self.wrote()
        rows = apps.get_model("chat_memory", "Session").objects.filter(workspace__slug=WORKSPACE, key=self.key)
        seen = rows.values_list("version", flat=True).first()
        self.counts.add("replica behind", (seen or 0) < receipt.version)

    def wrote(self) -> None:
        """What this connection wrote since the last note is committed by now."""
        now = time.time()
        self.note(what="write", pid=self.pid, begin=self.begin, end=now)
        self.begin = now

    def note(self, **fields: Any) -> None:
        self.notes.append(fields)


def live(
    ended: threading.Event, config: dict[str, Any], name: str, counts: Counts, notes: list[dict[str, Any]]
) -> None:
    """The work of a thread."""
    life = Life(config, name, counts)
    try:
        while not ended.is_set():
            life.step()
            time.sleep(life.random.random() * PAUSE)
    except Exception as error:  # noqa: BLE001  # whatever it was, the judge must hear of it
        life.note(what="error", error=repr(error))
    notes.extend(life.notes)
    connection.close()


def work_in_threads(config: dict[str, Any]) -> None:
    """A process of several threads."""
    counts, notes, ended = Counts(), list[dict[str, Any]](), threading.Event()
    names = [f"{config['name']}.{number}" for number in range(config["threads"])]
    running = [threading.Thread(target=live, args=(ended, config, name, counts, notes)) for name in names]
    for thread in running:
        thread.start()
    while not is_over(BETWEEN_REPORTS):
        report_counts(config, counts.all())
    ended.set()
    for thread in running:
        thread.join()
    write_notes(config, [*notes, {"what": "counts", "counts": counts.all()}])


def mortals(config: dict[str, Any]) -> None:
    """One child after the other, each of which dies between a commit and its push."""
    born = 0
    while not is_over(0):
        child = os.fork()
        if child == 0:
            die_young(config, f"{config['name']}.{born}")
        os.waitpid(child, 0)
        born += 1
        report_counts(config, Counter({"died": born}))


def die_young(config: dict[str, Any], name: str) -> None:
    """Some calls, and then the one whose push never happens."""
    counts = Counts()
    life = Life(config, name, counts)

    def die(*_args: Any, **_kwargs: Any) -> NoReturn:
        life.wrote()
        counts.add("died")
        write_notes(config, [*life.notes, {"what": "counts", "counts": counts.all()}])
        os._exit(0)

    doomed: Callable[..., Any] = die
    try:
        for number in range(CHILD_CALLS):
            if number == CHILD_CALLS // 2:
                Coherence.push = Coherence.drop = doomed  # type: ignore[method-assign]
            life.step()
    except Exception as error:  # noqa: BLE001  # as for a thread
        life.note(what="error", error=repr(error))
    die()


def write_notes(config: dict[str, Any], notes: list[dict[str, Any]]) -> None:
    """Leave the notes behind."""
    with Path(config["log"]).open("a") as log:
        log.writelines(json.dumps(note) + "\n" for note in notes)


def report_counts(config: dict[str, Any], counts: Counter[str]) -> None:
    """What was counted so far, whole in its file at any moment."""
    path = Path(config["progress"])
    new = path.with_suffix(".new")
    new.write_text(json.dumps(counts))
    new.replace(path)


def is_over(seconds: float) -> bool:
    """Whether the site has closed our input, or does so within some seconds."""
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def main(config: dict[str, Any]) -> None:
    """Say that we are ready, wait for the start, live."""
    django.setup()
    connecting.TIMEOUT = PATIENCE
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    (mortals if config["mortal"] else work_in_threads)(config)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
