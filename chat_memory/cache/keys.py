"""Owns the names of the package's keys in Redis; it must not know what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol

PREFIX = "cm"
"""The prefix of every key, before a colon."""
PROBE_KEY = f"{PREFIX}:{{probe}}"
"""The key that the health check writes and deletes at once."""


def namespace(*secrets: str) -> bytes:
    """A digest that keeps the keys of two deployments on one Redis apart; ``secrets`` must differ between them."""
    return blake2b(_joined(secrets), digest_size=16).digest()


@lru_cache(maxsize=1024)
def session_key(deployment: bytes, store: str, workspace: str, key: str, branch: str) -> str:
    """The Redis key of a branch of a session in a store, under the branch name that a caller uses.

    The names are digested: the key contains no user text, and two branches never share a key. The braces are Redis
    Cluster's hash tag: keys with the same text in braces are on the same node.
    """
    digest = blake2b(_joined((store, workspace, key, branch)), digest_size=20, key=deployment).hexdigest()
    return f"{PREFIX}:{{{digest}}}"


def sums_key(deployment: bytes) -> str:
    """The Redis key of the sums of a deployment's counters."""
    return f"{PREFIX}:{{sums:{deployment.hex()}}}"


class Named(Protocol):
    """An object with the property ``unique_name`` of an adapter."""

    @property
    def unique_name(self) -> str:
        """See ``Adapter.unique_name``."""


class SessionKeys:
    """The keys of the sessions of one store in one deployment."""

    def __init__(self, deployment: bytes, store: Named) -> None:
        self._deployment = deployment
        self._store = store

    def of(self, workspace: str, key: str, branch: str) -> str:
        """See ``session_key``."""
        return session_key(self._deployment, self._store.unique_name, workspace, key, branch)


def _joined(texts: Sequence[str]) -> bytes:
    """The texts, each preceded by its length, so that no two tuples give the same bytes."""
    return b"".join(b"%d:%b" % (len(raw), raw) for raw in (text.encode() for text in texts))
