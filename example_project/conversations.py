"""Owns what a user of the chat page may see and say; it must not know about requests."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING

from chat_memory import Conversation, Message, MessageConflict, conversation
from chat_memory.models import Session, Workspace
from example_project import assistant

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet

logger = logging.getLogger(__name__)

ANSWERS = uuid.UUID("0f6f3a52-8d5b-4f0e-9b52-6a1f6f2f8a11")


def workspaces_of(user: User) -> QuerySet[Workspace]:
    """Where the user is a member."""
    return Workspace.objects.filter(members__user=user).order_by("slug")


def sessions_of(user: User, workspace: Workspace) -> QuerySet[Session]:
    """The user's own conversations in a workspace, last active first."""
    mine = Session.objects.roots().filter(workspace=workspace, user=user)
    return mine.select_related("workspace", "head").order_by("-active_at", "-id")


def new_chat(user: User, workspace: Workspace, chat_id: uuid.UUID) -> Conversation:
    """The conversation a form began; the key holds the user, so that no form can name somebody else's."""
    return conversation(f"chat-{user.pk}-{chat_id}", workspace.slug, user=user)


def say(chat: Conversation, message_id: uuid.UUID, text: str) -> None:
    """Store what the user says, then answer it; the id comes with the form, so that a second submit is a replay.

    Raises:
        ChatMemoryError: the message cannot be stored.
        EndpointError: there is no answer; the user's message is stored all the same.
    """
    chat.append(Message.user(text, id=str(message_id)))
    answer_last(chat)


def answer_last(chat: Conversation) -> None:
    """Answer the last message where it is the user's; there is one answer, however often this is called.

    Raises:
        EndpointError: there is no answer.
    """
    stored = chat.session()
    history = chat.messages(min_version=stored.version if stored else 0)  # a cache that is behind lacks the question
    if not waits(history):
        return
    answer_id = str(uuid.uuid5(ANSWERS, str(history[-1].id)))
    answer = assistant.answer(history)
    try:
        chat.append(Message.assistant(answer, id=answer_id))
    except MessageConflict:
        logger.info("another request answered message %s first", history[-1].seq)


def waits(history: list[Message]) -> bool:
    """Whether the last message is the user's, so that an answer is missing."""
    return bool(history) and history[-1].role == "user"
