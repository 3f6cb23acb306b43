"""Owns the signals that tell of committed changes; it must not send any.

Each is sent once per committed change, never for a rollback or a replay, by ``Signal.send_robust``: what a receiver
raises is logged under ``django.dispatch`` and breaks nothing. ``sender`` is the class ``Conversation``. All carry
``workspace``, ``key``, ``branch`` and ``using`` (the database alias; None where the back end has none). None carries
content: a receiver reads what it needs.
"""

from __future__ import annotations

from django.dispatch import Signal

session_created = Signal(use_caching=True)
"""A session was made, by ``open`` or by its first append. Also: ``version``."""
messages_appended = Signal(use_caching=True)
"""Messages were stored. Also: ``count`` (those that were new), ``last_seq`` and ``version``."""
session_updated = Signal(use_caching=True)
"""Fields of a session were set. Also: ``fields`` (their names) and ``version``."""
session_cleared = Signal(use_caching=True)
"""All messages so far were hidden. Also: ``version``."""
session_deleted = Signal(use_caching=True)
"""A session was removed for good, its branches with it."""
