"""The text of a search: what is understood, and what is refused."""

import re

import pytest

from chat_memory import ValidationError
from chat_memory.records import Alternative, Query, Term
from chat_memory.rules import searching
from chat_memory.rules.searching import LONGEST_SEARCH, MAX_TERMS, page_size, understood

pytestmark = pytest.mark.once


def words(*texts: str) -> tuple[Term, ...]:
    return tuple(Term(text.rstrip("*"), text.endswith("*")) for text in texts)


def either(*alternatives: tuple[tuple[Term, ...], tuple[Term, ...]]) -> Query:
    return Query(tuple(Alternative(*each) for each in alternatives))


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("bread", either((words("bread"), ()))),
        ("  rye   bread ", either((words("rye", "bread"), ()))),
        ('"rye bread" -yeast', either((words("rye bread"), words("yeast")))),
        ('-"rye bread" oven', either((words("oven"), words("rye bread")))),
        ("rye or wheat bread", either((words("rye"), ()), (words("wheat", "bread"), ()))),
        ("rye OR wheat", either((words("rye"), ()), (words("wheat"), ()))),
        ("or rye or or wheat or", either((words("rye"), ()), (words("wheat"), ()))),
        ("-or rye", either((words("rye"), words("or")))),
        ('"or" rye', either((words("or", "rye"), ()))),
        ("brea*", either((words("brea*"), ()))),
        ("-brea* rye", either((words("rye"), words("brea*")))),
        ('"not a prefix*"', either(((Term("not a prefix*"),), ()))),
        ('"never closed', either((words("never closed"), ()))),
        ("& | ! <-> rye ' : * -", either((words("rye"), ()))),
        ("what's-up user@example.com", either((words("what's-up", "user@example.com"), ()))),
        ('say"together"now', either((words("say", "together", "now"), ()))),
        ("Ünïcødé 日本語", either((words("Ünïcødé", "日本語"), ()))),
    ],
)
def test_a_search_is_understood(text: str, query: Query) -> None:
    assert understood(text) == query


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "must be text"),
        (7, "must be text"),
        (b"bread", "must be text"),
        ("", "must have a word"),
        (" \t\n", "must have a word"),
        ("&&& --- ***", "must have a word"),
        ("or", "must have a word"),
        ("-bread", "beside those that it excludes"),
        ("rye or -bread", "beside those that it excludes"),
        ("a\x00b", "NUL"),
        ("a\ud800b", "surrogates"),
        ("x" * (LONGEST_SEARCH + 1), f"at most {LONGEST_SEARCH} characters"),
        ("w " * (MAX_TERMS + 1), f"at most {MAX_TERMS} words and phrases, not {MAX_TERMS + 1}"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_by_its_field(text: object, reason: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(reason)) as refused:
        understood(text, "q")
    assert refused.value.field == "q"


def test_the_longest_search_is_understood() -> None:
    query = understood("w " * MAX_TERMS)
    assert len(query.wanted) == MAX_TERMS
    assert understood("x" * LONGEST_SEARCH).wanted[0].text == "x" * LONGEST_SEARCH


@pytest.mark.parametrize("size", [0, 101, -1, "20", 2.0, True, None])
def test_a_size_of_a_page_is_a_number_from_1_to_100(size: object) -> None:
    assert (page_size(1), page_size(searching.LARGEST_PAGE)) == (1, 100)
    with pytest.raises(ValidationError, match="size"):
        page_size(size)
