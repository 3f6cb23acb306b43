"""Parts for drafts that each break one promise of the contract; test_conformance_kit.py says which clauses notice."""
# mypy: disable-error-code=no-any-return

from typing import Any

from msgspec.structs import replace

from chat_memory.exceptions import DraftLost
from chat_memory.records import Address, Draft, Lease, Message, NewDraft
from chat_memory.storage.contract import Conclude, Settled
from tests.unit.broken_parts import BrokenPart


class Repeats(BrokenPart):
    """A reader who goes on gets everything again."""

    part = "drafts"

    def find(self, at: Address, message_id: str, _after: int = 0) -> Draft | None:
        return self.right.find(at, message_id)


class MovesVersionsByPieces(BrokenPart):
    part = "drafts"

    def write(self, at: Address, lease: Lease, piece: str, length: int) -> bool:
        self.adapter.sessions.update(at, {})
        return self.right.write(at, lease, piece, length)


class HearsNoStop(BrokenPart):
    part = "drafts"

    def write(self, at: Address, lease: Lease, piece: str, length: int) -> bool:
        self.right.write(at, lease, piece, length)
        return False


class ForgivesTheLost(BrokenPart):
    """Whoever lost a draft is not told."""

    part = "drafts"

    def write(self, at: Address, lease: Lease, piece: str, length: int) -> bool:
        try:
            return self.right.write(at, lease, piece, length)
        except DraftLost:
            return False


class SettlesTheLiving(BrokenPart):
    part = "drafts"

    def settle(self, at: Address, draft: Draft, conclude: Conclude, **_lapsed: Any) -> Settled:
        return self.right.settle(at, draft, conclude)


class AppendsInstead(BrokenPart):
    """What comes in the place of a message is a further one."""

    part = "drafts"

    def open(self, at: Address, new: NewDraft) -> Lease:
        return self.right.open(at, new._replace(place=None))


class FollowsTheCurrentBranch(BrokenPart):
    part = "drafts"

    def open(self, at: Address, new: NewDraft) -> Lease:
        return self.right.open(replace(at, branch=""), new)


class LosesTheRefused(BrokenPart):
    """A draft is gone before it is known whether its message can be stored."""

    part = "drafts"

    def settle(self, at: Address, draft: Draft, conclude: Conclude, **options: Any) -> Settled:
        whole = self.right.find(at, draft.id)
        self.right.settle(at, draft, lambda _draft, _stored: None, **options)
        message = conclude(whole or draft, None)
        return Settled(ended=True, commit=self.adapter.messages.append(at, [message]) if message else None)


class RemembersDrafts(BrokenPart):
    """A draft outlives the message that it goes on from."""

    part = "drafts"

    def __init__(self, adapter: Any) -> None:
        super().__init__(adapter)
        self.texts: list[Draft] = []

    def open(self, at: Address, new: NewDraft) -> Lease:
        lease = self.right.open(at, new)
        self.texts.append(lease.draft)
        return lease

    def all(self, _at: Address) -> list[Draft]:
        return self.texts


class ForgetsTheTurn(BrokenPart):
    """The right to a turn is not asked for, and a draft is of the newest turn."""

    part = "drafts"

    def open(self, at: Address, new: NewDraft, _right: Any = None) -> Lease:
        return self.right.open(at, new)

    def settle(self, at: Address, draft: Draft, conclude: Conclude, *, lapsed: bool = False, **_right: Any) -> Settled:
        return self.right.settle(at, draft, conclude, lapsed=lapsed)


class AnswersNoTurn(BrokenPart):
    """What becomes of a draft is in its turn, which is then as good as answered, or open, whatever that is."""

    part = "drafts"

    def settle(self, at: Address, draft: Draft, conclude: Conclude, **terms: Any) -> Settled:
        def broken(draft: Draft, stored: Message | None) -> Message | None:
            message = conclude(draft, stored)
            return message and replace(message, state="complete")

        return self.right.settle(at, draft, broken, **terms)
