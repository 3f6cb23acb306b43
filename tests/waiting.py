"""Waits for what another process or thread brings about: never for a fixed time, and never for ever."""

import time
from collections.abc import Callable

PATIENCE = 60.0


def eventually(holds: Callable[[], object], patience: float = PATIENCE) -> None:
    """Ask until it holds."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
