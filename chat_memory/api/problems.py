"""Owns how every refusal looks on the wire, an RFC 9457 problem document; it must not decide what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import responses
from typing import Any

import msgspec
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from rest_framework.exceptions import APIException

from chat_memory import exceptions

CONTENT_TYPE = "application/problem+json"
NOT_FOUND = "There is nothing here, or nothing that you may see."
"""One text for everything that is not there and everything that is not yours: the answer must not tell them apart."""


class Refusal(APIException):
    """A request this door refuses for a reason of its own."""

    def __init__(self, status: int, detail: str, *, code: str, field: str = "") -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.field = field


def forbidden(detail: str, field: str = "") -> Refusal:
    """403: the member's role or grants do not cover it."""
    return Refusal(403, detail, code="permission_denied", field=field)


def bad_request(detail: str, field: str = "") -> Refusal:
    """400: a part of the request cannot be read."""
    return Refusal(400, detail, code="bad_request", field=field)


def handle(error: Exception, _context: Mapping[str, Any] | None = None) -> HttpResponse | None:
    """The problem document of an error; None leaves an unforeseen one to Django (DRF's EXCEPTION_HANDLER form)."""
    if isinstance(error, (exceptions.NotFound, Http404)):
        return _document(404, NOT_FOUND, "not_found")
    if isinstance(error, APIException):
        return _of_framework(error)
    for kind, status, code, detail in _KNOWN:
        if isinstance(error, kind):
            said = getattr(error, "reason", str(error)) if detail is None else detail
            return _document(status, said, code, getattr(error, "field", ""))
    return None


_KNOWN: tuple[tuple[type[Exception] | tuple[type[Exception], ...], int, str, str | None], ...] = (
    (exceptions.TooLarge, 413, "too_large", None),
    (exceptions.ValidationError, 422, "invalid", None),
    (exceptions.MessageConflict, 409, "message_conflict", None),
    (exceptions.BranchExists, 409, "branch_exists", None),
    (exceptions.VersionConflict, 412, "version_conflict", "The session has changed since the version in If-Match."),
    (RequestDataTooBig, 413, "too_large", "The body is over the host's DATA_UPLOAD_MAX_MEMORY_SIZE."),
    (PermissionDenied, 403, "permission_denied", "You may not do this."),
    (
        (BadRequest, SuspiciousOperation, MultiPartParserError, UnreadablePostError),
        400,
        "bad_request",
        "The request cannot be read.",
    ),
)


def _of_framework(error: APIException) -> HttpResponse:
    """DRF's own errors, and a host's; a structured detail goes into the extension member ``errors``."""
    plain = isinstance(error.detail, str)
    response = _document(
        error.status_code,
        str(error.detail if plain else error.default_detail),
        str(getattr(error.detail, "code", error.default_code)),
        getattr(error, "field", ""),
        **({} if plain else {"errors": error.detail}),
    )
    if challenge := getattr(error, "auth_header", None):
        response["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        response["Retry-After"] = str(int(wait))
    return response


def _document(status: int, detail: str, code: str, field: str = "", **more: Any) -> HttpResponse:
    document = {
        "type": "about:blank",
        "title": responses.get(status, "Error"),
        "status": status,
        "detail": _sendable(detail),
        "code": code,
        **({"field": _sendable(field)} if field else {}),
        **more,
    }
    return HttpResponse(msgspec.json.encode(document, enc_hook=str), status=status, content_type=CONTENT_TYPE)


def _sendable(text: str) -> str:
    """What quotes a client's text may hold half a character, which UTF-8 cannot say: it is shown as its escape."""
    return text.encode(errors="backslashreplace").decode()
