"""Finds a Chromium and its driver on this machine, and starts it with everything but this machine out of reach."""

import os
import shutil
import subprocess
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DRIVERS = ("chromedriver", "chromium.chromedriver")
REMEDY = (
    "Install the packages chromium and chromium-driver (Debian's names; any Chromium or Chrome will do whose "
    "chromedriver is of the same version), so that both are found by their names."
)
ARGUMENTS = (
    "--headless=new",
    "--window-size=1280,1024",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)


def what_is_missing() -> str:
    """What the machine lacks, and what to install; "" where it has everything."""
    if find_spec("selenium") is None:
        return "These tests need the dependency group `browser`: `tox run -e browser` installs it."
    for kind, names in (("browser", BROWSERS), ("driver of a browser", DRIVERS)):
        if _first(names) is None:
            return f"No {kind} is found (looked for {', '.join(names)}). {REMEDY}"
    return ""


def start_browser() -> "Chrome":
    """A browser with a profile of its own, which keeps what its console and its network say."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = _first(BROWSERS) or ""
    for argument in (*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.unhandled_prompt_behavior = "dismiss"
    service = ChromeService(executable_path=_first(DRIVERS), log_output=subprocess.DEVNULL)
    return Chrome(options=options, service=service)


def _first(names: tuple[str, ...]) -> str | None:
    return next(filter(None, map(shutil.which, names)), None)
