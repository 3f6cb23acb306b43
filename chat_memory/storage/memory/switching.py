"""Owns making another branch the current one in memory, by a switch or by its first message."""

from __future__ import annotations

from chat_memory.choices import AT_ONCE
from chat_memory.records import Address, Commit, Message
from chat_memory.storage.changed import Kind
from chat_memory.storage.memory import changes
from chat_memory.storage.memory.states import ConversationState
from chat_memory.storage.memory.store import Transaction, change_between
from chat_memory.storage.memory.view import BranchView


def told(
    transaction: Transaction, at: Address, before: BranchView, after: BranchView, stored: tuple[Message, ...]
) -> Commit:
    """Keep a conversation with new messages, and add their event; a branch that is pending AT_ONCE becomes current.

    Args:
        transaction: the transaction.
        at: the address of the branch.
        before: the branch without the messages; at version 0, this call creates it.
        after: the branch with the messages.
        stored: all messages of the call.
    """
    transaction.keep(after.conversation)
    commit = Commit(stored, after.header, change_between(before, after), after.state.name)
    added = {"first_seq": before.state.last_seq + 1, "last_seq": after.state.last_seq}
    transaction.add_event(Kind.APPENDED, at, after, **added, commit=commit, made=not before.state.version)
    if before.state.pending not in AT_ONCE:
        return commit
    current = after.in_state(switched(transaction, at, after.conversation, after.state.name))
    transaction.keep(current.conversation)
    change = change_between(before, current)
    return Commit(stored, current.header, change, after.state.name, before.conversation.current)


def switched(transaction: Transaction, at: Address, before: ConversationState, name: str) -> ConversationState:
    """The conversation with another current branch; the event of the switch is added."""
    conversation = changes.switch(before, name, transaction.now)
    transaction.add_event(Kind.SWITCHED, at, BranchView(conversation, conversation.branches[name]))
    return conversation
