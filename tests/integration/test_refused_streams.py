"""What streaming refuses: input that cannot be stored, ids that are taken, too many at once."""

from functools import partial
from typing import Any

import pytest

from chat_memory import DraftExists, Message, MessageConflict, TooLarge, TooManyDrafts, ValidationError
from chat_memory.models import Draft
from tests.conversations import all_contents, chat, say
from tests.integration.streams import played, states

pytestmark = pytest.mark.django_db(transaction=True)


def test_input_that_cannot_be_streamed_is_refused_before_anything_is_written() -> None:
    refused: list[dict[str, Any]] = [
        {"role": "tool"},
        {"role": "nobody"},
        {"role": 7},
        {"id": ""},
        {"id": "a\x00"},
        {"name": 7},
        {"metadata": []},
        {"resume": "a", "replace": "a"},
        {"resume": "a", "id": "b"},
        {"resume": -1},
        {"flush_seconds": 0.1},
        {"flush_seconds": True},
        {"flush_seconds": float("nan")},
        {"flush_bytes": 0},
        {"flush_bytes": 1.5},
    ]
    for options in refused:
        with pytest.raises(ValidationError):
            chat().streaming(**options)
    with chat().streaming() as stream:
        for chunk in (b"x", None, "\x00", "\ud800"):
            with pytest.raises(ValidationError):
                stream.write(chunk)  # type: ignore[arg-type]
        stream.write("fine")
    assert all_contents() == ["fine"]
    for call in (lambda: stream.write("x"), stream.flush, stream.finish, stream.__enter__):
        with pytest.raises(ValidationError):
            call()
    with pytest.raises(ValidationError):
        chat().streaming().write("x")


def test_a_text_that_grows_too_large_is_kept_as_far_as_it_is_allowed(settings: Any) -> None:
    settings.CHAT_MEMORY = {"MAX_CONTENT_BYTES": 10}
    stream = chat().streaming()
    with pytest.raises(TooLarge):
        played(stream, partial(stream.write, "ä" * 4), partial(stream.write, "ä" * 2))
    assert states() == [("ä" * 4, "failed")]


def test_metadata_that_cannot_be_stored_breaks_off_and_loses_nothing() -> None:
    stream = chat().streaming(metadata={"x": 1})
    with pytest.raises(ValidationError):
        played(stream, partial(stream.write, "So far"), partial(stream.finish, metadata={"y": float("nan")}))
    assert states() == [("So far", "failed")]


def test_an_id_is_streamed_once() -> None:
    say("q")
    with chat().streaming(id="a") as stream:
        with pytest.raises(DraftExists), chat().streaming(id="a"):
            pass
        stream.write("first")
    with pytest.raises(MessageConflict) as caught, chat().streaming(id="a"):
        pass
    assert (caught.value.message_id, caught.value.seq) == ("a", 2)
    assert all_contents() == ["q", "first"]


def test_a_message_that_was_appended_meanwhile_wins() -> None:
    stream = chat().streaming(id="a")
    other = Message.assistant("other", id="a")
    with pytest.raises(MessageConflict):
        played(stream, partial(chat().append, other), partial(stream.write, "mine"))
    assert (all_contents(), Draft.objects.count()) == (["other"], 0)


def test_a_conversation_has_few_drafts(settings: Any) -> None:
    settings.CHAT_MEMORY = {"MAX_DRAFTS": 2}
    with chat().streaming(), chat(branch="main").streaming():
        with pytest.raises(TooManyDrafts) as caught, chat().streaming():
            pass
        with chat("other").streaming():
            pass
    assert caught.value.limit == 2
    with chat().streaming():
        pass
