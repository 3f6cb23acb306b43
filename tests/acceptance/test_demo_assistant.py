"""The example's two assistants: rules that quote the stored history, and an endpoint that may fail in many ways."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from chat_memory import Message
from example_project import assistant
from example_project.endpoint import NEWEST, EndpointError, newest_turns
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
    return with_positions(messages[:-1])


def with_positions(messages: list[Message]) -> list[Message]:
    return [Message.from_dict(message.to_dict() | {"seq": seq}) for seq, message in enumerate(messages, 1)]


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
    assert answer in assistant.answer(history(*TOLD, question))


@pytest.mark.parametrize(
    "question", ["What is my name?", "What did I ask first?", "What do I like?", "Summarise", "Hi"]
)
def test_rules_answer_an_empty_history(question: str) -> None:
    assert "Ada" not in assistant.answer(history(question))


def test_question_is_no_fact() -> None:
    asked = history("Do I like rain?", "Can you remember my birthday?", "What do you know about me?")
    assert "Nothing of that kind" in assistant.answer(asked)


def test_rules_read_content_parts_and_count_tool_results() -> None:
    call = [{"id": "1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}]
    messages = [
        Message.user([{"type": "text", "text": "My name is Ada."}, {"type": "image_url", "image_url": {"url": "x"}}]),
        Message.assistant(tool_calls=call),
        Message.tool("12:40", tool_call_id="1"),
    ]
    assert "Your name is Ada" in assistant.answer(with_positions([*messages, Message.user("Who am I?")]))
    assert "and 1 tool results" in assistant.answer(with_positions([*messages, Message.user("How many messages?")]))


def test_model_gets_whole_turns() -> None:
    """FEATURES E16: the system prompt, then turns from their first message on, about as many messages as asked for."""
    call = [{"id": "1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}]
    turn = [
        Message.user("Time?"),
        Message.assistant(tool_calls=call),
        Message.tool("12:40", tool_call_id="1"),
        Message.assistant("12:40."),
    ]
    sent = newest_turns([Message.system("Be brief."), *turn * 25, Message.user("And now?")])
    assert [message.role for message in sent[:3]] == ["system", "user", "assistant"]
    assert NEWEST - len(turn) < len(sent) - 1 <= NEWEST
    endless = [*turn, *[Message.assistant(f"Part {number}") for number in range(NEWEST)]]
    assert newest_turns(endless) == endless


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


def completion(text: Any) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


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
    endpoint.answer = lambda request: reply(request, 200, completion("Hello Ada."))
    monkeypatch.setenv("OPENAI_MODEL", "tiny")
    messages = with_positions(
        [Message.user("I am Ada.", id="1", metadata={"a": 1}), Message.assistant("Hi"), Message.user("Hi")]
    )
    assert assistant.answer(messages) == "Hello Ada."
    assert endpoint.asked == [
        {
            "model": "tiny",
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


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, b"{}", "refused the key"),
        (404, b"{}", "neither this address nor this model"),
        (429, b"{}", "asked too often"),
        (500, b"oops", "HTTP status 500"),
        (599, b"", "HTTP status 599"),
        (200, b"<html>", "no JSON"),
        (200, b"\xff\xfe", "no JSON"),
        (200, b"[]", "holds no text"),
        (200, b'{"choices": []}', "holds no text"),
        (200, completion(None), "holds no text"),
        (200, completion([1]), "holds no text"),
    ],
)
def test_endpoint_that_fails_says_why(endpoint: Endpoint, status: int, body: bytes, reason: str) -> None:
    endpoint.answer = lambda request: reply(request, status, body)
    with pytest.raises(EndpointError, match=reason):
        assistant.answer(history("Hi"))


def test_endpoint_that_is_too_slow(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_TIMEOUT", "1")
    endpoint.answer = lambda _request: wait(endpoint.released)
    with pytest.raises(EndpointError, match=r"longer than 1 seconds"):
        assistant.answer(history("Hi"))


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
        assistant.answer(history("Hi"))
