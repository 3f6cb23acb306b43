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


@pytest.mark.postgresql
@pytest.mark.parametrize("router", ROUTERS)
def test_r38_users_and_conversations_in_two_postgresql_databases(
    router: str, tmp_path: Path, worker_id: str, subtests: pytest.Subtests
) -> None:
    with ExitStack() as stack:
        databases = {
            alias: stack.enter_context(postgresql_database(f"split_{alias}_{worker_id}"))
            for alias in ("default", "chats")
        }
        said = run_host(tmp_path, databases, router)
    agrees(said, subtests)


@pytest.mark.sqlite
@pytest.mark.parametrize("router", ROUTERS)
def test_r38_users_and_conversations_in_two_sqlite_files(
    router: str, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    databases = {
        alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / f"{alias}.sqlite3")}
        for alias in ("default", "chats")
    }
    agrees(run_host(tmp_path, databases, router), subtests)


def agrees(said: Mapping[str, str], subtests: pytest.Subtests) -> None:
    """Every step of the host says that nothing is wrong."""
    assert set(said) == set(STEPS)
    for step, wrong in said.items():
        with subtests.test(step):
            assert wrong == ""
