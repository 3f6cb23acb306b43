"""The API below a prefix that captures arguments: views ignore them, and links and redirects keep them."""

from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient
from django.urls import include, path, re_path

from tests.acceptance.api_support import Caller, caller

pytestmark = [pytest.mark.once, pytest.mark.django_db]

API = include("chat_memory.api.urls")
NAMES = (
    *("org", "version", "format", "pk", "id", "key", "workspace", "branch", "args", "kwargs", "view", "user", "data"),
    *("slug", "session_id", "seq", "rest", "action", "method", "context", "name", "path", "query", "page_size"),
)
"""Those of hosts, those of DRF, and our own."""
PREFIXES = {name: (path(f"<str:{name}>/api/", API), "acme-co/api/") for name in NAMES} | {
    "unnamed": (re_path(r"^(\w+)/(\d+)/api/", API), "acme/7/api/"),
    "two": (path("<slug:slug>/<int:seq>/", API), "acme/7/"),
    "given": (path("api/", API, {"org": 5, "slug": "other"}), "api/"),
    "outer": (path("<str:version>/", include([path("<slug:org>/", API)])), "v1/acme/"),
    "spaces": (path("<str:org>/", API), "caf%C3%A9%20co/"),
}


def urls_below(prefix: str) -> ModuleType:
    """A module of addresses with the API below a prefix."""
    module = ModuleType(f"urls_below_{prefix}")
    module.urlpatterns = [PREFIXES[prefix][0]]  # type: ignore[attr-defined]
    return module


class Below:
    """A member who asks below a prefix."""

    def __init__(self, member: Caller, prefix: str) -> None:
        self.base = f"/{prefix}"
        self.member = member

    def ask(self, method: str, address: str, data: Any = None) -> Any:
        """The response at an address below the prefix, or at an absolute one of an earlier response."""
        if "://" in address:
            parts = urlsplit(address)
            assert parts.path.startswith(self.base), address
            address = f"{parts.path}?{parts.query}"
        else:
            address = f"{self.base}{address}"
        return getattr(self.member.client, method)(address, data, **({"format": "json"} if data else {}))


@pytest.fixture(params=PREFIXES)
def below(request: pytest.FixtureRequest, settings: Any) -> Below:
    settings.ROOT_URLCONF = urls_below(request.param)
    settings.REST_FRAMEWORK = {"DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.URLPathVersioning"}
    return Below(caller("admin"), PREFIXES[request.param][1])


def test_r39_every_address_answers_and_links_keep_the_prefix(below: Below) -> None:
    root = below.ask("get", "").json()
    assert [each["slug"] for each in below.ask("get", root["workspaces"]).json()["results"]] == ["acme"]
    assert below.ask("get", "workspaces/acme/").json()["slug"] == "acme"
    made = [below.ask("post", "workspaces/acme/sessions/", {"key": f"k{number}"}) for number in range(3)]
    assert [each.status_code for each in made] == [201, 201, 201]
    address = made[2].headers["Location"]
    assert below.ask("get", address).json()["key"] == "k2"
    assert below.ask("patch", address, {"title": "t"}).json()["title"] == "t"
    page = below.ask("get", "workspaces/acme/sessions/?page_size=1").json()
    following = below.ask("get", page["next"]).json()
    assert len(following["results"]) == 1
    assert below.ask("get", following["previous"]).json()["results"] == page["results"]
    check_messages(below, address)
    assert below.ask("delete", address).status_code == 204


def check_messages(below: Below, address: str) -> None:
    said = [below.ask("post", f"{address}messages/", {"role": "user", "content": text}) for text in "abc"]
    assert [each.status_code for each in said] == [201, 201, 201]
    assert below.ask("get", said[1].headers["Location"]).json()["content"] == "b"
    newest = below.ask("get", f"{address}messages/?page_size=2").json()
    older = below.ask("get", newest["previous"]).json()
    assert [each["content"] for each in older["results"] + newest["results"]] == ["a", "b", "c"]
    assert below.ask("get", older["next"]).json()["results"] == newest["results"]
    assert len(below.ask("get", f"{address}context/?turns=2").json()["results"]) == 2
    forked = below.ask("post", f"{address}fork/", {"name": "other", "at": 2})
    assert len(below.ask("get", forked.headers["Location"]).json()["results"]) == 2
    assert len(below.ask("get", f"{address}branches/").json()["results"]) == 2


def test_r39_unknown_addresses_below_a_prefix_are_not_found(below: Below) -> None:
    assert below.ask("get", "workspaces/acme/nothing/").status_code == 404
    redirect = below.ask("get", "workspaces/acme")
    assert (redirect.status_code, redirect.headers["Location"]) == (301, f"{below.base}workspaces/acme/")
    assert below.ask("post", "workspaces/", {"slug": "x"}).status_code == 405


@pytest.mark.parametrize("asked", ["/api/", "/shop/api/"], ids=["taken off by the proxy", "passed on"])
def test_links_keep_the_script_name_under_asgi(settings: Any, asked: str) -> None:
    """WSGI puts FORCE_SCRIPT_NAME before the path by itself, ASGI does not."""
    member = caller("admin")
    settings.FORCE_SCRIPT_NAME = "/shop"
    client = AsyncClient()
    client.force_login(member.user)

    @async_to_sync
    async def ask(address: str, body: Any = None) -> Any:
        if body is None:
            return await client.get(address)
        return await client.post(address, body, content_type="application/json")

    assert ask(asked).json() == {"workspaces": "http://testserver/shop/api/workspaces/"}
    sessions = f"{asked}workspaces/acme/sessions/"
    made = [ask(sessions, {"key": f"k{number}"}) for number in range(2)]
    links = [*(each.headers["Location"] for each in made), ask(f"{sessions}?page_size=1").json()["next"]]
    assert [urlsplit(link).path.startswith("/shop/api/workspaces/acme/sessions/") for link in links] == [True] * 3


def test_r39_what_a_prefix_captures_is_there_for_the_rules_of_the_host(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ROOT_URLCONF = urls_below("org")
    seen: list[Any] = []

    class Throttle:
        def allow_request(self, request: Any, view: Any) -> bool:
            seen.append((view.kwargs, request.resolver_match.kwargs, request.parser_context["kwargs"]))
            return True

    monkeypatch.setattr("chat_memory.api.resources.views.ChatMemoryViewSet.throttle_classes", [Throttle])
    assert caller().client.get("/acme-co/api/workspaces/").status_code == 200
    assert seen == [({"org": "acme-co"},) * 3]
