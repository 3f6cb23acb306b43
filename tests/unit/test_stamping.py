"""What a message gets before it is stored: an id, a time and a token count, and nothing else changes."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils.safestring import mark_safe
from hypothesis import given, strategies as st

from chat_memory import Message, ValidationError
from chat_memory.history.stamping import restated, stamped
from tests.strategies import messages

pytestmark = pytest.mark.once


def one_token(_text: str) -> int:
    """A host's counter to which every text is one token."""
    return 1


def no_number(_text: str) -> Any:
    """A host's counter that is wrong."""
    return 0.5


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


def test_a_counter_that_gives_no_number_is_named(settings) -> None:
    settings.CHAT_MEMORY = {"TOKEN_COUNTER": f"{__name__}.no_number"}
    with pytest.raises(ImproperlyConfigured, match="TOKEN_COUNTER"):
        stamped([Message.user("x")])


def test_a_restated_message_has_other_content_and_a_count_of_its_own() -> None:
    before = stamped([Message.user("x", id="a", metadata={"b": 1})])[0]
    after = restated(before, content="x" * 1_000)
    assert after == msgspec.structs.replace(before, content="x" * 1_000, tokens=after.tokens)
    assert (after.tokens or 0) > (before.tokens or 0)
    with pytest.raises(ValidationError, match="content"):
        restated(before, content=None)
