"""Titles: the beginning of what the first user says, on one line."""

import pytest
from hypothesis import given

from chat_memory import Message
from chat_memory.storage.titles import LONGEST, first_title, title_of
from tests.strategies import messages

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("", ""),
        ("Hello", "Hello"),
        ("  Hello\n\n\tyou  ", "Hello you"),
        ("a\x1b[31mred\x7f", "a [31mred"),
        ([{"type": "image_url"}, {"type": "text", "text": " "}, {"type": "text", "text": "A picture"}], "A picture"),
        ([{"type": "text", "text": 7}], ""),
        ([], ""),
    ],
)
def test_a_title_is_text_on_one_line(content: str | list[dict[str, object]], title: str) -> None:
    assert title_of(Message.user(content)) == title


def test_a_long_text_is_cut_at_a_word() -> None:
    words = "word " * 30
    assert title_of(Message.user(words)) == " ".join(["word"] * 16) + "…"
    assert title_of(Message.user("x" * LONGEST)) == "x" * LONGEST
    assert title_of(Message.user("x" * (LONGEST + 1))) == "x" * (LONGEST - 1) + "…"


def test_a_cut_that_falls_between_two_words_keeps_both() -> None:
    text = "x" * (LONGEST - 2) + "y and more"
    assert title_of(Message.user(text)) == "x" * (LONGEST - 2) + "y…"


@given(messages)
def test_every_message_has_a_title_that_can_be_shown(message: Message) -> None:
    title = title_of(message)
    assert len(title) <= LONGEST
    assert title == title.strip()
    assert not any(sign < " " or "\x7f" <= sign < "\xa0" for sign in title)


def test_the_first_user_gives_the_title() -> None:
    said = [Message.system("Be brief."), Message.assistant("Hi"), Message.user("One"), Message.user("Two")]
    assert first_title(said) == "One"
    assert first_title(said[:2]) == ""
    assert first_title([Message.user(""), Message.user("Two")]) == ""
