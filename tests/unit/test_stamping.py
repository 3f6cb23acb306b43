"""What a message gets before it is stored: an id, a time and a token count, and nothing else changes."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils.safestring import mark_safe
from hypothesis import given, strategies as st

from chat_memory import Message, ValidationError
from chat_memory.history import stamping
from chat_memory.history.stamping import counted, restated, stamped
from chat_memory.log_limit import LogLimit
from tests.strategies import messages

pytestmark = pytest.mark.once


def one_token(_text: str) -> int:
    """A host's counter to which every text is one token."""
    return 1


def no_number(_text: str) -> Any:
    """A host's counter that is wrong."""
    return 0.5


def no_text(_text: str) -> Any:
    return "3"


def true(_text: str) -> Any:
    return None


def below_zero(_text: str) -> int:
    return -5


def beyond_all(_text: str) -> int:
    return 2**31


def raising(text: str) -> int:
    """As tokenizers do with texts that look like their own marks."""
    if "|>" in text or len(text) > 1:
        raise ValueError(text)
    return 1


@given(st.lists(messages, max_size=3, unique_by=lambda message: message.id or object()))
def test_what_is_given_stays_and_what_is_missing_is_filled_in(drawn: list[Message]) -> None:
    for before, after in zip(drawn, stamped(drawn), strict=True):
        assert None not in (after.id, after.created_at, after.tokens)
        given_fields = {
            name: value for name in before.__struct_fields__ if (value := getattr(before, name)) is not None
        }
        assert {name: getattr(after, name) for name in given_fields} == given_fields


def test_made_ids_differ_and_are_in_order() -> None:
    made = [message.id or "" for message in stamped([Message.user("x")] * 20)]
    assert made == sorted(set(made))


def test_messages_of_one_call_have_one_time() -> None:
    assert len({message.created_at for message in stamped([Message.user("x")] * 20)}) == 1


def test_times_become_utc() -> None:
    moment = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))
    (message,) = stamped([Message.user("x", created_at=moment)])
    assert message.created_at == moment
    assert message.created_at.tzinfo is UTC


def test_texts_of_another_type_become_plain_texts() -> None:
    (message,) = stamped([Message.user(mark_safe("x"), name=mark_safe("bob"), id=mark_safe("a"))])
    assert [type(text) for text in (message.content, message.name, message.id)] == [str] * 3


def test_the_hosts_counter_counts(settings) -> None:
    settings.CHAT_MEMORY = {"TOKEN_COUNTER": f"{__name__}.one_token"}
    short, long = stamped([Message.user("x"), Message.user("x" * 1_000)])
    assert short.tokens == long.tokens
    assert stamped([Message.user("x", tokens=99)])[0].tokens == 99


@pytest.mark.parametrize("counter", ["raising", "no_number", "no_text", "below_zero", "beyond_all", "true"])
def test_r23_a_counter_that_fails_costs_a_log_line_and_no_message(counter: str, settings, caplog) -> None:
    """The line is bounded in number, and says nothing of the text."""
    settings.CHAT_MEMORY = {"TOKEN_COUNTER": f"{__name__}.{counter}"}
    stamping._log_limit = LogLimit()
    texts = ["<|endoftext|> secret", "x" * 400]
    assert [message.tokens for message in stamped(list(map(Message.user, texts)))] == [9, 104]
    assert restated(stamped([Message.user("x")])[0], content=texts[1]).tokens == 104
    assert counted(Message.user([{"type": "text", "text": "y"}])) > 4
    (line,) = [record.getMessage() for record in caplog.records]
    assert "TOKEN_COUNTER" in line
    assert "secret" not in line


def test_r23_a_counter_that_fails_for_one_message_counts_the_others(settings) -> None:
    settings.CHAT_MEMORY = {"TOKEN_COUNTER": f"{__name__}.raising"}
    assert [message.tokens for message in stamped([Message.user("<|a|>"), Message.user("y")])] == [6, 5]


def test_a_counter_that_is_not_there_is_an_error(settings) -> None:
    settings.CHAT_MEMORY = {"TOKEN_COUNTER": f"{__name__}.nowhere"}
    with pytest.raises(ImproperlyConfigured, match="nowhere"):
        stamped([Message.user("x")])


def test_r6_what_a_picture_counts_for_is_a_setting(settings) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 600_000}}
    text = {"type": "text", "text": "what is this?"}
    (message,) = stamped([Message.user([text, picture])])
    settings.CHAT_MEMORY = {"INLINE_PART_TOKENS": 7}
    (cheaper,) = stamped([Message.user([text, picture])])
    assert 1_600 < (message.tokens or 0) < 1_700
    assert (message.tokens or 0) - (cheaper.tokens or 0) == 1_600 - 7
    assert restated(message, content=[picture]).tokens == counted(Message.user([picture]))
    settings.CHAT_MEMORY = {"INLINE_PART_TOKENS": 1_000_000}
    small = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
    assert stamped([Message.user([small] * 3_000)])[0].tokens == 2**31 - 1


def test_a_restated_message_has_other_content_and_a_count_of_its_own() -> None:
    before = stamped([Message.user("x", id="a", metadata={"b": 1})])[0]
    after = restated(before, content="x" * 1_000)
    assert after == msgspec.structs.replace(before, content="x" * 1_000, tokens=after.tokens)
    assert (after.tokens or 0) > (before.tokens or 0)
    with pytest.raises(ValidationError, match="content"):
        restated(before, content=None)
