"""Owns what all views of the API share: their policies and the way errors leave; it must not know any resource."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponseBase
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.throttling import BaseThrottle
from rest_framework.viewsets import ViewSet

from chat_memory.api import problems
from chat_memory.api.throttling import RateThrottle


class ChatMemoryViewSet(ViewSet):
    """Log-in, throttles and negotiation are DRF's and the host's; JSON, membership and problem documents are ours."""

    permission_classes = (IsAuthenticated,)
    renderer_classes = (JSONRenderer,)
    parser_classes = (JSONParser,)
    versioning_class = None

    def get_throttles(self) -> list[BaseThrottle]:
        """The host's own throttles, and ours."""
        return [*super().get_throttles(), RateThrottle()]

    def get_exception_handler(self) -> Callable[..., HttpResponseBase | None]:
        """Problem documents in these views; the host's EXCEPTION_HANDLER is left to the host's."""
        return problems.handle

    @property
    def default_response_headers(self) -> dict[str, Any]:
        """Nobody's conversation stays in a shared cache, and a browser asks again each time, with the ETag."""
        return {**super().default_response_headers, "Cache-Control": "private, no-cache"}
