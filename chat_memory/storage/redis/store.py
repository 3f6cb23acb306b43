"""Owns the steps of every call on a conversation: run a script, then update the lists, then emit the event."""

from __future__ import annotations

import secrets
from typing import Any

from chat_memory.choices import MAIN_BRANCH
from chat_memory.conf import settings
from chat_memory.exceptions import BranchNotFound, WorkspaceNotFound
from chat_memory.records import Address, uuid7
from chat_memory.storage.changed import Changed, Kind, emit
from chat_memory.storage.contract import Adapter
from chat_memory.storage.redis.codec import ScriptHeader
from chat_memory.storage.redis.commands import Commands
from chat_memory.storage.redis.keys import Keys
from chat_memory.storage.redis.lists import SessionLists

_TOKEN_BITS = 62


class RedisStore:
    """The conversations under one prefix.

    ``ttl_ms``: milliseconds from its last write until a conversation expires; None: never.
    """

    def __init__(self, adapter: Adapter, commands: Commands, keys: Keys, ttl_ms: int | None) -> None:
        self.adapter = adapter
        self.lists = SessionLists(commands, keys, ttl_ms)
        self._commands = commands
        self._keys = keys
        self._ttl_ms = ttl_ms

    def add_workspace(self, slug: str) -> None:
        """Create a workspace, unless it exists."""
        self._commands.command("SET", self._keys.workspace(slug), secrets.randbits(_TOKEN_BITS), "NX")

    def run(self, name: str, at: Address, *values: Any) -> Any:
        """Run a script on the key of a conversation, and return its result; errors as in ``Commands.script``."""
        return self._commands.script(name, [self._keys.conversation(at)], *values)

    def write_values(self) -> list[Any]:
        """The first arguments of each script that writes: a new version token, and the ttl in ms or ""."""
        return [secrets.randbits(_TOKEN_BITS), self._ttl_ms or ""]

    def new_session_values(self, at: Address) -> list[Any]:
        """The arguments by which a script may create the session: its id, and the id of its workspace.

        Raises:
            BranchNotFound: the address names a branch other than ``main``, the only one in this store.
            WorkspaceNotFound: the workspace is unknown, and CREATE_WORKSPACES is False.
        """
        if not at.means_whole:
            raise BranchNotFound(at.key, at.branch)
        if settings.create_workspaces:
            self.add_workspace(at.workspace)
        number = self._commands.command("GET", self._keys.workspace(at.workspace))
        if number is None:
            raise WorkspaceNotFound(at.workspace, may_be_made=False)
        return [str(uuid7()), int(number)]

    def finish(self, at: Address, state: ScriptHeader, kind: Kind | None, **more: Any) -> None:
        """Update the lists after a script, and emit its event; ``kind`` is None where the script changed nothing.

        The event is emitted even if updating the lists fails, since the conversation has been changed.
        """
        names = at.workspace, at.key, state.session_id.decode(), state.user_key.decode()
        try:
            if kind is Kind.DELETED:
                self.lists.remove(*names)
            else:
                self.lists.put(*names, active_at=int(state.active_at), updated_at=state.updated_at)
        finally:
            if kind is not None:
                emit(self.adapter.source, _event(kind, at, state, **more))


def _event(kind: Kind, at: Address, state: ScriptHeader, **more: Any) -> Changed:
    fields: dict[str, Any] = {
        "workspace": at.workspace,
        "key": at.key,
        "session_id": state.header.session_id,
        "branch": MAIN_BRANCH,
        "header": state.header,
        "asked": at.branch,
        "cache_ttl": at.cache_ttl,
    }
    return Changed(kind=kind, **(fields | more))
