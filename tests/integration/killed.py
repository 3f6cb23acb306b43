"""A program of its own: workers serve POSTs of the API, and some are killed after the commit and before the answer.

`python -m tests.integration.killed DATABASE SESSION USER REQUESTS` forks each worker, asks again with the same
Idempotency-Key where one died, and prints a JSON line for each request that was answered.
"""

import json
import os
import signal
import sys
from typing import Any

import django
from django.conf import settings
from django.contrib.auth import get_user_model
from django.urls import get_resolver
from django.utils.module_loading import import_string

from chat_memory.storage.changed import emitted

WORKERS = 4
"""Requests under way at the same time."""
SPARED = 3
"""The first worker of a request dies, but for every third one; the second finds the messages stored, and answers."""


class Asked:
    """One request, its attempts, and the pipe by which its worker answers."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_to_die = bool(number % SPARED)
        self.pid = self.pipe = 0

    def send(self, address: str, user_id: int) -> None:
        """Fork a worker; it dies after the commit, or writes the answer and ends."""
        self.pipe, answer = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(answer)
            return
        try:
            told = self._serve(address, user_id)
            os.write(answer, json.dumps(told).encode())
        finally:
            os._exit(0)

    def answer(self) -> dict[str, Any] | None:
        """What the worker said; None where it was killed."""
        with os.fdopen(self.pipe, "rb") as pipe:
            said = pipe.read()
        _pid, status = os.waitpid(self.pid, 0)
        if os.WIFSIGNALED(status):
            self.is_to_die = False
            return None
        answer: dict[str, Any] = json.loads(said)
        return answer

    def _serve(self, address: str, user_id: int) -> dict[str, Any]:
        if self.is_to_die:
            emitted.connect(_die, weak=False)
        client: Any = import_string("rest_framework.test.APIClient")()
        client.force_authenticate(get_user_model().objects.get(pk=user_id))
        body = [{"role": "user", "content": f"{self.number}.{part}"} for part in range(1 + self.number % 2)]
        answer = client.post(address, body, format="json", headers={"Idempotency-Key": f"key-{self.number}"})
        return {"number": self.number, "status": answer.status_code, "body": answer.json()}


def _die(**_signal: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(database: str, session: str, user_id: int, requests: int) -> None:
    """Ask for everything, a few at a time, until each has its answer."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    settings.DATABASES["default"]["NAME"] = database
    settings.ALLOWED_HOSTS = ["testserver"]
    django.setup()
    get_resolver().url_patterns  # noqa: B018  # imported before the forks, so that not each of them does it
    import_string("rest_framework.test.APIClient")
    address = f"/api/workspaces/acme/sessions/{session}/messages/"
    waiting, killed = [Asked(number) for number in range(requests)], 0
    while waiting:
        under_way = waiting[:WORKERS]
        for asked in under_way:
            asked.send(address, user_id)
        for asked in under_way:
            answer = asked.answer()
            if answer is None:
                killed += 1
            else:
                waiting.remove(asked)
                sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.write(json.dumps({"killed": killed}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
