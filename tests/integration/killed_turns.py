"""A program of its own: processes answer the same questions, and some are killed between any two of their steps.

`python -m tests.integration.killed_turns DATABASE` forks them, and goes on until every question is answered.
"""

import json
import os
import random
import signal
import sys

import django
from django.conf import settings

QUESTIONS = ("q1", "q2", "q3", "q4")
PROCESSES = 16
LEASE = 1
ROUNDS = 12
"""After so many times sixteen processes a question without an answer stays without one."""


def main(database: str) -> None:
    """Fork processes until nothing is left to answer."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    settings.DATABASES["default"]["NAME"] = database
    settings.CHAT_MEMORY = {"CACHE": "off"}  # a Redis that is slow to answer would be told of on stderr
    django.setup()
    killed = 0
    for number in range(ROUNDS):
        pids = [_forked(QUESTIONS[process % len(QUESTIONS)], number, process) for process in range(PROCESSES)]
        statuses = [os.waitpid(pid, 0)[1] for pid in pids]
        killed += sum(map(os.WIFSIGNALED, statuses))
        if any(os.WIFEXITED(status) and os.WEXITSTATUS(status) not in (0, 3) for status in statuses):
            sys.exit(1)
        if number and not any(map(os.WIFSIGNALED, statuses)):
            break
    sys.stdout.write(json.dumps({"killed": killed, "questions": QUESTIONS}) + "\n")


def _forked(question: str, number: int, process: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        # Later rounds kill fewer, so that the questions come to be answered.
        chance = random.Random(f"{number}-{process}")
        code = _answer(question, chance, 0.5 if number < ROUNDS // 3 else 0.0)
    finally:
        os._exit(code)


def _answer(question: str, chance: random.Random, share: float) -> int:
    """Answer a question by a call, its result and a text; 3: somebody else had it for too long."""
    from chat_memory import Message, conversation  # noqa: PLC0415  # Django is set up first
    from chat_memory.exceptions import TurnLost, TurnTaken  # noqa: PLC0415

    def step() -> None:
        if chance.random() < share:
            os.kill(os.getpid(), signal.SIGKILL)

    chat = conversation("killed", workspace="acme")
    name = f"call-{question}"
    calling = [{"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    try:
        with chat.turn(Message.user(question, id=question), lease=LEASE, wait=20) as turn:
            step()
            while not turn.answered:
                prompt = turn.prompt(tokens=1000)
                step()
                if not turn.messages:
                    turn.append(Message.assistant(None, tool_calls=calling))
                elif turn.unanswered_calls:
                    turn.append(Message.tool("result", tool_call_id=name))
                else:
                    assert prompt[-1].role == "tool"
                    turn.append(Message.assistant("the answer"))
                step()
    except (TurnTaken, TurnLost):
        return 3
    return 0


if __name__ == "__main__":
    main(sys.argv[1])
