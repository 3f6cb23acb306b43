"""What tests do with a conversation all the time: take a handle, say something, see what is said."""

from collections.abc import Iterable
from typing import Any

from chat_memory import Conversation, Message, conversation


def chat(key: str = "k", workspace: str = "acme", **names: Any) -> Conversation:
    """A new handle on a conversation, as a request takes one."""
    return conversation(key, workspace, **names)


def say(*texts: str, to: Conversation | None = None) -> int:
    """Appends a user's message for each text, in one call; the version after it."""
    return (to or chat()).append(*map(Message.user, texts)).version


def say_with_ids(*texts: str, to: Conversation | None = None) -> None:
    """The same, each text being the id of its message too."""
    (to or chat()).append(*(Message.user(text, id=text) for text in texts))


def contents(messages: Iterable[Message]) -> list[Any]:
    """What the messages say."""
    return [message.content for message in messages]


def all_contents(of: Conversation | None = None) -> list[Any]:
    """What all messages of a conversation say that its readers see."""
    return contents((of or chat()).messages())


def positions(messages: Iterable[Message]) -> list[int | None]:
    """Where the messages stand."""
    return [message.seq for message in messages]
