"""A model over HTTP that speaks on and on, word by word, until a test has it end."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import PATIENCE

PAUSE = 0.05


class EndlessModel:
    """An OpenAI-compatible endpoint; ``end`` lets every answer end that has begun, or that begins before ``begin``."""

    def __init__(self) -> None:
        self.answers = 0
        self._ends = threading.Event()
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.end_headers()
                model.answers += 1
                for word in model._words(model.answers):
                    self.wfile.write(b"data: " + json.dumps({"choices": [{"delta": {"content": word}}]}).encode())
                    self.wfile.write(b"\n\n")
                self.wfile.write(b"data: [DONE]\n\n")

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:
                    """Who asked has stopped."""

            def log_message(self, *_args: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        """For OPENAI_BASE_URL."""
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def begin(self) -> None:
        """From now on answers go on until ``end``."""
        self._ends.clear()

    def end(self) -> None:
        """Have all answers end."""
        self._ends.set()

    def _words(self, answer: int) -> Iterator[str]:
        yield f"Answer {answer}:"
        for number in range(int(PATIENCE / PAUSE)):
            if self._ends.wait(PAUSE):
                return
            yield f" {number}"


@contextmanager
def endless_model() -> Iterator[EndlessModel]:
    """Such a model while the block lasts."""
    model = EndlessModel()
    thread = threading.Thread(target=model.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield model
    finally:
        model.end()
        model.server.shutdown()
        thread.join()
        model.server.server_close()
