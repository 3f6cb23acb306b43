"""Owns the translation of a search for the database: in the workspace's language, and limited to the workspace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from chat_memory.conf import live
from chat_memory.records import Query, Term

DEFAULT = "simple"
OTHERS = "*"
"""The key in SEARCH_CONFIG for the workspaces that it does not name."""


def language_of(workspace: str) -> str:
    """The text search configuration of a workspace, by its slug."""
    chosen = live.now().search_config
    if isinstance(chosen, str):
        return chosen
    return chosen.get(workspace, chosen.get(OTHERS, DEFAULT))


def own_languages() -> dict[str, str]:
    """The workspaces that have a configuration of their own, by slug."""
    chosen = live.now().search_config
    return {} if isinstance(chosen, str) else {slug: each for slug, each in chosen.items() if slug != OTHERS}


def languages() -> tuple[str, ...]:
    """All configurations that the setting names, each once."""
    chosen = live.now().search_config
    return (chosen,) if isinstance(chosen, str) else tuple(sorted({DEFAULT, *chosen.values()}))


def parameters(workspace: str) -> dict[str, Any]:
    """The parameters of the INSERT of entries for a workspace."""
    return {"search_language": language_of(workspace)}


def for_sqlite(query: Query, workspaces: Iterable[int] | None) -> str:
    """A search in the syntax of FTS5, limited to some workspaces; None: all."""
    said = " OR ".join(f"({_alternative(each.wanted, each.unwanted)})" for each in query.alternatives)
    words = f"words : ({said})"
    if workspaces is None:
        return words
    scope = " OR ".join(f'"{number}"' for number in workspaces)
    return f"workspace_id : ({scope}) AND {words}"


def _alternative(wanted: tuple[Term, ...], unwanted: tuple[Term, ...]) -> str:
    said = " AND ".join(map(_sqlite_term, wanted))
    return f"({said}) NOT ({' OR '.join(map(_sqlite_term, unwanted))})" if unwanted else said


def _sqlite_term(term: Term) -> str:
    text = term.text.replace('"', " ")
    return f'"{text}" *' if term.is_prefix else f'"{text}"'


def for_postgresql(query: Query) -> tuple[str, dict[str, Any]]:
    """A search as a PostgreSQL expression of type ``tsquery``, and its parameters other than ``search_language``.

    Words that the language ignores, such as *the*, are left out. An alternative without any other wanted word finds
    nothing; otherwise its excluded words alone would find all other messages.
    """
    values: dict[str, Any] = {}
    sides = []
    for alternative in query.alternatives:
        wanted = " && ".join(_postgresql_terms(alternative.wanted, values))
        unwanted = "".join(f" && !!{said}" for said in _postgresql_terms(alternative.unwanted, values))
        sides.append(f"CASE WHEN numnode({wanted}) > 0 THEN {wanted}{unwanted} ELSE ''::tsquery END")
    return " || ".join(f"({side})" for side in sides), values


def _postgresql_terms(terms: Iterable[Term], values: dict[str, Any]) -> Iterator[str]:
    for term in terms:
        name = f"term_{len(values)}"
        if term.is_prefix:
            # Only to_tsquery knows prefixes; it parses its argument, and quoting keeps the text from being parsed.
            values[name] = "'" + term.text.replace("\\", " ").replace("'", " ") + "':*"
            yield f"to_tsquery(%(search_language)b::text::regconfig, %({name})b::text)"
        else:
            values[name] = term.text
            yield f"phraseto_tsquery(%(search_language)b::text::regconfig, %({name})b::text)"
