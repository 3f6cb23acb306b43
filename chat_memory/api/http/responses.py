"""Owns JSON responses, which msgspec encodes instead of DRF's serializers."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from django.http import HttpResponse

from chat_memory.api.http.bodies import MEDIA_TYPE

Shape = TypeVar("Shape", bound=msgspec.Struct)


def show(source: object, shape: type[Shape]) -> Shape:
    """A record or row as a shape: each field of the shape is read from the attribute of the same name."""
    return msgspec.convert(source, shape, from_attributes=True)


def json_response(
    body: Any, status: int = 200, *, etag: str | None = None, location: str | None = None
) -> HttpResponse:
    """A JSON response.

    Args:
        body: a shape, or JSON bytes wrapped in ``msgspec.Raw``.
        status: the HTTP status.
        etag: the value of the ETag header; None: no header.
        location: the value of the Location header, the address of what was created; None: no header.
    """
    response = HttpResponse(msgspec.json.encode(body), status=status, content_type=MEDIA_TYPE)
    if etag is not None:
        response["ETag"] = etag
    if location is not None:
        response["Location"] = location
    return response
