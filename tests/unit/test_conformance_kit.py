"""The conformance kit itself: its clauses share what they should, and each fails an adapter that breaks it."""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from chat_memory.exceptions import BranchExists, BranchNotFound, ChatMemoryError
from chat_memory.records import (
    Address,
    Branch,
    Budget,
    Change,
    Claim,
    Commit,
    Header,
    Message,
    Revision,
    Slice,
    Span,
    Summary,
)
from chat_memory.storage.base import CLAIM_LAPSES, EVERYTHING, Adapter, Batch
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.testing.conformance import AdapterConformance, Kit
from chat_memory.testing.conformance.kit import PATIENCE, SENT_AT, at_once, user

pytestmark = pytest.mark.once

WRITERS = 8
ROUNDS = 30


class MemoryKit(Kit):
    """A kit that remembers the adapters it made."""

    made: list[Adapter]

    def make_adapter(self) -> Adapter:
        adapter = MemoryAdapter()
        self.made.append(adapter)
        return adapter


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    """Threads that interrupt each other at every step, as they rarely do by themselves."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty_threads")
def test_writers_who_are_the_first_to_ask_share_adapter_and_workspace() -> None:
    """From Python 3.12 on nothing locks a ``cached_property``, so each thread would have made its own."""
    for _round in range(ROUNDS):
        kit = MemoryKit()
        kit.made = []
        seen = at_once(*[lambda kit=kit: (kit.workspace, kit.adapter)] * WRITERS)
        assert len({workspace for workspace, _adapter in seen}) == 1
        assert [adapter for _workspace, adapter in seen] == kit.made * WRITERS


def test_each_clause_has_a_workspace_of_its_own() -> None:
    assert Kit().workspace != Kit().workspace


class MutantKit(AdapterConformance):
    """The clauses, for an adapter that breaks one of them."""

    def __init__(self, kind: type[MemoryAdapter]) -> None:
        self.kind, self.passed = kind, timedelta()

    def make_adapter(self) -> Adapter:
        return self.kind(clock=lambda: datetime.now(UTC) + self.passed)

    def let_claims_lapse(self) -> None:
        self.passed += timedelta(seconds=CLAIM_LAPSES)


def holds(kind: type[MemoryAdapter], clause: str, *args: object) -> bool:
    """Whether an adapter keeps a clause."""
    try:
        getattr(MutantKit(kind), clause)(*args)
    except (AssertionError, pytest.fail.Exception, ChatMemoryError):
        return False
    return True


class WindowsWithoutSystem(MemoryAdapter):
    def window(self, at: Address, budget: Budget) -> Slice:
        return super().window(at, replace(budget, system=False))


class WindowsOfOneMore(MemoryAdapter):
    def window(self, at: Address, budget: Budget) -> Slice:
        wider = {name: getattr(budget, name) and getattr(budget, name) + 1 for name in ("turns", "messages", "tokens")}
        return super().window(at, replace(budget, **wider))


class WindowsBeyondClear(MemoryAdapter):
    """The newest messages as they are, whole turns or not."""

    def window(self, at: Address, budget: Budget) -> Slice:
        return self.read(at)


class ReadsAllForSystem(MemoryAdapter):
    def read(self, at: Address, span: Span = EVERYTHING) -> Slice:
        return super().read(at, replace(span, system=False))


class LocatesTheHidden(MemoryAdapter):
    def locate(self, at: Address, message_id: str) -> int | None:
        known = self.append(at, [user(message_id)]) if super().get(at) else None
        return known.messages[0].seq if known and known.change is None else None


class ForksEverything(MemoryAdapter):
    def fork(self, at: Address, name: str, seq: int | None = None, *, switch: bool = False) -> tuple[Branch, Header]:
        return super().fork(at, name, switch=switch)


class ForksOnlyTheKnown(MemoryAdapter):
    def fork(self, at: Address, name: str, seq: int | None = None, *, switch: bool = False) -> tuple[Branch, Header]:
        if self.peek(at) is None:
            raise BranchNotFound(name)
        return super().fork(at, name, seq, switch=switch)


class ForksInTwoSteps(MemoryAdapter):
    """An append always comes between the fork and the switch."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.forked, self.written = threading.Event(), threading.Event()

    def append(self, at: Address, messages: Sequence[Message], *, if_version: int | None = None) -> Commit:
        if self.peek(at) is None:
            return super().append(at, messages, if_version=if_version)
        self.forked.wait(PATIENCE)
        try:
            return super().append(at, messages, if_version=if_version)
        finally:
            self.written.set()

    def fork(self, at: Address, name: str, seq: int | None = None, *, switch: bool = False) -> tuple[Branch, Header]:
        made = super().fork(at, name, seq)
        self.forked.set()
        self.written.wait(PATIENCE)
        self.switch(at, name)
        return made


class ForksWithoutLock(MemoryAdapter):
    """Nobody is refused a name that was free when he looked."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.looked = threading.Barrier(4)

    def fork(self, at: Address, name: str, seq: int | None = None, *, switch: bool = False) -> tuple[Branch, Header]:
        is_free = all(branch.name != name for branch in self.branches(at))
        self.looked.wait(PATIENCE)
        try:
            return super().fork(at, name, seq, switch=switch)
        except BranchExists:
            if not is_free:
                raise
            return self.branches(at)[1], self.read(at).header  # type: ignore[return-value]


class SwitchesMainToo(MemoryAdapter):
    """The name of main follows the speaker."""

    def read(self, at: Address, span: Span = EVERYTHING) -> Slice:
        return super().read(replace(at, branch=at.branch.removeprefix("main")), span)


class VersionsGoBack(MemoryAdapter):
    def peek(self, at: Address) -> Header | None:
        header = super().peek(at)
        return header and replace(header, version=header.last_seq)


class ClearsEveryBranch(MemoryAdapter):
    def clear(self, at: Address) -> Change | None:
        changes = [super(ClearsEveryBranch, self).clear(replace(at, branch=b.name)) for b in self.branches(at)]
        return next((change for change in changes if change), None)


class DeletesWhatOthersShare(MemoryAdapter):
    def delete(self, at: Address) -> bool:
        for branch in self.branches(at) if at.branch else []:
            if branch.parent == at.branch:
                self.delete(replace(at, branch=branch.name))
        return super().delete(at)


class RollsNothingBack(MemoryAdapter):
    def append_many(self, batches: Sequence[Batch]) -> list[Commit]:
        return [self.append(at, messages) for at, messages in batches]


class DeniesItsBranches(MemoryAdapter):
    can_branch = False


class DeniesItsSummaries(MemoryAdapter):
    can_summarize = False


class ForgetsRevisions(MemoryAdapter):
    def revisions(self, at: Address, seq: int) -> list[Revision]:
        return super().revisions(at, seq)[-1:]


class EditsWithoutTellingSharers(MemoryAdapter):
    """Only the branch that the edit came by has a new header."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.stale: dict[str, Header] = {}

    def edit(self, at: Address, message: Message) -> Commit:
        others = [name for name in ("main", "draft", "one", "two") if name != at.branch]
        before = {name: super(EditsWithoutTellingSharers, self).peek(replace(at, branch=name)) for name in others}
        commit = super().edit(at, message)
        self.stale = {name: header for name, header in before.items() if header}
        return commit

    def read(self, at: Address, span: Span = EVERYTHING) -> Slice:
        found = super().read(at, span)
        return replace(found, header=self.stale.get(at.branch, found.header))


class EditsEverything(MemoryAdapter):
    """Of the message, not only content and tokens."""

    def edit(self, at: Address, message: Message) -> Commit:
        commit = super().edit(at, message)
        return replace(commit, messages=(message,))


class GivesTheRightToAll(MemoryAdapter):
    def claim_summary(self, at: Address, keep: int) -> Claim | None:
        claim = super().claim_summary(at, keep)
        if claim:
            self.release_summary(at, claim)
        return claim


class KeepsWhatLapsed(MemoryAdapter):
    def keep_summary(self, at: Address, claim: Claim, summary: Summary) -> bool:
        super().keep_summary(at, claim, summary)
        return True


class NeverLapses(MemoryAdapter):
    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(lambda: SENT_AT)


class ShowsEverySummary(MemoryAdapter):
    def summaries(self, at: Address) -> list[Summary]:
        return super().summaries(replace(at, branch="main"))


class CoversOneMore(MemoryAdapter):
    def claim_summary(self, at: Address, keep: int) -> Claim | None:
        return super().claim_summary(at, max(0, keep - 1))


MUTANTS: list[tuple[type[MemoryAdapter], str, tuple[object, ...]]] = [
    (WindowsWithoutSystem, "test_window_takes_whole_turns_and_the_system_messages", ("a turn",)),
    (WindowsOfOneMore, "test_window_takes_whole_turns_and_the_system_messages", ("one token less",)),
    (WindowsOfOneMore, "test_window_of_a_long_history", ("messages", True)),
    (WindowsBeyondClear, "test_window_shows_nothing_that_is_cleared", (Budget(turns=2),)),
    (ReadsAllForSystem, "test_system_messages_are_read_apart", ()),
    (LocatesTheHidden, "test_locate_finds_a_visible_message", ()),
    (ForksEverything, "test_a_fork_shares_what_there_is_up_to_a_position", ()),
    (ForksOnlyTheKnown, "test_forking_the_unknown_makes_it", ()),
    (ForksInTwoSteps, "test_append_racing_a_fork_that_speaks", ()),
    (ForksWithoutLock, "test_of_forks_of_one_name_one_makes_it", ()),
    (SwitchesMainToo, "test_a_switch_lets_another_branch_speak", ()),
    (VersionsGoBack, "test_what_readers_see_never_goes_back", ()),
    (ClearsEveryBranch, "test_clear_hides_from_its_branch_alone", ()),
    (DeletesWhatOthersShare, "test_a_branch_that_others_share_stays", ()),
    (RollsNothingBack, "test_several_branches_are_written_together_or_not_at_all", ()),
    (DeniesItsBranches, "test_without_branches_they_are_refused", ()),
    (DeniesItsSummaries, "test_without_summaries_they_are_refused", ()),
    (ForgetsRevisions, "test_former_content_is_kept", ()),
    (ForgetsRevisions, "test_edits_at_once_are_each_kept", ()),
    (EditsWithoutTellingSharers, "test_an_edit_is_seen_on_every_branch_that_shares_the_message", ()),
    (EditsEverything, "test_an_edit_changes_content_and_tokens_alone", ()),
    (GivesTheRightToAll, "test_one_has_the_right_until_it_is_used", ()),
    (GivesTheRightToAll, "test_a_right_given_back_is_anothers_at_once", ()),
    (KeepsWhatLapsed, "test_a_right_lapses_by_itself", ()),
    (KeepsWhatLapsed, "test_of_several_at_once_one_has_the_right", ()),
    (KeepsWhatLapsed, "test_cleared_messages_have_no_summary", ()),
    (NeverLapses, "test_a_right_lapses_by_itself", ()),
    (ShowsEverySummary, "test_a_branch_shows_the_summaries_of_what_it_shares", ()),
    (CoversOneMore, "test_a_summary_covers_all_but_the_newest", ()),
]


@pytest.mark.parametrize(
    ("kind", "clause", "args"), MUTANTS, ids=[f"{kind.__name__} {clause}" for kind, clause, _args in MUTANTS]
)
def test_a_clause_fails_an_adapter_that_breaks_it(
    kind: type[MemoryAdapter], clause: str, args: tuple[object, ...]
) -> None:
    assert holds(MemoryAdapter, clause, *args)
    assert not holds(kind, clause, *args)
