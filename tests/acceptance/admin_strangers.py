"""Two workspaces alike: one that somebody is a member of, and one whose every text holds a word that nobody may see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.contrib.auth.models import User
from django.db.models import Model
from django.utils.timezone import now

from chat_memory import Message, conversation
from chat_memory.models import Session, Workspace, WorkspaceMember
from tests.acceptance.admin_world import member, staff, user

ROLES = ("member", "reader", "writer", "admin")
OURS, THEIRS = "acme", "globex"
SEEN, UNSEEN = "FAMILIAR", "STRANGE"
"""What the texts of either workspace begin with; those that nobody may see end with HIDDEN."""
HIDDEN = "HIDDEN"
Row = dict[str, Any]
Rows = dict[tuple[str, Any], Row]
"""All rows of the package and the users, by the model's name and the primary key."""


class Strangers(NamedTuple):
    """Somebody with a role in one workspace, and the keys of all rows that the role does not read, by the model."""

    me: User
    role: str
    hidden: dict[str, list[Any]]
    seen: dict[str, set[Any]]


def strangers(role: str) -> Strangers:
    """The two workspaces, and a member of staff with that role in the first one."""
    Workspace.objects.create(slug=OURS, name=SEEN, metadata={SEEN: SEEN})
    me = member(OURS, role, "myself")
    filled(OURS, f"{SEEN} mine", me)
    another = staff(f"{SEEN} another")
    WorkspaceMember.objects.create(workspace=Workspace.objects.get(slug=OURS), user=another)
    filled(OURS, f"{SEEN} another's{f' {HIDDEN}' if role == 'member' else ''}", another)
    word = f"{UNSEEN} {HIDDEN}"
    names = {"first_name": word, "last_name": word, "email": f"{UNSEEN}{HIDDEN}@example.org"}
    stranger = user(word, is_staff=True, password=word, **names)
    workspace = Workspace.objects.create(slug=THEIRS, name=word, metadata={word: word})
    WorkspaceMember.objects.create(workspace=workspace, user=stranger, role="admin")
    filled(THEIRS, word, stranger)
    filled(THEIRS, f"{word} of mine", me)
    hidden: dict[str, list[Any]] = defaultdict(list)
    seen: dict[str, set[Any]] = defaultdict(set)
    own = set(Session.objects.filter(user=me, workspace__slug=OURS).values_list("key", flat=True))
    shown = set(Session.objects.filter(workspace__slug=OURS, **({"key__in": own} if role == "member" else {})))
    for model in models_of_the_package():
        label = str(model._meta.model_name)
        row: Any
        for row in model._default_manager.all():
            if label in {"session", "message", "feedback"}:
                visible = (row if label == "session" else row.session) in shown
            else:
                visible = OURS in {getattr(row, "slug", ""), getattr(getattr(row, "workspace", None), "slug", "")}
            if visible:
                seen[label].add(row.pk)
            else:
                hidden[label].append(row.pk)
    return Strangers(me, role, hidden, seen)


def filled(workspace: str, word: str, owner: User) -> None:
    """A conversation that holds the word in each of its fields, with branches, a summary, former and removed texts."""
    chat = conversation(word, workspace, user=owner)
    chat.open(title=word, tags=[word], metadata={word: word}, archived_at=now(), expires_at=now(), pinned=True)
    rest: dict[str, Any] = {"name": word, "metadata": {word: word}, "extra": {word: word}, "tokens": 3}
    calls = [{"id": word, "function": {"name": word, "arguments": word}}]
    chat.append(
        Message.user(word, id=f"{word} {workspace}", **rest),
        Message.user([{"type": "text", "text": word}], **rest),
        Message.assistant(word, tool_calls=calls, **rest),
        Message.tool(word, tool_call_id=word, **rest),
        Message.user(word),
    )
    chat.feedback.give(1, -1, word, by=owner)
    chat.feedback.give(2, 1, word, by=word)
    chat.edit(1, f"{word} edited")
    chat.redact(5, by=word)
    chat.fork(word, at=2).append(Message.user(word))
    chat.summarize(lambda _messages: word, keep=1, model=word)
    chat.switch(word)


def models_of_the_package() -> Iterator[type[Model]]:
    yield from apps.get_app_config("chat_memory").get_models()


def dump_of_rows() -> Rows:
    """A dump of everything that the package and its users have stored."""
    models: list[Any] = [*models_of_the_package(), User]
    return {
        (str(model._meta.model_name), row[model._meta.pk.attname]): row
        for model in models
        for row in model._default_manager.values()
    }
