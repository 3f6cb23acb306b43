"""Owns the names of our keys in Redis; it must not know what they hold."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

PREFIX = "cm"
"""What every key begins with, before a colon."""
PROBE_KEY = f"{PREFIX}:{{probe}}"
"""The key that holds nothing for longer than a moment."""


def namespace(*secrets: str) -> bytes:
    """What tells two deployments on one Redis apart: a digest of texts only one of them has."""
    return blake2b(_joined(secrets), digest_size=16).digest()


@lru_cache(maxsize=1024)
def session_key(deployment: bytes, schema: str, workspace: str, key: str, branch: str) -> str:
    """The one key of a session; no user text is in it, and no two sessions share it (FEATURES N12, R13).

    The braces make Redis Cluster keep whatever belongs to the session on one node.
    """
    digest = blake2b(_joined((schema, workspace, key, branch)), digest_size=20, key=deployment).hexdigest()
    return f"{PREFIX}:{{{digest}}}"


def sums_key(deployment: bytes) -> str:
    """The key under which a deployment sums up what its processes count."""
    return f"{PREFIX}:{{sums:{deployment.hex()}}}"


def _joined(texts: tuple[str, ...]) -> bytes:
    """The texts with their lengths before them, so that no two tuples give the same bytes."""
    return b"".join(b"%d:%b" % (len(raw), raw) for raw in (text.encode() for text in texts))
