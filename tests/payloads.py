"""Every bad payload of the design, with the field that its error must name; messages are whole but for that."""
# mypy: disable-error-code=arg-type

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from chat_memory import Message

MESSAGES: dict[str, tuple[Message, str]] = {}
FIELDS: dict[str, tuple[dict[str, Any], str]] = {}
NAMES: dict[str, tuple[dict[str, Any], str]] = {}


def deep(levels: int) -> list[Any]:
    """Lists in lists."""
    value: list[Any] = []
    for _level in range(levels):
        value = [value]
    return value


def cyclic() -> dict[str, Any]:
    """An object that holds itself."""
    value: dict[str, Any] = {}
    value["self"] = value
    return value


NUL, SURROGATE, EARLY = "a\x00b", "a\ud800b", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))

# By what is wrong: a metadata value and, below ``metadata``, the path its error names.
JSON_FAULTS: dict[str, tuple[Callable[[], dict[Any, Any]], str]] = {
    "NUL": (lambda: {"a": {"b": NUL}}, "metadata.a.b"),
    "NUL in a key": (lambda: {"a": {NUL: 1}}, "metadata.a"),
    "surrogate": (lambda: {"a": [0, SURROGATE]}, "metadata.a[1]"),
    "surrogate in a key": (lambda: {SURROGATE: 1}, "metadata"),
    "NaN": (lambda: {"a": float("nan")}, "metadata.a"),
    "infinity": (lambda: {"a": [float("-inf")]}, "metadata.a[0]"),
    "33 levels": (lambda: {"a": deep(33)}, "metadata"),
    "100,000 levels": (lambda: {"a": deep(100_000)}, "metadata"),
    "too large": (lambda: {"a": "x" * 70_000}, "metadata"),
    "5,000 digits": (lambda: {"a": 10**5_000}, "metadata.a"),
    "cycle": (cyclic, "metadata"),
    "number as key": (lambda: {1: "x"}, "metadata"),
    "no key": (lambda: {None: "x"}, "metadata"),
    "bytes": (lambda: {"a": b"x"}, "metadata.a"),
    "a set": (lambda: {"a": {1}}, "metadata.a"),
    "a datetime": (lambda: {"a": EARLY}, "metadata.a"),
    "an object": (lambda: {"a": object()}, "metadata.a"),
}

for name, (make, path) in JSON_FAULTS.items():
    MESSAGES[f"metadata: {name}"] = Message.user("x", metadata=make()), path
    FIELDS[f"metadata: {name}"] = {"metadata": make()}, path
    call_path = path.replace("metadata", "tool_calls" + ("" if path == "metadata" and "level" in name else "[0]"), 1)
    if name not in {"too large", "33 levels", "cycle", "100,000 levels"}:
        MESSAGES[f"tool calls: {name}"] = Message.assistant(None, tool_calls=[make()]), call_path
        MESSAGES[f"parts: {name}"] = Message.user([make()]), call_path.replace("tool_calls", "content")

MESSAGES |= {
    "unknown role": (Message("banana", "x"), "role"),
    "no role": (Message("", "x"), "role"),
    "role of a number": (Message(3, "x"), "role"),
    "unhashable role": (Message([], "x"), "role"),
    "NUL in content": (Message.user(NUL), "content"),
    "surrogate in content": (Message.user(SURROGATE), "content"),
    "content of a number": (Message.user(3), "content"),
    "content of bytes": (Message.user(b"x"), "content"),
    "content of an object": (Message.user({"type": "text"}), "content"),
    "parts of text": (Message.user(["x"]), "content[0]"),
    "parts too deep": (Message.user([{"a": deep(100_000)}]), "content"),
    "content too large": (Message.user("x" * (1024 * 1024 + 1)), "content"),
    "content too large in bytes": (Message.user("é" * (512 * 1024 + 1)), "content"),
    "parts too large": (Message.user([{"text": "x" * 1024 * 1024}]), "content"),
    "user without content": (Message.user(None), "content"),
    "parts under another name": (Message.from_dict({"role": "user", "parts": [{"text": "x"}]}), "content"),
    "tool without content": (Message.tool(None), "content"),
    "user with calls": (Message.user("x", tool_calls=[{}]), "tool_calls"),
    "calls of text": (Message.assistant("x", tool_calls=["x"]), "tool_calls[0]"),
    "calls of an object": (Message.assistant("x", tool_calls={"id": "c"}), "tool_calls"),
    "calls too deep": (Message.assistant("x", tool_calls=[{"a": deep(100_000)}]), "tool_calls"),
    "metadata of a list": (Message.user("x", metadata=[]), "metadata"),
    "metadata of text": (Message.user("x", metadata="{}"), "metadata"),
    "empty id": (Message.user("x", id=""), "id"),
    "id too long": (Message.user("x", id="i" * 513), "id"),
    "id with a newline": (Message.user("x", id="a\nb"), "id"),
    "id with NUL": (Message.user("x", id=NUL), "id"),
    "id with a surrogate": (Message.user("x", id=SURROGATE), "id"),
    "id of a number": (Message.user("x", id=7), "id"),
    "name too long": (Message.user("x", name="n" * 256), "name"),
    "name with NUL": (Message.user("x", name=NUL), "name"),
    "name of a number": (Message.user("x", name=7), "name"),
    "call id too long": (Message.tool("x", tool_call_id="c" * 10_001), "tool_call_id"),
    "call id with a surrogate": (Message.tool("x", tool_call_id=SURROGATE), "tool_call_id"),
    "extra of a list": (Message.user("x", extra=[]), "extra"),
    "extra of a field": (Message.user("x", extra={"content": "y"}), "extra"),
    "extra of another role": (Message.user("x", extra={"role": "developer"}), "extra"),
    "extra with NUL": (Message.user("x", extra={"refusal": NUL}), "extra.refusal"),
    "extra of NaN": (Message.user("x", extra={"score": float("nan")}), "extra.score"),
    "extra too deep": (Message.user("x", extra={"a": deep(100_000)}), "extra"),
    "extra too large": (Message.user("x", extra={"audio": "x" * 1024 * 1024}), "extra"),
    "tokens below 0": (Message.user("x", tokens=-1), "tokens"),
    "tokens beyond a column": (Message.user("x", tokens=2**31), "tokens"),
    "tokens of truth": (Message.user("x", tokens=True), "tokens"),
    "tokens of a fraction": (Message.user("x", tokens=1.5), "tokens"),
    "time of text": (Message.user("x", created_at="2026-01-01"), "created_at"),
    "time out of range": (Message.user("x", created_at=EARLY), "created_at"),
}

FIELDS |= {
    "unknown": ({"colour": "red"}, "colour"),
    "a counter": ({"last_seq": 7}, "last_seq"),
    "title of None": ({"title": None}, "title"),
    "title too long": ({"title": "t" * 201}, "title"),
    "title with NUL": ({"title": NUL}, "title"),
    "tags of text": ({"tags": "a"}, "tags"),
    "tag of a number": ({"tags": ["a", 1]}, "tags[1]"),
    "empty tag": ({"tags": [""]}, "tags[0]"),
    "too many tags": ({"tags": ["a"] * 101}, "tags"),
    "metadata of None": ({"metadata": None}, "metadata"),
    "pinned of a number": ({"pinned": 1}, "pinned"),
    "naive time": ({"expires_at": datetime(2026, 1, 1)}, "expires_at"),  # noqa: DTZ001
    "time of text": ({"archived_at": "2026-01-01"}, "archived_at"),
    "time out of range": ({"archived_at": EARLY}, "archived_at"),
}

NAMES |= {
    "empty key": ({"key": ""}, "key"),
    "key too long": ({"key": "k" * 256}, "key"),
    "key with a newline": ({"key": "a\nb"}, "key"),
    "key with NUL": ({"key": NUL}, "key"),
    "key with a surrogate": ({"key": SURROGATE}, "key"),
    "key of a number": ({"key": 7}, "key"),
    "key of None": ({"key": None}, "key"),
    "empty workspace": ({"workspace": ""}, "workspace"),
    "workspace too long": ({"workspace": "w" * 101}, "workspace"),
    "workspace with a slash": ({"workspace": "a/b"}, "workspace"),
    "workspace with a newline": ({"workspace": "a\n"}, "workspace"),
    "workspace of other letters": ({"workspace": "é"}, "workspace"),
    "workspace of a number": ({"workspace": 7}, "workspace"),
    "workspace of a dot": ({"workspace": "."}, "workspace"),
    "workspace of two dots": ({"workspace": ".."}, "workspace"),
    "empty branch": ({"branch": ""}, "branch"),
    "branch too long": ({"branch": "b" * 101}, "branch"),
    "branch of a number": ({"branch": 1}, "branch"),
    "empty user": ({"user": ""}, "user"),
    "user too long": ({"user": "u" * 256}, "user"),
    "user of a number": ({"user": 7}, "user"),
}
