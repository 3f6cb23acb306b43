"""Owns how views read the user, body and query of a request; an error names the part that cannot be read."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import urljoin

import msgspec
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import QueryDict
from django.http.request import RawPostDataException
from rest_framework.request import Request
from rest_framework.settings import api_settings

from chat_memory.api.http.bodies import Shape, check_media_type, convert, decode
from chat_memory.api.http.problems import Refusal, bad_request
from chat_memory.rules.misfits import misfit


class ChatRequest(Request):
    """DRF's request, with the user id, body and query as this API's views need them."""

    @property
    def user_id(self) -> Any:
        """The primary key of the logged-in user; its type depends on the host's user model."""
        return self.user.pk

    def json(self) -> Any:
        """The body, decoded as JSON.

        Raises:
            UnsupportedMediaType: the Content-Type is not JSON.
            RequestDataTooBig: the body is over DATA_UPLOAD_MAX_MEMORY_SIZE.
            Refusal: 400, the body is not JSON.
        """
        check_media_type(self.content_type)
        return decode(self.raw())

    def raw(self) -> bytes:
        """The body as it came.

        Raises:
            RequestDataTooBig: the body is over DATA_UPLOAD_MAX_MEMORY_SIZE.
        """
        body: bytes = self.body
        most: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if most is not None and len(body) > most:  # older releases of Django look at the header Content-Length alone
            raise RequestDataTooBig
        return body

    def body_as(self, shape: type[Shape]) -> Shape:
        """The body as a shape.

        Raises:
            ValidationError: the body does not fit the shape; the error names the member.
            APIException: see ``json``.
        """
        return convert(self.json(), shape)

    def query_as(self, shape: type[Shape]) -> Shape:
        """The query parameters as a shape; DRF's own parameter ``format`` is ignored.

        Raises:
            Refusal: 400, a parameter is unknown, repeated or unreadable; the error names it.
        """
        texts_by_name = _texts(self.query_params, shape)
        try:
            query = msgspec.convert(texts_by_name, shape, strict=False)
        except msgspec.ValidationError as error:
            raise _unreadable(error) from None
        for name in texts_by_name:
            if getattr(query, name) is None:  # msgspec reads the text "null" as None
                raise bad_request("Must not be null.", name)
        return query

    def link(self, **changes: str | int | None) -> str:
        """The absolute address of this request with changed query parameters; None removes a parameter."""
        params = self.query_params.copy()
        for name, value in changes.items():
            params.pop(name, None)
            if value is not None:
                params[name] = str(value)
        return f"{self.build_absolute_uri('')}?{params.urlencode()}"

    def build_absolute_uri(self, location: str | None = None) -> str:
        """Django's, below the prefix of FORCE_SCRIPT_NAME also where a proxy has taken it off the path.

        Under ASGI ``path`` is the path as the server was asked for it, and ``SCRIPT_NAME`` is not added to it.
        """
        here = f"{self.META.get('SCRIPT_NAME', '').rstrip('/')}{self.path_info}"
        absolute: str = self._request.build_absolute_uri(here if location is None else urljoin(here, location))
        return absolute


def receive(request: Request) -> None:
    """Read the whole body of a request, so that permissions looked up afterwards are not older than its last byte.

    A body that is too big, or was consumed as a form, raises only when a view reads it, so that only a logged-in user
    sees that error.

    Raises:
        Refusal: 400, the header Content-Length is not a number.
    """
    if not (request.META.get("CONTENT_LENGTH") or "0").strip().isdecimal():
        raise bad_request("Must be a number.", "Content-Length")  # Django would fail on it while reading the body
    with suppress(RequestDataTooBig, RawPostDataException):
        _received = request.body


def _texts(params: QueryDict, shape: type[msgspec.Struct]) -> dict[str, Any]:
    """The parameters by name: one text each, or a list of texts where the shape's field is a list."""
    texts_by_name: dict[str, Any] = {}
    for name, texts in params.lists():
        if name == api_settings.URL_FORMAT_OVERRIDE:
            continue
        if name not in shape.__struct_fields__:
            known = ", ".join(sorted(shape.__struct_fields__))
            raise bad_request(f"Not a parameter of this address, which takes {known or 'none'}.", name)
        if name not in _lists(shape) and len(texts) > 1:
            raise bad_request("Must not be repeated.", name)
        texts_by_name[name] = texts if name in _lists(shape) else texts[0]
    return texts_by_name


@cache
def _lists(shape: type[msgspec.Struct]) -> frozenset[str]:
    """The names of a shape's list fields; each has an empty list as its default."""
    return frozenset(field.name for field in msgspec.structs.fields(shape) if field.default_factory is list)


def _unreadable(error: msgspec.ValidationError) -> Refusal:
    """The refusal of a parameter."""
    wrong = misfit(error, of_text=True)
    return bad_request(f"{wrong.reason[:1].upper()}{wrong.reason[1:]}.", wrong.field)
