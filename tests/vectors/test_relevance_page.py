"""The page about relevance does what it says, its recipe against an endpoint that speaks as OpenAI's does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.acceptance.test_docs import WITH_VECTORS, run_page
from tests.vectors.embedders import EMBED

pytestmark = pytest.mark.django_db(transaction=True)


class EmbeddingEndpoint(HTTPServer):
    """Answers embeddings, the last text first, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[Any] = []


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: EmbeddingEndpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers["Authorization"], body["model"], len(body["input"])))
        made = [{"index": index, "embedding": each} for index, each in enumerate(EMBED(body["input"]))]
        answer = json.dumps({"object": "list", "data": made[::-1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def embedding_endpoint() -> Iterator[EmbeddingEndpoint]:
    with EmbeddingEndpoint() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_code_of_the_page_runs(embedding_endpoint: EmbeddingEndpoint, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{embedding_endpoint.server_port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    run_page(WITH_VECTORS)
    of = ("/v1/embeddings", "Bearer sk-test", "text-embedding-3-small")
    assert embedding_endpoint.asked == [(*of, 1), (*of, 4)]
