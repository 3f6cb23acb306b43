"""Owns the end of the demo by Ctrl-C: one interrupt, however many signals arrive; it must not know what is running."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType


@contextmanager
def interrupted_once() -> Iterator[None]:
    """A block that the first SIGINT interrupts; all later ones are ignored until the process has ended.

    The terminal sends SIGINT to all of its programs, and a program that started this one may send another.

    Raises:
        KeyboardInterrupt: at the first signal.
    """
    before = signal.signal(signal.SIGINT, _first)
    try:
        yield
    except KeyboardInterrupt:
        before = signal.SIG_IGN  # not a Python handler, which the interpreter removes before the process ends
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def _first(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGINT, _further)
    raise KeyboardInterrupt


def _further(_number: int, _frame: FrameType | None) -> None:
    """Ignore the signal."""
