"""Owns how a request's body becomes plain JSON values; it must not know what they mean."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request

from chat_memory.api.problems import bad_request
from chat_memory.exceptions import ValidationError
from chat_memory.history.validation import object_of

MEDIA_TYPE = "application/json"


def read_json(request: Request) -> Any:
    """The body as JSON (RFC 8259): UTF-8, finite numbers, no name twice in one object, nested as deep as can be read.

    Raises:
        UnsupportedMediaType: it is not said to be JSON.
        RequestDataTooBig: it is over DATA_UPLOAD_MAX_MEMORY_SIZE.
        Refusal: 400, it is not JSON.
    """
    if request.content_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise UnsupportedMediaType(request.content_type)
    body: bytes = request.body
    try:
        return json.loads(body.decode(), object_pairs_hook=object_of, parse_constant=_no_number)
    except RecursionError:
        raise bad_request("The body is nested too deeply.") from None
    except ValueError as error:
        reason = str(error).partition(";")[0]  # what follows is advice for programmers of Python
        raise bad_request(f"The body is not JSON: {reason}.") from None


def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        ValidationError: it is another JSON value.
        APIException: as ``read_json``.
    """
    body = read_json(request)
    if not isinstance(body, dict):
        raise ValidationError("the body must be an object")
    return body


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")
