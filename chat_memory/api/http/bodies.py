"""Owns the decoding of request bodies to JSON values, and the conversion of those to shapes."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

import msgspec
from rest_framework.exceptions import UnsupportedMediaType

from chat_memory.api.http.problems import bad_request
from chat_memory.exceptions import ValidationError
from chat_memory.rules.json_values import object_of
from chat_memory.rules.misfits import misfit

MEDIA_TYPE = "application/json"

Shape = TypeVar("Shape", bound=msgspec.Struct)


def check_media_type(content_type: str) -> None:
    """Check that the Content-Type of a request is JSON.

    Raises:
        UnsupportedMediaType: 415, the header names another type, or is missing.
    """
    if content_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise UnsupportedMediaType(content_type)


def decode(body: bytes) -> Any:
    """Decode a body as JSON (RFC 8259): UTF-8, only finite numbers, no duplicate names in an object.

    Raises:
        Refusal: 400, the body is not such JSON, or it is nested too deeply for the parser.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=object_of, parse_constant=_no_number)
    except RecursionError:
        raise bad_request("The body is nested too deeply.") from None
    except ValueError as error:
        raise bad_request(_unreadable(body, error)) from None


def convert(body: Any, shape: type[Shape]) -> Shape:
    """Convert decoded JSON to a shape.

    Raises:
        ValidationError: the body is not an object, a member is unknown or missing, or a value has the wrong type.
    """
    if not isinstance(body, dict):
        raise ValidationError("the body must be an object")
    known = shape.__struct_fields__
    for name in body:
        if name not in known:
            raise ValidationError(f"is not one of {', '.join(sorted(known))}", field=name)
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise misfit(error) from None


def members_of(shape: msgspec.Struct) -> dict[str, Any]:
    """The members that are present in a body, by name."""
    return {name: value for name, value in msgspec.structs.asdict(shape).items() if value is not msgspec.UNSET}


def _unreadable(body: bytes, error: ValueError) -> str:
    """What is wrong with a body that is not JSON, and where."""
    if not body.strip():
        return "The body is empty: it must be JSON."
    if isinstance(error, UnicodeDecodeError):
        return f"The body is not UTF-8: byte {error.start + 1} begins no character."
    if isinstance(error, json.JSONDecodeError):
        reason = error.msg.partition(";")[0].partition(" (")[0]  # the rest is advice for Python programmers
        return f"The body is not JSON, at line {error.lineno}, column {error.colno}: {reason[:1].lower()}{reason[1:]}."
    return f"The body is not JSON: {error}."


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")
