"""Conversations of one-letter messages, so that a whole history is a word; proves nothing itself."""

from chat_memory import Conversation, Message, conversation


def write_letters(letters: str) -> None:
    """One message for each letter, in one call."""
    conversation("k").append(*map(Message.user, letters))


def read_letters(chat: Conversation | None = None) -> str:
    """What a reader sees of a branch; without one, of the conversation's current branch."""
    return "".join(str(message.content) for message in (chat or conversation("k")).messages())
