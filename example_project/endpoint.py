"""Owns the call to an OpenAI-compatible endpoint; it must not know where the history is stored."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from chat_memory import Message

DEFAULT_MODEL = "gpt-4o-mini"
DEFAULT_TIMEOUT = 30.0
LONGEST_LINE = 1024 * 1024
REASONS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "it refused the key in OPENAI_API_KEY",
    HTTPStatus.FORBIDDEN: "it refused the key in OPENAI_API_KEY",
    HTTPStatus.NOT_FOUND: "it knows neither this address nor this model",
    HTTPStatus.TOO_MANY_REQUESTS: "it is asked too often at the moment",
}


class EndpointError(Exception):
    """There is no answer, or it broke off; the text says why, in words for the user who waits for it."""


def complete(prompt: Sequence[Message]) -> Iterator[str]:
    """The model's answer to a prompt, piece by piece as it arrives.

    Reads OPENAI_BASE_URL, OPENAI_API_KEY, OPENAI_MODEL and OPENAI_TIMEOUT (the most seconds without data).

    Raises:
        EndpointError: the address is wrong, or the endpoint cannot be reached, is too slow, breaks off, or sends
            something else.
    """
    model = os.environ.get("OPENAI_MODEL") or DEFAULT_MODEL
    body = {"model": model, "stream": True, "messages": [message.to_openai() for message in prompt]}
    with _told(), urllib.request.urlopen(_request(json.dumps(body).encode()), timeout=_timeout()) as response:  # noqa: S310 - the scheme is checked
        for event in _events(response):
            yield from _pieces(event)


def _request(body: bytes) -> urllib.request.Request:
    url = os.environ["OPENAI_BASE_URL"].rstrip("/") + "/chat/completions"
    if urlsplit(url).scheme not in ("http", "https"):
        raise EndpointError("OPENAI_BASE_URL is not an http or https address.")
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("OPENAI_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    return urllib.request.Request(url, body, headers)  # noqa: S310 - the scheme is checked above


def _events(response: HTTPResponse) -> Iterator[Any]:
    """The data of a response's server-sent events, up to the event ``[DONE]``."""
    while line := response.readline(LONGEST_LINE):
        if line.startswith(b"data:"):
            data = line.removeprefix(b"data:").strip()
            if data == b"[DONE]":
                return
            yield json.loads(data)
    raise EndpointError("The model broke off.")


def _pieces(event: Any) -> Iterator[str]:
    try:
        pieces = [choice["delta"].get("content") for choice in event["choices"]]
    except (KeyError, TypeError, AttributeError):
        raise EndpointError("The model's answer is of an unknown form.") from None
    yield from (piece for piece in pieces if isinstance(piece, str))


@contextmanager
def _told() -> Iterator[None]:
    """A block whose network errors are raised as EndpointError, with a text for users.

    Raises:
        EndpointError: in place of the network's error.
    """
    try:
        yield
    except urllib.error.HTTPError as error:
        reason = REASONS.get(error.code, f"it failed with HTTP status {error.code}")
        raise EndpointError(f"The model cannot answer: {reason}.") from error
    except TimeoutError as error:
        raise EndpointError(f"The model was silent for {_timeout():g} seconds.") from error
    except OSError as error:
        slow = isinstance(getattr(error, "reason", None), TimeoutError)
        raise EndpointError("The model took too long." if slow else "The model cannot be reached.") from error
    except HTTPException as error:
        raise EndpointError("The model broke off.") from error
    except ValueError as error:
        raise EndpointError("The model's answer is not JSON.") from error


def _timeout() -> float:
    try:
        return float(os.environ.get("OPENAI_TIMEOUT") or DEFAULT_TIMEOUT)
    except ValueError as error:
        raise EndpointError("OPENAI_TIMEOUT is not a number of seconds.") from error
