"""Owns how much of a search in the admin is looked at: words and characters."""

from __future__ import annotations

from django.utils.text import smart_split

WORDS = 8
"""A search is for at most so many words, the first ones."""
CHARACTERS = 200
"""Of a search, so many characters are looked at."""


def first_words(text: str) -> tuple[str, bool]:
    """The words to search for, and whether others were left out; quoted words are one, as in Django's search."""
    words = list(smart_split(text.replace("\x00", "")[:CHARACTERS]))
    return " ".join(words[:WORDS]), len(words) > WORDS or len(text) > CHARACTERS
