"""Owns the record of a tool call that has no result."""

from __future__ import annotations

from typing import Any

import msgspec


class UnansweredCall(msgspec.Struct, frozen=True):
    """A tool call without a result in the conversation.

    Attributes:
        seq: the position of the message that makes the call.
        id: the id of the call; "" where it has none.
        name: the name of the tool; "" where the call names none.
        arguments: as the provider gave them: JSON as text in OpenAI's forms, a mapping in Anthropic's, Bedrock's and
            Vercel's; None where the call has none.
    """

    seq: int
    id: str
    name: str
    arguments: Any = None
