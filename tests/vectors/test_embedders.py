"""What an embedder gives is stored only where it fits, and only of what a message says when it is stored."""

import array
import threading
from collections.abc import Callable
from itertools import count, repeat
from typing import Any

import numpy
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction

from chat_memory import Message, ValidationError, conversation
from chat_memory.exceptions import EmbedderFailed
from chat_memory.maintenance import embedding
from chat_memory.models import Message as MessageRow
from chat_memory.vectors import HashingEmbedder
from tests.conversations import say
from tests.vectors.embedders import EMBED, Asynchronous, Counting
from tests.vectors.looking import embeddings, saying

pytestmark = pytest.mark.django_db(transaction=True)


def unreachable(_texts: list[str]) -> Any:
    raise ConnectionError("the text of a host's error may quote what was said")


def misfits() -> dict[str, Callable[[list[str]], Any]]:
    """What an embedder may do wrong, each with the rest of its vectors right."""
    return {
        "failed": unreachable,
        "gave 0 vectors": lambda _texts: [],
        "vectors for": lambda texts: [*EMBED(texts), [0.1] * 256],
        "numbers beside": lambda texts: [[1.0] * (2 + ("soup" in text)) for text in texts],
        "of 0 numbers": lambda texts: [[] for _text in texts],
        "of more numbers": lambda texts: [[1.0] * 16_001 for _text in texts],
        "of more numbers, not": lambda texts: [repeat(1.0) for _text in texts],
        "gave more vectors": lambda _texts: repeat([1.0]),
        r"r 'wrong' failed \(TypeError\)": lambda _texts: count(),
        r" \(TypeError\)$": lambda texts: [{1.0, 0.5} for _text in texts],
        r"failed \(TypeError\)$": lambda texts: {(1.0, float(place)) for place in range(len(texts))},
        r"d \(TypeError\)$": lambda texts: {place: [1.0] for place in range(len(texts))},
        r"ed \(TypeError\)$": lambda texts: [memoryview(b"12") for _text in texts],
        r"\(OverflowError\)": lambda texts: [[10**400] for _text in texts],
        "not finite": lambda texts: [[1.0, float("nan")] for _text in texts],
        "is not finite": lambda texts: [[1.0, float("inf")] for _text in texts],
        r"failed \(TypeError\)": lambda _texts: None,
        r"\(TypeError\)": lambda texts: ["12" for _text in texts],
        "(TypeError)": lambda texts: [[None, 1.0] for _text in texts],
    }


@pytest.mark.parametrize("what", misfits())
def test_an_embedder_that_fails_is_one_error_and_writes_nothing(what: str) -> None:
    say("bread", "soup", "onion")
    embedder = Counting("wrong", misfits()[what])
    with pytest.raises(EmbedderFailed, match=what) as caught:
        conversation("k", "acme").relevant("bread", 1, embedder)
    assert "wrong" in str(caught.value)
    assert "quote" not in str(caught.value)
    assert embeddings() == 0
    with pytest.raises(EmbedderFailed, match=what):
        embedding.embed("acme", embedder=embedder)
    assert embeddings() == 0
    assert saying(conversation("k", "acme").relevant("bread", 1)) == ["bread"]


@pytest.mark.parametrize("form", [tuple, iter, array.array, numpy.asarray, "float16", "float32", "int8"])
def test_numbers_may_come_in_any_form_that_has_an_order(form: Any) -> None:
    say("bread", "soup", "onion")

    def embed(texts: list[str]) -> Any:
        vectors = [[2.0 * ("bread" in text), 1.0] for text in texts]
        if isinstance(form, str):
            return numpy.array(vectors, dtype=form)
        return iter([form("d", each) if form is array.array else form(each) for each in vectors])

    (found,) = conversation("k", "acme").relevant("bread", 1, Counting("m", embed))
    assert (found.message.content, found.score) == ("bread", 1.0)


def test_an_embedder_that_writes_to_the_conversation_comes_to_an_end() -> None:
    """What it stores while it works is for the next question, and for the next run."""
    say("bread", "soup", "onion")

    def embed(texts: list[str]) -> list[list[float]]:
        conversation("k", "acme").append(Message.user("embedded"))
        return EMBED(texts)

    asked, run = Counting("asked", embed), Counting("run", embed)
    assert saying(conversation("k", "acme").relevant("bread", 1, asked)) == ["bread"]
    assert len(asked.calls) == 2
    assert embedding.embed(embedder=run).messages == 5
    assert len(run.calls) == 1
    assert embedding.embed(embedder=run).messages == 1


def test_an_embedder_that_changes_its_mind_writes_nothing() -> None:
    """Of messages it gives as many numbers as of the text they are compared with, or nothing is stored."""
    sizes = iter([2, 3])

    def embed(texts: list[str]) -> list[list[float]]:
        size = next(sizes)
        return [[1.0] * size for _text in texts]

    say("bread", "soup", "onion")
    with pytest.raises(EmbedderFailed, match="3 numbers beside those of 2"):
        conversation("k", "acme").relevant("bread", 1, Counting("m", embed))
    assert embeddings() == 0


def test_what_earlier_batches_gave_is_kept() -> None:
    say(*(f"bread {number}" for number in range(250)))
    failing = Counting("m", lambda texts: unreachable(texts) if "bread 249" in texts else EMBED(texts))
    with pytest.raises(EmbedderFailed):
        conversation("k", "acme").relevant("bread", 1, failing)
    assert embeddings("m") == 200
    working = Counting("m")
    conversation("k", "acme").relevant("bread", 1, working)
    assert len(working.texts) == 51


def test_without_an_embedder_there_is_an_error_that_says_so(settings) -> None:
    settings.CHAT_MEMORY = {}
    with pytest.raises(ValidationError, match="the setting EMBEDDER names none"):
        conversation("k", "acme").relevant("bread", 1)
    settings.CHAT_MEMORY = {"EMBEDDER": "tests.vectors.nowhere"}
    with pytest.raises(ImproperlyConfigured, match=r"EMBEDDER: tests\.vectors\.nowhere"):
        conversation("k", "acme").relevant("bread", 1)
    settings.CHAT_MEMORY = {"EMBEDDER": f"{__name__}.Needy"}
    with pytest.raises(ImproperlyConfigured, match="without arguments"):
        conversation("k", "acme").relevant("bread", 1)


class Needy:
    """A class that makes nothing without arguments."""

    def __init__(self, key: str) -> None:
        self.key = key


def plain(texts: list[str]) -> list[list[float]]:
    """A function as the setting may name one; its path is the name of its model."""
    return EMBED(texts)


def test_the_setting_is_live_and_may_name_a_function(settings) -> None:
    say("bread", "soup", "onion")
    assert saying(conversation("k", "acme").relevant("bread", 1)) == ["bread"]
    settings.CHAT_MEMORY = {"EMBEDDER": f"{__name__}.plain"}
    assert saying(conversation("k", "acme").relevant("bread", 1)) == ["bread"]
    assert (embeddings("hashing-256"), embeddings(f"{__name__}.plain")) == (3, 3)


CHANGES: dict[str, Callable[[], object]] = {
    "edited": lambda: conversation("k", "acme").edit(1, "something else"),
    "redacted": lambda: conversation("k", "acme").redact(1),
    "deleted": lambda: conversation("k", "acme").delete(),
    "popped": lambda: [conversation("k", "acme").pop() for _message in range(3)],
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_while_an_embedder_works_is_not_stored_as_it_was(change: str) -> None:
    say("bread", "soup", "onion")

    def embed(texts: list[str]) -> list[list[float]]:
        if "bread" in texts:
            CHANGES[change]()
        return EMBED(texts)

    conversation("k", "acme").relevant("rye", 1, Counting("m", embed))
    assert embeddings("m") == {"edited": 2, "redacted": 2, "deleted": 0, "popped": 0}[change]
    again = Counting("m")
    conversation("k", "acme").relevant("rye", 1, again)
    assert again.texts == (["rye", "something else"] if change == "edited" else ["rye"] if change == "redacted" else [])


def test_two_queries_at_once_embed_the_same_without_an_error() -> None:
    say(*(f"bread {number}" for number in range(30)))
    both = threading.Barrier(2)

    def embed(texts: list[str]) -> list[list[float]]:
        both.wait(60)  # both have seen that nothing is there
        return EMBED(texts)

    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(conversation("k", "acme").relevant("bread 7", 3, Counting("m", embed)))
        except BaseException as error:  # noqa: BLE001  # shown by the test
            found.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _thread in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert "bread 7" in saying(found[0])
    assert embeddings("m") == 30


def test_a_transaction_of_the_caller_takes_embeddings_along() -> None:
    say("bread", "soup", "onion")
    with transaction.atomic():
        assert saying(conversation("k", "acme").relevant("bread", 1)) == ["bread"]
        transaction.set_rollback(True)
    assert embeddings() == 0


def test_a_long_message_is_embedded_by_its_beginning() -> None:
    embedder = Counting()
    say("bread " * 10_000, "soup", "onion")
    conversation("k", "acme").relevant("bread", 1, embedder)
    assert max(map(len, embedder.texts)) == 8_000


def test_the_recipe_is_the_same_everywhere() -> None:
    one, other = HashingEmbedder(8), HashingEmbedder(8)
    assert one(["Rye BREAD", ""]) == other(["rye bread", "!"])
    assert (one.name, len(one(["x"])[0])) == ("hashing-8", 8)
    assert sum(map(abs, HashingEmbedder(1_000)(["rye bread rye"])[0])) == 3
    for dimensions in (0, 16_001, True, "8"):
        with pytest.raises(ValidationError):
            HashingEmbedder(dimensions)  # type: ignore[arg-type]


async def test_a_coroutine_may_be_called_from_sync_code_too() -> None:
    embedder = Asynchronous()
    assert await embedder(["x"]) == EMBED(["x"])


def test_messages_stay_as_they_are() -> None:
    say("bread", "soup", "onion")
    before = list(MessageRow.objects.order_by("pk").values())
    conversation("k", "acme").relevant("bread", 1)
    conversation("k", "acme").append(Message.user("more"))
    assert list(MessageRow.objects.order_by("pk").values())[:3] == before
