"""What the tests of the admin share: two workspaces with conversations, and users by what they may do."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from chat_memory import Message, conversation
from chat_memory.models import Message as MessageRow, Session, Workspace, WorkspaceMember

MODELS = ("workspace", "workspacemember", "session", "message")


def user(name: str, **flags: Any) -> User:
    return User.objects.create_user(name, **flags)


def staff(
    name: str, actions: Iterable[str] = ("view", "change", "delete", "add"), models: Iterable[str] = MODELS
) -> User:
    """A member of staff with Django's permissions for those actions, and no membership yet."""
    made = user(name, is_staff=True)
    codenames = [f"{action}_{model}" for action in actions for model in models]
    made.user_permissions.set(Permission.objects.filter(content_type__app_label="chat_memory", codename__in=codenames))
    return made


def member(workspace: str, role: str, name: str = "") -> User:
    """A member of staff with every permission of Django's and this role in the workspace."""
    made = staff(name or f"{role}-of-{workspace}")
    WorkspaceMember.objects.create(workspace=Workspace.objects.get(slug=workspace), user=made, role=role)
    return made


def signed_in(somebody: User) -> Client:
    client = Client()
    client.force_login(somebody)
    return client


def stored_session(key: str, workspace: str = "acme", size: int = 2, **names: Any) -> Session:
    """A stored conversation of that many short messages."""
    chat = conversation(key, workspace, **names)
    chat.append(*(Message.user(f"{key} says {number}") for number in range(1, size + 1)))
    return Session.objects.get(workspace__slug=workspace, key=key)


def page(name: str, row: Any = None) -> str:
    """The address of an admin page of the package, such as ``session_change``."""
    return reverse(f"admin:chat_memory_{name}", args=[] if row is None else [row.pk])


def first_message(session: Session) -> MessageRow:
    return MessageRow.objects.filter(session=session).order_by("seq")[0]


def keys_listed(client: Client, query: str = "") -> set[str]:
    """The session keys on the list."""
    response = client.get(page("session_changelist") + query)
    assert response.status_code == 200
    return {session.key for session in response.context["cl"].result_list}
