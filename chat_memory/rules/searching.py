"""Owns how the text of a search is parsed: words, "phrases", -words, or, and prefix*.

It is the syntax of web search engines: all words must occur, in any order and case; quotes make a phrase; a minus
excludes the next word or phrase; ``or`` separates alternatives; a star at the end of a word makes it a prefix. No text
is a syntax error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from chat_memory.exceptions import ValidationError
from chat_memory.records import Alternative, Query, Term
from chat_memory.rules.json_values import shown
from chat_memory.rules.names import check_text, plain
from chat_memory.rules.numbers import whole_number

LONGEST_SEARCH = 500
"""The most characters of a search."""
MAX_TERMS = 32
"""The most words and phrases of a search."""
LARGEST_PAGE = 100
"""The most conversations, or messages of one conversation, on a page of results."""
_ITEM = re.compile(r'(?P<minus>-)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')
_SAYS_SOMETHING = re.compile(r"[^\W_]")


class _Item(NamedTuple):
    term: Term | None
    """None: the word ``or``."""
    is_wanted: bool


def understood(text: object, field: str = "text") -> Query:
    """The parsed search.

    Raises:
        ValidationError: it is not text, is too long, has too many words, or has an alternative without a wanted word.
    """
    if text is None:
        raise ValidationError("must be text, not NoneType", field=field)
    check_text(text, field, LONGEST_SEARCH)
    items = list(_items(plain(text)))
    number = sum(item.term is not None for item in items)
    if number > MAX_TERMS:
        raise ValidationError(f"must have at most {MAX_TERMS} words and phrases, not {number}", field=field)
    alternatives = tuple(_alternatives(items))
    if not alternatives:
        raise ValidationError("must have a word to look for", field=field)
    if not all(alternative.wanted for alternative in alternatives):
        raise ValidationError("must have a word to look for beside those that it excludes", field=field)
    return Query(alternatives)


def page_size(size: object) -> int:
    """Check the number of results of a page, and return it.

    Raises:
        ValidationError: it is not a whole number from 1 to LARGEST_PAGE.
    """
    number = whole_number(size, "size")
    if not 1 <= number <= LARGEST_PAGE:
        raise ValidationError(f"must be a whole number from 1 to {LARGEST_PAGE}, not {shown(size)}", field="size")
    return number


def _items(text: str) -> Iterator[_Item]:
    """The terms and each ``or`` of a search; items without a letter or digit are ignored."""
    for match in _ITEM.finditer(text):
        phrase, word = match["phrase"], match["word"]
        if word is not None and word.lower() == "or" and not match["minus"]:
            yield _Item(None, is_wanted=True)
            continue
        said = (word if phrase is None else phrase).replace("\x00", " ").strip()
        if _SAYS_SOMETHING.search(said):
            is_prefix = phrase is None and said.endswith("*")
            yield _Item(Term(said.rstrip("*") if is_prefix else said, is_prefix), not match["minus"])


def _alternatives(items: list[_Item]) -> Iterator[Alternative]:
    """The alternatives between each ``or``; an ``or`` at an end, or beside another one, is ignored."""
    wanted: list[Term] = []
    unwanted: list[Term] = []
    for item in [*items, _Item(None, is_wanted=True)]:
        if item.term is not None:
            (wanted if item.is_wanted else unwanted).append(item.term)
        elif wanted or unwanted:
            yield Alternative(tuple(wanted), tuple(unwanted))
            wanted, unwanted = [], []
