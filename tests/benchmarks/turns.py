"""A turn through `chat.turn` beside the three calls by hand."""

import uuid
from collections.abc import Iterator

from chat_memory import Message, conversation
from tests.benchmarks.cases import WORKSPACE, Bench, Result
from tests.benchmarks.limit import text


def turns(bench: Bench) -> Iterator[Result]:
    """A question, its prompt and its answer; the question has an id that a retry would have too."""
    keys = [bench.session(200)[0] for _side in range(2)]
    yield bench.compare(
        "a turn beside its three calls by hand", 1.3, lambda: _turn(keys[0]), lambda: _by_hand(keys[1]), 60
    )


def _turn(key: str) -> None:
    with conversation(key, workspace=WORKSPACE).turn(Message.user(text(), id=str(uuid.uuid4()))) as turn:
        turn.prompt(turns=10)
        turn.append(Message.assistant(text()))


def _by_hand(key: str) -> None:
    chat = conversation(key, workspace=WORKSPACE)
    chat.append(Message.user(text(), id=str(uuid.uuid4())))
    chat.context(turns=10)
    chat.append(Message.assistant(text()))
