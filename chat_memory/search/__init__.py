"""Full-text search over the messages of Django's models; an optional app, because its index makes appends slower."""
