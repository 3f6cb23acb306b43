"""Owns the conversation, the handle that users work with; it must not know which adapter serves it."""

from __future__ import annotations

from typing import Any, Unpack

import msgspec
from asgiref.sync import sync_to_async

from chat_memory import wiring
from chat_memory.exceptions import VersionConflict
from chat_memory.history import relevance
from chat_memory.history.attachments import ConversationAttachments
from chat_memory.history.branches import Branches
from chat_memory.history.drafts import ConversationDrafts
from chat_memory.history.embedding import Embed
from chat_memory.history.feedback import ConversationFeedback
from chat_memory.history.naming import SessionRow, address, address_of
from chat_memory.history.stamping import stamped
from chat_memory.history.streaming import Streaming, streaming
from chat_memory.history.summaries import Summaries
from chat_memory.history.turn import Turn
from chat_memory.history.turn_terms import Busy, Taken, check_question, terms
from chat_memory.history.twins import twin
from chat_memory.history.windows import Windows
from chat_memory.records import Address, Hit, Message, Receipt, Relevant, SessionFields, SessionRecord
from chat_memory.rules.limits import limits
from chat_memory.rules.numbers import optional_number
from chat_memory.rules.searching import page_size, understood
from chat_memory.rules.session import check_session_fields
from chat_memory.storage.contract import Adapter, SearchStore
from chat_memory.storage.titles import first_title


class Conversation(Windows, Summaries, Branches):
    """A handle on a conversation, by its names: making one runs no query, and it may be kept or thrown away.

    An unknown conversation reads as empty; the first append creates it. Every method ``x`` that does I/O has an async
    twin ``ax`` with the same signature, which makes one thread hop. Any of them raises NotOwner if the session is not
    the user's, Busy if others hold its lock for LOCK_TIMEOUT seconds, and Django's OperationalError without a database.
    """

    def __reduce__(self) -> Any:
        # An adapter may hold a connection, so one from the settings is not pickled but looked up again on unpickling.
        place = self.place
        if place.settings_alias is None:
            return type(self), (place.address, place.adapter)
        return on_settings, (place.address, *place.settings_alias)

    @property
    def attachments(self) -> ConversationAttachments:
        """Pictures, sound and files that messages refer to; see ``ConversationAttachments``."""
        return ConversationAttachments(self.place)

    @property
    def feedback(self) -> ConversationFeedback:
        """What people think of the messages: votes of 1 and -1, with comments; see ``ConversationFeedback``."""
        return ConversationFeedback(self.place)

    @property
    def drafts(self) -> ConversationDrafts:
        """The messages that are being streamed, to follow or to stop them; see ``ConversationDrafts``."""
        return ConversationDrafts(self.place)

    def streaming(
        self,
        role: str = "assistant",
        *,
        id: str | None = None,  # noqa: A002  # as a message calls it
        name: str | None = None,
        metadata: dict[str, Any] | None = None,
        resume: int | str | None = None,
        replace: int | str | None = None,
        flush_seconds: float | None = None,
        flush_bytes: int | None = None,
    ) -> Streaming:
        """A context manager, sync and async, that writes a message chunk by chunk; see ``Streaming``. No I/O yet.

        Meanwhile others read its text through ``drafts``. At its end the message is stored and the version changes.

        Args:
            role: who writes: assistant, user or system.
            id: the id of the message; None: a new one.
            name: the name of the message.
            metadata: the metadata of the message.
            resume: the position or the id of the newest message, which must be stopped, failed or abandoned: the stream
                continues it. Position and id stay, and its text so far becomes a revision.
            replace: as ``resume``, but the stream starts the text again instead of continuing it.
            flush_seconds: 0.125 to 60; None: DRAFT_FLUSH_SECONDS.
            flush_bytes: None: DRAFT_FLUSH_BYTES.

        Raises:
            ValidationError: an argument is not usable; the text says which.
        """
        given: dict[str, Any] = {"message_id": id, "name": name, "metadata": metadata}
        bounds: dict[str, Any] = {"seconds": flush_seconds, "size": flush_bytes}
        return streaming(self.place, role, **given, resume=resume, replace=replace, **bounds)

    def turn(
        self,
        question: Message | str,
        *,
        taken: Taken = "wait",
        busy: Busy = "beside",
        wait: float = 60.0,
        lease: float = 60.0,
    ) -> Turn:
        """The turn of a question, a context manager that stores or finds it and holds the right to answer it.

        Only one block at a time holds the right. If its process dies, the right becomes free when the lease lapses, and
        the next holder continues from the messages that the turn has. An answered question is not answered again.

        Args:
            question: a user's message, or the id of a stored one. Give the message an id that a retry repeats.
            taken: what to do while somebody else answers this question: ``wait`` until it is answered or given up;
                ``refuse``: raise TurnTaken at once; ``look``: enter without the right, to read what is stored.
            busy: what to do while another question of the branch is being answered: answer this one ``beside`` it;
                ``reject``: raise TurnTaken and store nothing; ``enqueue``: store this one and wait for the earlier
                ones; ``interrupt``: end the right to answer the earlier ones; ``rollback``: continue on a new current
                branch that forks before the earlier ones, as if they had not been asked.
            wait: the most seconds to wait; after them TurnTaken is raised.
            lease: the seconds that the right lasts after each call that renews it.

        Raises:
            ValidationError: the question is neither a user's message nor an id, or another argument is not usable.
        """
        return Turn(self.place, check_question(question), terms(taken, busy, wait, lease))

    def append(self, *messages: Message, if_version: int | None = None) -> Receipt:
        """Store the messages, adjacent and in this order, exactly once.

        A message whose id is stored already is a replay: the receipt holds the stored one. So give ids to retry safely.

        Args:
            messages: what to store; none at all is allowed and does nothing.
            if_version: refuse when the session has changed since this version (0: when it exists at all).

        Raises:
            ValidationError: a message cannot be stored, or is over a limit (TooLarge); nothing was written.
            MessageConflict: an id is stored with other content.
            VersionConflict: the session is not at ``if_version``.
            WorkspaceNotFound: the workspace is unknown and CREATE_WORKSPACES is False.
            BranchNotFound: there is no such branch.
            AttachmentNotFound: a message refers to an attachment that the conversation does not have.
            Busy: others held the lock for LOCK_TIMEOUT seconds; nothing was written, so the call may be repeated.
        """
        if_version = optional_number(if_version, "if_version")
        if not messages:
            return self._unchanged(if_version)
        place, ready = self.place, stamped(messages)
        commit = place.adapter.messages.append(
            place.address, ready, title=first_title(ready) or None, if_version=if_version
        )
        return place.receipt(commit)

    aappend = twin(append)

    def _unchanged(self, if_version: int | None) -> Receipt:
        """The receipt of an append without messages."""
        record = self.session()
        version = record.version if record else 0
        if if_version is not None and if_version != version:
            raise VersionConflict(if_version, version)
        branch = record.branch if record else self.branch
        return Receipt(None, None, version, False, (), branch)

    def open(self, **fields: Unpack[SessionFields]) -> SessionRecord:
        """The session; it is created with these fields if there is none. An existing session is not changed.

        Args:
            fields: title, tags, metadata, pinned, archived_at, expires_at.

        Raises:
            ValidationError: a field cannot be stored.
            WorkspaceNotFound: the workspace is unknown and CREATE_WORKSPACES is False.
            BranchNotFound: there is no such branch.
        """
        record, _made = self.get_or_create(**fields)
        return record

    async def aopen(self, **fields: Unpack[SessionFields]) -> SessionRecord:
        """Async twin of ``open``."""
        return await sync_to_async(self.open)(**fields)

    def get_or_create(self, **fields: Unpack[SessionFields]) -> tuple[SessionRecord, bool]:
        """As ``open``, and whether this call created the session."""
        return self.place.adapter.sessions.open(self.place.address, check_session_fields(fields, limits()))

    async def aget_or_create(self, **fields: Unpack[SessionFields]) -> tuple[SessionRecord, bool]:
        """Async twin of ``get_or_create``."""
        return await sync_to_async(self.get_or_create)(**fields)

    def update(self, *, if_version: int | None = None, **fields: Unpack[SessionFields]) -> SessionRecord:
        """Set title, tags, metadata, pinned, archived_at or expires_at.

        Args:
            if_version: refuse when the session has changed since this version, the ``version`` of ``session()``.
            fields: what to set.

        Raises:
            ValidationError: a field cannot be stored.
            SessionNotFound: there is no such session.
            VersionConflict: the session is not at ``if_version``.
        """
        given, version = check_session_fields(fields, limits()), optional_number(if_version, "if_version")
        return self.place.adapter.sessions.update(self.place.address, given, if_version=version)

    async def aupdate(self, *, if_version: int | None = None, **fields: Unpack[SessionFields]) -> SessionRecord:
        """Async twin of ``update``."""
        return await sync_to_async(self.update)(if_version=if_version, **fields)

    def search(self, text: str, *, size: int = 20) -> list[Hit]:
        """The messages of this branch that match a search, best match first.

        The syntax is that of ``chat_memory.sessions.search``. Only the newest 500 matches are ranked.

        Args:
            text: the search.
            size: how many messages at most, 1 to 100.

        Raises:
            ValidationError: the search or ``size`` is not usable; the text says why.
            NotSupported: the back end has no full-text search, for example if ``chat_memory.search`` is not installed.
            SearchTooLong: the search took longer than SEARCH_SECONDS.
        """
        query, number = understood(text), page_size(size)
        return self.place.adapter.part(SearchStore).find_in(self.place.address, query, size=number)

    asearch = twin(search)

    def relevant(self, query: str, k: int = 10, embedder: Embed | None = None) -> list[Relevant]:
        """The ``k`` messages of this branch that are most similar to a text, in their order, with their scores.

        Messages are compared by embeddings, which are made once for each message and model. A conversation of at most
        ``k`` messages is returned whole and without scores, and nothing is embedded. Redacted messages are left out,
        and messages without text too if messages are compared.

        Args:
            query: the text, 1 to 8,000 characters.
            k: how many messages at most, 1 to 1,000.
            embedder: takes a list of texts and returns a vector for each, sync or async; its attribute ``name`` names
                its model. None: the setting EMBEDDER.

        Raises:
            ValidationError: an argument is not usable; the text says why.
            NotSupported: the back end has no embeddings, for example if ``chat_memory.vectors`` is not installed.
            EmbedderFailed: the embedder raised an error, or returned something other than vectors.
            Busy: others held the lock of the conversation for too long, so new embeddings could not be stored.
        """
        return relevance.relevant(self.place, query, k, embedder)

    arelevant = twin(relevant)

    def pop(self) -> Message | None:
        """Delete the newest message and return it; None if the conversation shows none.

        Concurrent callers never get the same message. It is deleted for good, with everything made from it, and the
        next message gets its position. A message that this branch shares with its parent stays on the parent.

        Raises:
            BranchInUse: other branches share this message.
        """
        commit = self.place.adapter.messages.pop(self.place.address)
        if commit is None:
            return None
        self.place.remember(commit.header)
        return commit.messages[0]

    apop = twin(pop)

    def clear(self) -> None:
        """Hide all messages from every reader; the next message gets the next position.

        Other branches still show the messages that they share.
        """
        self.place.adapter.messages.clear(self.place.address)

    aclear = twin(clear)

    def delete(self) -> bool:
        """Delete the conversation with all its branches for good; False if there was none.

        A handle that was given a branch other than ``main`` deletes that branch alone.

        Raises:
            BranchInUse: other branches share messages of this one.
        """
        return self.place.adapter.sessions.delete(self.place.address)

    adelete = twin(delete)


def conversation(
    key: str,
    workspace: str | None = None,
    *,
    user: Any = None,
    branch: str | None = None,
    using: str | None = None,
    adapter: Adapter | None = None,
    cache_ttl: float | msgspec.UnsetType | None = msgspec.UNSET,
    any_owner: bool = False,
) -> Conversation:
    """A handle on a conversation, by its names; no I/O.

    With ``user=`` every call raises NotOwner if the session belongs to somebody else, and nothing is written or shown.
    A session whose key a client chose through the API yields the key: this user does not see it, and the user's first
    write creates a new session under the key.

    Args:
        key: the session key, any text of 1..255 characters without control characters.
        workspace: the tenant's slug; None: DEFAULT_WORKSPACE.
        user: the owner, as a user object or as text, the user's key in another system. A session that this handle
            creates, or that has no owner yet, gets this owner. None: trusted code, which reaches every session.
        branch: which branch of the conversation; None: the current one, which ``switch`` changes.
        using: the database alias; None: where the router writes sessions.
        adapter: another back end than Django's models, such as ``chat_memory.storage.memory.MemoryAdapter()``.
        cache_ttl: in cache mode strict, the seconds that the conversation stays cached after a fill or an append
            through this handle; None: until Redis evicts it; 0: it is not cached; not given: CACHE_TTL.
        any_owner: whether the handle also reaches sessions of others than ``user``, who then only becomes the owner of
            sessions that the handle creates or that have no owner.

    Raises:
        ValidationError: a name, ``cache_ttl`` or ``any_owner`` is not usable; the text says which.
    """
    at = address(key, workspace, user, branch, cache_ttl, any_owner=any_owner)
    return on_settings(at, using) if adapter is None else Conversation(at, adapter)


def on_settings(at: Address, using: str | None) -> Conversation:
    """The conversation at an address, on the adapter that the settings name."""
    return Conversation(at, wiring.adapter(using), (using,))


def of_session(session: SessionRow) -> Conversation:
    """The conversation of a session row, on the database the row came from.

    It is bound to that row: once the session is deleted it is empty, and an append raises SessionNotFound.
    """
    using: str | None = getattr(getattr(session, "_state", None), "db", None)
    return on_settings(address_of(session), using)
