"""Parts of adapters that each break one promise to readers who keep copies; test_conformance_kit.py uses them."""
# mypy: disable-error-code=no-any-return

from typing import Any

from msgspec.structs import replace

from chat_memory.records import Address, Branch, Changes, Header, SessionChanges, Sibling
from tests.unit.broken_parts import BrokenPart


class ForgetsEdits(BrokenPart):
    part = "changes"

    def messages(self, *given: Any, **options: Any) -> Changes:
        return replace(self.right.messages(*given, **options), changed=[])


class VoidsNothing(BrokenPart):
    part = "changes"

    def messages(self, at: Address, held: Any, **options: Any) -> Changes:
        found = self.right.messages(at, held, **options)
        return replace(found, void_from=None) if held else found


class BeginsAnewEachTime(BrokenPart):
    part = "changes"

    def messages(self, at: Address, _held: Any, **options: Any) -> Changes:
        return self.right.messages(at, None, **options)


class ForgetsWhatIsGone(BrokenPart):
    part = "changes"

    def sessions(self, *given: Any, **options: Any) -> SessionChanges:
        return replace(self.right.sessions(*given, **options), gone=[])


class WaitsForNothing(BrokenPart):
    """A pending branch is a branch as any other."""

    part = "branches"

    def fork(self, *given: Any, pending: str = "", **options: Any) -> tuple[Branch, Header]:
        made, left = self.right.fork(*given, **options)
        return replace(made, pending=bool(pending)), left


class MakesOneForEachClick(BrokenPart):
    part = "branches"

    def fork(self, *given: Any, pending: str = "", **options: Any) -> tuple[Branch, Header]:
        return self.right.fork(*given, pending="edited" if pending else "", **options)


class TakesEveryBranchForAnAlternative(BrokenPart):
    part = "branches"

    def siblings(self, at: Address, seq: int) -> list[Sibling]:
        names = [branch.name for branch in self.right.all(at) if branch.last_seq >= seq]
        return [Sibling(name, seq, name, False, number, len(names)) for number, name in enumerate(names, 1)]
