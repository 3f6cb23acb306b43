"""Tabs, phones and workers at the same conversations, one step of one of them after the other, in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chat_memory import Conversation, Message, sessions
from chat_memory.exceptions import BranchInUse, MessageRedacted, TurnNotFound
from chat_memory.rules.calls import calls, starts_turn
from tests.integration.answering import PROVIDERS, Answerer, Provider
from tests.integration.interleaved import Answering, Move, is_final, shown_by
from tests.readers import ListReader, Reader

MOST_WORKERS = 4
LARGE: Any = {"tokens": 100_000}
UNTIL = ("begun", "begun", "complete", "switch")
UPSETTING = (*["redact"] * 3, *["pop"] * 3, "note", "note", "clear", "delete")


VERBS = (
    *["work"] * 14,
    *["ask"] * 5,
    *["come_back"] * 4,
    *["regenerate", "edit_and_branch", "switch", "upset", "look", "crash", "lapse"] * 2,
    *["hand_on", "edit", "follow", "stop", "everybody_is_answered"],
)
MOVES = st.builds(Move, st.sampled_from(VERBS), st.integers(0, 3), st.integers(0, 11), st.integers(0, 59))


class Tab:
    """A browser or a phone: a handle on a conversation, and a copy of what it shows."""

    def __init__(self, chat: Conversation, page: int) -> None:
        self.chat = chat
        self.copy = Reader(chat, page)


class Interleavings(Answering, RuleBasedStateMachine):
    """Two conversations of a workspace, to which four clients do anything, and up to four workers at a time answer.

    A worker is a process: it dies where it is dropped without leaving its blocks. What it has stored is known by the
    ids of the messages: ``answers`` has the question of each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.checked = 0
        self.begun: set[str] = set()
        self.seen: dict[tuple[str, str], int] = {}
        self.lists = [ListReader(self.workspace, size, adapter=self.place.adapter) for size in (500, 1)]

    @initialize(provider=st.sampled_from(PROVIDERS), opened=st.booleans())
    def begin(self, provider: Provider, opened: bool) -> None:
        self.provider = provider
        self.tabs = [Tab(self.chat(f"k{number % 3 // 2}"), page) for number, page in enumerate((500, 1, 3, 2))]
        if opened:
            self.chat("k0").append(Message.system("Be brief."))

    @rule(move=MOVES)
    def do(self, move: Move) -> None:
        """One step of one of them."""
        getattr(self, move.verb)(self.tabs[move.tab].chat, move)

    # What clients do.

    def ask(self, chat: Conversation, step: Move) -> None:
        """A view stores the question and answers it."""
        if len(self.workers) < MOST_WORKERS:
            self.take(chat, self.question(chat.key), step.how)

    def hand_on(self, chat: Conversation, _step: Move) -> None:
        """A view stores the question, and a worker will answer it."""
        chat.append(self.question(chat.key))

    def come_back(self, chat: Conversation, step: Move) -> None:
        """A task that is delivered twice, a form that is sent again, or who resumes after a crash."""
        asked = list(self.asked[chat.key].items())
        if asked and len(self.workers) < MOST_WORKERS:
            ident, text = asked[-1 - step.n % len(asked)]
            self.take(chat, Message.user(text, id=ident) if step.how % 2 else ident, step.how // 2)

    def regenerate(self, chat: Conversation, step: Move) -> None:
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

    def edit_and_branch(self, chat: Conversation, step: Move) -> None:
        questions = [message for message in shown_by(chat) if starts_turn(message)]
        if questions:
            new = self.question(chat.key)
            chat.edit_and_branch(str(questions[-1 - step.n % len(questions)].id), str(new.content), message_id=new.id)

    def switch(self, chat: Conversation, step: Move) -> None:
        if chat.session() is not None:
            names = self.branches(chat.key)
            chat.switch(names[-1 - step.n % len(names)])

    def edit(self, chat: Conversation, step: Move) -> None:
        """Questions and answers; a call that becomes an answer by an edit would be a second one."""
        shown = [each for each in shown_by(chat) if starts_turn(each) or (is_final(each) and each.id in self.answers)]
        if shown:
            message = shown[-1 - step.n % len(shown)]
            with suppress(MessageRedacted):
                chat.edit(str(message.id), f"{message.id}, edited {self.count()}")
                self.edited.add(str(message.id))

    def upset(self, chat: Conversation, step: Move) -> None:
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

    def follow(self, chat: Conversation, _step: Move) -> None:
        """Who follows what is streamed settles what was abandoned."""
        assert all(draft.state == "streaming" for draft in chat.drafts.entries())

    def stop(self, chat: Conversation, step: Move) -> None:
        drafts = chat.drafts.entries()
        if drafts:
            assert chat.drafts.stop(drafts[step.n % len(drafts)].id)

    def look(self, chat: Conversation, step: Move) -> None:
        """A client that was away brings its copy up to date, and may then follow another branch."""
        assert self.tabs[step.tab].copy.sync() == shown_by(chat)
        if step.how % 4 == 0:
            names = [None, *self.branches(chat.key)]
            self.tabs[step.tab] = Tab(self.chat(chat.key, names[step.n % len(names)]), 1 + step.n)

    # What holds after each step.

    @invariant()
    def every_prompt_is_its_questions(self) -> None:
        for worker in self.workers:
            if worker.is_in:
                self.prompts_of(worker)

    def prompts_of(self, worker: Answerer) -> None:
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
                and newest.state not in ("failed", "abandoned")
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

    def tokens(self) -> Any:
        """Of two budgets in tokens the next: one that takes all, or one that hardly takes the turn."""
        self.checked += 1
        return LARGE if self.checked % 2 else {"tokens": 60}
