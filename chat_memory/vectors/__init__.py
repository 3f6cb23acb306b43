"""Relevance over the messages of Django's models; an optional app, because embeddings cost money, time and space."""

from chat_memory.vectors.hashing import HashingEmbedder

__all__ = ["HashingEmbedder"]
