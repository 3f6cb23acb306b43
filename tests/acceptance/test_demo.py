"""The command `demo`: fills, checks, serves, says what is wrong, and adds nothing the second time."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db.models import Min

from chat_memory.models import Message, Session, Workspace, WorkspaceMember
from chat_memory.storage.tenancy import across_workspaces
from example_project.demo import probe
from example_project.demo.browser import Browser
from example_project.demo.people import make_people
from example_project.demo.samples import import_samples
from tests.waiting import until_threads_end

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = 14
MODELS = (User, Workspace, WorkspaceMember, Session, Message)


@pytest.fixture
def debug(settings: Any) -> Iterator[None]:
    settings.DEBUG = True
    yield
    until_threads_end("answer")


def all_rows() -> dict[str, list[Any]]:
    """Everything a run of the demo could add or change."""
    return {model.__name__: list(model.objects.order_by("pk").values()) for model in MODELS}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("debug")
def test_check_passes_and_a_second_run_adds_nothing() -> None:
    said = StringIO()
    call_command("demo", "--check", stdout=said)
    assert "The demo works." in said.getvalue()
    assert said.getvalue().count("ok:") == 6
    before = all_rows()
    assert len(before["Session"]) == SAMPLES
    assert {row["role"] for row in before["Message"]} == {"system", "user", "assistant", "tool"}
    call_command("demo", "--check", stdout=StringIO())
    after = all_rows()
    for user in [*before["User"], *after["User"]]:
        user.pop("last_login")
    assert after == before


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("debug")
def test_samples_show_what_there_is_to_see() -> None:
    """Each account has conversations, each began with its first message, and some have a status."""
    make_people()
    import_samples()
    with across_workspaces():
        sessions = list(Session.objects.select_related("user"))
        began = dict(Session.objects.values_list("pk").annotate(Min("messages__created_at")))
    assert len(sessions) == SAMPLES
    assert {session.user.username for session in sessions if session.user} == {"admin", "mara", "jonas"}
    assert {session.pk: session.created_at for session in sessions} == began
    assert {session.workspace_id for session in sessions if session.user and session.user.username == "admin"} == set(
        Workspace.objects.values_list("pk", flat=True)
    )
    assert any(session.pinned for session in sessions)
    assert any(session.archived_at for session in sessions)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("debug")
def test_check_fails_with_what_is_wrong_and_cleans_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "SAMPLE_TOOL", "a tool nobody called")
    with pytest.raises(CommandError, match=r"the admin's transcript .* does not show 'a tool nobody called'"):
        call_command("demo", "--check", stdout=StringIO())
    assert Session.objects.count() == SAMPLES


@pytest.mark.django_db
@pytest.mark.usefixtures("debug")
def test_taken_port_is_told_before_anything_is_made() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CommandError, match=rf"Port {port} of 127\.0\.0\.1 is taken by another program"):
            call_command("demo", port=port)
    assert not User.objects.exists()


@pytest.mark.django_db
def test_published_passwords_need_debug() -> None:
    with pytest.raises(CommandError, match="DJANGO_DEBUG=1"):
        call_command("demo", "--check")
    assert not User.objects.exists()


@pytest.mark.once
def test_what_is_said_survives_a_restart_of_the_process(tmp_path: Path) -> None:
    """FEATURES S0.34, with two processes that share nothing but the database."""
    database = f"sqlite:///{tmp_path / 'demo.sqlite3'}"
    with served(database) as said:
        assert re.search(r"mara +mara-demo", said)
        api = re.search(r"API +http://([^/]+)(/\S+)", said)
        assert api
        assert "curl -u mara ADDRESS" in said
        asked = HTTPConnection(api[1])
        asked.request("GET", api[2], headers={"Authorization": f"Basic {b64encode(b'mara:mara-demo').decode()}"})
        assert len(json.load(asked.getresponse())["results"]) == 5
        asked.close()
        browser, page = logged_in(said)
        page = browser.settled(browser.submit(page, text="My name is Ada and I live in Turin."))
        address = page.url
    with served(database) as said:
        browser, _page = logged_in(said)
        page = browser.get(re.sub(r"^http://[^/]+", "", address))
        page = browser.settled(browser.submit(page, text="What is my name?"))
        assert "Your name is Ada: you said so in message 1." in page.readable


@pytest.mark.once
def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    """However many of them arrive: a terminal and the program that started the demo may each send one."""
    with process_of(f"sqlite:///{tmp_path / 'demo.sqlite3'}", stderr=subprocess.STDOUT) as process:
        heard_until_it_serves(process)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
        said = process.communicate(timeout=30)[0]
    assert (process.returncode, said.strip()) == (0, "Stopped; what was said is stored.")


@pytest.mark.once
def test_ctrl_c_under_tox_is_success(tmp_path: Path) -> None:
    """The terminal sends it to tox too, which would call the demo failed."""
    shutil.copy(ROOT / "toxfile.py", tmp_path)
    program = "import time\ntry: print('up', flush=True); time.sleep(60)\nexcept KeyboardInterrupt: time.sleep(0.5)"
    (tmp_path / "serve.py").write_text(program)
    (tmp_path / "tox.ini").write_text("[testenv:demo]\nskip_install = true\ncommands = python serve.py\n")
    tox = subprocess.Popen(
        [sys.executable, "-m", "tox", "run", "-e", "demo"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert tox.stdout is not None
    said = "".join(iter(tox.stdout.readline, "up\n"))
    os.killpg(tox.pid, signal.SIGINT)
    said += tox.communicate(timeout=60)[0]
    assert tox.returncode == 0, said
    assert "demo: OK" in said


@contextmanager
def served(database: str) -> Iterator[str]:
    """What a process of the demo says once it serves; at the end it is stopped as service managers do it."""
    with process_of(database) as process:
        yield heard_until_it_serves(process)


@contextmanager
def process_of(database: str, stderr: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-u", "manage.py", "demo", "--port", "0"],
        cwd=ROOT,
        env=os.environ
        | {"DATABASE_URL": database, "REDIS_URL": "", "DJANGO_SETTINGS_MODULE": "example_project.settings"},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=30)


def heard_until_it_serves(process: subprocess.Popen[str]) -> str:
    """What it says until it serves."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Stop with Ctrl-C" in line:
            break
    return "".join(lines)


def logged_in(said: str) -> tuple[Browser, Any]:
    origin = re.search(r"Chat +(http://[0-9.:]+)/", said)
    assert origin, said
    browser = Browser(origin[1])
    page = browser.submit(browser.get("/"), username="mara", password="mara-demo")
    assert "Renewing before a holiday" in page.readable
    return browser, page
