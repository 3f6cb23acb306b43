"""Conversations to check, and what the command chat_memory_check says of them."""

import io
import json
import re
from typing import Any

from django.core.management import CommandError, call_command

from chat_memory import Message, conversation
from chat_memory.models import Message as MessageRow, Session

SUMMARY: Any = re.compile(r'(?:"violations":)?(\d+)(?: violations?, |,"repaired":)(\d+)')


def talk(key: str = "k", *, turns: int = 2, workspace: str = "acme") -> Any:
    """A conversation of some turns, after a cleared one."""
    chat = conversation(key, workspace)
    chat.append(Message.user("hidden"))
    chat.clear()
    for number in range(turns):
        chat.append(Message.user(f"{number}?", id=f"{number}u"), Message.assistant(f"{number}.", id=f"{number}a"))
    return chat


def session_rows(key: str = "k") -> Any:
    return Session.objects.filter(key=key, workspace__slug="acme")


def message_rows(key: str = "k") -> Any:
    return MessageRow.objects.filter(session__key=key, workspace__slug="acme")


def violations(*arguments: str) -> list[tuple[str, str]]:
    """What and in which session, as the command says to programs; its exit status agrees."""
    return [(fault["what"], fault["key"]) for fault in report(*arguments)["faults"]]


def report(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed("--format", "json", *arguments))
    assert found["violations"] == len(found["faults"])
    return found


def printed(*arguments: str) -> str:
    """What is on stdout, refused or not: with violations left the exit status is 1, else 0."""
    out = io.StringIO()
    refused = False
    try:
        call_command("chat_memory_check", *arguments, stdout=out, stderr=io.StringIO())
    except CommandError:
        refused = True
    violations, repaired = SUMMARY.search(out.getvalue()).groups()
    assert refused == (int(violations) > int(repaired))
    return out.getvalue()
