"""Members of workspaces as clients of the API, for the tests of the API."""

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from typing import Any

from django.contrib.auth import get_user_model
from rest_framework.test import APIClient

from chat_memory import Message, conversation
from chat_memory.models import Session, Workspace, WorkspaceMember

_numbers = count(1)


@dataclass
class Caller:
    """A logged-in user, and shorthand for calls in one workspace."""

    user: Any
    workspace: str
    client: APIClient = field(default_factory=APIClient)

    def __post_init__(self) -> None:
        self.client.force_authenticate(self.user)

    @property
    def sessions(self) -> str:
        return f"/api/workspaces/{self.workspace}/sessions/"

    def session(self, session: Any) -> str:
        return f"{self.sessions}{getattr(session, 'id', session)}/"

    def messages(self, session: Any) -> str:
        return f"{self.session(session)}messages/"

    def get(self, path: str, data: Any = None, **headers: str) -> Any:
        return self.client.get(path, data, headers=headers)

    def post(self, path: str, data: Any, **headers: str) -> Any:
        return self.client.post(path, data, format="json", headers=headers)

    def patch(self, path: str, data: Any, **headers: str) -> Any:
        return self.client.patch(path, data, format="json", headers=headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.client.delete(path, headers=headers)

    def raw(self, path: str, body: Any, content_type: str = "application/json") -> Any:
        return self.client.generic("POST", path, body, content_type)


class SlowBody(BytesIO):
    """A body whose last byte comes after somebody's rights have ended."""

    def __init__(self, body: bytes, end: Callable[[], object]) -> None:
        super().__init__(body)
        self.end = end

    def read(self, size: int | None = -1) -> bytes:
        self.end()
        return super().read(size)


def caller(role: str | None = "writer", workspace: str = "acme", **grants: bool) -> Caller:
    """A new user with a role in a workspace; None: no member of it."""
    user = get_user_model().objects.create_user(f"user-{next(_numbers)}")
    tenant, _made = Workspace.objects.get_or_create(slug=workspace)
    if role is not None:
        WorkspaceMember.objects.create(workspace=tenant, user=user, role=role, **grants)
    return Caller(user, workspace)


def stored(key: str = "k", workspace: str = "acme", user: Any = None, messages: int = 0) -> Session:
    """A session with as many messages, "1" and so on."""
    chat = conversation(key, workspace, user=user)
    chat.open()
    if messages:
        chat.append(*(Message.user(str(number)) for number in range(1, messages + 1)))
    return Session.objects.get(workspace__slug=workspace, key=key)


def listed_keys(page: Any) -> list[str]:
    """The keys of the sessions on a page of a list."""
    return [session["key"] for session in page["results"]]
