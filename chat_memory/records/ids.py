"""Owns the time-ordered unique ids of rows and messages."""

from __future__ import annotations

import os
import time
import uuid
from itertools import accumulate

_NODE = (1 << 47) - 1


def uuid7() -> uuid.UUID:
    """A time-ordered unique id (RFC 9562, version 7)."""
    milliseconds = time.time_ns() // 1_000_000
    noise = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | noise
    return uuid.UUID(int=value & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x7000 << 64 | 0x8000 << 48)


def uuid7_texts(count: int) -> list[str]:
    """``count`` ids (at least 1) of version 7 as text, each greater than the one before (RFC 9562, 6.2, method 2).

    They differ only in the last group: it starts at 47 random bits and grows by a random step of up to 16 bits per id,
    which leaves room for 2**31 ids.
    """
    noise = os.urandom(8 + 2 * count)
    number = int.from_bytes(noise[:10], "big")
    moment = f"{time.time_ns() // 1_000_000:012x}"
    stem = f"{moment[:8]}-{moment[8:]}-7{number >> 68:03x}-{0x8000 | number >> 54 & 0x3FFF:04x}-"
    if count == 1:
        return [f"{stem}{number & _NODE:012x}"]
    nodes = accumulate(memoryview(noise)[10:].cast("H"), initial=number & _NODE)
    return [f"{stem}{node + index:012x}" for index, node in enumerate(nodes)]
