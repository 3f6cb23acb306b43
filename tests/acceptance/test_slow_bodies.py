"""Rights that end while a body arrives are gone, at every door (A7): no client chooses how long it keeps them."""

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth import get_user_model
from django.core.asgi import get_asgi_application
from django.core.handlers import asgi
from django.test import Client

from chat_memory.models import Message, Session, Workspace, WorkspaceMember
from tests.acceptance.admin_world import member, page
from tests.acceptance.api_support import SlowBody, stored

pytestmark = [pytest.mark.once, pytest.mark.django_db]

TOKEN = "x" * 32
ENDS: dict[str, Callable[[Any], object]] = {
    "membership": lambda user: WorkspaceMember.objects.filter(user=user).delete(),
    "role": lambda user: WorkspaceMember.objects.filter(user=user).update(role="reader"),
    "user": lambda user: get_user_model().objects.filter(pk=user.pk).update(is_active=False),
}
IN_ADMIN = {**ENDS, "staff": lambda user: get_user_model().objects.filter(pk=user.pk).update(is_staff=False)}
IN_ADMIN["permissions"] = lambda user: user.user_permissions.clear()


@pytest.fixture
def session() -> Session:
    """A session of nobody, in a workspace with somebody to change."""
    made = stored(messages=1)
    member("acme", "writer", "other")
    return Session.objects.select_related("workspace").get(pk=made.pk)


def pages_that_write(session: Session) -> dict[str, tuple[str, dict[str, str]]]:
    """The addresses and forms of the admin that change something."""
    other = WorkspaceMember.objects.get(user__username="other")
    no_members = {"members-TOTAL_FORMS": "0", "members-INITIAL_FORMS": "0"}
    chosen = {"action": "delete_selected", "_selected_action": str(session.pk), "post": "yes"}
    return {
        "change": (page("session_change", session), {"title": "late", "tags": "", "metadata": "{}"}),
        "delete": (page("session_delete", session), {"post": "yes"}),
        "action": (page("session_changelist"), chosen),
        "workspace": (page("workspace_change", session.workspace), {"name": "late", "metadata": "{}"} | no_members),
        "member": (
            page("workspacemember_change", other),
            {"workspace": str(session.workspace_id), "user": str(other.user_id), "role": "admin"},
        ),
    }


def state() -> tuple[Any, ...]:
    """What the forms would change."""
    return (
        [*Session.objects.values_list("title", "version")],
        Message.objects.count(),
        [*Workspace.objects.values_list("name", flat=True)],
        [*WorkspaceMember.objects.filter(user__username="other").values_list("role", flat=True)],
    )


def encoded(form: dict[str, str], kind: str) -> tuple[str, bytes]:
    """The content type and body of a form, as a browser encodes it."""
    if kind == "urlencoded":
        return "application/x-www-form-urlencoded", "&".join(f"{name}={text}" for name, text in form.items()).encode()
    parts = [f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in form.items()]
    return "multipart/form-data; boundary=B", ("".join(parts) + "--B--\r\n").encode()


def browser_of(user: Any, *, checks: bool) -> Client:
    browser = Client(enforce_csrf_checks=checks)
    browser.force_login(user)
    browser.cookies["csrftoken"] = TOKEN
    return browser


def sent_slowly(browser: Client, verb: str, address: str, content_type: str, body: SlowBody) -> Any:
    environ: dict[str, Any] = {"wsgi.input": body, "CONTENT_TYPE": content_type}
    return browser.generic(verb, address, **environ, CONTENT_LENGTH=str(len(body.getvalue())))


@pytest.mark.parametrize("ended", [None, *IN_ADMIN])
@pytest.mark.parametrize("name", ["change", "delete", "action", "workspace", "member"])
@pytest.mark.parametrize(("kind", "checks"), [("urlencoded", True), ("multipart", True), ("multipart", False)])
def test_a7_rights_that_end_while_a_form_arrives_are_gone(
    ended: str | None, name: str, kind: str, checks: bool, session: Session
) -> None:
    """Also where no check of a token has read the form before."""
    user = member("acme", "admin")
    address, form = pages_that_write(session)[name]
    content_type, body = encoded(form | {"csrfmiddlewaretoken": TOKEN}, kind)
    before = state()
    slow = SlowBody(body, lambda: IN_ADMIN[ended](user) if ended else None)
    answer = sent_slowly(browser_of(user, checks=checks), "POST", address, content_type, slow)
    assert (state() == before) is (ended is not None)
    assert answer.status_code in {302, 403} or name == "action"


@pytest.mark.parametrize("ended", ENDS)
@pytest.mark.parametrize("verb", ["DELETE", "PUT", "PATCH", "POST"])
def test_a7_rights_that_end_while_any_body_arrives_are_gone(ended: str, verb: str, session: Session) -> None:
    """A body that a DELETE need not have counts too."""
    user = member("acme", "admin")
    browser = browser_of(user, checks=False)
    address = f"/api/workspaces/acme/sessions/{session.id}/"
    before = state()
    raw = json.dumps({"title": "late"}).encode()
    answer = sent_slowly(browser, verb, address, "application/json", SlowBody(raw, lambda: ENDS[ended](user)))
    assert answer.status_code in {403, 404, 405}
    assert state() == before


def chunks(body: bytes, end: Callable[[], object]) -> Iterator[dict[str, Any]]:
    """A body in pieces without a length; the rights end before the last."""
    for byte in body[:-1]:
        yield {"type": "http.request", "body": bytes([byte]), "more_body": True}
    end()
    yield {"type": "http.request", "body": body[-1:], "more_body": False}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ended", [None, *ENDS])
@pytest.mark.parametrize("door", ["api", "admin"])
def test_a7_rights_that_end_between_pieces_over_asgi_are_gone(
    ended: str | None, door: str, session: Session, monkeypatch
) -> None:
    """Each request has a thread of its own there; here all have the test's, and so its connection."""
    monkeypatch.setattr(asgi, "ThreadSensitiveContext", nullcontext)
    user = member("acme", "admin")
    browser = browser_of(user, checks=True)
    if door == "api":
        address, content_type = f"/api/workspaces/acme/sessions/{session.id}/messages/", "application/json"
        body = json.dumps({"role": "user", "content": "late"}).encode()
    else:
        address, form = pages_that_write(session)["change"]
        content_type, body = encoded(form, "multipart")
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in browser.cookies.items())
    headers = {"host": "testserver", "cookie": cookies, "x-csrftoken": TOKEN, "content-type": content_type}
    headers["transfer-encoding"] = "chunked"
    before = state()
    pieces = chunks(body, lambda: ENDS[ended](user) if ended else None)
    status = async_to_sync(answered)(address, headers, pieces)
    assert (state() == before) is (ended is not None)
    assert (status in {201, 302}) is (ended is None) or door == "admin"


def following(pieces: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    return next(pieces, None)


async def answered(address: str, headers: dict[str, str], pieces: Iterator[dict[str, Any]]) -> int:
    """The status of a request over ASGI."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": address,
        "query_string": b"",
        "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
    }
    talk = ApplicationCommunicator(get_asgi_application(), scope)
    while (piece := await sync_to_async(following)(pieces)) is not None:
        await talk.send_input(piece)
    start = await talk.receive_output(timeout=60)
    while (await talk.receive_output(timeout=60)).get("more_body"):
        pass
    await talk.wait(timeout=60)
    return int(start["status"])
