"""What is shipped works where only the wheel is: its content, and a newcomer's project that is not the example."""

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NOT_SHIPPED = {"__pycache__"}
SETTINGS = """
INSTALLED_APPS += [
    "rest_framework",
    "chat_memory",
]
"""
URLS = """
from django.urls import include
urlpatterns += [path("api/", include("chat_memory.api.urls"))]
"""
WRITE = """
from chat_memory import Message, conversation

call = {"id": "call_1", "type": "function", "function": {"name": "ring_the_bell", "arguments": "{}"}}
chat = conversation("first", workspace="acme")
chat.append(Message.user("<b>Hello</b>"), Message.assistant(tool_calls=[call]))
chat.append(Message.tool("rung", tool_call_id="call_1", name="ring_the_bell"))
"""
LOOK = """
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

browser = Client(headers={"host": "localhost"})
browser.force_login(User.objects.get(username="admin"))
assert "6 messages" in browser.get(reverse("admin:chat_memory_session_changelist")).content.decode()
"""
READ = """
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

from chat_memory import conversation
from chat_memory.models import Workspace, WorkspaceMember

chat = conversation("first", workspace="acme")
assert [message.role for message in chat.tail(20)] == ["user", "assistant", "tool"]

admin = User.objects.create_superuser("admin")
browser = Client(headers={"host": "localhost"})
browser.force_login(admin)
assert browser.get("/admin/").status_code == 200
for model in ("workspace", "session", "message"):
    assert browser.get(reverse(f"admin:chat_memory_{model}_changelist")).status_code == 200, model
transcript = browser.get(reverse("admin:chat_memory_session_transcript", args=[chat.session().id]))
assert transcript.status_code == 200
page = transcript.content.decode()
assert "&lt;b&gt;Hello&lt;/b&gt;" in page and "ring_the_bell" in page
assert finders.find("chat_memory/admin/chat_memory.css")

WorkspaceMember.objects.create(workspace=Workspace.objects.get(), user=admin, role="reader")
listed = browser.get("/api/workspaces/acme/sessions/").json()["results"]
assert [session["key"] for session in listed] == ["first"]
messages = browser.get(f"/api/workspaces/acme/sessions/{listed[0]['id']}/messages/").json()["results"]
assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
print("the newcomer is content")
"""


def typed(page: str) -> str:
    """What a page has its reader type into `manage.py shell`; what belongs in files, the project has already."""
    blocks = PYTHON.findall((ROOT / page).read_text())
    return "\n".join(block for block in blocks if "INSTALLED_APPS" not in block and "urlpatterns" not in block)


def run_program(*command: str | Path, cwd: Path) -> str:
    """What a program prints, run without this suite's environment; a failure shows all it said."""
    ours = ("COV", "CHAT_MEMORY", "DATABASE_URL", "DJANGO", "PYTEST", "PYTHON", "REDIS_URL", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=environment, capture_output=True, check=False, text=True, timeout=300
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build_wheel(folder: Path) -> Path:
    """The wheel, built with the tools that are installed: nothing is fetched for it."""
    run_program(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_f1_wheel_holds_the_package_whole_and_nothing_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_wheel(tmp_path)) as archive:
        names = {PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")}
        (info,) = {name.parts[0] for name in names if name.parts[0].endswith(".dist-info")}
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    assert {name.parts[0] for name in names} == {"chat_memory", info}
    in_tree = {
        PurePosixPath(path.relative_to(ROOT).as_posix())
        for path in (ROOT / "chat_memory").rglob("*")
        if path.is_file() and NOT_SHIPPED.isdisjoint(path.parts)
    }
    assert {name for name in names if name.parts[0] == "chat_memory"} == in_tree
    assert PurePosixPath("chat_memory/py.typed") in names
    assert PurePosixPath("chat_memory/migrations/0001_initial.py") in names
    assert {"templates", "static"} <= {name.parts[1] for name in names}
    assert metadata["Name"] == "django-chat-memory"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert {"api", "postgres"} <= set(metadata.get_all("Provides-Extra", []))
    assert "# chat_memory" in metadata.get_payload()


def test_newcomers_project(tmp_path: Path) -> None:
    """A clean environment, Django's own startproject, two settings: it migrates, stores, shows and serves.

    So does what the README and the quickstart have its owner type, one after the other.
    """
    wheel = build_wheel(tmp_path)
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / Path(sysconfig.get_path("scripts")).name
    python = programs / "python"
    run_program(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel, cwd=tmp_path)
    run_program(programs / "django-admin", "startproject", "mysite", cwd=tmp_path)
    site = tmp_path / "mysite"
    for name, lines in (("settings.py", SETTINGS), ("urls.py", URLS)):
        with (site / "mysite" / name).open("a") as file:
            file.write(lines)
    manage = (python, "-W", "error", "manage.py")
    run_program(*manage, "check", "--database", "default", "--fail-level", "WARNING", cwd=site)
    run_program(*manage, "makemigrations", "--check", "--dry-run", cwd=site)
    run_program(*manage, "migrate", cwd=site)
    run_program(*manage, "shell", "-c", WRITE, cwd=site)
    assert "the newcomer is content" in run_program(*manage, "shell", "-c", READ, cwd=site)
    for page in ("README.md", "docs/tutorial/quickstart.md"):
        run_program(*manage, "shell", "-c", typed(page), cwd=site)
    run_program(*manage, "shell", "-c", LOOK, cwd=site)
    run_program(*manage, "migrate", "chat_memory", "zero", cwd=site)
