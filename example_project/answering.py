"""Owns the writing of answers, in threads outside of the requests; it must not know who reads them meanwhile."""

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
"""How often the text so far is stored, and so how smoothly readers see it grow."""
PATIENCE = 2.0
"""The most seconds that a request waits for its answer to begin."""


def begin(chat: Conversation, question: str) -> None:
    """Have a thread answer a stored question; returns when the answer has begun, or if none is to be written.

    The answer continues even if the browser disconnects. A site with a task queue calls ``answer`` in a task instead.
    """
    begun = threading.Event()
    threading.Thread(target=_answer_in_thread, args=(chat, question, begun), name="answer", daemon=True).start()
    begun.wait(PATIENCE)


def answer(chat: Conversation, question: str, begun: threading.Event | None = None) -> None:
    """Write the answer to a question, unless it is answered already or somebody else is answering it."""
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
        # The text so far is stored as a message in the state "failed"; the page shows the reason beside it.
        chat.edit(stream.id, metadata={"error": str(error)})


def _answer_in_thread(chat: Conversation, question: str, begun: threading.Event) -> None:
    try:
        answer(chat, question, begun)
    finally:
        begun.set()
        connections.close_all()
