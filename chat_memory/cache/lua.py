"""Owns the text of the scripts that run on the server, and the numbers they share with this process."""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from importlib.resources import files

from chat_memory.cache.entry import HEAVIEST, LAYOUT

LEASE_MS = 300
"""Milliseconds that the reader of a missing entry has to read the database and fill."""
SCRIPTS = ("lease", "fill", "push", "count", "probe")


@cache
def script(name: str) -> tuple[str, str]:
    """A script's digest and its text, after the constants and the part that all scripts share."""
    folder = files("chat_memory.cache") / "scripts"
    constants = f"local LAYOUT = {LAYOUT}\nlocal LEASE_MS = {LEASE_MS}\nlocal HEAVIEST = {HEAVIEST}\n"
    source = constants + (folder / "header.lua").read_text() + (folder / f"{name}.lua").read_text()
    return sha1(source.encode(), usedforsecurity=False).hexdigest(), source
