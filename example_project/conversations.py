"""Owns what a user of the chat page may see and say; it must not know about requests."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chat_memory import Conversation, Message, conversation
from chat_memory.exceptions import DraftNotFound
from chat_memory.models import Session, Workspace
from chat_memory.records import Span
from example_project import answering

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet

    from chat_memory import Draft, Sibling

SHOWN = 100
"""The number of messages on a page, unless they are too large."""
MOST_BYTES = 1024 * 1024
"""The bytes of text at which a page ends; it has at least one message."""


@dataclass(frozen=True)
class Sight:
    """A conversation as its page shows it.

    Attributes:
        messages: oldest first, each answer after its question.
        hidden: the number of earlier messages.
        is_newest: whether the newest message is among them.
        drafts: the answers that are being written.
        siblings: the alternatives to a message, by its position, where there are any.
    """

    messages: Sequence[Message] = ()
    hidden: int = 0
    is_newest: bool = True
    drafts: Sequence[Draft] = ()
    siblings: Mapping[int, Sequence[Sibling]] = field(default_factory=dict)


def workspaces_of(user: User) -> QuerySet[Workspace]:
    """The workspaces of which the user is a member."""
    return Workspace.objects.filter(members__user=user).order_by("slug")


def sessions_of(user: User, workspace: Workspace) -> QuerySet[Session]:
    """The user's own conversations in a workspace, last active first."""
    mine = Session.objects.roots().filter(workspace=workspace, user=user)
    return mine.select_related("workspace", "head").order_by("-active_at", "-id")


def new_chat(user: User, workspace: Workspace, chat_id: uuid.UUID) -> Conversation:
    """The conversation that a form began; the key contains the user's id, so no form can name another user's."""
    return conversation(f"chat-{user.pk}-{chat_id}", workspace.slug, user=user)


def ask(chat: Conversation, message_id: str, text: str) -> None:
    """Store a question and have it answered; the id comes with the form, so that a second submit is a replay.

    Raises:
        ChatMemoryError: the question cannot be stored.
    """
    receipt = chat.append(Message.user(text, id=message_id))
    answering.begin(_on(chat, receipt.branch), message_id)


def ask_differently(chat: Conversation, question: str, message_id: str, text: str) -> None:
    """Ask a question again in other words, on a branch of its own; a second submit is a replay here, too.

    Raises:
        ChatMemoryError: the question is no longer shown, or the new one cannot be stored.
    """
    receipt = chat.edit_and_branch(question, text, message_id=message_id)
    answering.begin(_on(chat, receipt.branch), message_id)


def answer_again(chat: Conversation, question: str, answer: str) -> None:
    """Have another answer written, on a branch of its own; do nothing if the answer is no longer shown."""
    former = chat.get(answer)
    if former is not None and former.seq is not None:
        answering.begin(chat.regenerate(former.seq), question)


def look(chat: Conversation, *, before: int | None = None) -> Sight:
    """The newest messages of the current branch, or of the one on which another answer is being written.

    With ``before``: the messages before this position.
    """
    drafts, branches = chat.drafts.entries(), chat.branches()
    written = {draft.branch for draft in drafts}
    shown = next((each for each in branches if each.pending and each.name in written), None)
    shown = shown or next(each for each in branches if each.current)
    chat = _on(chat, shown.name)
    growing = [_read(chat, draft) for draft in drafts if draft.branch == shown.name and before is None]
    found = chat.read(Span(before=before, last=SHOWN, most=MOST_BYTES))
    messages, cleared = found.messages, found.header.base_seq if found.header else 0
    # Only messages directly after a fork can have alternatives.
    forks = {each.fork_seq + 1 for each in branches if each.parent}
    siblings = {seq: chat.siblings(seq) for seq in forks.intersection(message.seq or 0 for message in messages)}
    return Sight(
        messages=sorted(messages, key=lambda message: message.turn or 0),
        hidden=(messages[0].seq or 1) - 1 - cleared if messages else 0,
        is_newest=before is None,
        drafts=[draft for draft in growing if draft is not None],
        siblings={seq: beside for seq, beside in siblings.items() if len(beside) > 1},
    )


def _read(chat: Conversation, draft: Draft) -> Draft | None:
    """A draft with its text; None where it has ended: the caller reads its message afterwards."""
    try:
        found = chat.drafts.get(draft.id)
    except DraftNotFound:
        return None
    return found if found.state == "streaming" else None


def _on(chat: Conversation, branch: str | None) -> Conversation:
    """The conversation bound to a branch, so that a switch meanwhile makes no difference."""
    return conversation(chat.key, chat.workspace, branch=branch)
