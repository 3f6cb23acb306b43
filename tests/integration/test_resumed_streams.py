"""Partial messages that are gone on from or replaced, and what must not be."""

from functools import partial
from typing import Any

import pytest

from chat_memory import (
    DraftLost,
    Message,
    MessageNotFound,
    ValidationError,
)
from chat_memory.models import Draft
from tests.conversations import all_contents, chat, say
from tests.integration.streams import broken_off, played, states

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_partial_text_is_gone_on_from() -> None:
    say("q")
    key = broken_off("So ", "far", metadata={"model": "m-1"})
    version = chat().session().version  # type: ignore[union-attr]
    with chat().streaming(resume=key, metadata={"tries": 2}) as stream:
        assert (stream.text, stream.id) == ("So far", key)
        stream.write(", so good")
        stream.flush()
        assert chat().drafts.get(key, after=6).text == ", so good"
        assert states()[-1] == ("So far", "failed")
    assert states() == [("q", "complete"), ("So far, so good", "complete")]
    message = chat().messages()[-1]
    assert (message.id, message.seq, message.metadata) == (key, 2, {"model": "m-1", "tries": 2})
    assert [each.content for each in chat().revisions(2)] == ["So far"]
    assert chat().session().version == version + 1  # type: ignore[union-attr]


def test_a_partial_text_is_replaced() -> None:
    say("q")
    key = broken_off("Wrong")
    with chat().streaming(replace=2) as stream:
        assert stream.text == ""
        stream.write("Right")
    assert (states()[-1], stream.id) == (("Right", "complete"), key)
    assert chat().count() == 2


@pytest.mark.parametrize("how", ["resume", "replace"])
def test_who_goes_on_and_fails_too_loses_nothing(how: str) -> None:
    key = broken_off("So far")
    broken_off(**{how: key})
    assert states() == [("So far", "failed")]
    broken_off(", so", **{how: key})
    assert states() == [("So far, so" if how == "resume" else ", so", "failed")]


@pytest.mark.parametrize("how", ["resume", "replace"])
def test_only_the_newest_partial_message_is_gone_on_from(how: str) -> None:
    key = broken_off("So far")
    chat().append(Message.user("and?", id="q"))
    for place, error in (
        (key, ValidationError),
        ("q", ValidationError),
        ("unknown", MessageNotFound),
        (9, MessageNotFound),
    ):
        options: dict[str, Any] = {how: place}
        with pytest.raises(error), chat().streaming(**options):
            pass
    assert Draft.objects.count() == 0
    assert states() == [("So far", "failed"), ("and?", "complete")]


@pytest.mark.parametrize("how", ["redact", "pop"])
def test_what_is_taken_away_is_not_gone_on_from(how: str) -> None:
    """The draft has the words of the message that it goes on from."""
    key = broken_off("SECRET")
    stream = chat().streaming(resume=key)
    take_away = partial(chat().redact, 1) if how == "redact" else chat().pop
    with pytest.raises(DraftLost):
        played(stream, take_away, partial(stream.write, " and more"), stream.flush)
    assert Draft.objects.count() == 0
    assert not any("SECRET" in str(content) for content in all_contents())


def test_a_redaction_of_what_was_streamed_reaches_those_who_follow() -> None:
    with chat().streaming(id="a") as stream:
        stream.write("SECRET")
    chat().redact("a")
    seen = chat().drafts.get("a")
    assert (seen.state, seen.text) == ("redacted", "")


def test_going_on_from_a_message_that_two_branches_share_is_seen_on_both() -> None:
    say("q")
    key = broken_off("So far")
    chat().fork("b")
    with chat(branch="b").streaming(resume=key) as stream:
        stream.write(", so good")
    assert all_contents(chat(branch="b")) == all_contents(chat(branch="main")) == ["q", "So far, so good"]
