"""Random sequences of everything a conversation can be asked, with Redis in every mode, against a plain list."""

import json
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, ClassVar, NamedTuple

import pytest
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

from chat_memory import Conflict, Message, conversation, metrics
from chat_memory.history.conversation import Conversation
from chat_memory.records import Span
from tests.faults.stage import PATIENT

EXAMPLES, LENGTH = 60, 30
MODES = st.sampled_from(["off", "strict", "strict", "bounded", "bounded"])
TAILS = st.sampled_from([1, 3, 8, 50, 50])
AGES = st.sampled_from([3600.0, 7200.0])
SIZES = st.integers(0, 8)
NEVER_EXPIRES = -1


class State(NamedTuple):
    """A committed state of the conversation: its version, and (position, id) of each visible message."""

    version: int = 0
    shown: tuple[tuple[int, str], ...] = ()
    last_seq: int = 0
    known: tuple[str, ...] = ()
    exists: bool = False


class Look(NamedTuple):
    """A read: of which kind and size, where, through which handle, and whether one's own writes must be there."""

    kind: str
    n: int
    back: int
    width: int
    fresh: bool
    own: bool


Shown = tuple[tuple[int, str], ...]
Reading = Callable[[Conversation, int], list[Message]]
View = Callable[[Shown], Shown]


def tail(look: Look, _last_seq: int) -> tuple[Reading, View]:
    return lambda chat, least: chat.tail(look.n, min_version=least), lambda full: last(full, look.n)


def tail_json(look: Look, _last_seq: int) -> tuple[Reading, View]:
    def reading(chat: Conversation, least: int) -> list[Message]:
        return [Message.from_dict(data) for data in json.loads(chat.tail_json(look.n, min_version=least))]

    return reading, lambda full: last(full, look.n)


def head(look: Look, _last_seq: int) -> tuple[Reading, View]:
    return lambda chat, least: chat.head(look.n, min_version=least), lambda full: full[: look.n]


def whole(_look: Look, _last_seq: int) -> tuple[Reading, View]:
    return lambda chat, least: chat.messages(min_version=least), lambda full: full


def since(look: Look, last_seq: int) -> tuple[Reading, View]:
    after = max(0, last_seq - look.back)
    return lambda chat, least: chat.since(after, min_version=least), lambda full: between(full, after)


def page(look: Look, last_seq: int) -> tuple[Reading, View]:
    """The newest before a position, as one turns pages backwards."""
    before = max(0, last_seq + 1 - look.back)
    return spanning(before=before, last=look.n), lambda full: last(between(full, 0, before), look.n)


def newest_between(look: Look, last_seq: int) -> tuple[Reading, View]:
    before = max(0, last_seq + 1 - look.back)
    after = max(0, before - look.width)
    return spanning(after=after, before=before, last=look.n), lambda full: last(between(full, after, before), look.n)


def first_after(look: Look, last_seq: int) -> tuple[Reading, View]:
    after = max(0, last_seq - look.back)
    return spanning(after=after, first=look.n), lambda full: between(full, after)[: look.n]


def first_between(look: Look, last_seq: int) -> tuple[Reading, View]:
    before = max(0, last_seq + 1 - look.back)
    after = max(0, before - look.width)
    return spanning(after=after, before=before, first=look.n), lambda full: between(full, after, before)[: look.n]


def spanning(**span: int) -> Reading:
    return lambda chat, least: chat.read(Span(**span, min_version=least)).messages


def between(full: Shown, after: int, before: int = 2**62) -> Shown:
    return tuple(item for item in full if after < item[0] < before)


def last(items: Shown, n: int) -> Shown:
    """The newest n, oldest first."""
    return items[max(0, len(items) - n) :]


def shown(messages: list[Message]) -> Shown:
    """What the model knows of messages."""
    assert all(message.content == message.id for message in messages)
    return tuple((message.seq or 0, message.id or "") for message in messages)


KINDS = (tail, tail_json, head, whole, since, page, newest_between, first_after, first_between)
VIEWS = {kind.__name__: kind for kind in KINDS}
LOOKS = st.builds(
    Look,
    st.sampled_from(["tail", *VIEWS, "tail_json"]),
    SIZES,
    st.integers(0, 8),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
)


SOME_LOOKS = st.lists(LOOKS, min_size=1, max_size=4)
STEPS = st.sampled_from(
    ["append"] * 4
    + ["append_batch", "retry", "append_partly_known", "clear", "delete", "open", "update", "refused", "count"]
)


class Histories(RuleBasedStateMachine):
    """One conversation behind two handles, one kept and one made for each call, beside the model of it.

    strict and off must show the model. bounded must too as long as every writer tells the cache; a writer whose mode
    is off does not, as one does not whose push was lost. From then on until the next told change, bounded may show
    what the cache may still hold: one of ``maybe``, the states since the last change that was told, and those of a
    restored copy. With ``min_version`` it must show one that is not before.
    """

    redis: ClassVar[Redis]
    reads: ClassVar[Counter[str]]
    counted: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.key = uuid.uuid4().hex
        self.state = State()
        self.maybe = {self.state}
        self.copies: list[tuple[Any, Any, set[State]]] = []
        self.overridden: Any = None

    @initialize(mode=MODES, tail=TAILS, age=AGES)
    def begin(self, mode: str, tail: int, age: float) -> None:
        self.redis.flushdb()
        self.configure(mode, tail, age)
        self.keep()

    def teardown(self) -> None:
        if self.overridden is not None:
            self.overridden.disable()

    @rule(mode=MODES, tail=TAILS, age=AGES)
    def configure(self, mode: str, tail: int, age: float) -> None:
        """Another deployment of the settings; the kept handle stays in the mode it was made in."""
        self.teardown()
        chosen = {"CACHE": mode, "REDIS_CLIENT": PATIENT, "CACHE_TAIL": tail, "CACHE_MAX_AGE": age}
        self.overridden = override_settings(CHAT_MEMORY=chosen)
        self.overridden.enable()
        self.mode = mode

    @rule()
    def keep(self) -> None:
        """The kept handle is made anew, in the mode of now."""
        self.kept, self.kept_mode = conversation(self.key), self.mode

    @rule(before=SOME_LOOKS, step=STEPS, fresh=st.booleans(), outer=st.booleans(), after=SOME_LOOKS)
    def change(self, before: list[Look], step: str, fresh: bool, outer: bool, after: list[Look]) -> None:
        """What the cache is for: read, write, read; the write alone or in a transaction of the caller's."""
        self.read(before)
        with transaction.atomic() if outer else nullcontext():
            getattr(self, step)(fresh)
        self.read(after)

    @rule(steps=st.lists(STEPS, min_size=2, max_size=4), fresh=st.booleans(), fails=st.booleans(), after=SOME_LOOKS)
    def transact(self, steps: list[str], fresh: bool, fails: bool, after: list[Look]) -> None:
        """Several changes in one transaction, which sees itself; of one that fails nobody ever sees anything."""
        before = self.state, self.maybe
        with transaction.atomic():
            for step in steps:
                getattr(self, step)(fresh)
                self.sees_itself(fresh)
            transaction.set_rollback(fails)
        if fails:
            self.state, self.maybe = before
        self.read(after)

    @rule(looks=SOME_LOOKS)
    def read(self, looks: list[Look]) -> None:
        """Some reads after each other, of which one may fill what the next is answered from."""
        for look in looks:
            self.shows_what_it_may(look)

    def append(self, fresh: bool) -> None:
        self.store(fresh, [uuid.uuid4().hex])

    def append_batch(self, fresh: bool) -> None:
        self.store(fresh, [uuid.uuid4().hex for _ in range(3)])

    def retry(self, fresh: bool) -> None:
        """The newest ids again, of which a clear may have hidden some."""
        self.store(fresh, list(self.state.known[-2:]))

    def append_partly_known(self, fresh: bool) -> None:
        """Known ids around a new one, old ones too."""
        known = self.state.known
        self.store(fresh, [*known[:1], uuid.uuid4().hex, *known[1:][-1:], uuid.uuid4().hex])

    def store(self, fresh: bool, ids: list[str]) -> None:
        new = tuple(new_id for new_id in ids if new_id not in self.state.known)
        receipt = self.chat(fresh).append(*(Message.user(each, id=each) for each in ids))
        assert [message.id for message in receipt.messages] == ids
        if new:
            was = self.state
            shown = was.shown + tuple(enumerate(new, was.last_seq + 1))
            self.moved(fresh, State(0, shown, was.last_seq + len(new), was.known + new, exists=True))
        assert (receipt.replayed, receipt.version) == (bool(ids) and not new, self.state.version)

    def clear(self, fresh: bool) -> None:
        self.chat(fresh).clear()
        if self.state.shown:
            self.moved(fresh, self.state._replace(shown=()))

    def delete(self, fresh: bool) -> None:
        assert self.chat(fresh).delete() == self.state.exists
        if self.state.exists:
            self.moved(fresh, State(), version=0)

    def open(self, fresh: bool) -> None:
        record = self.chat(fresh).open()
        if not self.state.exists:
            self.moved(fresh, State(exists=True), version=record.version)

    def update(self, fresh: bool) -> None:
        if self.state.exists:
            record = self.chat(fresh).update(title="t")
            self.moved(fresh, self.state)
            assert record.version == self.state.version

    def refused(self, fresh: bool) -> None:
        """A call with a known id and other content stores nothing."""
        for known in self.state.known[:1]:
            with pytest.raises(Conflict):
                self.chat(fresh).append(Message.user("new"), Message.user("other", id=known))

    def count(self, fresh: bool) -> None:
        assert self.chat(fresh).count() == len(self.state.shown)
        record = self.chat(fresh).session()
        assert (record.version if record else 0) == self.state.version

    def sees_itself(self, fresh: bool) -> None:
        for messages in (self.chat(fresh).tail(3), self.chat(fresh).messages()[-3:]):
            assert shown(messages) == self.state.shown[-3:]

    @rule()
    def flush(self) -> None:
        self.redis.flushdb()
        self.maybe = {self.state}

    @rule()
    def copy(self) -> None:
        """A replica of Redis that hears nothing more."""
        self.copies += [(key, self.redis.dump(key), set(self.maybe)) for key in self.redis.scan_iter()]

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def fail_over(self, data: st.DataObject) -> None:
        """The replica takes over."""
        key, value, states = data.draw(st.sampled_from(self.copies))
        self.redis.restore(key, 3_600_000, value, replace=True)
        self.maybe |= states

    @invariant()
    def no_key_stays_for_ever(self) -> None:
        assert all(self.redis.pttl(key) != NEVER_EXPIRES for key in self.redis.scan_iter())

    def shows_what_it_may(self, look: Look) -> None:
        """One read shows a state that it may show; one's own writes at least, where the version is asked for."""
        least = self.state.version if look.own else 0
        reading, view = VIEWS[look.kind](look, self.state.last_seq)
        hits = self.counted["hits"]
        found = shown(reading(self.chat(look.fresh), least))
        mode = self.mode if look.fresh else self.kept_mode
        may = {state for state in self.maybe if state.version >= least} if mode == "bounded" else {self.state}
        assert found in {view(state.shown) for state in may}, (mode, look, found, self.state)
        self.reads[mode] += 1
        self.reads["hits"] += self.counted["hits"] - hits

    def moved(self, fresh: bool, state: State, version: int | None = None) -> None:
        """The conversation is in its next state."""
        tells = (self.mode if fresh else self.kept_mode) != "off"
        self.state = state._replace(version=self.state.version + 1 if version is None else version)
        self.maybe = {self.state} if tells else self.maybe | {self.state}

    def chat(self, fresh: bool) -> Conversation:
        return conversation(self.key) if fresh else self.kept


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What the cache counts while the test runs."""
    counts: Counter[str] = Counter()

    def add(name: str, by: int = 1) -> None:
        counts[name] += by

    monkeypatch.setattr(metrics, "add", add)
    return counts


@pytest.mark.django_db(transaction=True)
def test_no_sequence_shows_a_history_that_was_not(redis_client: Redis, counted: Counter[str]) -> None:
    """FEATURES N02-N07, N14, J13: and a tenth of the reads at least come from Redis, or it would prove nothing."""
    machine: Any = type("Machine", (Histories,), {"redis": redis_client, "reads": Counter(), "counted": counted})
    run_state_machine_as_test(
        machine,
        settings=hypothesis_settings(
            max_examples=max(EXAMPLES, hypothesis_settings().max_examples),
            stateful_step_count=LENGTH,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert min(machine.reads[mode] for mode in ("off", "strict", "bounded")) > 0
    assert machine.reads["hits"] > 0.1 * (machine.reads["strict"] + machine.reads["bounded"])
