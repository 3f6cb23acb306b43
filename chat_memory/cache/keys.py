"""Owns the names of our keys in Redis; it must not know what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol

PREFIX = "cm"
"""What every key begins with, before a colon."""
PROBE_KEY = f"{PREFIX}:{{probe}}"
"""The key that holds nothing for longer than a moment."""


def namespace(*secrets: str) -> bytes:
    """What tells two deployments on one Redis apart: a digest of texts only one of them has."""
    return blake2b(_joined(secrets), digest_size=16).digest()


@lru_cache(maxsize=1024)
def session_key(deployment: bytes, schema: str, workspace: str, key: str, branch: str) -> str:
    """The one key of a session's branch, by the name it is asked for; no user's text is in it, and none is shared.

    The braces make Redis Cluster keep whatever belongs to it on one node.
    """
    digest = blake2b(_joined((schema, workspace, key, branch)), digest_size=20, key=deployment).hexdigest()
    return f"{PREFIX}:{{{digest}}}"


def sums_key(deployment: bytes) -> str:
    """The key under which a deployment sums up what its processes count."""
    return f"{PREFIX}:{{sums:{deployment.hex()}}}"


class HasSchema(Protocol):
    """What knows in which of several sets of tables names are looked up now."""

    @property
    def schema(self) -> str:
        """As ``Adapter.schema``."""


class SessionKeys:
    """The keys of the sessions of one store in one deployment."""

    def __init__(self, deployment: bytes, store: HasSchema) -> None:
        self._deployment = deployment
        self._store = store

    def of(self, workspace: str, key: str, branch: str) -> str:
        """The key of a session's branch, by the name it is asked for."""
        return session_key(self._deployment, self._store.schema, workspace, key, branch)


def _joined(texts: Sequence[str]) -> bytes:
    """The texts with their lengths before them, so that no two tuples give the same bytes."""
    return b"".join(b"%d:%b" % (len(raw), raw) for raw in (text.encode() for text in texts))
