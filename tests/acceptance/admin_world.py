"""What the tests of the admin share: two workspaces with conversations, and users by what they may do."""

import re
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from chat_memory import Message, conversation
from chat_memory.models import Message as MessageRow, Session, Workspace, WorkspaceMember
from tests.acceptance.api_support import Caller

MODELS = ("workspace", "workspacemember", "session", "message", "feedback")


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


def as_staff(me: Caller, *without: str) -> Client:
    """Somebody in a browser, with Django's permissions for everything of ours but some."""
    me.user.is_staff = True
    me.user.save()
    names = [f"{action}_{model}" for action in ("view", "change", "delete", "add") for model in MODELS]
    granted = Permission.objects.filter(content_type__app_label="chat_memory", codename__in={*names} - {*without})
    me.user.user_permissions.set(granted)
    return signed_in(me.user)


def form_of(session: Session, **changed: str) -> dict[str, str]:
    """The form of a session as the page shows it, with changes."""
    shown = {"title": session.title, "tags": "", "metadata": "{}"} | ({"pinned": "on"} if session.pinned else {})
    for name in ("archived_at", "expires_at"):
        moment = getattr(session, name)
        shown |= {
            f"{name}_0": f"{moment:%Y-%m-%d}" if moment else "",
            f"{name}_1": f"{moment:%H:%M:%S}" if moment else "",
        }
    return {name: value for name, value in (shown | changed).items() if value != "off"}


def as_a_browser_has_it(response: Any) -> dict[str, str]:
    """What a browser would send of the form on a page whose user changes nothing, hidden fields with it."""
    form = _Form()
    form.feed(response.text)
    return {name: value.removeprefix("\n") for name, value in form.values.items()}


class _Form(HTMLParser):
    """The names and values of what a page sends; boxes that are not ticked are not sent."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self._area: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "textarea":
            self._area = given["name"]
            self.values[self._area] = ""
        elif tag == "input" and "name" in given and given.get("type") != "submit":
            is_box = given.get("type") == "checkbox"
            if not is_box or "checked" in given:
                self.values[given["name"]] = given.get("value", "on" if is_box else "")

    def handle_endtag(self, tag: str) -> None:
        self._area = None if tag == "textarea" else self._area

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self.values[self._area] += data


def links(response: Any) -> dict[str, str]:
    """The branches that the page leads to."""
    listed = response.text.split('<nav class="cm-branches"')[1].split("</nav>")[0]
    return {name: address for address, name in re.findall(r'<a href="([^"]*)" dir="auto">(.*?)</a>', listed)}
