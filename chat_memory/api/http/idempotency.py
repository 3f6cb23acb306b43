"""Owns the ids derived from ``Idempotency-Key``: a retry derives the same ids, so no table of keys is stored."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.utils.crypto import salted_hmac

from chat_memory.api.http.problems import bad_request
from chat_memory.api.http.request import ChatRequest

LONGEST = 255
HEADER = "Idempotency-Key"
Secret = str | bytes
_SALT = "chat_memory.api.http.idempotency"


def key_of(request: ChatRequest) -> str | None:
    """The value of the Idempotency-Key header; None where the request has none.

    Raises:
        Refusal: 400, the header is empty or longer than LONGEST characters.
    """
    key = request.headers.get(HEADER)
    if key is not None and not 1 <= len(key) <= LONGEST:
        raise bad_request(f"Must have 1 to {LONGEST} characters, not {len(key)}.", HEADER)
    return key


def secret_of(derive: Callable[[Secret], str], stored: Callable[[Collection[str]], Collection[str]]) -> Secret:
    """The secret to derive a request's ids with: the one used by its first attempt, or else SECRET_KEY.

    The first attempt may have used one of SECRET_KEY_FALLBACKS. Where none are set, no query is made.

    Args:
        derive: returns one of the request's ids, derived with the given secret.
        stored: returns which of the given ids are stored.
    """
    secrets: list[Secret] = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    if len(secrets) == 1:
        return secrets[0]
    by_id = {derive(secret): secret for secret in secrets}
    known = stored(by_id)
    return next((secret for each, secret in by_id.items() if each in known), secrets[0])


def derived_id(secret: Secret, namespace: UUID, user_id: Any, *parts: Any) -> str:
    """An id that is always the same for the same user and parts, and that nobody can compute without the secret.

    It is a UUID of version 8 (RFC 9562). The parts are encoded as JSON, since any separator could also occur inside a
    part.
    """
    text = msgspec.json.encode([str(namespace), str(user_id), *parts])
    octets = bytearray(salted_hmac(_SALT, text, secret, algorithm="sha256").digest()[:16])
    octets[6] = octets[6] & 0x0F | 0x80
    octets[8] = octets[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(octets)))
