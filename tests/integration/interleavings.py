"""Tabs, phones and workers at the same conversations, one step of one of them after the other, in any order."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chat_memory import Conversation, Message, conversation, sessions
from chat_memory.exceptions import BranchInUse, MessageConflict, MessageRedacted, TurnNotFound, TurnTaken
from chat_memory.models import Draft, Turn as TurnRow
from chat_memory.rules.calls import calls, starts_turn
from chat_memory.storage.memory import MemoryAdapter
from tests.integration.answering import LONG, LOST, PROVIDERS, Provider, Worker
from tests.readers import ListReader, Reader

MOST_WORKERS = 4
LARGE: Any = {"tokens": 100_000}
WRITTEN = ("complete", "stopped")
BUSY = (*["beside"] * 5, "reject", "enqueue", "enqueue", "interrupt", "rollback")
TAKEN = ("wait", "wait", "refuse", "look")
UNTIL = ("begun", "begun", "complete", "switch")
UPSETTING = (*["redact"] * 3, *["pop"] * 3, "note", "note", "clear", "delete")


class Step(NamedTuple):
    """Something that a client or a worker does; ``n`` and ``how`` choose what there is to choose."""

    verb: str
    tab: int
    n: int
    how: int


VERBS = (
    *["work"] * 14,
    *["ask"] * 5,
    *["come_back"] * 4,
    *["regenerate", "edit_and_branch", "switch", "upset", "look", "crash", "lapse"] * 2,
    *["hand_on", "edit", "follow", "stop", "everybody_is_answered"],
)
STEPS = st.builds(Step, st.sampled_from(VERBS), st.integers(0, 3), st.integers(0, 11), st.integers(0, 59))


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


class Tab:
    """A browser or a phone: a handle on a conversation, and a copy of what it shows."""

    def __init__(self, chat: Conversation, page: int) -> None:
        self.chat = chat
        self.copy = Reader(chat, page)


class Interleavings(RuleBasedStateMachine):
    """Two conversations of a workspace, to which four clients do anything, and up to four workers at a time answer.

    A worker is a process: it dies where it is dropped without leaving its blocks. What it has stored is known by the
    ids of the messages: ``answers`` has the question of each.
    """

    ground: ClassVar[type[Stored | InMemory]] = Stored
    done: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.place, self.workspace = self.ground(), f"w-{uuid.uuid4().hex}"
        self.asked: dict[str, dict[str, str]] = {"k0": {}, "k1": {}}
        self.edited: set[str] = set()
        self.answers: dict[str, str] = {}
        self.workers: list[Worker] = []
        self.number = self.checked = 0
        self.begun: set[str] = set()
        self.seen: dict[tuple[str, str], int] = {}
        self.lists = [ListReader(self.workspace, size, adapter=self.place.adapter) for size in (500, 1)]

    @initialize(provider=st.sampled_from(PROVIDERS), opened=st.booleans())
    def begin(self, provider: Provider, opened: bool) -> None:
        self.provider = provider
        self.tabs = [Tab(self.chat(f"k{number % 3 // 2}"), page) for number, page in enumerate((500, 1, 3, 2))]
        if opened:
            self.chat("k0").append(Message.system("Be brief."))

    def chat(self, key: str, branch: str | None = None) -> Conversation:
        return conversation(key, self.workspace, branch=branch, adapter=self.place.adapter)

    @rule(step=STEPS)
    def do(self, step: Step) -> None:
        """One step of one of them."""
        getattr(self, step.verb)(self.tabs[step.tab].chat, step)

    # What clients do.

    def ask(self, chat: Conversation, step: Step) -> None:
        """A view stores the question and answers it."""
        if len(self.workers) < MOST_WORKERS:
            self.take(chat, self.question(chat.key), step.how)

    def hand_on(self, chat: Conversation, _step: Step) -> None:
        """A view stores the question, and a worker will answer it."""
        chat.append(self.question(chat.key))

    def come_back(self, chat: Conversation, step: Step) -> None:
        """A task that is delivered twice, a form that is sent again, or who resumes after a crash."""
        asked = list(self.asked[chat.key].items())
        if asked and len(self.workers) < MOST_WORKERS:
            ident, text = asked[-1 - step.n % len(asked)]
            self.take(chat, Message.user(text, id=ident) if step.how % 2 else ident, step.how // 2)

    def regenerate(self, chat: Conversation, step: Step) -> None:
        """Answer again, and take the question on the new branch."""
        shown, until = shown_by(chat), UNTIL[step.how % len(UNTIL)]
        if not shown:
            return
        how: Any = {"switch": True} if until == "switch" else {"until": until}
        known = self.branches(chat.key)
        new = chat.regenerate(shown[-1 - step.n % len(shown)].seq or 0, **how)
        self.begun |= {new.branch} - {*known} if until == "begun" else set()
        questions = [message for message in shown_by(new) if starts_turn(message)]
        if questions and len(self.workers) < MOST_WORKERS:
            self.take(new, str(questions[-1].id), 0)

    def edit_and_branch(self, chat: Conversation, step: Step) -> None:
        questions = [message for message in shown_by(chat) if starts_turn(message)]
        if questions:
            new = self.question(chat.key)
            chat.edit_and_branch(str(questions[-1 - step.n % len(questions)].id), str(new.content), message_id=new.id)

    def switch(self, chat: Conversation, step: Step) -> None:
        if chat.session() is not None:
            names = self.branches(chat.key)
            chat.switch(names[-1 - step.n % len(names)])

    def edit(self, chat: Conversation, step: Step) -> None:
        """Questions and answers; a call that becomes an answer by an edit would be a second one."""
        shown = [each for each in shown_by(chat) if starts_turn(each) or (is_final(each) and each.id in self.answers)]
        if shown:
            message = shown[-1 - step.n % len(shown)]
            with suppress(MessageRedacted):
                chat.edit(str(message.id), f"{message.id}, edited {self.count()}")
                self.edited.add(str(message.id))

    def upset(self, chat: Conversation, step: Step) -> None:
        """What takes away what somebody may be at."""
        shown, what = shown_by(chat), UPSETTING[step.how % len(UPSETTING)]
        if what == "note":
            chat.append(Message.system(f"Note {self.count()}."))
            return
        if what == "redact" and shown:
            chat.redact(shown[-1 - step.n % len(shown)].seq or 0)
        elif what in ("pop", "clear", "delete"):
            with suppress(BranchInUse):
                getattr(chat, what)()
        for worker in self.at(chat.key):
            worker.robbed = True
            is_there = self.chat(chat.key).session() is not None and self.has(worker)
            worker.is_over = worker.is_over or (worker.is_in and not is_there)
        if what == "delete":
            self.seen.clear()
            self.tabs = [Tab(self.chat(tab.chat.key), tab.copy.size) for tab in self.tabs]

    def follow(self, chat: Conversation, _step: Step) -> None:
        """Who follows what is streamed settles what was abandoned."""
        assert all(draft.state == "streaming" for draft in chat.drafts.entries())

    def stop(self, chat: Conversation, step: Step) -> None:
        drafts = chat.drafts.entries()
        if drafts:
            assert chat.drafts.stop(drafts[step.n % len(drafts)].id)

    def look(self, chat: Conversation, step: Step) -> None:
        """A client that was away brings its copy up to date, and may then follow another branch."""
        assert self.tabs[step.tab].copy.sync() == shown_by(chat)
        if step.how % 4 == 0:
            names = [None, *self.branches(chat.key)]
            self.tabs[step.tab] = Tab(self.chat(chat.key, names[step.n % len(names)]), 1 + step.n)

    # What workers do.

    def work(self, _chat: Conversation, step: Step) -> None:
        """One of them goes on."""
        if self.workers:
            self.go_on(self.workers[step.n % len(self.workers)], step.how)

    def crash(self, _chat: Conversation, step: Step) -> None:
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
        worker = Worker(chat, question, self.provider, wait=0)
        assert worker.enter()
        if not worker.turn.answered:
            assert worker.turn.held
            self.note(worker, worker.answer().messages)
        assert worker.turn.answered
        worker.leave()

    def go_on(self, worker: Worker, choice: int) -> None:
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
        worker = Worker(chat, asked, self.provider, busy=busy, taken=TAKEN[how // len(BUSY) % len(TAKEN)])
        self.workers.append(worker)
        self.enter(worker)

    def enter(self, worker: Worker) -> None:
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

    def is_in(self, worker: Worker) -> None:
        """Of two who have the right to answer one question, the first has lost it."""
        if not worker.turn.held:
            self.finish(worker)
            return
        for other in self.at(worker.chat.key):
            if other is not worker and other.answers and other.place == worker.place:
                assert other.lapsed or other.robbed or other.turn.answered
                other.robbed = True
        self.done["taken"] += 1

    def finish(self, worker: Worker) -> None:
        if worker in self.workers:
            self.workers.remove(worker)
        worker.leave()

    @contextmanager
    def told_of_loss(self, worker: Worker, *others: type[Exception]) -> Iterator[None]:
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

    def note(self, worker: Worker, messages: Sequence[Message]) -> None:
        self.answers |= {str(message.id): worker.question for message in messages}
        self.done["answered"] += any(map(is_final, messages))

    # What holds after each step.

    @invariant()
    def every_prompt_is_its_questions(self) -> None:
        for worker in self.workers:
            if worker.is_in:
                self.prompts_of(worker)

    def prompts_of(self, worker: Worker) -> None:
        turn = worker.turn
        shows = not worker.is_over and self.shows(worker)
        for size in (self.tokens(), {"turns": 1 + self.number % 3}, {"messages": 1 + self.number % 5}):
            try:
                prompt = turn.prompt(**size)
            except TurnNotFound:
                assert not shows
                continue
            assert shows
            worker.provider.check(prompt)
            said = [message for message in prompt if message.role != "system"]
            first = next(place for place, message in enumerate(said) if message.id == worker.question)
            assert all(self.answers.get(str(each.id)) == worker.question for each in said[first + 1 :]), (size, said)
            self.done["prompts"] += 1
            newest = turn.messages[-1] if turn.messages else None
            if (
                size is LARGE
                and not worker.robbed
                and newest
                and newest.content
                and newest.role == "assistant"
                and not calls(newest)
            ):
                assert said[-1].id == newest.id

    @invariant()
    def answers_stand_under_their_questions(self) -> None:
        for key in self.asked:
            for branch in self.chat(key).branches():
                name, chat = branch.name, self.chat(key, branch.name)
                assert not (branch.pending and name in self.begun and branch.last_seq > branch.fork_seq)
                is_new = self.seen.get((key, name)) != branch.version
                self.seen[key, name] = branch.version
                if not is_new and self.number % 4:  # now and then also what has no reason to be another
                    continue
                for size in (LARGE, {"turns": 1 + self.number % 3}, {"messages": 1 + self.number % 6}):
                    self.in_order(chat.window(**size))
                finals = Counter(self.answers.get(str(each.id)) for each in shown_by(chat) if is_final(each))
                assert all(n == 1 for question, n in finals.items() if question), (name, finals)

    def in_order(self, window: Sequence[Message]) -> None:
        said = [message for message in window if message.role != "system"]
        if said:
            self.provider.check(window)
        question = None
        for message in said:
            question = str(message.id) if starts_turn(message) else question
            assert starts_turn(message) or self.answers.get(str(message.id)) == question, said

    @invariant()
    def copies_are_what_is_read(self) -> None:
        """Of the clients that are there; another one comes back later."""
        for tab in self.tabs[::3]:
            held, fresh = tab.copy.sync(), shown_by(tab.chat)
            assert held == fresh, (tab.chat, held, fresh)
        for copy in self.lists if self.number % 3 == 0 else self.lists[:1]:
            found = sessions.find_sessions(self.workspace, adapter=self.place.adapter).sessions
            assert copy.sync() == {record.id: record for record in found}

    # What is known.

    def tokens(self) -> Any:
        """Of two budgets in tokens the next: one that takes all, or one that hardly takes the turn."""
        self.checked += 1
        return LARGE if self.checked % 2 else {"tokens": 60}

    def count(self) -> int:
        self.number += 1
        return self.number

    def question(self, key: str) -> Message:
        """A new one."""
        ident = f"q{self.count()}"
        self.asked[key][ident] = f"What is {ident}?"
        return Message.user(self.asked[key][ident], id=ident)

    def at(self, key: str) -> list[Worker]:
        return [worker for worker in self.workers if worker.chat.key == key]

    def branches(self, key: str) -> list[str]:
        return [branch.name for branch in self.chat(key).branches()]

    def has(self, worker: Worker) -> bool:
        """Whether the branch is there that a worker is on."""
        return worker.is_in and worker.turn.branch in self.branches(worker.chat.key)

    def shows(self, worker: Worker) -> bool:
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
