"""Owns the signals that tell of committed changes; it must not send any.

Each is sent once per committed change, never for a rollback or a replay, by ``Signal.send_robust``: what a receiver
raises is logged under ``django.dispatch`` and breaks nothing. ``sender`` is the class ``Conversation``. All carry
``workspace``, ``key``, ``branch`` (the one that changed) and ``using`` (the database alias; None where the back end has
none). None carries content: a receiver reads what it needs.
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
"""A session was removed for good, its branches with it; or one branch alone, if ``branch`` is not ``main``."""
branch_forked = Signal(use_caching=True)
"""A branch was made: ``branch``. Also: ``parent``, whose messages it shares, and ``fork_seq``, up to which position."""
branch_switched = Signal(use_caching=True)
"""Another branch speaks for the conversation: ``branch``. Also: ``version``."""
message_edited = Signal(use_caching=True)
"""A message got other content, on every branch that shares it. Also: ``seq`` and ``version``."""
summary_due = Signal(use_caching=True)
"""An append brought SUMMARIZE_AT messages or more that no summary covers.

Also: ``unsummarised``, how many, and ``conversation``, a handle to summarise by. Sent again with each append until one
does. Where SUMMARIZER is set a receiver of ours does it at once, in the thread of the append.
"""
summary_kept = Signal(use_caching=True)
"""A summary was made. Also: ``first_seq`` and ``last_seq``, what it covers."""
