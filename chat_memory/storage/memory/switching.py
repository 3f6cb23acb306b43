"""Owns making another branch the current one in memory, by a switch or by its first message."""

from __future__ import annotations

from chat_memory.records import Address
from chat_memory.storage.changed import Kind
from chat_memory.storage.memory import changes
from chat_memory.storage.memory.states import ConversationState
from chat_memory.storage.memory.store import Transaction
from chat_memory.storage.memory.view import BranchView


def switched(transaction: Transaction, at: Address, before: ConversationState, name: str) -> ConversationState:
    """The conversation with another current branch, told after the call."""
    conversation = changes.switch(before, name, transaction.now)
    transaction.add_event(Kind.SWITCHED, at, BranchView(conversation, conversation.branches[name]))
    return conversation
