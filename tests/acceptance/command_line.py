"""Runs the commands as an operator does, with what they print; and lines to import."""

import io
import json
from pathlib import Path
from typing import Any

from django.core.management import call_command

GREETING = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]


def run(command: str, *arguments: Any) -> str:
    """What the command prints on stdout; its refusal is raised."""
    out = io.StringIO()
    call_command(f"chat_memory_{command}", *map(str, arguments), stdout=out, stderr=io.StringIO())
    return out.getvalue()


def write(path: Path, *lines: Any) -> Path:
    """A file of lines: bytes as they are, everything else as JSON."""
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"".join(line + b"\n" for line in encoded))
    return path
