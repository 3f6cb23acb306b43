"""The example's two assistants: rules that quote the stored history, and an endpoint that may fail in many ways."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from chat_memory import Message, conversation
from chat_memory.storage.memory import MemoryAdapter
from example_project import assistant, offline
from example_project.assistant import NEWEST
from example_project.endpoint import EndpointError
from tests.waiting import PATIENCE

pytestmark = pytest.mark.once

TOLD = (
    "Hello! My name is Ada, and I live in Turin.",
    "I really like slow trains and I don\N{RIGHT SINGLE QUOTATION MARK}t like queues.",
    "Please remember that the cat eats at six.",
    "Call me Countess from now on.",
)


def history(*texts: str) -> list[Message]:
    """A conversation in which each text of the user was answered, but for the last."""
    messages: list[Message] = []
    for text in texts:
        messages += [Message.user(text), Message.assistant("Fine.")]
    return messages[:-1]


def reply_to(messages: list[Message]) -> str:
    """What the assistant answers to the last message of a history, which is a question."""
    chat = conversation("k", "acme", adapter=MemoryAdapter())
    question = chat.append(*messages).messages[-1]
    with chat.turn(str(question.id)) as turn:
        return "".join(assistant.answer(turn))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "PAUSE", 0)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is my name?", "Your name is Countess: you said so in message 7."),
        ("what\N{RIGHT SINGLE QUOTATION MARK}s my name", "Your name is Countess"),
        ("Where do I live?", "You live in Turin: you said so in message 1."),
        ("What do I like?", "You like slow trains (message 3)"),
        ("What do I like?", "You do not like queues (message 3)"),
        ("What do you know about me?", "You asked me to remember: the cat eats at six (message 5)"),
        ("What do I do for work?", "You have not told me about your work yet."),
        ("What did I ask first?", "in message 1: “Hello! My name is Ada, and I live in Turin.”"),
        ("What did I say?", "in message 7: “Call me Countess from now on.”"),
        ("How many messages do we have?", "9 messages so far, 5 of them yours"),
        ("Please summarise our chat", "You wrote 4 messages:"),
        ("Did I mention the cat?", "“the cat” is in 1 earlier messages"),
        ("Did I mention a dog?", "is in none of our 8 earlier messages"),
        ("Do you remember my name?", "Your name is Countess"),
        ("Hello, I'm Ben", "So your name is Ben. This is message 9"),
        ("Hi there! I am Zoë-Ann and I live in Ulm.", "So your name is Zoë-Ann, you live in Ulm"),
        ("I\N{RIGHT SINGLE QUOTATION MARK}m Ben.", "So your name is Ben"),
        ("I'm tired.", "Noted, Countess"),
        ("Hello, I'm looking for a train.", "Noted, Countess"),
        ("I'm OK", "Noted, Countess"),
        ("Am I Ben?", "Noted, Countess"),
        ("Do I like rain?", "Noted, Countess"),
        ("Nice weather.", "Noted, Countess: that is message 9"),
        ("I love rain.", "So you like rain. This is message 9"),
    ],
)
def test_rules_answer_from_the_history(question: str, answer: str) -> None:
    assert answer in reply_to(history(*TOLD, question))


@pytest.mark.parametrize(
    "question", ["What is my name?", "What did I ask first?", "What do I like?", "Summarise", "Hi"]
)
def test_rules_answer_an_empty_history(question: str) -> None:
    assert "Ada" not in reply_to(history(question))


def test_question_is_no_fact() -> None:
    asked = history("Do I like rain?", "Can you remember my birthday?", "What do you know about me?")
    assert "Nothing of that kind" in reply_to(asked)


def test_rules_read_content_parts_and_count_tool_results() -> None:
    call = [{"id": "1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}]
    messages = [
        Message.user([{"type": "text", "text": "My name is Ada."}, {"type": "image_url", "image_url": {"url": "x"}}]),
        Message.assistant(tool_calls=call),
        Message.tool("12:40", tool_call_id="1"),
    ]
    assert "Your name is Ada" in reply_to([*messages, Message.user("Who am I?")])
    assert "and 1 tool results" in reply_to([*messages, Message.user("How many messages?")])


def test_rules_say_all_there_is_word_by_word() -> None:
    text = "From  our\n• history: \n"
    assert "".join(offline.spoken(text)) == text
    assert len(list(offline.spoken(text))) == 5


Answer = Callable[[BaseHTTPRequestHandler], None]


class Endpoint:
    """A server that answers as the test says and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.headers: list[Any] = []
        self.answer: Answer = lambda request: reply(request, 200, b"{}")
        self.released = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint.headers.append((self.path, self.headers))
                endpoint.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                endpoint.answer(self)

            def log_message(self, *_args: Any) -> None:
                """Nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)


def reply(request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def wait(event: threading.Event) -> None:
    event.wait(PATIENCE)


def event(text: Any) -> bytes:
    """One piece of an answer, as OpenAI sends it."""
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


def completion(*pieces: Any) -> bytes:
    """A whole answer, with what else such a stream holds."""
    said = b"".join(map(event, pieces))
    return b": a comment\n\n" + said + b'data: {"choices": [], "usage": {}}\n\ndata: [DONE]\n\n'


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    made = Endpoint()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{made.server.server_port}/v1/")
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-nobody")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.released.set()
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_endpoint_gets_the_history_as_openai_takes_it(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint.answer = lambda request: reply(request, 200, completion("Hello", None, " Ada."))
    monkeypatch.setenv("OPENAI_MODEL", "tiny")
    messages = [Message.user("I am Ada.", id="1", metadata={"a": 1}), Message.assistant("Hi"), Message.user("Hi")]
    assert reply_to(messages) == "Hello Ada."
    assert endpoint.asked == [
        {
            "model": "tiny",
            "stream": True,
            "messages": [
                {"role": "user", "content": "I am Ada."},
                {"role": "assistant", "content": "Hi"},
                {"role": "user", "content": "Hi"},
            ],
        }
    ]
    path, headers = endpoint.headers[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer key-of-nobody"


def test_model_gets_whole_turns(endpoint: Endpoint) -> None:
    """FEATURES E16: the system prompt, then turns from their first message on, as many as fit."""
    endpoint.answer = lambda request: reply(request, 200, completion("12:40."))
    messages = [Message.system("Be brief.")]
    for number in range(25):
        call = {"id": f"{number}", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
        messages += [Message.user("Time?"), Message.assistant(tool_calls=[call])]
        messages += [Message.tool("12:40", tool_call_id=f"{number}"), Message.assistant("12:40.")]
    assert reply_to([*messages, Message.user("And now?")]) == "12:40."
    (asked,) = endpoint.asked
    roles = [message["role"] for message in asked["messages"]]
    assert roles[:3] == ["system", "user", "assistant"]
    assert NEWEST - 4 < len(roles) - 1 <= NEWEST


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, b"{}", "refused the key"),
        (404, b"{}", "neither this address nor this model"),
        (429, b"{}", "asked too often"),
        (500, b"oops", "HTTP status 500"),
        (599, b"", "HTTP status 599"),
        (200, b"<html>", "broke off"),
        (200, b"\xff\xfe", "broke off"),
        (200, event("Half of"), "broke off"),
        (200, b"data: <html>\n\n", "not JSON"),
        (200, b"data: \xff\xfe\n\n", "not JSON"),
        (200, b"data: []\n\n", "unknown form"),
        (200, b"data: {}\n\n", "unknown form"),
        (200, b'data: {"choices": [1]}\n\n', "unknown form"),
    ],
)
def test_endpoint_that_fails_says_why(endpoint: Endpoint, status: int, body: bytes, reason: str) -> None:
    endpoint.answer = lambda request: reply(request, status, body)
    with pytest.raises(EndpointError, match=reason):
        reply_to(history("Hi"))


def test_endpoint_that_is_too_slow(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_TIMEOUT", "1")
    endpoint.answer = lambda _request: wait(endpoint.released)
    with pytest.raises(EndpointError, match=r"silent for 1 seconds"):
        reply_to(history("Hi"))


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1", "cannot be reached"),
        ("OPENAI_BASE_URL", "file:///etc", "not an http or https address"),
        ("OPENAI_TIMEOUT", "soon", "not a number"),
    ],
)
def test_endpoint_that_is_wrongly_named(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(EndpointError, match=reason):
        reply_to(history("Hi"))
