"""Parts for turns that each break one promise of the contract; test_conformance_kit.py says which clauses notice."""
# mypy: disable-error-code=no-any-return

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from chat_memory.choices import TurnState
from chat_memory.records import Address, Commit, HeldTurn, Message
from tests.unit.broken_parts import BrokenPart


class GivesToAll(BrokenPart):
    """Whoever asks has the right to answer."""

    part = "turns"

    def take(self, at: Address, question: Any, *, holder: str, **more: Any) -> HeldTurn:
        return replace(self.right.take(at, question, holder=holder, **more), holder=holder, seconds=0.0)


class LeasesForEver(BrokenPart):
    part = "turns"

    def take(self, at: Address, question: Any, *, lease: float, **more: Any) -> HeldTurn:
        return self.right.take(at, question, lease=3600, **more)

    def renew(self, held: HeldTurn, *, lease: float) -> None:
        self.right.renew(held, lease=3600)


class StoresUnderTheNewest(BrokenPart):
    """What is appended to a turn goes to the newest one."""

    part = "turns"

    def append(self, held: HeldTurn, messages: Sequence[Message], *, lease: float, state: TurnState) -> Commit:
        self.right.renew(held, lease=lease)
        return self.adapter.messages.append(replace(held.at, pinned=False), messages)


class LetsTheLostAppend(BrokenPart):
    part = "turns"

    def append(self, held: HeldTurn, messages: Sequence[Message], *, lease: float, state: TurnState) -> Commit:
        return self.adapter.messages.append(held.at, messages)


class AnswersOnTheCurrentBranch(BrokenPart):
    """A question is sought on the current branch alone."""

    part = "turns"

    def take(self, at: Address, question: Any, **more: Any) -> HeldTurn:
        current = next((each.name for each in self.adapter.branches.all(at) if each.current), "main")
        return self.right.take(replace(at, branch=current), question, **more)


class NeverInterrupts(BrokenPart):
    part = "turns"

    def interrupt(self, at: Address, *, before: int | None = None, state: TurnState) -> list[Any]:
        return [turn for turn in self.right.open(at) if before is None or turn.number < before]


class AnswersBeside(BrokenPart):
    part = "turns"

    def take(self, at: Address, question: Any, *, alone: bool = False, **more: Any) -> HeldTurn:
        return self.right.take(at, question, **more)


class NeverGivesUp(BrokenPart):
    """What was given up stays taken."""

    part = "turns"

    def release(self, held: HeldTurn) -> None:
        """Do nothing."""


class RenewsByAVersion(BrokenPart):
    part = "turns"

    def renew(self, held: HeldTurn, *, lease: float) -> None:
        self.right.renew(held, lease=lease)
        self.adapter.sessions.update(replace(held.at, pinned=False), {})
