"""Owns the choice of who answers: the offline rules, or the endpoint in OPENAI_BASE_URL; it must not store answers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from example_project import endpoint, offline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chat_memory import Turn

NEWEST = 40
"""The most messages that a model is shown, in whole turns; the offline rules read the whole history."""
ALL = 1_000_000


def name() -> str:
    """Who is answering, for the page to say."""
    return "model" if _has_endpoint() else "offline"


def answer(turn: Turn) -> Iterator[str]:
    """The answer to a turn's question, piece by piece.

    Raises:
        EndpointError: there is no answer, or it broke off; the text says why.
    """
    if _has_endpoint():
        return endpoint.complete(turn.prompt(messages=NEWEST))
    return offline.spoken(offline.reply(turn.prompt(turns=ALL)))


def _has_endpoint() -> bool:
    return bool(os.environ.get("OPENAI_BASE_URL"))
