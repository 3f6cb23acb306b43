"""Owns what every part of a conversation shares: its address, its adapter, what it tells; it must not read or write."""

from __future__ import annotations

from typing import Any, ClassVar, Self, TypeVar

import msgspec
from django.dispatch import Signal

from chat_memory import wiring
from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.history import automatic
from chat_memory.history.announcing import announce
from chat_memory.records import Address, Commit, Header, Receipt
from chat_memory.signals import messages_appended, session_created, summary_due
from chat_memory.storage.base import Adapter


class Handle:
    """A conversation by its names, on one back end."""

    _sender: ClassVar[type]
    """Who sends the signals."""

    def __init__(self, address: Address, adapter: Adapter, using: tuple[str | None] | None = None) -> None:
        self._address = address
        self._adapter = adapter
        self._using = using

    def __repr__(self) -> str:
        at = self._address
        return f"<Conversation {at.workspace}/{at.key}" + (f"@{at.branch}>" if at.branch != CURRENT else ">")

    def __reduce__(self) -> Any:
        # An adapter of the settings is found again where the handle arrives; it may hold a connection here.
        if self._using is None:
            return type(self), (self._address, self._adapter)
        return on_settings, (type(self), self._address, *self._using)

    @property
    def workspace(self) -> str:
        """The workspace's slug."""
        return self._address.workspace

    @property
    def key(self) -> str:
        """The session's key."""
        return self._address.key

    @property
    def branch(self) -> str:
        """The branch this handle was given; ``main`` where none was: it then follows ``switch``."""
        return self._address.branch or MAIN_BRANCH

    def _on(self, branch: str) -> Self:
        """The same conversation by one of its branches."""
        at = msgspec.structs.replace(self._address, branch=branch, session_id=None, pinned=False)
        return type(self)(at, self._adapter, self._using)

    def _announce(self, signal: Signal, *, branch: str = "", **said: Any) -> None:
        """Tell of a committed change of this branch, or of the one that is named."""
        if signal.has_listeners(self._sender):
            at = msgspec.structs.replace(self._address, branch=branch or self._speaker())
            announce(signal, self._sender, self._adapter, at, **said)

    def _speaker(self) -> str:
        """The name of the branch that calls of this handle reach now."""
        if self._address.branch != CURRENT:
            return self._address.branch
        record = self._adapter.get(self._address)
        return record.branch if record else MAIN_BRANCH

    def _receipt(self, commit: Commit) -> Receipt:
        self._remember(commit.header)
        header, change = commit.header, commit.change
        if change is not None:
            if change.prev_version == 0:  # no session is at version 0 but one that this very append made
                self._announce(session_created, branch=MAIN_BRANCH, version=header.version)
            self._announce(messages_appended, count=change.added, last_seq=header.last_seq, version=header.version)
            automatic.watch(header, self._adapter, self._address, self._tell_due)
        positions = [message.seq for message in commit.messages if message.seq is not None]
        return Receipt(min(positions), max(positions), commit.header.version, commit.change is None, commit.messages)

    def _tell_due(self, unsummarised: int) -> None:
        self._announce(summary_due, conversation=self, unsummarised=unsummarised)

    def _remember(self, header: Header | None) -> None:
        if header is not None and not self._address.pinned and header.session_id != self._address.session_id:
            self._address = msgspec.structs.replace(
                self._address, session_id=header.session_id, workspace_id=header.workspace_id
            )


Kind = TypeVar("Kind", bound=Handle)


def on_settings(kind: type[Kind], at: Address, using: str | None) -> Kind:
    """A handle on the adapter the settings name."""
    return kind(at, wiring.adapter(using), (using,))
