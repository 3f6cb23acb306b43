"""Owns the SQL expression for the text of a message: its content, or the texts among its parts."""

from __future__ import annotations

from chat_memory.choices import State

_REDACTED = State.REDACTED.value
_PARTS = {
    "postgresql": (
        "CASE WHEN json_typeof(m.parts::json) = 'array' THEN (SELECT string_agg(p.value ->> 'text', E'\\n') "
        "FROM json_array_elements(m.parts::json) AS p(value) WHERE json_typeof(p.value -> 'text') = 'string') END"
    ),
    "sqlite": (
        "CASE WHEN json_type(m.parts) = 'array' THEN (SELECT group_concat(json_extract(p.value, '$.text'), char(10)) "
        "FROM json_each(m.parts) p WHERE p.type = 'object' AND json_type(p.value, '$.text') = 'text') END"
    ),
}


def text_of(vendor: str, characters: int) -> str:
    """The beginning of the text of a message ``m``; "" where there is none, or it was redacted."""
    cut = "left({}, {})" if vendor == "postgresql" else "substr({}, 1, {})"
    said = f"CASE WHEN m.state = '{_REDACTED}' THEN '' ELSE COALESCE(m.content, {_PARTS[vendor]}, '') END"
    return cut.format(said, characters)
