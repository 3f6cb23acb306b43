"""Owns the text of the Lua scripts that run on the Redis server, and the constants they share with this process."""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from importlib.resources import files

from chat_memory.cache.entry import HEAVIEST, LAYOUT

LEASE_MS = 300
"""Milliseconds that a lease lasts: the time for a reader to read the database and fill the entry."""
SCRIPTS = ("lease", "fill", "push", "count", "probe")


@cache
def script(name: str) -> tuple[str, str]:
    """A script's SHA-1 digest and its text: the constants, the common part ``header.lua``, and the script itself."""
    folder = files("chat_memory.cache") / "scripts"
    constants = f"local LAYOUT = {LAYOUT}\nlocal LEASE_MS = {LEASE_MS}\nlocal HEAVIEST = {HEAVIEST}\n"
    source = constants + (folder / "header.lua").read_text() + (folder / f"{name}.lua").read_text()
    return sha1(source.encode(), usedforsecurity=False).hexdigest(), source
