"""Owns a history of texts, pictures and sound, whose messages contain what they refer to."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from typing import Any

from chat_memory.exceptions import ValidationError
from chat_memory.flow.base import Wrapper
from chat_memory.flow.memory import InMemoryChatHistory
from chat_memory.records import Message


class MultiModalHistory(Wrapper):
    """A history of messages with text, pictures and sound.

    The message contains the URL of a picture and the bytes of a sound in base64, so both survive a restart. A message
    with sound must fit into MAX_CONTENT_BYTES.

    Args:
        base_history: the history that stores the messages; None: a new one in memory.

    Attributes:
        text_history: the same history.
        image_cache: the URLs of the pictures that this object has added or read, by their ids.
        audio_cache: the sounds that this object has added or read, by their ids.
    """

    def __init__(self, base_history: Any = None) -> None:
        super().__init__(InMemoryChatHistory() if base_history is None else base_history)
        self.text_history = self.base
        self.image_cache: dict[str, str] = {}
        self.audio_cache: dict[str, bytes] = {}

    async def add_multi_modal_message(
        self, text: str | None = None, image_url: str | None = None, audio_data: bytes | None = None
    ) -> None:
        """Add a user's message with these parts.

        Raises:
            ValidationError: nothing is given.
            TooLarge: the message is larger than MAX_CONTENT_BYTES.
        """
        content: list[dict[str, Any]] = []
        if text:
            content.append({"type": "text", "text": text})
        if image_url:
            content.append({"type": "image_ref", "image_id": _digest(image_url.encode()), "url": image_url})
        if audio_data:
            sound = b64encode(audio_data).decode()
            content.append({"type": "audio_ref", "audio_id": _digest(audio_data), "data": sound})
        if not content:
            raise ValidationError("needs a text, an image_url or audio_data", field="message")
        await self.add_message(Message.user(content))
        self._learn(content)

    async def get_messages(self) -> list[Message]:
        """All messages, oldest first; their pictures and sounds are then in the two caches."""
        messages = await super().get_messages()
        for message in messages:
            if isinstance(message.content, list):
                self._learn(message.content)
        return messages

    def _learn(self, content: list[Any]) -> None:
        for part in content:
            match part:
                case {"type": "image_ref", "image_id": str(name), "url": str(url)}:
                    self.image_cache[name] = url
                case {"type": "audio_ref", "audio_id": str(name), "data": str(sound)}:
                    self.audio_cache[name] = b64decode(sound)


def _digest(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
