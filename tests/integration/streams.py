"""What tests of streams and turns do all the time: break one off, let one be abandoned, see what became of it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from chat_memory.history.streaming import Streaming
from chat_memory.models import Draft, Turn
from tests.conversations import chat


class GoneError(Exception):
    """What a provider raises in these tests."""


def lapse(**rows: Any) -> None:
    """Have drafts be as old as if their writers had died long ago."""
    Draft.objects.filter(**rows).update(touched=1_000)


def end_leases() -> None:
    """Every right to answer ends now, as of holders that died."""
    Turn.objects.update(lease_until=0)


def states() -> list[tuple[Any, str]]:
    """What each message says, and its state."""
    return [(message.content, message.state) for message in chat().messages()]


def played(stream: Streaming, *steps: Callable[[], object]) -> None:
    """Take some steps inside of the block of a stream."""
    with stream:
        for step in steps:
            step()


def fail() -> None:
    """What a provider does."""
    raise GoneError


def broken_off(*chunks: str, **options: Any) -> str:
    """The id of a message whose writer failed after these chunks."""
    stream = chat().streaming(**options)
    with pytest.raises(GoneError):
        played(stream, *(partial(stream.write, chunk) for chunk in chunks), fail)
    return stream.id
