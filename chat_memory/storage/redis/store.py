"""Owns the steps of every call on a conversation: run a script, then update the lists, then emit the event."""

from __future__ import annotations

import secrets
from typing import Any

from chat_memory.choices import MAIN_BRANCH
from chat_memory.conf import settings
from chat_memory.exceptions import BranchNotFound, NotOwner, SessionNotFound, WorkspaceNotFound
from chat_memory.records import Address, uuid7
from chat_memory.storage.changed import Changed, Kind, emit
from chat_memory.storage.contract import Adapter
from chat_memory.storage.redis.codec import ScriptHeader
from chat_memory.storage.redis.commands import Commands, ForeignOwner, SeveralSlots
from chat_memory.storage.redis.keys import Keys
from chat_memory.storage.redis.lists import SessionLists

_TOKEN_BITS = 62


class RedisStore:
    """The conversations under one prefix.

    A script that writes also updates the lists, in the same step. In a Cluster, where lists and sessions are in
    different slots, a separate call updates them.

    Args:
        adapter: the sender of the events.
        commands: the calls to Redis.
        keys: the names of the keys.
        ttl_ms: milliseconds from its last write until a conversation expires; None: never.
        renews: whether reading a conversation's messages restarts that time.

    Attributes:
        renewal: ``ttl_ms`` where reads renew it, otherwise "".
    """

    def __init__(self, adapter: Adapter, commands: Commands, keys: Keys, ttl_ms: int | None, *, renews: bool) -> None:
        self.adapter = adapter
        self.renewal = ttl_ms if renews and ttl_ms else ""
        self.lists = SessionLists(commands, keys, ttl_ms)
        self._commands = commands
        self._keys = keys
        self._ttl_ms = ttl_ms
        self._has_slots = commands.has_slots

    def add_workspace(self, slug: str) -> None:
        """Create a workspace, unless it exists."""
        self._commands.command("SET", self._keys.workspace(slug), secrets.randbits(_TOKEN_BITS), "NX")

    def run(self, name: str, at: Address, *values: Any, listed: bool = True) -> Any:
        """Run a script on the key of a conversation, and return its result; errors as in ``Commands.script``.

        ``listed``: whether the script changes the lists, and so needs their keys.

        Raises:
            NotOwner: the session belongs to somebody else than the address' user.
        """
        linked = at.user_id is not None
        caller = ("u" if linked else "t") + at.user_key if at.user_key else "-"
        pinned = str(at.session_id) if at.pinned else ""
        whose = [caller.encode() if at.is_checked else "", "1" if linked else "", at.key.encode(), pinned]
        keys = [self._keys.conversation(at)]
        try:
            if listed and not self._has_slots:
                try:
                    return self._commands.script(name, [*keys, *self._own_lists(at)], *values, *whose)
                except SeveralSlots:
                    self._has_slots = True
            return self._commands.script(name, keys, *values, *whose)
        except ForeignOwner:
            raise NotOwner(at.key, at.workspace, at.user_key) from None

    def write_values(self) -> list[Any]:
        """The first arguments of each script that writes: a new version token, and the ttl in ms or ""."""
        return [secrets.randbits(_TOKEN_BITS), self._ttl_ms or ""]

    def new_session_values(self, at: Address) -> list[Any]:
        """The arguments by which a script may create the session: its id, and the id of its workspace.

        Raises:
            BranchNotFound: the address names a branch other than ``main``, the only one in this store.
            SessionNotFound: the address is pinned to one session, which does not exist.
            WorkspaceNotFound: the workspace is unknown, and CREATE_WORKSPACES is False.
        """
        if not at.means_whole:
            raise BranchNotFound(at.key, at.branch)
        if at.pinned:
            raise SessionNotFound(at.key, at.workspace)
        if settings.create_workspaces or at.workspace == self._keys.workspace_of_all:
            self.add_workspace(at.workspace)
        number = self._commands.command("GET", self._keys.workspace(at.workspace))
        if number is None:
            raise WorkspaceNotFound(at.workspace, may_be_made=False)
        return [str(uuid7()), int(number)]

    def finish(self, at: Address, state: ScriptHeader, kind: Kind | None, **more: Any) -> None:
        """Update the lists where the script could not, and emit its event.

        The event is emitted even if updating the lists fails, because the conversation has changed; ``kind`` is None if
        the script changed nothing.
        """
        try:
            if self.is_apart(at, state):
                self._list(at, state, gone=kind is Kind.DELETED)
        finally:
            if kind is not None:
                emit(self.adapter.source, _event(kind, at, state, **more))

    def renewed(self, at: Address, state: ScriptHeader, since: int) -> None:
        """Update the lists for a session whose time to live was restarted by a read."""
        if self.is_apart(at, state):
            self._list(at, state._replace(updated_at=since))

    def is_apart(self, at: Address, state: ScriptHeader) -> bool:
        """Whether a script could not update all lists: they are in other slots, or the owner is not the caller."""
        return self._has_slots or state.user_key != at.user_key

    def _list(self, at: Address, state: ScriptHeader, *, gone: bool = False) -> None:
        names = at.workspace, at.key, str(state.header.session_id), state.user_key
        if gone:
            self.lists.remove(*names)
        else:
            self.lists.put(*names, active_at=state.active_at, updated_at=state.updated_at)

    def _own_lists(self, at: Address) -> list[str]:
        return self._keys.lists(at.workspace, at.user_key)


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
