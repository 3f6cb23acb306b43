"""Owns the limits on the search text of the admin: words and characters."""

from __future__ import annotations

from django.utils.text import smart_split

WORDS = 8
"""Only the first this many words are searched for."""
CHARACTERS = 200
"""Only the first this many characters of the search text are used."""


def first_words(text: str) -> tuple[str, bool]:
    """The words to search for, and whether others were left out; a quoted phrase is one word, as in Django's search."""
    words = list(smart_split(text.replace("\x00", "")[:CHARACTERS]))
    return " ".join(words[:WORDS]), len(words) > WORDS or len(text) > CHARACTERS
