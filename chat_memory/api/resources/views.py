"""Owns what all views of the API share: policies, the request class and error handling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import DataError
from django.http import HttpRequest, HttpResponseBase
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.parsers import JSONParser
from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.viewsets import ViewSet

from chat_memory.api.http import problems
from chat_memory.api.http.request import ChatRequest, receive
from chat_memory.api.http.throttling import RateThrottle
from chat_memory.storage.orm import waiting


class ChatMemoryViewSet(ViewSet):
    """The base of the API's views: logged-in users only, JSON in and out, errors as problem documents.

    Authentication, negotiation and further throttles are those of DRF and of the host's settings.
    """

    permission_classes = (IsAuthenticated,)
    renderer_classes = (JSONRenderer,)
    parser_classes = (JSONParser,)
    versioning_class = None

    def dispatch(self, request: HttpRequest, *_prefix: Any, **captured: Any) -> HttpResponseBase:
        """DRF's dispatch, without the unnamed arguments that the host's address prefix captures.

        Only a few requests may wait for the same session's lock, because each blocks a worker that could serve other
        sessions. A write that a GET makes in passing waits only as long as a first try.
        """
        with waiting.reading() if request.method in SAFE_METHODS else waiting.request():
            return super().dispatch(request, **captured)

    def get_format_suffix(self, **_captured: Any) -> None:
        """None: an argument ``format`` was captured by the host's address prefix, and is not for DRF."""

    def initialize_request(self, request: HttpRequest, *_args: Any, **_captured: Any) -> ChatRequest:
        """DRF's hook: wrap the request in ChatRequest."""
        return ChatRequest(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context=self.get_parser_context(request),
        )

    def initial(self, request: Request, *args: Any, **captured: Any) -> None:
        """Read the body before permissions are checked.

        Otherwise a client that sends its body slowly could still use permissions that were revoked meanwhile.
        """
        if request.method not in SAFE_METHODS:
            receive(request)
        super().initial(request, *args, **captured)

    def perform_authentication(self, request: Request) -> None:
        """DRF's; a user's name, or the key of a Django session, that no database can hold is nobody's.

        Django's log-in form refuses a NUL, DRF's Basic and a cookie do not.
        """
        try:
            super().perform_authentication(request)
        except DataError:
            raise AuthenticationFailed from None

    def get_throttles(self) -> list[BaseThrottle]:
        """The host's throttles, and the API's own."""
        return [*super().get_throttles(), RateThrottle()]

    def get_exception_handler(self) -> Callable[..., HttpResponseBase | None]:
        """Problem documents for these views; the host's EXCEPTION_HANDLER keeps serving the host's views."""
        return problems.handle

    @property
    def default_response_headers(self) -> dict[str, Any]:
        """Adds Cache-Control: no shared cache stores a response, and browsers revalidate theirs by the ETag."""
        return {**super().default_response_headers, "Cache-Control": "private, no-cache"}
