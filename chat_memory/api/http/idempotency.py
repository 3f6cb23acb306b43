"""Owns the ids derived from ``Idempotency-Key``: a retry derives the same ids, so no table of keys is stored."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import msgspec

from chat_memory.api.http.problems import bad_request
from chat_memory.api.http.request import ChatRequest

LONGEST = 255
HEADER = "Idempotency-Key"


def key_of(request: ChatRequest) -> str | None:
    """The value of the Idempotency-Key header; None where the request has none.

    Raises:
        Refusal: 400, the header is empty or longer than LONGEST characters.
    """
    key = request.headers.get(HEADER)
    if key is not None and not 1 <= len(key) <= LONGEST:
        raise bad_request(f"Must have 1 to {LONGEST} characters, not {len(key)}.", HEADER)
    return key


def derived_id(namespace: UUID, user_id: Any, *parts: Any) -> str:
    """An id that is always the same for the same user and parts.

    The parts are encoded as JSON, since any separator could also occur inside a part.
    """
    return str(uuid5(namespace, msgspec.json.encode([str(user_id), *parts]).decode()))
