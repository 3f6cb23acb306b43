"""Owns the form of every error response, an RFC 9457 problem document; it must not decide what is refused."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http.client import responses
from typing import Any

import msgspec
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from rest_framework.exceptions import APIException

from chat_memory import exceptions
from chat_memory.log_limit import log_busy
from chat_memory.storage.orm.passing import is_crossed, is_locked, is_unavailable

CONTENT_TYPE = "application/problem+json"
NOT_FOUND = "There is nothing here, or nothing that you may see."
"""One text for what does not exist and for what the user may not see: the response must not tell them apart."""
KEY_TAKEN = "This key is taken in the workspace."
BUSY = "Another request held this session for too long. Nothing was stored: send the same request again."
UNAVAILABLE = "The database is not available. If this was a write, send it again: with the same ids it is stored once."

logger = logging.getLogger("chat_memory.api")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request is refused (RFC 9457).

    Attributes:
        type: always ``about:blank``; ``code`` tells the kinds of problem apart.
        title: the name of the HTTP status.
        status: the HTTP status.
        detail: what is wrong, for people.
        code: what is wrong, for programs.
        field: the part of the request that is wrong, such as ``messages[2].content``; absent where no one part is.
        errors: the structured details of a DRF error, such as one the host raises; absent otherwise.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    field: str | msgspec.UnsetType = msgspec.UNSET
    errors: Any = msgspec.UNSET


class Refusal(APIException):
    """A request that the API itself refuses, with the status, code and field of the problem document."""

    def __init__(self, status: int, detail: str, *, code: str, field: str = "") -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.field = field


def forbidden(detail: str, field: str = "") -> Refusal:
    """403: the member's role or grants do not allow the request."""
    return Refusal(403, detail, code="permission_denied", field=field)


def bad_request(detail: str, field: str = "") -> Refusal:
    """400: a part of the request cannot be read."""
    return Refusal(400, detail, code="bad_request", field=field)


def handle(error: Exception, context: Mapping[str, Any] | None = None) -> HttpResponse | None:
    """The problem document of an error, as a DRF exception handler; None leaves an unexpected error to Django."""
    if isinstance(error, (exceptions.NotFound, Http404)):
        return _document(404, NOT_FOUND, "not_found")
    if isinstance(error, APIException):
        return _of_framework(error)
    for kind, status, code, detail in _KNOWN:
        if isinstance(error, kind):
            text = getattr(error, "reason", str(error)) if detail is None else detail
            return _document(status, text, code, getattr(error, "field", ""))
    return _of_what_passes(error, getattr((context or {}).get("request"), "_request", None))


_KNOWN: tuple[tuple[type[Exception] | tuple[type[Exception], ...], int, str, str | None], ...] = (
    (exceptions.TooLarge, 413, "too_large", None),
    (exceptions.ValidationError, 422, "invalid", None),
    (exceptions.NotSupported, 501, "not_supported", "This server does not offer that."),
    (exceptions.WindowTooSmall, 422, "window_too_small", None),
    (exceptions.MessageConflict, 409, "message_conflict", None),
    (exceptions.MessageRedacted, 409, "message_redacted", None),
    (exceptions.BranchExists, 409, "branch_exists", None),
    (exceptions.NotOwner, 409, "key_taken", KEY_TAKEN),
    (exceptions.TooManyBranches, 409, "too_many_branches", None),
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


def _of_what_passes(error: Exception, request: HttpRequest | None) -> HttpResponse | None:
    """503 for errors that may have passed when the request is sent again; None for any other error."""
    if isinstance(error, exceptions.Busy) or is_locked(error) or is_crossed(error):
        response, seconds = _document(503, BUSY, "busy"), 1
        log_busy(logger, request, response)
    elif isinstance(error, exceptions.StorageUnavailable) or is_unavailable(error):
        response, seconds = _document(503, UNAVAILABLE, "unavailable"), 5
    elif isinstance(error, exceptions.SearchTooLong):
        response, seconds = _document(503, f"{str(error).capitalize()}.", "search_too_long"), 5
    else:
        return None
    response["Retry-After"] = str(seconds)
    return response


def _of_framework(error: APIException) -> HttpResponse:
    """The document of an error raised by DRF or the host; a structured detail goes into the member ``errors``."""
    plain = isinstance(error.detail, str)
    response = _document(
        error.status_code,
        str(error.detail if plain else error.default_detail),
        str(getattr(error.detail, "code", error.default_code)),
        getattr(error, "field", ""),
        msgspec.UNSET if plain else error.detail,
    )
    if challenge := getattr(error, "auth_header", None):
        response["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        response["Retry-After"] = str(int(wait))
    return response


def _document(status: int, detail: str, code: str, field: str = "", errors: Any = msgspec.UNSET) -> HttpResponse:
    problem = Problem(
        title=responses.get(status, "Error"),
        status=status,
        detail=_sendable(detail),
        code=code,
        field=_sendable(field) if field else msgspec.UNSET,
        errors=errors,
    )
    return HttpResponse(msgspec.json.encode(problem, enc_hook=str), status=status, content_type=CONTENT_TYPE)


def _sendable(text: str) -> str:
    """Text that UTF-8 can encode: a client's text may contain lone surrogates, which are shown escaped."""
    return text.encode(errors="backslashreplace").decode()
