"""Owns the contract's part for feedback on messages, and for its sums."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime

from chat_memory.records import Address, Feedback, FeedbackPlace, Person, Verdict, Votes, VotesOfDay, VotesOfModel
from chat_memory.storage.contract.part import Part


class FeedbackStore(Part):
    """Feedback on messages: one verdict per person and message.

    Feedback belongs to its message: every branch that shares the message shows it, and it is deleted with the message.
    A redaction of the message empties the comments and keeps the votes. Feedback changes no version, because no
    message changes.
    """

    attribute = "feedback"
    lack = "keeps no feedback"

    @abstractmethod
    def give(self, at: Address, place: int | str, verdict: Verdict, by: Person) -> Feedback:
        """Store a person's verdict on a visible message; it replaces the person's earlier verdict on the message.

        If the verdict is the same, nothing is written. A user of the host is identified by the id, anybody else by the
        key. The feedback of a deleted user belongs to nobody, so a person with the same key cannot replace it.

        Raises:
            MessageNotFound: there is no such visible message.
            MessageRedacted: the verdict has a comment, and the message was redacted.
        """

    @abstractmethod
    def remove(self, at: Address, place: int | str, by: Person) -> bool:
        """Remove a person's verdict on a visible message; False if there is none.

        Raises:
            MessageNotFound: there is no such visible message.
        """

    @abstractmethod
    def find(
        self,
        at: Address,
        *,
        after: FeedbackPlace | None = None,
        before: FeedbackPlace | None = None,
        size: int | None = None,
        backwards: bool = False,
    ) -> list[Feedback]:
        """The feedback on the messages that a branch shows, ordered by message, then by when it was first given.

        Args:
            at: the address of the branch.
            after: only feedback after this place.
            before: only feedback before this place.
            size: the maximum number; None: all.
            backwards: with ``size``, return the last ones instead of the first ones, in the same order.
        """

    @abstractmethod
    def totals(self, at: Address) -> Votes:
        """The totals of the feedback on the messages that a branch shows."""

    @abstractmethod
    def sums(self, workspace: str, *, since: datetime | None = None, until: datetime | None = None) -> Votes:
        """The totals of the feedback in a workspace, on all branches; feedback that branches share counts once.

        Args:
            workspace: the slug; an unknown workspace has no feedback.
            since: only feedback that was last given at this time or later.
            until: only feedback that was last given before this time.
        """

    @abstractmethod
    def by_day(
        self, workspace: str, *, since: datetime | None = None, until: datetime | None = None, size: int
    ) -> Sequence[VotesOfDay]:
        """As ``sums``, for each day in UTC that has feedback: the newest ``size`` of them, oldest first."""

    @abstractmethod
    def by_model(
        self, workspace: str, *, since: datetime | None = None, until: datetime | None = None, size: int
    ) -> Sequence[VotesOfModel]:
        """As ``sums``, for each language model: the ``size`` with the most votes, most first, equal ones by name."""
