"""Owns the writing of answers, beside the requests that ask for them; it must not know who reads meanwhile."""

from __future__ import annotations

import logging
import threading

from django.db import connections

from chat_memory import ChatMemoryError, Conversation, Turn, conversation
from chat_memory.exceptions import TurnTaken
from example_project import assistant
from example_project.endpoint import EndpointError

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.2
"""How often what was written is stored, and so how smoothly readers see it grow."""
PATIENCE = 2.0
"""How many seconds a request waits at most for its answer to begin."""


def begin(chat: Conversation, question: str) -> None:
    """Have a thread answer a stored question; returns once the answer has begun, or there is none to write.

    The answer goes on whether or not the browser does. A site with a task queue calls ``answer`` in a task instead.
    """
    begun = threading.Event()
    threading.Thread(target=_answer_in_thread, args=(chat, question, begun), name="answer", daemon=True).start()
    begun.wait(PATIENCE)


def answer(chat: Conversation, question: str, begun: threading.Event | None = None) -> None:
    """Write the answer to a question, unless it is answered already or somebody else is at it."""
    try:
        with chat.turn(question, taken="refuse") as turn:
            if not turn.answered:
                _stream(turn, conversation(chat.key, chat.workspace, branch=turn.branch), begun)
    except TurnTaken:
        logger.info("somebody else answers this question")
    except ChatMemoryError as error:  # such as a conversation that is deleted meanwhile
        logger.warning("an answer was not stored: %s", type(error).__name__)


def _stream(turn: Turn, chat: Conversation, begun: threading.Event | None) -> None:
    stream = turn.stream(flush_seconds=FLUSH_SECONDS)
    try:
        with stream:
            if begun:
                begun.set()
            for piece in assistant.answer(turn):
                stream.write(piece)
                if stream.stopped:
                    break
    except EndpointError as error:
        # What was written is stored as a message that failed; the page shows why beside it.
        chat.edit(stream.id, metadata={"error": str(error)})


def _answer_in_thread(chat: Conversation, question: str, begun: threading.Event) -> None:
    try:
        answer(chat, question, begun)
    finally:
        begun.set()
        connections.close_all()
