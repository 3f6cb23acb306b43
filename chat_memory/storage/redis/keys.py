"""Owns the names of the keys; they never collide, whatever the names of workspaces, sessions and users are."""

from __future__ import annotations

from urllib.parse import quote

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import ValidationError
from chat_memory.records import Address

PREFIX = "chat_memory:store:"


class Keys:
    """The keys under one prefix; parts are percent-quoted, so that none contains a ':'.

    Raises:
        ValidationError: the prefix is not text, or contains braces.
    """

    workspace_of_all: str | None = None
    """The workspace that the prefix belongs to, which always exists; None: the prefix is for any workspace."""

    def __init__(self, prefix: str) -> None:
        check_prefix(prefix)
        self._prefix = prefix

    def conversation(self, at: Address) -> str:
        """The key of the hash that holds a whole conversation; the part in braces chooses its slot in a Cluster."""
        return f"{self._prefix}{{{at.workspace}:{quote(at.key, safe='')}:{quote(at.branch or MAIN_BRANCH, safe='')}}}"

    def workspace(self, slug: str) -> str:
        """The key of a workspace's id."""
        return f"{self._prefix}{{{slug}}}"

    def sessions(self, workspace: str, user_key: str = "") -> str:
        """The key of the list of a user's sessions; "" as ``user_key``: of all sessions of the workspace."""
        return f"{self.workspace(workspace)}:sessions" + (f":{quote(user_key, safe='')}" if user_key else "")

    def lists(self, workspace: str, user_key: str) -> list[str]:
        """The keys of the lists that hold a session of this user, each followed by the key of its expiry times."""
        lists = [self.sessions(workspace, owner) for owner in {"", user_key}]
        # A quoted user key never begins with ':'.
        return [key for sessions in lists for key in (sessions, f"{sessions}::expiries")]


class PlainKeys(Keys):
    """Keys that are only the prefix and the session key, for the conversations of one workspace.

    No two conversations share a key: session keys that begin with ``{`` or ``%`` are percent-quoted, and conversations
    of other workspaces have the long form, which begins with ``{`` after the prefix.
    """

    def __init__(self, prefix: str, workspace: str) -> None:
        super().__init__(prefix)
        self.workspace_of_all = workspace

    def conversation(self, at: Address) -> str:
        """The key of the hash that holds a whole conversation."""
        if at.workspace != self.workspace_of_all or not at.means_whole:
            return super().conversation(at)
        return self._prefix + (quote(at.key, safe="") if at.key[0] in "{%" else at.key)


def check_prefix(prefix: object, field: str = "prefix") -> None:
    """Check the prefix of keys: text without braces, which would choose the slots of a Cluster.

    Raises:
        ValidationError: the value is not such text; the error names ``field``.
    """
    if not isinstance(prefix, str) or set(prefix) & set("{}"):
        raise ValidationError("must be text without braces", field=field)
