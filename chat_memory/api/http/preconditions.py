"""Owns entity tags, If-None-Match and If-Match (RFC 9110, sections 8.8 and 13); it must not write."""

from __future__ import annotations

from hashlib import blake2b
from typing import Protocol

from django.http import HttpResponseNotModified
from django.utils.http import parse_etags

from chat_memory.api.http.request import ChatRequest

NO_VERSION = 2**62
"""A version no session ever reaches: a write that expects it stores nothing new, but a replay still succeeds."""


class State(Protocol):
    """The parts of a row's state that its tag is made of."""

    @property
    def version(self) -> int:
        """A number that grows with every change."""

    @property
    def vtoken(self) -> int:
        """A random token that every change replaces."""


def etag(*states: State) -> str:
    """The opaque entity tag of one or more rows; it differs after every change of any of them."""
    text = "/".join(f"{state.version}.{state.vtoken}" for state in states)
    return f'"{blake2b(text.encode(), digest_size=12).hexdigest()}"'


def unmodified(request: ChatRequest, tag: str) -> HttpResponseNotModified | None:
    """The 304 response if If-None-Match names the tag, else None.

    A weak tag matches too: a proxy that compresses a response may make its tag weak.
    """
    wanted = [text.removeprefix("W/") for text in parse_etags(request.headers.get("If-None-Match", ""))]
    if tag not in wanted and "*" not in wanted:
        return None
    return HttpResponseNotModified(headers={"ETag": tag})


def expected_version(request: ChatRequest, tag: str, version: int) -> int | None:
    """The version at which a write may happen, by the client's If-Match; None where any version is accepted.

    Args:
        request: the request with the header.
        tag: the session's present tag.
        version: the session's present version.
    """
    wanted = request.headers.get("If-Match")
    if wanted is None or wanted.strip() == "*":
        return None
    return version if tag in parse_etags(wanted) else NO_VERSION
