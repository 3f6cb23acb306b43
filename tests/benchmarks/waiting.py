"""Four workers that serve one request at a time: eight clients write to one session, four to others.

By turns the one session is free and locked by a transaction that does not end. What counts is the slowest answer that
the four others get in a round.
"""

import http.client
import json
import os
import signal
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import psycopg
from django.contrib.auth import get_user_model
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.test import override_settings

from chat_memory.models import Session, Workspace, WorkspaceMember
from tests.benchmarks.cases import WORKSPACE, Bench, Result
from tests.benchmarks.measure import Ratio

WORKERS, BUSY_CLIENTS, OTHER_CLIENTS = 4, 8, 4
REQUESTS = 30
"""How many requests each of the others sends in a round, every second one a POST."""
GOAL = 3.0
ROUNDS = 8
"""At most so many rounds, as each takes seconds."""


def waiting(bench: Bench) -> Iterator[Result]:
    """The slowest answer of a round to the others, the one session locked / free."""
    sessions = [bench.session(10)[0] for _ in range(1 + OTHER_CLIENTS)]
    rows = [Session.objects.get(workspace__slug=WORKSPACE, key=key) for key in sessions]
    user = get_user_model().objects.create_user("bench", password="bench")
    workspace = Workspace.objects.get(slug=WORKSPACE)
    WorkspaceMember.objects.create(workspace=workspace, user=user, role="admin")
    hosts = {"ROOT_URLCONF": "tests.acceptance.api_urls", "ALLOWED_HOSTS": ["*"], "REST_FRAMEWORK": {}}
    paths = [f"/api/workspaces/{WORKSPACE}/sessions/{row.pk}/messages/" for row in rows]
    locked: list[float] = []
    free: list[float] = []
    with override_settings(**hosts), _workers() as port:
        _round(port, paths)
        for _ in range(min(bench.rounds, ROUNDS)):
            free.append(_round(port, paths).slowest)
            with psycopg.connect(bench.url) as other:
                other.execute("SELECT 1 FROM chat_memory_session WHERE id = %s FOR UPDATE", [rows[0].pk])
                locked.append(_round(port, paths).slowest)
                other.rollback()
    name = "4 workers, one session locked: slowest answer of other sessions / while it is free"
    yield Result(name, Ratio.of(locked, free), GOAL)


@dataclass
class Round:
    """What the others were answered."""

    slowest: float = 0.0


def _round(port: int, paths: list[str]) -> Round:
    done, over = Round(), threading.Event()
    busy = [threading.Thread(target=_write, args=(port, paths[0], over), daemon=True) for _ in range(BUSY_CLIENTS)]
    others = [threading.Thread(target=_use, args=(port, path, done)) for path in paths[1:]]
    for thread in (*busy, *others):
        thread.start()
    for thread in others:
        thread.join()
    over.set()
    for thread in busy:
        thread.join()
    return done


def _write(port: int, path: str, over: threading.Event) -> None:
    """A client that writes all the time, and waits where it is told to."""
    while not over.is_set():
        status, wait = _ask(port, "POST", path)
        if status == 503:
            over.wait(wait)


def _use(port: int, path: str, done: Round) -> None:
    for number in range(REQUESTS):
        begin = time.perf_counter()
        status, _wait = _ask(port, "POST" if number % 2 else "GET", path)
        done.slowest = max(done.slowest, time.perf_counter() - begin)
        assert status < 300, status


def _ask(port: int, method: str, path: str) -> tuple[int, float]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = json.dumps({"role": "user", "content": "x"}) if method == "POST" else None
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {b64encode(b'bench:bench').decode()}"}
    try:
        client.request(method, path, body, headers)
        answer = client.getresponse()
        answer.read()
        return answer.status, float(answer.getheader("Retry-After") or 0)
    finally:
        client.close()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_text: object) -> None:
        pass


@contextmanager
def _workers() -> Iterator[int]:
    """The port of processes that accept from one socket, each a request at a time."""
    connections.close_all()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        children = [_forked(listening) for _ in range(WORKERS)]
        try:
            yield listening.getsockname()[1]
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def _forked(listening: socket.socket) -> int:
    child = os.fork()
    if child:
        return child
    try:
        server = WSGIServer(listening.getsockname(), _Quiet, bind_and_activate=False)
        server.socket.close()
        server.socket = listening
        server.server_name, server.server_port = "127.0.0.1", listening.getsockname()[1]
        server.setup_environ()
        server.set_app(get_wsgi_application())
        server.serve_forever()
    finally:
        os._exit(1)
