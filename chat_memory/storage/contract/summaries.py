"""Owns the contract's part for summaries and for the claims of callers who make them."""

from __future__ import annotations

from abc import abstractmethod

from chat_memory.records import Address, Claim, Summary
from chat_memory.storage.contract.part import Part

CLAIM_LAPSES = 600
"""Seconds after which a claim lapses: another caller may then claim the same messages."""


class SummaryStore(Part):
    """Summaries of conversations."""

    attribute = "summaries"
    lack = "keeps no summaries"

    @abstractmethod
    def all(self, at: Address) -> list[Summary]:
        """The summaries of the branch's visible messages, those of shared messages included, oldest first."""

    @abstractmethod
    def claim(self, at: Address, keep: int) -> Claim | None:
        """Claim the exclusive right to summarise all but the newest ``keep`` messages.

        Returns None where no new message is to be summarised, or where another caller holds a claim that has not
        lapsed.

        Raises:
            TransactionOpen: the caller holds a transaction open.
        """

    @abstractmethod
    def keep(self, at: Address, claim: Claim, summary: Summary) -> bool:
        """Store the summary of a claim; False where the claim was lost, or its messages are no longer visible."""

    @abstractmethod
    def release(self, at: Address, claim: Claim) -> None:
        """Give up a claim, so that another caller can claim at once."""
