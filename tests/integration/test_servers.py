"""The servers of the test runs themselves: found or refused with a remedy, private, gone at the end."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from tests.servers import ServerUnavailable, serve, start_postgres, start_redis
from tests.servers.environment import redis_url_of_worker

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
REFUSED = pytest.ExitCode.USAGE_ERROR


# Quick test files: one in a folder that is given servers, and two in folders that need none.
WITH_SERVERS = "tests/contracts/test_twins.py"
SERVERLESS = ("tests/unit/test_tokens.py", "tests/architecture/test_dependencies.py")


def run_pytest(*paths: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run of its own of some test files, over SQLite."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CHAT_MEMORY_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *paths],
        cwd=ROOT,
        env=ours | {"CHAT_MEMORY_TEST_DB": "sqlite"} | environment,
        capture_output=True,
        check=False,
        text=True,
    )


def test_private_postgres() -> None:
    with start_postgres({"max_connections": "7"}) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SHOW max_connections").fetchone() == ("7",)
    assert server.process.returncode == 0
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url)


def test_private_redis() -> None:
    with start_redis("--maxmemory", "8mb") as server:
        with Redis.from_url(server.url) as client:
            directory = Path(client.config_get("dir")["dir"])
            assert client.config_get("maxmemory") == {"maxmemory": str(8 * 1024 * 1024)}
        assert directory.is_dir()
    assert server.process.returncode == 0
    assert not directory.exists()


def test_server_that_does_not_start_shows_its_log() -> None:
    refused = pytest.raises(ServerUnavailable, match=r"(?s)Redis did not start:.*no-such-option")
    with refused, start_redis("--no-such-option"):
        pytest.fail("started")


def test_missing_server_ends_the_run_with_remedies() -> None:
    ended = run_pytest(WITH_SERVERS, CHAT_MEMORY_TEST_SERVERS="installed", PATH="", REDIS_URL="")
    assert ended.returncode == REFUSED
    assert "set REDIS_URL=redis://host:port/0" in ended.stderr


def test_folders_that_need_no_server_run_without_one() -> None:
    nothing = {"CHAT_MEMORY_TEST_SERVERS": "installed", "PATH": "", "DATABASE_URL": "", "REDIS_URL": ""}
    ended = run_pytest(*SERVERLESS, **nothing)
    assert (ended.returncode, ended.stderr) == (pytest.ExitCode.OK, "")
    second = run_pytest(*SERVERLESS, "-n", "1", CHAT_MEMORY_TEST_DB="postgresql", **nothing)
    assert (second.returncode, second.stderr) == (pytest.ExitCode.OK, "")
    assert run_pytest(*SERVERLESS, WITH_SERVERS, **nothing).returncode == REFUSED


def test_unknown_choice_of_servers_is_refused() -> None:
    ended = run_pytest(WITH_SERVERS, CHAT_MEMORY_TEST_SERVERS="imaginary", REDIS_URL="")
    assert ended.returncode == REFUSED
    assert "'imaginary', which is none of auto, installed, bundled" in ended.stderr


def test_foreign_redis_is_used_only_where_it_is_empty() -> None:
    with start_redis() as server, Redis.from_url(server.url) as client:
        assert run_pytest(WITH_SERVERS, REDIS_URL=server.url).returncode == pytest.ExitCode.OK
        client.set("somebody's", "value")
        ended = run_pytest(WITH_SERVERS, REDIS_URL=server.url)
        assert ended.returncode == REFUSED
        assert "Database 0 of REDIS_URL's server is not empty" in ended.stderr
        assert client.get("somebody's") == b"value"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/4"),
        ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379/4"),
        ("rediss://user:secret@cache.example:6380/2", "rediss://user:secret@cache.example:6380/6"),
    ],
)
def test_each_worker_has_a_redis_database_of_its_own(url: str, expected: str) -> None:
    assert redis_url_of_worker(url, 3) == expected


@pytest.mark.parametrize("url", ["unix:///run/redis.sock", "redis://127.0.0.1/cache"])
def test_address_without_a_number_to_count_from_is_refused(url: str) -> None:
    with pytest.raises(ServerUnavailable, match="REDIS_URL must look like redis://host:port/0"):
        redis_url_of_worker(url, 0)


def test_redis_that_does_not_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with start_redis() as server:
        monkeypatch.setenv("REDIS_URL", server.url)
    with pytest.raises(ServerUnavailable, match="does not answer"), serve("sqlite"):
        pytest.fail("served")
