"""The addresses of the runs in a browser: the example's, and for each trap a page that trips it."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

POLICY = "default-src 'self'"
SCRIPTS = {
    "dialog": "alert(1)",
    "error of a script": "throw new Error('tripped')",
    "console": "console.error('tripped')",
    "elsewhere": "location.href = 'http://elsewhere.invalid/'",
}
"""By trap: the script of a page, which the policy allows since it comes from the site itself."""
BODIES = {
    "policy": "<div style='color: red'>x</div>",
    "script": "<script>alert(1)</script>",
    "event": "<p onclick='alert(1)'>x</p>",
    "frame": "<iframe src='/'></iframe>",
    "image": "<img src='/favicon.ico' alt=''>",
    "style": "<style>p { color: red }</style>",
    "head": "<meta http-equiv='refresh' content='3600'>",
    "link": "<a href='javascript:alert(1)'>x</a>",
    "bare link": "<a href='http://elsewhere.invalid/' rel='noopener'>x</a>",
    "form": "<form action='http://elsewhere.invalid/'></form>",
    "planted": "<p planted>x</p>",
    "evaluated": "<p>EVALUATED</p>",
}
"""By trap: what a page holds that trips it."""
ASIDE = {
    **{name: {"policy"} for name in ("event", "script", "style")},
    "frame": {"elsewhere"},
    "elsewhere": {"event", "image", "link", "script", "style"},
}
"""By trap: what springs beside it and the console. Where a page cannot be had, the browser shows one of its own."""


def strict_policy(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that sends the policy with every answer."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response

    return middleware


def tripping_page(_request: HttpRequest, trap: str) -> HttpResponse:
    body = BODIES.get(trap, f"<script src='/tripping/{trap}.js'></script>" if trap in SCRIPTS else "")
    return HttpResponse(f"<!doctype html><title>x</title><link rel='icon' href='/favicon.ico'>{body}")


def tripping_script(_request: HttpRequest, trap: str) -> HttpResponse:
    return HttpResponse(SCRIPTS[trap], content_type="text/javascript")


urlpatterns = [
    path("tripping/<str:trap>.js", tripping_script),
    path("tripping/<str:trap>/", tripping_page),
    path("", include("example_project.urls")),
]
