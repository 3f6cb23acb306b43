"""Owns how a request body is decoded to JSON values, and how those become the fields of a shape."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn, TypeVar

import msgspec
from rest_framework.exceptions import UnsupportedMediaType

from chat_memory.api.http.problems import bad_request
from chat_memory.exceptions import ValidationError
from chat_memory.rules.json_values import object_of

MEDIA_TYPE = "application/json"
_MISSING = re.compile(r"Object missing required field `(.*)`")

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
        reason = str(error).partition(";")[0]  # the rest is advice for Python programmers
        raise bad_request(f"The body is not JSON: {reason}.") from None


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
        reason, path = explain(error)
        raise ValidationError(reason, field=path) from None


def members_of(shape: msgspec.Struct) -> dict[str, Any]:
    """The members that are present in a body, by name."""
    return {name: value for name, value in msgspec.structs.asdict(shape).items() if value is not msgspec.UNSET}


def explain(error: msgspec.ValidationError) -> tuple[str, str]:
    """The reason of msgspec's error, and the path of the value, such as ``tags[1]``; "" for the whole body."""
    reason, _, path = str(error).partition(" - at `$")
    missing = _MISSING.fullmatch(reason)
    if missing is not None:
        reason, path = "must be given", f"{path}.{missing[1]}"
    return reason, path.rstrip("`").removeprefix(".")


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")
