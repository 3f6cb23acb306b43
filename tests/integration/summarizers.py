"""Summarizers that a test names by dotted path in CHAT_MEMORY["SUMMARIZER"]."""

from chat_memory import Message


def counting(messages: list[Message]) -> str:
    """Says how many messages it was given, and what the first one is."""
    return f"{len(messages)} from {messages[0].content}"


async def counting_async(messages: list[Message]) -> str:
    """The same, async."""
    return counting(messages)


def failing(_messages: list[Message]) -> str:
    """A model that is down."""
    raise ConnectionError("the model is down")
