"""Owns the check of the demo's pages over HTTP, as their visitors see them; it must leave nothing behind."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

from django.urls import reverse

from chat_memory.models import Session
from example_project.demo.browser import Browser, Page
from example_project.demo.people import ACCOUNTS, ADMIN, LIBRARY, MARA, Account
from example_project.demo.serving import serving_in_background

NAME = "Ottoline"
SAMPLE_KEY = "library-renewal"
SAMPLE_TITLE = "Renewing before a holiday"
SAMPLE_TOOL = "list_loans"
ASSET = re.compile(r'(?:href|src)="([^"]+\.(?:css|js|svg))"')
CHAT = re.compile(r"/chat/[^/]+/([0-9a-f-]{36})/")


class ProbeFailed(Exception):
    """A page is not as expected; the text names the page and what it showed instead."""


def probe() -> Iterator[str]:
    """Check every page over two starts of the server, and yield a line for each passed check.

    Raises:
        ProbeFailed: a page is not as expected.
    """
    begun: list[uuid.UUID] = []
    try:
        with serving_in_background() as origin:
            yield from _before_restart(Browser(origin), begun)
        with serving_in_background() as origin:
            yield from _after_restart(Browser(origin), begun[0])
            yield from _as_admin(Browser(origin))
    finally:
        for session in Session.objects.filter(workspace__slug=LIBRARY.slug, pk__in=begun).select_related("workspace"):
            session.history().delete()


def _before_restart(browser: Browser, begun: list[uuid.UUID]) -> Iterator[str]:
    page = browser.get("/")
    _expect(page, "the log-in page", *(account.username for account in ACCOUNTS))
    yield "a visitor is sent to the log-in page, which names the accounts"
    page = _log_in(browser, MARA)
    _expect(page, "the chat page", SAMPLE_TITLE, "New chat")
    for address in ASSET.findall(page.text):
        _expect(browser.get(address), address)
    yield f"{MARA.username} sees the sample conversations, in style"
    page = browser.settled(browser.submit(page, text=f"My name is {NAME}."))
    chat = CHAT.search(page.url)
    if chat is None:
        raise ProbeFailed(f"A first message does not lead to a conversation, but to {page.url}, status {page.status}.")
    begun.append(uuid.UUID(chat[1]))
    _expect(page, "the conversation", f"So your name is {NAME}")
    yield "the assistant answers a message"


def _after_restart(browser: Browser, begun: uuid.UUID) -> Iterator[str]:
    _log_in(browser, MARA)
    page = browser.get(reverse("chat", args=[LIBRARY.slug, begun]))
    page = browser.settled(browser.submit(page, text="What is my name?"))
    _expect(page, "the conversation after a restart", f"Your name is {NAME}: you said so in message 1")
    yield "after a restart of the server it answers from the stored history"
    sessions = _results(browser.get(reverse("chat_memory:sessions", args=[LIBRARY.slug])), "the API's list of sessions")
    if SAMPLE_KEY not in {session.get("key") for session in sessions}:
        raise ProbeFailed(f"The API's list of sessions lacks {SAMPLE_KEY!r}.")
    yield f"the API lists the {len(sessions)} sessions of {MARA.username}"


def _as_admin(browser: Browser) -> Iterator[str]:
    _log_in(browser, ADMIN)
    _expect(browser.get(reverse("admin:index")), "the admin", "Sessions", "Workspaces")
    session = Session.objects.get(workspace__slug=LIBRARY.slug, key=SAMPLE_KEY)
    page = browser.get(reverse("admin:chat_memory_session_transcript", args=[session.pk]))
    _expect(page, "the admin's transcript", SAMPLE_TITLE, SAMPLE_TOOL)
    yield f"{ADMIN.username} reads a transcript with its tool calls in the admin"


def _log_in(browser: Browser, account: Account) -> Page:
    form = browser.get(reverse("log-in"))
    page = browser.submit(form, username=account.username, password=account.password)
    if page.status != 200 or reverse("log-in") in page.url:
        raise ProbeFailed(f"{account.username} cannot log in with the demo's password (status {page.status}).")
    return page


def _results(page: Page, name: str) -> list[dict[str, Any]]:
    _expect(page, name)
    try:
        results: list[dict[str, Any]] = json.loads(page.text)["results"]
    except (ValueError, KeyError, TypeError) as error:
        raise ProbeFailed(f"{name} is no JSON with results, but begins {page.text[:80]!r}.") from error
    return results


def _expect(page: Page, name: str, *texts: str) -> None:
    if page.status != 200:
        raise ProbeFailed(f"{name} ({page.url}) answers with status {page.status}.")
    for text in texts:
        if text not in page.readable:
            raise ProbeFailed(f"{name} ({page.url}) does not show {text!r}.")
