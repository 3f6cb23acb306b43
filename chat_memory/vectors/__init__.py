"""Relevance over the messages of Django's models, as an app of its own: embeddings cost money, time and space."""

from chat_memory.vectors.hashing import HashingEmbedder

__all__ = ["HashingEmbedder"]
