"""A worker that answers each request in a fork of its idle self, and says what the answer cost.

`python -m tests.acceptance.costs_worker` says "ready", then reads requests as lines of JSON, and writes their costs so.
"""

import gc
import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import django
import psycopg
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.db.backends.sqlite3.base import SQLiteCursorWrapper
from django.test import RequestFactory

KIB = 1 if sys.platform == "darwin" else 1024
"""What the kernel counts resident memory in, in bytes."""
SECONDS = 6
"""A request that takes more of the processor is ended: it has failed in any case."""
TOKEN = "c" * 32
"""A cookie and a header that are equal, as Django wants them of a browser that writes."""
STEPS = 500_000
"""How much work tells how quick the processor is at the moment."""
BEGINNING = 2_000
"""How much of an answer is given to the test, for its report."""


def main() -> None:
    """Answer one request after the other, until the input ends."""
    django.setup()
    # On a busy machine a search would be cut off, and its statements be others.
    settings.CHAT_MEMORY = {**getattr(settings, "CHAT_MEMORY", {}), "SEARCH_SECONDS": 600}
    application = get_wsgi_application()
    statements = _counted()
    for path in ("/admin/login/", "/api/"):
        _answered(application, {"method": "GET", "path": path, "session": ""})
    connections.close_all()
    gc.collect()
    _tell("ready")
    for line in sys.stdin:
        _tell(json.dumps(_in_a_fork(application, statements, json.loads(line))))


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _in_a_fork(application: Any, statements: list[str], request: dict[str, Any]) -> dict[str, Any]:
    here, there = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the threads that a fork leaves behind: none of ours is needed here
        child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        with os.fdopen(there, "w") as pipe:
            json.dump(_measured(application, statements, request), pipe)
        os._exit(0)
    os.close(there)
    with os.fdopen(here) as pipe:
        told = pipe.read()
    _child, ended = os.waitpid(child, 0)
    return json.loads(told) if told else {"status": 0, "beginning": f"ended by {ended}, over {SECONDS} s or a crash"}


def _measured(application: Any, statements: list[str], request: dict[str, Any]) -> dict[str, Any]:
    """What one request costs over the idle worker; the resident memory of a fork begins with what is in use."""
    pace = _pace()
    idle, before = _peak(), time.process_time()
    status, length, beginning = _answered(application, request)
    return {
        "status": status,
        "bytes": length,
        "memory": _peak() - idle,
        "cpu": time.process_time() - before,
        "pace": pace,
        "statements": len(statements),
        "beginning": beginning,
    }


def _answered(application: Any, request: dict[str, Any]) -> tuple[int, int, str]:
    """The status, the length and the beginning of an answer; no more of it is kept than a server would keep."""
    statuses: list[str] = []
    answer = application(_environ(request), lambda status, _headers: statuses.append(status))
    length, beginning = 0, b""
    for chunk in answer:
        length += len(chunk)
        beginning = beginning or chunk[:BEGINNING]
    answer.close()
    return int(statuses[0].split()[0]), length, beginning.decode(errors="replace")


def _environ(request: dict[str, Any]) -> Any:
    cookies = f"sessionid={request['session']}; csrftoken={TOKEN}"
    path, _mark, query = request["path"].partition("?")
    return (
        RequestFactory()
        .generic(
            request["method"],
            path,
            request.get("body") or "",
            content_type=request.get("content_type") or "application/json",
            QUERY_STRING=query,
            HTTP_COOKIE=cookies,
            HTTP_X_CSRFTOKEN=TOKEN,
            HTTP_HOST="127.0.0.1",
        )
        .environ
    )


def _counted() -> list[str]:
    """The statements that both drivers' cursors are given from now on."""
    seen: list[str] = []

    def counting(execute: Callable[..., Any]) -> Callable[..., Any]:
        def execute_counted(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(str(query)[:80])
            return execute(self, query, *args, **kwargs)

        return execute_counted

    for cursor in (psycopg.Cursor, SQLiteCursorWrapper):
        for method in ("execute", "executemany"):
            setattr(cursor, method, counting(getattr(cursor, method)))
    return seen


def _pace() -> float:
    """The seconds that the processor takes for the same work each time; others make it slower."""
    before = time.process_time()
    for _ in range(STEPS):
        pass
    return time.process_time() - before


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB


if __name__ == "__main__":
    main()
