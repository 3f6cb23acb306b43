"""Owns the response at unknown addresses of the API, the same 404 as for what the user may not see."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse, HttpResponsePermanentRedirect
from django.urls import resolve
from django.utils.http import escape_leading_slashes
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from chat_memory.api.http.problems import Refusal
from chat_memory.api.resources.views import ChatMemoryViewSet
from chat_memory.exceptions import NotFound

METHODS = ("get", "post", "put", "patch", "delete", "options")


class UnknownViewSet(ChatMemoryViewSet):
    """Matches every address below ``workspaces/`` that no other view has; Django's own 404 would be HTML."""

    def refuse(self, request: Request, **_names: Any) -> HttpResponse:
        """Redirect an address that lacks only its last slash, if APPEND_SLASH is set; refuse any other with 404.

        Django's own redirect does not happen, because this view matches the address.

        Raises:
            NotFound: the address is unknown, with or without a last slash.
            Refusal: 404, only the slash is missing, but a redirect would lose the request's body.
        """
        path: str = request.path_info
        if path.endswith("/") or not settings.APPEND_SLASH or _is_unknown(request, f"{path}/"):
            raise NotFound
        if request.method not in SAFE_METHODS:
            raise Refusal(404, "The address must end with a slash.", code="not_found")
        return HttpResponsePermanentRedirect(escape_leading_slashes(request.get_full_path(force_append_slash=True)))


def _is_unknown(request: Request, path: str) -> bool:
    here = request.resolver_match
    return here is None or resolve(path, getattr(request, "urlconf", None)).func is here.func
