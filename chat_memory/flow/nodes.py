"""Owns how a node of a workflow gets the history of its session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chat_memory.exceptions import ValidationError
from chat_memory.flow.base import BaseChatHistory
from chat_memory.flow.managers import SessionHistoryManager
from chat_memory.flow.messages import spoken
from chat_memory.records import Message


class ChatHistoryNode:
    """A mixin for nodes: the history of the session that the workflow's context names.

    Args:
        history_manager: returns the histories.
        session_key: the name of the context's global variable that holds the session id, or else of its attribute.
        auto_save: whether ``save_interaction`` stores anything; False: the node adds to the history itself.
    """

    def __init__(
        self, history_manager: SessionHistoryManager, session_key: str = "session_id", auto_save: bool = True
    ) -> None:
        self.history_manager = history_manager
        self.session_key = session_key
        self.auto_save = auto_save

    async def get_history(self, workflow_context: Any) -> BaseChatHistory:
        """The history of the context's session, in the context's ``workspace_id`` if the manager takes one.

        Raises:
            ValidationError: the context names no session; a default would let two users share a history.
        """
        session_id = _named(workflow_context, self.session_key)
        if session_id is None or session_id == "":
            raise ValidationError(
                "is neither a global variable of the workflow's context nor an attribute of it, so there is no session",
                field=self.session_key,
            )
        workspace_id = getattr(workflow_context, "workspace_id", None)
        if workspace_id is not None and getattr(self.history_manager, "takes_workspace", False):
            return await self.history_manager.get_history(session_id, workspace_id)
        return await self.history_manager.get_history(session_id)

    async def save_interaction(
        self, workflow_context: Any, user_message: Message | str, assistant_message: Message | str
    ) -> None:
        """Store a question and its answer next to each other, if ``auto_save`` is True.

        Args:
            workflow_context: the context that names the session.
            user_message: a message, or the text of a user's message.
            assistant_message: a message, or the text of an assistant's message.

        Raises:
            ValidationError: one of them is neither, or there is no session; nothing was stored.
        """
        turn = [spoken(user_message, "user"), spoken(assistant_message, "assistant")]
        if self.auto_save:
            await (await self.get_history(workflow_context)).add_messages(turn)


def _named(context: Any, name: str) -> Any:
    """A global variable of a context, or else its attribute; None if it has neither."""
    variables = getattr(context, "global_variables", None)
    found = variables.get(name) if isinstance(variables, Mapping) else None
    if found is None and variables is None and callable(getter := getattr(context, "get_global_variable", None)):
        found = getter(name)
    return getattr(context, name, None) if found is None else found
