"""Owns the totals of feedback in a workspace, overall, by day and by language model; it must not read messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chat_memory import wiring
from chat_memory.choices import MAIN_BRANCH
from chat_memory.history.naming import address
from chat_memory.history.twins import function_twin
from chat_memory.records import Votes, VotesOfDay, VotesOfModel, as_utc
from chat_memory.rules.times import check_time
from chat_memory.storage.contract import Adapter, FeedbackStore

LARGEST_LIST = 1_000


def totals(
    workspace: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    using: str | None = None,
    adapter: Adapter | None = None,
) -> Votes:
    """The totals of the feedback in a workspace, by one query. Feedback on a hidden message counts until it is deleted.

    Args:
        workspace: the slug; None: DEFAULT_WORKSPACE. An unknown one has no feedback.
        since: an aware datetime; only feedback that was given, or last changed, at this time or later.
        until: an aware datetime; only feedback that was given, or last changed, before this time.
        using: the database alias; None: where the router writes sessions.
        adapter: a back end other than Django's models.

    Raises:
        ValidationError: an argument is not usable; the text says which.
        NotSupported: the back end keeps no feedback.
    """
    return _store(using, adapter).sums(_slug(workspace), **_within(since, until))


atotals = function_twin(totals)


def by_day(
    workspace: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    using: str | None = None,
    adapter: Adapter | None = None,
) -> Sequence[VotesOfDay]:
    """As ``totals``, for each day in UTC that has feedback, oldest first: at most the newest 1,000 days."""
    return _store(using, adapter).by_day(_slug(workspace), **_within(since, until), size=LARGEST_LIST)


aby_day = function_twin(by_day)


def by_model(
    workspace: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    using: str | None = None,
    adapter: Adapter | None = None,
) -> Sequence[VotesOfModel]:
    """As ``totals``, for each language model, most votes first: at most 1,000 models.

    A message names its model as ``model`` in ``extra``, where a provider's answer has it, or in its metadata.
    """
    return _store(using, adapter).by_model(_slug(workspace), **_within(since, until), size=LARGEST_LIST)


aby_model = function_twin(by_model)


def _store(using: str | None, adapter: Adapter | None) -> FeedbackStore:
    return (wiring.adapter(using) if adapter is None else adapter).part(FeedbackStore)


def _slug(workspace: str | None) -> str:
    return address("any", workspace, None, MAIN_BRANCH).workspace


def _within(since: datetime | None, until: datetime | None) -> dict[str, Any]:
    """The checked times, in UTC."""
    for field, moment in (("since", since), ("until", until)):
        if moment is not None:
            check_time(moment, field)
    return {"since": as_utc(since), "until": as_utc(until)}
