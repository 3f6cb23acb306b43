"""Owns how Ctrl-C ends the demo: once, however many signals arrive; it must not know what is running."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType


@contextmanager
def interrupted_once() -> Iterator[None]:
    """A block that the first SIGINT interrupts; the rest of the process, its end included, ignores the others.

    The terminal sends one to every program in it, and a program that started us may send another.

    Raises:
        KeyboardInterrupt: at the first.
    """
    before = signal.signal(signal.SIGINT, _first)
    try:
        yield
    except KeyboardInterrupt:
        before = signal.SIG_IGN  # not a handler of ours: the interpreter takes those away before it has ended
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def _first(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGINT, _further)
    raise KeyboardInterrupt


def _further(_number: int, _frame: FrameType | None) -> None:
    """Nothing."""
