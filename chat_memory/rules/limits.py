"""Owns the size limits from the settings."""

from __future__ import annotations

import msgspec

from chat_memory.conf import Settings, live


class Limits(msgspec.Struct, frozen=True):
    """The limits: contents and metadata in bytes, depth in levels, batch in messages per call, parts per message."""

    content_bytes: int
    metadata_bytes: int
    metadata_depth: int
    batch: int
    parts: int = Settings().max_parts


class _Latest:
    """The limits of the latest settings object, reused until a setting changes."""

    pair: tuple[Settings, Limits] | None = None


def limits(now: Settings | None = None) -> Limits:
    """The size limits of a settings object; None: of the present settings."""
    now, pair = now or live.now(), _Latest.pair
    if pair is None or pair[0] is not now:
        sizes = (now.max_content_bytes, now.max_metadata_bytes, now.max_metadata_depth, now.max_batch, now.max_parts)
        pair = now, Limits(*sizes)
        _Latest.pair = pair
    return pair[1]
