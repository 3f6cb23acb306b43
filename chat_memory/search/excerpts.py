"""Owns the excerpt of a found text: the part with the most matching words, in pieces, the matching ones marked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from chat_memory.records import Piece, Query
from chat_memory.search.statements import START, STOP

SHOWN = 240
"""The approximate number of characters of an excerpt."""
_BEFORE = 40
"""Characters before the first marked word, where the excerpt does not begin at the start of the text."""
_FOUND = re.compile(f"{START}([^{START}{STOP}]*){STOP}")
_WORDS = re.compile(r"[^\W_]+")
_REST, _END = r"[^\W_]*", r"(?![^\W_])"
_ELLIPSIS = "…"
_STEM = 3
"""The forms of a word are taken to share at least this many first letters."""

Span = tuple[int, int]


class Part(NamedTuple):
    """A part of a text, with the number of characters before it and the length of the whole text."""

    text: str
    before: int
    size: int


def beginnings(query: Query, *, whole: bool) -> list[str]:
    """Lowercase strings by which to locate the first found word in a text; ``whole``: words have no other forms."""
    first = {_WORDS.findall(term.text)[0].lower() for term in query.wanted}
    return sorted(word if whole else word[: max(_STEM, len(word) * 3 // 5)] for word in first)


def excerpt(part: Part, query: Query, headline: str | None) -> tuple[Piece, ...]:
    """The excerpt of a text that a search found.

    Args:
        part: the part of the text with the first word that was found.
        query: the search, whose words are marked.
        headline: the part as PostgreSQL marked it, which includes other forms of the words; these are marked too.
            None: there are no other forms.
    """
    text = part.text
    spans = [match.span() for match in _pattern(query).finditer(text)]
    if headline:
        spans = list(_apart([*spans, *_of_forms(text, [form.strip() for form in _FOUND.findall(headline)])]))
    begin, end = _window(text, spans)
    pieces = [Piece(_ELLIPSIS)] if begin or part.before else []
    place = begin
    for first, last in spans:
        if begin <= place <= first < end:
            pieces += [Piece(text[place:first])] if first > place else []
            place = min(last, end)
            pieces.append(Piece(text[first:place], marked=True))
    pieces += [Piece(text[place:end])] if end > place else []
    return (*pieces, Piece(_ELLIPSIS)) if part.before + end < part.size else tuple(pieces)


def _pattern(query: Query) -> re.Pattern[str]:
    """One regular expression for all words, so that a text is read once; longer words are tried first."""
    words: dict[str, bool] = {}
    for term in query.wanted:
        parts = _WORDS.findall(term.text)
        for index, part in enumerate(parts):
            begins = term.is_prefix and index == len(parts) - 1
            words[re.escape(part)] = words.get(re.escape(part), False) or begins
    tried = sorted(words.items(), key=lambda each: (-len(each[0]), each[0]))
    said = "|".join(word + (_REST if begins else _END) for word, begins in tried)
    return re.compile(f"(?<![^\\W_])(?:{said})", re.IGNORECASE)


def _of_forms(text: str, forms: Sequence[str]) -> Iterator[Span]:
    """The spans of the words that PostgreSQL marked; there may be thousands, too many for a regular expression.

    Marked text that is more than one word, such as an address, is searched for in the order in which it was marked.
    """
    single = {form for form in forms if _WORDS.fullmatch(form)}
    yield from (match.span() for match in _WORDS.finditer(text) if match.group() in single)
    end = 0
    for form in forms:
        if form and form not in single:
            begin = text.find(form, end)
            while begin > 0 and text[begin - 1].isalnum():
                begin = text.find(form, begin + 1)
            if begin >= 0:
                end = begin + len(form)
                yield begin, end


def _apart(spans: Iterable[Span]) -> Iterator[Span]:
    """The spans in order, without those that begin inside another; of several with the same start, the longest."""
    free = 0
    for first, last in sorted(spans, key=lambda span: (span[0], -span[1])):
        if first >= free:
            yield first, last
            free = last


def _window(text: str, spans: list[Span]) -> Span:
    """The part of a text with the most marks, or the first such part; it begins and ends with whole words."""
    if len(text) <= SHOWN or not spans:
        return 0, _word_end(text, min(len(text), SHOWN))
    best = left = 0
    most = 0
    for right, (_first, last) in enumerate(spans):
        while last - spans[left][0] > SHOWN - _BEFORE and left < right:
            left += 1
        if right - left + 1 > most:
            best, most = left, right - left + 1
    begin = max(0, spans[best][0] - _BEFORE)
    if begin:
        space = text.find(" ", begin, spans[best][0])
        begin = spans[best][0] if space < 0 else space + 1
    return begin, max(_word_end(text, min(len(text), begin + SHOWN)), min(len(text), spans[best][0] + 1))


def _word_end(text: str, end: int) -> int:
    """The end of the last whole word before ``end``; ``end`` itself where that word is very long."""
    if end >= len(text):
        return len(text)
    space = text.rfind(" ", end - _BEFORE, end + 1)
    return end if space < 0 else space
