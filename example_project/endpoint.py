"""Owns the call to an OpenAI-compatible endpoint; it must not know where the history is stored."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from chat_memory import Message

DEFAULT_MODEL = "gpt-4o-mini"
DEFAULT_TIMEOUT = 30.0
NEWEST = 40
"""About how many messages the model gets: what fits of the newest whole turns, and the instructions before them."""
LARGEST_ANSWER = 4 * 1024 * 1024
REASONS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "it refused the key in OPENAI_API_KEY",
    HTTPStatus.FORBIDDEN: "it refused the key in OPENAI_API_KEY",
    HTTPStatus.NOT_FOUND: "it knows neither this address nor this model",
    HTTPStatus.TOO_MANY_REQUESTS: "it is asked too often at the moment",
}


class EndpointError(Exception):
    """There is no answer; the text says why, in words for the person who waits for it."""


def complete(history: Sequence[Message]) -> str:
    """The model's answer to a history.

    Reads OPENAI_BASE_URL, OPENAI_API_KEY, OPENAI_MODEL and OPENAI_TIMEOUT (seconds).

    Raises:
        EndpointError: the endpoint is wrongly named, cannot be reached, is too slow, or answers something else.
    """
    model = os.environ.get("OPENAI_MODEL") or DEFAULT_MODEL
    body = {"model": model, "messages": [message.to_openai() for message in newest_turns(history)]}
    return _text(_post(_request(json.dumps(body).encode())))


def newest_turns(history: Sequence[Message]) -> list[Message]:
    """The newest messages from the beginning of a turn on, so that no tool result lacks its call."""
    starts = [index for index, message in enumerate(history) if message.role == "user"]
    border = len(history) - NEWEST
    start = next((index for index in starts if index >= border), starts[-1] if starts else 0)
    return [message for message in history[:start] if message.role == "system"] + list(history[start:])


def _request(body: bytes) -> urllib.request.Request:
    url = os.environ["OPENAI_BASE_URL"].rstrip("/") + "/chat/completions"
    if urlsplit(url).scheme not in ("http", "https"):
        raise EndpointError("OPENAI_BASE_URL is not an http or https address.")
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("OPENAI_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    return urllib.request.Request(url, body, headers)  # noqa: S310 - the scheme is checked above


def _post(request: urllib.request.Request) -> Any:
    try:
        with urllib.request.urlopen(request, timeout=_timeout()) as response:  # noqa: S310 - as above
            return json.loads(response.read(LARGEST_ANSWER))
    except urllib.error.HTTPError as error:
        reason = REASONS.get(error.code, f"it failed with HTTP status {error.code}")
        raise EndpointError(f"The model cannot answer: {reason}.") from error
    except TimeoutError as error:
        raise EndpointError(f"The model took longer than {_timeout():g} seconds.") from error
    except OSError as error:
        slow = isinstance(getattr(error, "reason", None), TimeoutError)
        raise EndpointError("The model took too long." if slow else "The model cannot be reached.") from error
    except ValueError as error:
        raise EndpointError("The model's answer is no JSON.") from error


def _text(answer: Any) -> str:
    try:
        text = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        text = None
    if not isinstance(text, str):
        raise EndpointError("The model's answer holds no text.")
    return text


def _timeout() -> float:
    try:
        return float(os.environ.get("OPENAI_TIMEOUT") or DEFAULT_TIMEOUT)
    except ValueError as error:
        raise EndpointError("OPENAI_TIMEOUT is not a number of seconds.") from error
