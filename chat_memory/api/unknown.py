"""Owns the answer at addresses of the API that there are not; it must not say more of them than of what is hidden."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse, HttpResponsePermanentRedirect
from django.urls import resolve
from django.utils.http import escape_leading_slashes
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from chat_memory.api.problems import Refusal
from chat_memory.api.views import ChatMemoryViewSet
from chat_memory.exceptions import NotFound

METHODS = ("get", "post", "put", "patch", "delete", "options")


class UnknownViewSet(ChatMemoryViewSet):
    """What no other address of ours matches: Django's own answer would be a page of HTML."""

    def refuse(self, request: Request, **_names: Any) -> HttpResponse:
        """404; an address that lacks its last slash alone is led on, which Django cannot do past this view.

        Raises:
            NotFound: always the same.
            Refusal: 404, for a body that a redirect would lose.
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
