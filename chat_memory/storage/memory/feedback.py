"""Owns the in-memory part for feedback; it changes no branch's version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from chat_memory.choices import State
from chat_memory.exceptions import MessageNotFound, MessageRedacted
from chat_memory.records import Address, Feedback, FeedbackPlace, Person, Verdict, Votes, VotesOfDay, VotesOfModel
from chat_memory.rules.feedback import model_of
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import FeedbackStore
from chat_memory.storage.memory.store import MemoryStore, Transaction
from chat_memory.storage.memory.view import BranchView

Group = TypeVar("Group")


class MemoryFeedback(FeedbackStore):
    """See ``FeedbackStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def give(self, at: Address, place: int | str, verdict: Verdict, by: Person) -> Feedback:
        """See ``FeedbackStore.give``."""
        with self._store.transaction() as transaction:
            view, seq = _found(transaction, at, place)
            message = view.message(seq)
            if verdict.comment and message.state == State.REDACTED.value:
                raise MessageRedacted(at.key, seq)
            owner, now = view.owner(seq), transaction.now
            before = next((each for each in owner.feedback.get(seq, ()) if _is_by(each, by)), None)
            if before is not None and Verdict(before.vote, before.comment) == verdict:
                return before
            number = owner.feedback_number + 1 if before is None else before.number
            named = {"user_key": by.user_key, "user_id": by.user_id, "model": model_of(message)}
            new = Feedback(seq, str(message.id), *verdict, **named, created_at=now, updated_at=now, number=number)
            if before is not None:
                new = msgspec.structs.replace(before, **verdict._asdict(), updated_at=now)
            transaction.keep(view.conversation.with_branches(owner.with_feedback(new)))
            transaction.add_event(Kind.RATED, at, view, first_seq=seq, last_seq=seq)
            return new

    def remove(self, at: Address, place: int | str, by: Person) -> bool:
        """See ``FeedbackStore.remove``."""
        with self._store.transaction() as transaction:
            view, seq = _found(transaction, at, place)
            owner = view.owner(seq)
            kept = tuple(each for each in owner.feedback.get(seq, ()) if not _is_by(each, by))
            if kept == owner.feedback.get(seq, ()):
                return False
            left = msgspec.structs.replace(owner, feedback={**owner.feedback, seq: kept})
            transaction.keep(view.conversation.with_branches(left))
            transaction.add_event(Kind.RATED, at, view, first_seq=seq, last_seq=seq)
            return True

    def find(
        self,
        at: Address,
        *,
        after: FeedbackPlace | None = None,
        before: FeedbackPlace | None = None,
        size: int | None = None,
        backwards: bool = False,
    ) -> list[Feedback]:
        """See ``FeedbackStore.find``."""
        view = self._store.find(at)
        found = sorted(view.feedback() if view else [], key=lambda each: each.place)
        within = [
            each for each in found if (after is None or each.place > after) and (before is None or each.place < before)
        ]
        if size is None:
            return within
        return within[max(0, len(within) - size) :] if backwards else within[:size]

    def totals(self, at: Address) -> Votes:
        """See ``FeedbackStore.totals``."""
        view = self._store.find(at)
        return Votes(**_counts(view.feedback() if view else ()))

    def sums(self, workspace: str, *, since: datetime | None = None, until: datetime | None = None) -> Votes:
        """See ``FeedbackStore.sums``."""
        return Votes(**_counts(self._stored(workspace, since, until)))

    def by_day(
        self, workspace: str, *, since: datetime | None = None, until: datetime | None = None, size: int
    ) -> list[VotesOfDay]:
        """See ``FeedbackStore.by_day``."""
        days = _grouped(self._stored(workspace, since, until), lambda each: each.updated_at.astimezone(UTC).date())
        return [VotesOfDay(day=day, **_counts(days[day])) for day in sorted(days, reverse=True)[:size]][::-1]

    def by_model(
        self, workspace: str, *, since: datetime | None = None, until: datetime | None = None, size: int
    ) -> list[VotesOfModel]:
        """See ``FeedbackStore.by_model``."""
        models = _grouped(self._stored(workspace, since, until), lambda each: each.model)
        order = sorted(models, key=lambda model: (-len(models[model]), model))
        return [VotesOfModel(model=model, **_counts(models[model])) for model in order[:size]]

    def _stored(self, workspace: str, since: datetime | None, until: datetime | None) -> Iterator[Feedback]:
        for view in self._store.current_views(workspace):
            for state in view.conversation.branches.values():
                for each in (each for given in state.feedback.values() for each in given):
                    if (since is None or each.updated_at >= since) and (until is None or each.updated_at < until):
                        yield each


def _found(transaction: Transaction, at: Address, place: int | str) -> tuple[BranchView, int]:
    """A message that the branch shows, by its position.

    Raises:
        MessageNotFound: there is none.
    """
    view = transaction.find(at)
    seq = view.position(place) if view else None
    if view is None or seq is None:
        raise (
            MessageNotFound(at.key, message_id=place) if isinstance(place, str) else MessageNotFound(at.key, seq=place)
        )
    return view, seq


def _is_by(given: Feedback, by: Person) -> bool:
    """Whether feedback is a person's: a user of the host is identified by the id, anybody else by the key."""
    return (given.user_id, given.user_key) == by if by.user_id is None else given.user_id == by.user_id


def _counts(given: Iterable[Feedback]) -> dict[str, int]:
    counted = Counter(name for each in given for name in ("up" if each.vote == 1 else "down", *_commented(each)))
    return {name: counted[name] for name in Votes.__struct_fields__}


def _commented(given: Feedback) -> tuple[str, ...]:
    return ("comments",) if given.comment else ()


def _grouped(given: Iterable[Feedback], group: Callable[[Feedback], Group]) -> dict[Group, list[Feedback]]:
    groups: dict[Group, list[Feedback]] = {}
    for each in given:
        groups.setdefault(group(each), []).append(each)
    return groups
