"""Settings of the runs with embeddings: the tests' own, the sub-app, and the embedder that needs no network."""

from tests.settings import *

INSTALLED_APPS = [*INSTALLED_APPS, "chat_memory.vectors"]
CHAT_MEMORY = {"EMBEDDER": "chat_memory.vectors.HashingEmbedder"}
