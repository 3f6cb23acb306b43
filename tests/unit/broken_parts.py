"""Parts of adapters that each break one promise of the contract; test_conformance_kit.py says which clauses notice."""
# mypy: disable-error-code=no-any-return

import threading
from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec.structs import replace

from chat_memory.exceptions import BranchExists, BranchNotFound, ChatMemoryError
from chat_memory.records import (
    Address,
    Branch,
    Budget,
    Claim,
    Commit,
    Header,
    Message,
    Revision,
    Slice,
    Span,
    Summary,
    uuid7,
)
from chat_memory.storage.changed import Changed, Kind, emit
from chat_memory.storage.contract import ALL_MESSAGES, Batch
from chat_memory.storage.contract.edits import Restate
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.testing.conformance.kit import PATIENCE, user


class BrokenPart:
    """A part of an adapter that breaks a promise; the verbs it does not define are those of the right one."""

    part: ClassVar[str]

    def __init__(self, adapter: MemoryAdapter) -> None:
        self.adapter = adapter
        self.right: Any = getattr(adapter, self.part)

    def __getattr__(self, verb: str) -> Any:
        return getattr(self.right, verb)


class WindowsWithoutSystem(BrokenPart):
    part = "messages"

    def window(self, at: Address, budget: Budget) -> Slice:
        return self.right.window(at, replace(budget, system=False))


class WindowsOfOneMore(BrokenPart):
    part = "messages"

    def window(self, at: Address, budget: Budget) -> Slice:
        wider = {name: getattr(budget, name) and getattr(budget, name) + 1 for name in ("turns", "messages", "tokens")}
        return self.right.window(at, replace(budget, **wider))


class WindowsBeyondClear(BrokenPart):
    """The newest messages as they are, whole turns or not."""

    part = "messages"

    def window(self, at: Address, budget: Budget) -> Slice:
        return self.right.read(at)


class ReadsAllForSystem(BrokenPart):
    part = "messages"

    def read(self, at: Address, span: Span = ALL_MESSAGES) -> Slice:
        return self.right.read(at, replace(span, system=False))


class LocatesTheHidden(BrokenPart):
    part = "messages"

    def locate(self, at: Address, message_id: str) -> int | None:
        known = self.right.append(at, [user(message_id)]) if self.adapter.sessions.get(at) else None
        return known.messages[0].seq if known and known.change is None else None


class TitlesEveryAppend(BrokenPart):
    part = "messages"

    def append(self, at: Address, messages: Sequence[Message], **options: Any) -> Commit:
        commit = self.right.append(at, messages, **options)
        if options.get("title"):
            self.adapter.sessions.update(at, {"title": options["title"]})
        return commit


class ForksEverything(BrokenPart):
    part = "branches"

    def fork(
        self, at: Address, name: str, seq: int | None = None, *, switch: bool = False, pending: str = ""
    ) -> tuple[Branch, Header]:
        return self.right.fork(at, name, switch=switch)


class ForksOnlyTheKnown(BrokenPart):
    part = "branches"

    def fork(
        self, at: Address, name: str, seq: int | None = None, *, switch: bool = False, pending: str = ""
    ) -> tuple[Branch, Header]:
        if self.adapter.messages.peek(at) is None:
            raise BranchNotFound(at.key, name)
        return self.right.fork(at, name, seq, switch=switch)


class ForksInTwoSteps(BrokenPart):
    """An append always comes between the fork and the switch."""

    part = "branches"

    def __init__(self, adapter: MemoryAdapter) -> None:
        super().__init__(adapter)
        self.forked, self.written = threading.Event(), threading.Event()
        append = adapter.messages.append

        def wait(at: Address, messages: Sequence[Message], **options: Any) -> Commit:
            if adapter.messages.peek(at) is None:
                return append(at, messages, **options)
            self.forked.wait(PATIENCE)
            try:
                return append(at, messages, **options)
            finally:
                self.written.set()

        adapter.messages.append = wait  # type: ignore[method-assign]

    def fork(
        self, at: Address, name: str, seq: int | None = None, *, switch: bool = False, pending: str = ""
    ) -> tuple[Branch, Header]:
        made = self.right.fork(at, name, seq)
        self.forked.set()
        self.written.wait(PATIENCE)
        self.right.switch(at, name)
        return made


class ForksWithoutLock(BrokenPart):
    """Nobody is refused a name that was free when they looked."""

    part = "branches"

    def __init__(self, adapter: MemoryAdapter) -> None:
        super().__init__(adapter)
        self.looked = threading.Barrier(4)

    def fork(
        self, at: Address, name: str, seq: int | None = None, *, switch: bool = False, pending: str = ""
    ) -> tuple[Branch, Header]:
        is_free = all(branch.name != name for branch in self.right.all(at))
        self.looked.wait(PATIENCE)
        try:
            return self.right.fork(at, name, seq, switch=switch)
        except BranchExists:
            if not is_free:
                raise
            return self.right.all(at)[1], self.adapter.messages.read(at).header  # type: ignore[return-value]


class SwitchesMainToo(BrokenPart):
    """The name of main follows the current branch."""

    part = "messages"

    def read(self, at: Address, span: Span = ALL_MESSAGES) -> Slice:
        return self.right.read(replace(at, branch=at.branch.removeprefix("main")), span)


class VersionsGoBack(BrokenPart):
    part = "messages"

    def peek(self, at: Address) -> Header | None:
        header = self.right.peek(at)
        return header and replace(header, version=header.last_seq)


class ClearsEveryBranch(BrokenPart):
    part = "messages"

    def clear(self, at: Address) -> Any:
        names = [branch.name for branch in self.adapter.branches.all(at)]
        changes = [self.right.clear(replace(at, branch=name)) for name in names]
        return next((change for change in changes if change), None)


class DeletesWhatOthersShare(BrokenPart):
    part = "sessions"

    def delete(self, at: Address) -> bool:
        for branch in self.adapter.branches.all(at) if at.branch else []:
            if branch.parent == at.branch:
                self.delete(replace(at, branch=branch.name))
        return self.right.delete(at)


class RollsNothingBack(BrokenPart):
    part = "messages"

    def append_many(self, batches: Sequence[Batch]) -> list[Commit]:
        return [self.right.append(at, messages, title=title) for at, messages, title in batches]


class ListsByLastChange(BrokenPart):
    part = "sessions"

    def find(self, workspace: str, *args: Any, **options: Any) -> list[Any]:
        return sorted(self.right.find(workspace, *args, **options), key=lambda one: one.updated_at, reverse=True)


class SkipsEqualTimes(BrokenPart):
    """A page goes on after the moment of the last record, not after the record."""

    part = "sessions"

    def find(self, workspace: str, *args: Any, before: Any = None, **options: Any) -> list[Any]:
        found = self.right.find(workspace, *args, before=before, **options)
        return [one for one in found if before is None or one.active_at < before.active_at]


class ForgetsRevisions(BrokenPart):
    part = "edits"

    def revisions(self, at: Address, seq: int) -> list[Revision]:
        return self.right.revisions(at, seq)[-1:]


class EditsWithoutMovingTheOthers(BrokenPart):
    """Of the branches that share the message only the one that is named has a new header."""

    part = "edits"

    def __init__(self, adapter: MemoryAdapter) -> None:
        super().__init__(adapter)
        self.stale: dict[str, Header] = {}
        self.read = adapter.messages.read
        adapter.messages.read = self.read_stale  # type: ignore[method-assign]

    def edit(self, at: Address, seq: int, restate: Restate) -> Commit:
        others = [name for name in ("main", "draft", "one", "two") if name != at.branch]
        before = {name: self.adapter.messages.peek(replace(at, branch=name)) for name in others}
        commit: Commit = self.right.edit(at, seq, restate)
        self.stale = {name: header for name, header in before.items() if header}
        return commit

    def read_stale(self, at: Address, span: Span = ALL_MESSAGES) -> Slice:
        found = self.read(at, span)
        return replace(found, header=self.stale.get(at.branch, found.header))


class EditsEverything(BrokenPart):
    """Of the message, not only content and tokens."""

    part = "edits"

    def edit(self, at: Address, seq: int, restate: Restate) -> Commit:
        given: list[Message] = []

        def remember(stored: Message) -> Message:
            given.append(restate(stored))
            return given[0]

        return replace(self.right.edit(at, seq, remember), messages=tuple(given))


class EditsBeforeItAsks(BrokenPart):
    part = "edits"

    def edit(self, at: Address, seq: int, restate: Restate) -> Commit:
        self.right.edit(at, seq, lambda stored: replace(stored, content="?"))
        return self.right.edit(at, seq, restate)


class GivesClaimsToAll(BrokenPart):
    part = "summaries"

    def claim(self, at: Address, keep: int) -> Claim | None:
        claim: Claim | None = self.right.claim(at, keep)
        if claim:
            self.right.release(at, claim)
        return claim


class KeepsWhatLapsed(BrokenPart):
    part = "summaries"

    def keep(self, at: Address, claim: Claim, summary: Summary) -> bool:
        self.right.keep(at, claim, summary)
        return True


class NeverLapses(BrokenPart):
    part = "summaries"
    held = False

    def claim(self, at: Address, keep: int) -> Claim | None:
        claim: Claim | None = None if self.held else self.right.claim(at, keep)
        self.held = self.held or claim is not None
        return claim


class ShowsEverySummary(BrokenPart):
    part = "summaries"

    def all(self, at: Address) -> list[Summary]:
        return self.right.all(replace(at, branch="main"))


class CoversOneMore(BrokenPart):
    part = "summaries"

    def claim(self, at: Address, keep: int) -> Claim | None:
        return self.right.claim(at, max(0, keep - 1))


class RestoresInPieces(BrokenPart):
    """What came before a conflict stays."""

    part = "archive"

    def restore(self, batch: Any) -> Any:
        for at, transcript in batch:
            for message in transcript.messages:
                try:
                    self.adapter.messages.append(at, [message])
                except ChatMemoryError:
                    break
        return self.right.restore(batch)


class Noisy(BrokenPart):
    """Sends an event of its own with each verb that ``when`` takes."""

    part = "messages"

    def __getattr__(self, verb: str) -> Any:
        def call(at: Address, *args: Any, **options: Any) -> Any:
            before = self.right.peek(at)
            try:
                return getattr(self.right, verb)(at, *args, **options)
            finally:
                if self.sends(before, self.right.peek(at)):
                    self.send(at, before)

        return call if verb in ("append", "clear") else getattr(self.right, verb)

    def sends(self, before: Header | None, after: Header | None) -> bool:
        return before != after

    def send(self, at: Address, header: Header | None) -> None:
        session_id = header.session_id if header else uuid7()
        event = Changed(kind=Kind.APPENDED, workspace=at.workspace, key=at.key, session_id=session_id, branch="main")
        emit(self.adapter.source, event)


class SendsTwice(Noisy):
    """Each change."""


class SendsWhatChangesNothing(Noisy):
    def sends(self, before: Header | None, after: Header | None) -> bool:
        return before is not None and before == after
