"""Owns the contract's part for feedback on messages, and for its sums."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime

from chat_memory.records import Address, Feedback, FeedbackPlace, Person, Verdict, Votes, VotesOfDay, VotesOfModel
from chat_memory.storage.contract.part import Part


class FeedbackStore(Part):
    """Feedback on messages: one verdict of each person on each message.

    It hangs on the message: every branch that shares the message shows it, and it goes with the message. A redaction
    of the message empties its comments and keeps its votes. It moves no version, since no message changes.
    """

    attribute = "feedback"
    lack = "keeps no feedback"

    @abstractmethod
    def give(self, at: Address, place: int | str, verdict: Verdict, by: Person) -> Feedback:
        """Store what a person thinks of a visible message, in place of what that person has thought of it before.

        Where nothing is new, nothing is changed. A user of the host is told from others by the id, everybody else by
        the key; nobody gets the feedback of a user who was deleted.

        Raises:
            MessageNotFound: there is no such visible message.
            MessageRedacted: there is a comment, and the message was redacted.
        """

    @abstractmethod
    def remove(self, at: Address, place: int | str, by: Person) -> bool:
        """Remove what a person thinks of a visible message; False where there is none.

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
        """The feedback on the messages that a branch shows, in the order of the messages, then as it was first given.

        Args:
            at: the address of the branch.
            after: only what follows this place.
            before: only what precedes this place.
            size: at most so many; None: all.
            backwards: with ``size``, the last ones in place of the first ones; the order stays.
        """

    @abstractmethod
    def totals(self, at: Address) -> Votes:
        """How much feedback there is on the messages that a branch shows."""

    @abstractmethod
    def sums(self, workspace: str, *, since: datetime | None = None, until: datetime | None = None) -> Votes:
        """How much feedback there is in a workspace, on whichever branch, each once.

        Args:
            workspace: the slug; an unknown workspace has none.
            since: only what was given at this time or later.
            until: only what was given before this time.
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
