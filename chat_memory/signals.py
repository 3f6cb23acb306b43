"""Owns the public signals of committed changes; ``history.announcing`` sends them.

Each is sent once per committed change, whoever made it (a conversation, an import, the admin, a cleanup), and never for
a rollback or a replay. They are sent by ``Signal.send_robust``: an error in a receiver is logged under
``django.dispatch`` and has no other effect. ``sender`` is the class ``Conversation``. Every signal carries
``workspace`` (the slug), ``key``, ``branch`` (the branch that changed) and ``using`` (the database alias; None where
the back end has none). No signal carries message content; a receiver reads what it needs.
"""

from __future__ import annotations

from django.dispatch import Signal

session_created = Signal(use_caching=True)
"""A session was created, by ``open``, its first append, a fork or an import. Also carries ``version``."""
messages_appended = Signal(use_caching=True)
"""Messages were stored. Also carries ``count`` (the number of new messages), ``last_seq`` and ``version``."""
session_updated = Signal(use_caching=True)
"""Fields of a session were set. Also carries ``fields`` (their names) and ``version``."""
session_cleared = Signal(use_caching=True)
"""All messages so far were hidden. Also carries ``version``."""
session_deleted = Signal(use_caching=True)
"""A session was deleted for good with all its branches; or, if ``branch`` is not ``main``, only that branch was."""
branch_forked = Signal(use_caching=True)
"""``branch`` was created. Also carries ``parent`` and ``fork_seq``, the last position that it shares with it."""
branch_switched = Signal(use_caching=True)
"""``branch`` became the current branch. Also carries ``version``."""
message_edited = Signal(use_caching=True)
"""Content, metadata or further fields of a message were changed, on every branch that shares it.

Also carries ``seq`` and ``version``."""
message_redacted = Signal(use_caching=True)
"""A message was redacted, on every branch that shows it. Also carries ``seq`` and ``version``."""
message_popped = Signal(use_caching=True)
"""The newest message of a branch was deleted by ``pop``. Also carries ``seq``, where it was, and ``version``."""
message_rated = Signal(use_caching=True)
"""Somebody gave feedback on a message, changed it or removed it. Also carries ``seq``, where the message is."""
summary_due = Signal(use_caching=True)
"""After an append, at least SUMMARIZE_AT messages have no summary.

Also carries ``unsummarised`` (their number) and ``conversation`` (a handle to call ``summarize`` on). It is sent again
after each append until a summary is stored. If SUMMARIZER is set, the package's own receiver summarises at once, in the
thread of the append.
"""
summary_kept = Signal(use_caching=True)
"""A summary was stored. Also carries ``first_seq`` and ``last_seq``, the range of messages it covers."""
