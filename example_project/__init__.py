"""A small host project that shows chat_memory at work; nothing in the package may import it."""
