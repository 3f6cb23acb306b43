"""Sixteen writer processes on the database of the run, with retries, half-known calls and transactions of their own."""

import json
import subprocess
import sys
from collections import Counter
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from chat_memory import Message, conversation
from tests.integration.writers import KEYS, PATIENCE, WORKSPACE

ROOT = Path(__file__).resolve().parents[2]
WRITERS = 16
CALLS = 40


def told_by_writers() -> list[dict[str, Any]]:
    """What each writer says that it wrote."""
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.integration.writers",
            connection.settings_dict["NAME"],
            str(CALLS),
            str(WRITERS),
        ],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE,
    )
    assert ended.returncode == 0, ended.stderr
    # On a busy machine Redis may take longer than the cache waits.
    assert [line for line in ended.stderr.splitlines() if "works without its cache" not in line] == []
    return [json.loads(line) for line in ended.stdout.splitlines()]


def in_order(messages: list[Message]) -> bool:
    """Whether each writer's messages are in the order in which it sent them."""
    sent: dict[str, list[int]] = {}
    for message in messages:
        writer, _colon, number = str(message.content).partition(":")
        sent.setdefault(writer, []).append(int(number))
    return all(numbers == sorted(numbers) for numbers in sent.values())


@pytest.mark.django_db(transaction=True)
def test_sixteen_writers_lose_and_double_nothing() -> None:
    """FEATURES J08, E03, E11, R12: 0 lost, 0 doubled, 0 reordered, 0 holes; one call's messages are adjacent."""
    writers = told_by_writers()
    assert len(writers) == WRITERS
    seen = sum((Counter(writer["seen"]) for writer in writers), Counter())
    assert (seen["retry differs"], seen["half known differs"], seen["repeated after DeadlockDetected"]) == (0, 0, 0)
    assert min(seen[kind] for kind in ("append", "retry", "half_known", "roll_back", "append_many")) > 0
    for key in KEYS:
        messages = conversation(key, WORKSPACE).messages()
        calls = [ids for writer in writers for call_key, ids in writer["calls"] if call_key == key]
        places = {message.id: message.seq or 0 for message in messages}
        assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
        assert Counter(message.id for message in messages) == Counter(chain.from_iterable(calls))
        assert in_order(messages)
        assert all(places[after] == places[before] + 1 for ids in calls for before, after in pairwise(ids))
        record = conversation(key, WORKSPACE).session()
        assert record is not None
        assert (record.last_seq, record.message_count, record.last_turn) == (len(messages),) * 3
        assert record.version == len(calls)
    refused = {message_id for writer in writers for message_id in writer["refused"]}
    assert refused
