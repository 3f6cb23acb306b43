"""Conversations in a database of their own, by the router that docs/how-to/postgresql.md prints, word for word."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.empty_databases import postgresql_database

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "postgresql.md").read_text()
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
STRICT = '''

class StrictRouter(ChatRouter):
    """Keeps everything but chat_memory out of its database."""

    def allow_migrate(self, db, app_label, **hints):
        return (db == "chats") == (app_label == "chat_memory")
'''
STEPS = re.findall(r"^def (\w+)\(\) -> None:", (ROOT / "tests" / "split_host" / "steps.py").read_text(), re.MULTILINE)
ROUTERS = ("ChatRouter", "StrictRouter")


def block_with(text: str) -> str:
    """The one Python block of the page that has this text."""
    (block,) = (found["code"] for found in BLOCK.finditer(PAGE) if text in found["code"])
    return block


def run_host(folder: Path, databases: Mapping[str, Any], router: str) -> dict[str, str]:
    """What the host says of each step."""
    (folder / "mysite").mkdir()
    (folder / "mysite" / "__init__.py").touch()
    (folder / "mysite" / "routers.py").write_text(block_with("class ChatRouter") + STRICT)
    chosen: dict[str, Any] = {}
    exec(block_with("DATABASE_ROUTERS = "), chosen)  # noqa: S102  # our own documentation
    routers = [path.replace("ChatRouter", router) for path in chosen["DATABASE_ROUTERS"]]
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.split_host.settings",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(folder))),
        "SPLIT_HOST_DATABASES": json.dumps(databases),
        "SPLIT_HOST_ROUTERS": json.dumps(routers),
    }
    command = [sys.executable, "-W", "error", "-m", "tests.split_host"]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, str] = json.loads(ended.stdout)
    return found


@pytest.fixture(scope="module", params=ROUTERS)
def on_postgresql(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> dict[str, str]:
    with ExitStack() as stack:
        databases = {
            alias: stack.enter_context(postgresql_database(f"split_{alias}_{worker_id}"))
            for alias in ("default", "chats")
        }
        return run_host(tmp_path_factory.mktemp("host"), databases, request.param)


@pytest.fixture(scope="module", params=ROUTERS)
def on_sqlite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("host")
    databases = {
        alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / f"{alias}.sqlite3")}
        for alias in ("default", "chats")
    }
    return run_host(folder, databases, request.param)


@pytest.mark.postgresql
@pytest.mark.parametrize("step", STEPS)
def test_r38_users_and_conversations_in_two_postgresql_databases(step: str, on_postgresql: dict[str, str]) -> None:
    assert on_postgresql[step] == ""


@pytest.mark.sqlite
@pytest.mark.parametrize("step", STEPS)
def test_r38_users_and_conversations_in_two_sqlite_files(step: str, on_sqlite: dict[str, str]) -> None:
    assert on_sqlite[step] == ""
