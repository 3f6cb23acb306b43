"""Parts of adapters that each break one promise on messages that change or go; test_conformance_kit.py uses them."""
# mypy: disable-error-code=no-any-return

from typing import Any

from msgspec.structs import replace

from chat_memory.records import Address, Claim, Commit, Revision, Span, Summary
from chat_memory.storage.contract.edits import Restate
from chat_memory.storage.memory import MemoryAdapter
from tests.unit.broken_parts import BrokenPart


class RemembersRevisions(BrokenPart):
    """Whatever happens to a message, its former contents stay."""

    part = "edits"
    kept: tuple[Revision, ...] = ()

    def edit(self, *given: Any, **options: Any) -> Commit:
        commit = self.right.edit(*given, **options)
        self.kept += tuple(self.right.revisions(*given[:2]))
        return commit

    def revisions(self, _at: Address, seq: int) -> list[Revision]:
        return [each for each in self.kept if each.seq == seq]


class RedactsAgain(BrokenPart):
    """By an edit, which moves the version each time and leaves a way back."""

    part = "edits"

    def redact(self, at: Address, place: Any, restate: Restate, **_options: Any) -> Commit:
        return self.right.edit(at, place, restate)


class RemembersSummaries(BrokenPart):
    part = "summaries"

    def __init__(self, adapter: MemoryAdapter) -> None:
        super().__init__(adapter)
        self.kept: list[Summary] = []

    def keep(self, at: Address, claim: Claim, summary: Summary) -> bool:
        self.kept.append(summary)
        self.right.keep(at, claim, summary)
        return True

    def all(self, at: Address) -> list[Summary]:
        return self.kept if self.right.all(at) != self.kept else self.right.all(at)


class RemembersTitles(BrokenPart):
    part = "sessions"
    title = ""

    def get(self, at: Address) -> Any:
        record = self.right.get(at)
        self.title = self.title or (record.title if record else "")
        return record and replace(record, title=self.title)


class PopsWithoutTaking(BrokenPart):
    part = "messages"

    def pop(self, at: Address) -> Commit | None:
        found = self.right.read(at, Span(last=1))
        return Commit(tuple(found.messages), found.header, None) if found.messages else None


class PopsByClearing(BrokenPart):
    """The positions go on, and what stays is stored again."""

    part = "messages"

    def pop(self, at: Address) -> Commit | None:
        messages = self.right.read(at).messages
        if not messages:
            return None
        change = self.right.clear(at)
        self.right.append(at, [replace(each, seq=None, id=f"{each.id}!") for each in messages[:-1]])
        return Commit((messages[-1],), change.header, change)
