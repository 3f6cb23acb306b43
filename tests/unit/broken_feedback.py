"""Parts for feedback that each break one promise of the contract; test_conformance_kit.py says which clauses notice."""
# mypy: disable-error-code=no-any-return

from typing import Any

from msgspec.structs import replace

from chat_memory.records import Address, Commit, Feedback, Person, Verdict, Votes
from chat_memory.storage.memory import MemoryAdapter
from tests.unit.broken_parts import BrokenPart


class CountsEveryVote(BrokenPart):
    """A verdict does not replace the one before it."""

    part = "feedback"
    given = 0

    def give(self, at: Address, place: Any, verdict: Verdict, by: Person) -> Feedback:
        self.given += 1
        return self.right.give(at, place, verdict, Person(by.user_id, f"{by.user_key}{' ' * self.given}"))


class MovesVersions(BrokenPart):
    part = "feedback"

    def give(self, at: Address, place: Any, verdict: Verdict, by: Person) -> Feedback:
        given = self.right.give(at, place, verdict, by)
        self.adapter.sessions.update(at, {})
        return given


class TellsUsersByKeys(BrokenPart):
    part = "feedback"

    def give(self, at: Address, place: Any, verdict: Verdict, by: Person) -> Feedback:
        return self.right.give(at, place, verdict, by._replace(user_id=None))


class ShowsMainAlone(BrokenPart):
    part = "feedback"

    def find(self, at: Address, **options: Any) -> list[Feedback]:
        return self.right.find(replace(at, branch="main"), **options)


class IgnoresPages(BrokenPart):
    part = "feedback"

    def find(self, at: Address, **_options: Any) -> list[Feedback]:
        return self.right.find(at)


class SumsOfEverything(BrokenPart):
    part = "feedback"

    def sums(self, workspace: str, **_within: Any) -> Votes:
        return self.right.sums(workspace)


class RemembersComments(BrokenPart):
    """A redaction leaves feedback as it is."""

    part = "edits"

    def __init__(self, adapter: MemoryAdapter) -> None:
        super().__init__(adapter)
        self.before: list[Feedback] = []
        self.find = adapter.feedback.find
        adapter.feedback.find = lambda *_args, **_options: self.before  # type: ignore[method-assign]

    def redact(self, at: Address, *args: Any, **options: Any) -> Commit:
        self.before = self.find(at)
        return self.right.redact(at, *args, **options)
