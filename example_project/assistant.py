"""Owns who answers: the rules, or the endpoint that OPENAI_BASE_URL names; it must not store the answer."""

from __future__ import annotations

import os
from collections.abc import Sequence

from chat_memory import Message
from example_project import endpoint, offline


def name() -> str:
    """Who is answering, for the page to say."""
    return "model" if _has_endpoint() else "offline"


def answer(history: Sequence[Message]) -> str:
    """The answer to the last message of a history.

    Raises:
        EndpointError: there is no answer; the text says why.
    """
    return endpoint.complete(history) if _has_endpoint() else offline.reply(history)


def _has_endpoint() -> bool:
    return bool(os.environ.get("OPENAI_BASE_URL"))
