"""Owns a minimal browser, with cookies, forms and reloads over HTTP; it must not know any page."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from html import unescape
from http.cookiejar import CookieJar
from urllib.parse import urlencode, urljoin

HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
COMPOSER = re.compile(r'<form class="composer".*?</form>', re.DOTALL)
RELOADS = re.compile(r'<meta http-equiv="refresh"')
RELOAD_SECONDS = 0.1
TIMEOUT = 30.0


@dataclass(frozen=True)
class Page:
    """A response, after redirects."""

    status: int
    url: str
    text: str

    @property
    def readable(self) -> str:
        """The text with its HTML entities resolved."""
        return unescape(self.text)

    def hidden(self) -> dict[str, str]:
        """The hidden fields of the page's main form: a composer where there is one, else all of them."""
        composer = COMPOSER.search(self.text)
        return dict(HIDDEN.findall(composer.group() if composer else self.text))


class Browser:
    """One visitor's browser on one site."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        # No proxies, whatever the environment says, because the site is on this machine.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        )

    def get(self, address: str) -> Page:
        """The page at an address, which may be relative to the site."""
        return self._open(address, None)

    def submit(self, page: Page, **fields: str) -> Page:
        """The response to the page's form, submitted with these fields."""
        return self._open(page.url, urlencode(page.hidden() | fields).encode())

    def settled(self, page: Page) -> Page:
        """The page after reloads: it asks to be reloaded as long as an answer is being written."""
        end = time.monotonic() + TIMEOUT
        while RELOADS.search(page.text) and time.monotonic() < end:
            time.sleep(RELOAD_SECONDS)
            page = self.get(page.url)
        return page

    def _open(self, address: str, body: bytes | None) -> Page:
        request = urllib.request.Request(urljoin(self._origin, address), body)  # noqa: S310 - our own site
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                return Page(response.status, response.url, response.read().decode())
        except urllib.error.HTTPError as error:
            return Page(error.code, request.full_url, error.read().decode(errors="replace"))
