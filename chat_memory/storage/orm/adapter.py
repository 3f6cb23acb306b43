"""Owns the adapter over Django's models: its parts, and what tells one database from another."""

from __future__ import annotations

from django.db import connections, router

from chat_memory.models import Session
from chat_memory.storage.contract import Adapter
from chat_memory.storage.orm import sub_apps
from chat_memory.storage.orm.archive import OrmArchive
from chat_memory.storage.orm.attachments import OrmAttachments
from chat_memory.storage.orm.branches import OrmBranches
from chat_memory.storage.orm.changes import OrmChanges
from chat_memory.storage.orm.drafts import OrmDrafts
from chat_memory.storage.orm.edits import OrmEdits
from chat_memory.storage.orm.emission import source_of
from chat_memory.storage.orm.feedback import OrmFeedback
from chat_memory.storage.orm.messages import OrmMessages
from chat_memory.storage.orm.naming import name_of
from chat_memory.storage.orm.sessions import OrmSessions
from chat_memory.storage.orm.summaries import OrmSummaries
from chat_memory.storage.orm.turns import OrmTurns
from chat_memory.storage.orm.undropped import OrmUndropped


class DjangoAdapter(Adapter):
    """Conversations in Django's models on PostgreSQL or SQLite, in the caller's transaction where there is one.

    Args:
        using: the database alias; None: where the router writes sessions, asked at each call.
    """

    def __init__(self, using: str | None = None) -> None:
        self._using = using
        self.messages = OrmMessages(using)
        self.sessions = OrmSessions(using)
        self.branches = OrmBranches(using)
        self.changes = OrmChanges(using)
        self.edits = OrmEdits(using)
        self.summaries = OrmSummaries(using)
        self.archive = OrmArchive(using)
        self.feedback = OrmFeedback(using)
        self.attachments = OrmAttachments(using)
        self.drafts = OrmDrafts(using)
        self.turns = OrmTurns(using)
        self.undropped = OrmUndropped(using)
        self.search = sub_apps.search(using)
        self.vectors = sub_apps.vectors(using)

    @property
    def alias(self) -> str:
        """The database alias."""
        return self._using or router.db_for_write(Session)

    @property
    def source(self) -> object:
        """See ``Adapter.source``; all adapters of one database alias share it."""
        return source_of(self.alias)

    @property
    def identity(self) -> str:
        """See ``Adapter.identity``."""
        database = connections[self.alias].settings_dict
        options = database.get("OPTIONS", {})
        names = [database[name] for name in ("ENGINE", "HOST", "PORT", "NAME")]
        return "\n".join(map(str, [*names, *(options.get(name, "") for name in ("service", "options"))]))

    @property
    def unique_name(self) -> str:
        """See ``Adapter.unique_name``; it takes one statement after each new connection, and none after that."""
        return name_of(self.alias)

    def in_transaction(self) -> bool:
        """See ``Adapter.in_transaction``."""
        connection = connections[self.alias]
        # A connection that is not open is in no transaction, and a cache hit should not open one.
        return connection.connection is not None and (connection.in_atomic_block or not connection.autocommit)
