"""Random sequences of everything a conversation can be asked, with Redis in every mode, against plain lists."""

import uuid
from collections import Counter, defaultdict
from contextlib import nullcontext
from typing import Any, ClassVar, NamedTuple

import pytest
from django.conf import settings as django_settings
from django.db import transaction
from django.test import override_settings
from hypothesis import HealthCheck, settings as hypothesis_settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from chat_memory import conversation, metrics
from chat_memory.cache.keys import namespace, session_key
from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.history.conversation import Conversation
from chat_memory.storage.orm import DjangoAdapter
from tests.faults.expected_reads import CACHED, LOOKS, PLACES, VIEWS, Look, as_shown
from tests.faults.one_key import FORMAT, PATIENT
from tests.faults.plain_lists import History, Listed, State, window
from tests.faults.processes import Processes
from tests.faults.verbs import FORKED, Verbs

LENGTH = 20
LEAST_HITS = 0.1
NEVER_EXPIRES = -1
MODES = st.sampled_from(["off", "strict", "strict", "bounded", "bounded"])
TAILS = st.sampled_from([1, 3, 8, *[50] * 5])
AGES = st.sampled_from([3600.0, 7200.0])
SOME_LOOKS = st.lists(LOOKS, min_size=3, max_size=6)


class Step(NamedTuple):
    """A change: which, on which branch, through which handle; ``n`` chooses what else there is to choose."""

    verb: str
    place: int
    fresh: bool
    n: int


Handle = tuple[Conversation, str, int]
"""A conversation, and the mode and the process it is in."""
APPENDS = ("append", "append_batch", "retry", "append_partly_known")
VERBS = (
    *["append"] * 4,
    *APPENDS,
    *("clear", "delete", "open", "update", "refused", "count"),
    *["fork", "switch", "edit", "pop"] * 2,
    *("truncate_after", "note", "redact"),
)
STEPS = st.builds(Step, st.sampled_from(VERBS), PLACES, st.booleans(), st.integers(0, 11))


class Histories(Verbs, RuleBasedStateMachine):
    """One conversation, each of its names behind two handles, one kept and one made for each call, beside its model.

    strict and off must show the model. bounded must too as long as every writer tells the cache of the name that is
    read: its own, CURRENT, and those of the branches it changes; of an append the first two alone. A writer whose mode
    is off does not, as one does not whose push was lost. From then on until the next told change, bounded may show what
    the cache may still hold: one of ``maybe``, the states of that name since the last change that was told, and those
    of a restored copy. With ``min_version`` it must show one that is not before.
    """

    redis: ClassVar[Redis]
    processes: ClassVar[Processes]
    first_mode: ClassVar[str]
    reads: ClassVar[Counter[str]]
    hits: ClassVar[Counter[str]]
    counted: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.key = uuid.uuid4().hex
        self.number = 0
        self.at = CURRENT
        self.history = History()
        self.told: set[str] = set()
        self.states: defaultdict[str, State] = defaultdict(State)
        self.maybe: defaultdict[str, set[State]] = defaultdict(lambda: {State()})
        self.kept: dict[str, Handle] = {}
        self.copies: list[tuple[str, Any, set[State]]] = []
        self.overridden: Any = None
        self.deployment = namespace(django_settings.SECRET_KEY, "")

    @initialize(tail=TAILS, age=AGES)
    def begin(self, tail: int, age: float) -> None:
        self.redis.flushdb()
        self.configure(self.first_mode, tail, age, keep=False)

    def teardown(self) -> None:
        if self.overridden is not None:
            self.overridden.disable()

    @rule(mode=MODES, tail=TAILS, age=AGES, keep=st.booleans())
    def configure(self, mode: str, tail: int, age: float, keep: bool) -> None:
        """A process of other settings; a handle that is kept stays in the mode and the process it was made in."""
        self.teardown()
        if not keep:
            self.kept.clear()
        chosen = {"CACHE": mode, "REDIS_CLIENT": PATIENT, "CACHE_TAIL": tail, "CACHE_MAX_AGE": age}
        self.overridden = override_settings(CHAT_MEMORY=chosen)
        self.overridden.enable()
        self.mode = mode
        self.process = self.processes.begin()

    @rule(before=SOME_LOOKS, steps=st.lists(STEPS, min_size=1, max_size=4), outer=st.booleans(), after=SOME_LOOKS)
    def change(self, before: list[Look], steps: list[Step], outer: bool, after: list[Look]) -> None:
        """What the cache is for: read, write, read; each write alone or in a transaction of the caller's."""
        self.read(before)
        for step in steps:
            with transaction.atomic() if outer else nullcontext():
                self.do(step)
            self.settle()
            self.read(after)

    @rule(steps=st.lists(STEPS, min_size=2, max_size=4), fails=st.booleans(), after=SOME_LOOKS)
    def transact(self, steps: list[Step], fails: bool, after: list[Look]) -> None:
        """Several changes in one transaction, which sees itself; of one that fails nobody ever sees anything."""
        before = self.history
        with transaction.atomic():
            for step in steps:
                self.sees_itself(self.do(step))
            transaction.set_rollback(fails)
        if fails:
            self.history, self.told = before, set()
        self.settle()
        self.read(after)

    @rule(looks=SOME_LOOKS)
    def read(self, looks: list[Look]) -> None:
        """Some reads after each other, of which one may fill what the next is answered from."""
        for look in looks:
            self.shows_what_it_may(look)

    def do(self, step: Step) -> Conversation:
        """One change through one handle, and what the model makes of it."""
        at = self.place(step.place)
        self.at = at if at in (MAIN_BRANCH, *self.history.lines) else CURRENT
        chat, mode, process = self.chat(self.at, step.fresh)
        with self.processes.at_work(process):
            after = getattr(self, step.verb)(chat, step.n)
        if after is not None:
            changed = set() if step.verb in APPENDS else self.history.changed(after)
            self.told |= {self.at, CURRENT} | changed if mode != "off" else set()
            self.history = after
        return chat

    def settle(self) -> None:
        """What is committed is what ``branches()`` tells; no version goes back, and none stays where more is shown."""
        found = {branch.name: branch for branch in conversation(self.key).branches()}
        listed = {name: Listed(*(getattr(each, field) for field in Listed._fields)) for name, each in found.items()}
        assert listed == self.history.listed()
        for at in {CURRENT, *self.states, *self.history.lines}:
            was, now = self.states[at], self.history.state(at, {name: each.version for name, each in found.items()})
            assert was.life != now.life or was.version + (was.shown != now.shown) <= now.version, (at, was, now)
            self.states[at] = now
            self.maybe[at] = {now} if at in self.told else self.maybe[at] | {now}
        self.told = set()

    def sees_itself(self, chat: Conversation) -> None:
        full = self.line.shown
        assert as_shown(chat.tail(3)) == as_shown(chat.messages()[-3:]) == full[-3:]
        assert as_shown(chat.window(turns=2)) == window(full, "turns", 2, system=True)

    @rule(layout=st.sampled_from([None, "00", "99"]))
    def lose(self, layout: str | None) -> None:
        """All is gone, or was written by an older release or a newer one: it tells this one nothing."""
        if layout is None:
            self.redis.flushdb()
        for key in self.redis.scan_iter(_type="list"):
            stored: Any = self.redis.lindex(key, -1)
            fields = stored.decode().split(";")
            fields[FORMAT] = f"{layout}{fields[FORMAT][2:]}"
            self.redis.lset(key, -1, ";".join(fields))
        for at in self.maybe:
            self.maybe[at] = {self.states[at]}

    @rule()
    def copy(self) -> None:
        """A replica of Redis that hears nothing more."""
        for at in {CURRENT, MAIN_BRANCH, *FORKED, *self.states}:
            value = self.redis.dump(self.redis_key(at))
            self.copies += [(at, value, set(self.maybe[at]))] * (value is not None)

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def fail_over(self, data: st.DataObject) -> None:
        """The replica takes over."""
        at, value, states = data.draw(st.sampled_from(self.copies))
        self.redis.restore(self.redis_key(at), 3_600_000, value, replace=True)
        self.maybe[at] |= states

    @invariant()
    def no_key_stays_for_ever(self) -> None:
        assert all(self.redis.pttl(key) != NEVER_EXPIRES for key in self.redis.scan_iter())

    def shows_what_it_may(self, look: Look) -> None:
        """One read shows a state that it may show; one's own writes at least, where the version is asked for."""
        at = self.at if look.place is None else self.place(look.place)
        state = self.states[at]
        least = state.version if look.own else 0
        reading, view = VIEWS[look.kind](look, state.last_seq)
        chat, mode, _process = self.chat(at, look.fresh)
        may = {each for each in self.maybe[at] if each.version >= least} if mode == "bounded" else {state}
        views = {view(each.shown) for each in may}
        counts = bool(look.n) and VIEWS[look.kind] in CACHED  # else Redis may not have been asked
        for _ in range(1 + counts):  # the second time of what the first may have left in Redis
            hits = self.counted["hits"]
            found = as_shown(reading(chat, least))
            assert found in views, (mode, at, look, found, state)
            self.reads[mode] += counts
            self.hits[mode] += counts * (self.counted["hits"] - hits)

    def chat(self, at: str, fresh: bool) -> Handle:
        """A handle on a branch."""
        made = conversation(self.key, branch=None if at == CURRENT else at), self.mode, self.process
        return made if fresh else self.kept.setdefault(at, made)

    def place(self, number: int) -> str:
        """A name to read by: of the current branch, the first, one that may be forked, or the newest."""
        return (CURRENT, MAIN_BRANCH, *FORKED, [CURRENT, *self.history.lines][-1])[number]

    def redis_key(self, at: str) -> str:
        return session_key(self.deployment, DjangoAdapter().unique_name, "default", self.key, at)


@pytest.fixture
def counts_by_name(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What the cache counts while the test runs."""
    counts: Counter[str] = Counter()

    def add(name: str, by: int = 1) -> None:
        counts[name] += by

    monkeypatch.setattr(metrics, "add", add)
    return counts


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", ["strict", "bounded"])
def test_no_sequence_shows_a_history_that_was_not(
    mode: str, redis_client: Redis, counts_by_name: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FEATURES N02-N07, N14, J13: and a tenth of the reads at least come from Redis, or it would prove nothing."""
    reads, hits = Counter[str](), Counter[str]()
    of_this_run: dict[str, Any] = {"redis": redis_client, "processes": Processes(monkeypatch), "first_mode": mode}
    of_this_run |= {"reads": reads, "hits": hits, "counted": counts_by_name}
    machine: Any = type("Machine", (Histories,), of_this_run)
    run_state_machine_as_test(
        machine,
        settings=hypothesis_settings(
            max_examples=hypothesis_settings().max_examples,  # each is many steps
            stateful_step_count=LENGTH,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert hits[mode] > LEAST_HITS * reads[mode], (hits, reads)
