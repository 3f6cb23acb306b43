"""What the tests in a browser share: the browser, one for the run, and an end with advice where there is none."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from pytest_django.live_server_helper import LiveServer

from tests.browser.chromium import start_browser, what_is_missing
from tests.browser.traps import Watched


def pytest_configure(config: pytest.Config) -> None:
    """Without a browser nothing of this can be shown, and a skipped run would look like one that passed."""
    missing = what_is_missing()
    if missing:
        raise pytest.UsageError(missing)


@pytest.fixture(scope="session", name="watched")
def _watched(live_server: LiveServer) -> Iterator[Watched]:
    driver = start_browser()
    try:
        yield Watched(driver, live_server.url, settings.STATIC_URL)
    finally:
        driver.quit()
