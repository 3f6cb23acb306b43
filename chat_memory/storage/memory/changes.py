"""Owns the changes of a conversation, each a pure function from one state to the next; it must not store states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from chat_memory.choices import MAIN_BRANCH, Pending
from chat_memory.conf import settings
from chat_memory.exceptions import (
    BranchExists,
    BranchInUse,
    BranchNotFound,
    MessageNotFound,
    TooManyBranches,
    VersionConflict,
)
from chat_memory.fields import COUNTERS, empty_session
from chat_memory.records import Address, Message, SessionRecord, uuid7
from chat_memory.storage import titles
from chat_memory.storage.mapping import new_messages, numbered, to_messages
from chat_memory.storage.memory.ledger import Ledger
from chat_memory.storage.memory.states import BranchState, ConversationState, new_token
from chat_memory.storage.memory.view import BranchView

_ONCE = (Pending.ANSWERED.value, Pending.COMPLETE.value)


def new_conversation(at: Address, workspace_id: int, fields: Mapping[str, Any], now: datetime) -> ConversationState:
    """A new conversation without messages, at version 0 unless ``fields`` has a ``version``."""
    values = {**empty_session(), "created_at": now, **fields}
    base_seq, version = values.pop("base_seq", 0), values.pop("version", 0)
    main = new_branch(MAIN_BRANCH, None, base_seq=base_seq, version=version, created_at=values["created_at"], now=now)
    counters: dict[str, Any] = dict.fromkeys(COUNTERS, 0)
    record = SessionRecord(
        id=main.id,
        workspace=at.workspace,
        key=at.key,
        branch=MAIN_BRANCH,
        user_key=at.user_key,
        user_id=at.user_id,
        updated_at=now,
        active_at=values["created_at"],
        **counters,
        **values,
    )
    return ConversationState(record, workspace_id, {}).after(main)


def new_branch(
    name: str,
    parent: str | None,
    *,
    now: datetime,
    fork_seq: int = 0,
    base_seq: int = 0,
    last_turn: int = 0,
    version: int = 1,
    created_at: datetime | None = None,
    pending: str = "",
) -> BranchState:
    """A branch without own messages; its first one gets the position after all shared and hidden positions."""
    last_seq = max(fork_seq, base_seq)
    return BranchState(
        name=name,
        id=uuid7(),
        parent=parent,
        fork_seq=fork_seq,
        base_seq=base_seq,
        last_seq=last_seq,
        last_turn=last_turn,
        version=version,
        vtoken=new_token(),
        created_at=created_at or now,
        updated_at=now,
        ledger=Ledger(last_seq),
        pending=pending,
    )


def append(
    view: BranchView,
    at: Address,
    messages: Sequence[Message],
    *,
    now: datetime,
    title: str | None = None,
    if_version: int | None = None,
    under: int | None = None,
    begun: dict[int, int] | None = None,
) -> tuple[ConversationState | None, tuple[Message, ...]]:
    """The conversation with the new messages, or None where all are replays; and all messages as they are stored.

    Args:
        view: the branch.
        at: its address.
        messages: the messages, in order.
        now: the time.
        title: as for ``MessageStore.append``.
        if_version: as for ``MessageStore.append``.
        under: the turn of all messages, none of which begins a turn; None: each begins a turn or is in the newest one.
        begun: for ``mapping.numbered``, if the messages have turn numbers from another store.

    Raises:
        MessageConflict: an id is stored with different content.
        VersionConflict: the branch is not at ``if_version``, and some message is new.
    """
    state = view.state
    stored = view.stored(messages)
    fresh = new_messages(messages, stored)
    if not fresh:
        return None, tuple(stored[message.id] for message in messages)
    check_version(view, if_version)
    in_turns = [under] * len(fresh) if under is not None else numbered(fresh, state.last_turn, begun or {})
    placed = enumerate(zip(fresh, in_turns, strict=True), state.last_seq + 1)
    new = [msgspec.structs.replace(message, seq=seq, turn=turn) for seq, (message, turn) in placed]
    state.ledger.put(new, in_turns, state.last_turn)
    last_seq = state.last_seq + len(new)
    after = state.next_version(now, last_seq=last_seq, last_turn=state.ledger.turns_until(last_seq))
    stored |= {message.id: message for message in new}
    fields = {"active_at": new[-1].created_at} | _new_owner(view, at) | _new_title(view, title)
    return view.conversation.after(after, **fields), tuple(stored[message.id] for message in messages)


def check_version(view: BranchView, if_version: int | None) -> None:
    """Check that the branch is at the version that the caller requires; None: at any.

    Raises:
        VersionConflict: it is not.
    """
    if if_version is not None and if_version != view.state.version:
        raise VersionConflict(if_version, view.state.version)


def clear(view: BranchView, now: datetime) -> ConversationState:
    """The conversation with all messages of the branch hidden."""
    return view.conversation.after(view.state.next_version(now, base_seq=view.state.last_seq))


def update(view: BranchView, fields: Mapping[str, Any], now: datetime) -> ConversationState:
    """The conversation with other fields; a title that is set counts as not made from a message."""
    conversation = view.conversation
    states = {state.name: state for state in (conversation.branches[MAIN_BRANCH], view.state)}
    title_made: dict[str, Any] = {"title_made": False} if "title" in fields else {}
    return conversation.after(*(state.next_version(now) for state in states.values()), **fields, **title_made)


def rename(conversation: ConversationState, key: str, now: datetime) -> ConversationState:
    """The conversation under another key."""
    return conversation.after(conversation.branches[MAIN_BRANCH].next_version(now), key=key)


def waiting(view: BranchView, seq: int | None, pending: str) -> str | None:
    """The name of the branch that is pending already for another answer to the same messages."""
    at = view.state.last_seq if seq is None else seq
    if pending not in _ONCE or not view.state.base_seq <= at <= view.state.last_seq:
        return None
    alike = view.owner(at).name, at, view.state.base_seq
    others = sorted(view.conversation.branches.values(), key=lambda state: state.number)
    known = (state for state in others if state.pending in _ONCE)
    return next((state.name for state in known if (state.parent, state.fork_seq, state.base_seq) == alike), None)


def fork(view: BranchView, name: str, seq: int | None, now: datetime, pending: str = "") -> ConversationState:
    """The conversation with a new branch, which shares the messages of ``view`` up to ``seq``; None: all.

    Raises:
        BranchExists: the conversation already has a branch of this name.
        TooManyBranches: it has as many branches as MAX_BRANCHES allows.
        MessageNotFound: ``seq`` is neither the position of a visible message nor the one before the first.
    """
    conversation, state = view
    if name in conversation.branches:
        raise BranchExists(conversation.record.key, name)
    if len(conversation.branches) >= settings.max_branches:
        raise TooManyBranches(conversation.record.key, settings.max_branches)
    fork_seq = state.last_seq if seq is None else seq
    if not state.base_seq <= fork_seq <= state.last_seq:
        raise MessageNotFound(conversation.record.key, seq=fork_seq)
    owner = view.owner(fork_seq)
    turn = state.last_turn if fork_seq == state.last_seq else owner.ledger.turns_until(fork_seq)
    shared: dict[str, Any] = {"fork_seq": fork_seq, "base_seq": state.base_seq, "last_turn": turn}
    branch = new_branch(name, owner.name, **shared, now=now, pending=pending)
    # A fork does not change what readers of the conversation see, so updated_at stays.
    return conversation.with_new(branch)


def switch(conversation: ConversationState, name: str, now: datetime) -> ConversationState:
    """The conversation with another current branch; its version becomes higher than main's and the former one's.

    Raises:
        BranchNotFound: there is no such branch.
    """
    if name not in conversation.branches:
        raise BranchNotFound(conversation.record.key, name)
    versions = [conversation.branches[branch].version for branch in (MAIN_BRANCH, conversation.current, name)]
    # A switch changes the conversation, like a new title, so main gets a new version too.
    states = {MAIN_BRANCH: conversation.branches[MAIN_BRANCH].next_version(now)}
    states[name] = conversation.branches[name].next_version(now, version=max(versions) + 1, pending="")
    return conversation.after(*states.values(), current=name)


def delete_branch(view: BranchView, now: datetime) -> ConversationState:
    """The conversation without a branch; if the branch was current, ``main`` becomes current.

    Raises:
        BranchInUse: other branches share messages of it.
    """
    conversation, state = view
    others = sorted(other.name for other in conversation.branches.values() if other.parent == state.name)
    if others:
        raise BranchInUse(state.name, others)
    after = switch(conversation, MAIN_BRANCH, now) if conversation.current == state.name else conversation
    remaining = {name: other for name, other in after.branches.items() if name != state.name}
    drafts = tuple(each for each in after.drafts if each.draft.branch != state.name)
    left = msgspec.structs.replace(after, branches=remaining, drafts=drafts)
    if not _gives_title(after, state) or any(_gives_title(after, other) for other in remaining.values()):
        return left
    return left.after(left.branches[MAIN_BRANCH].next_version(now), title="")


def _gives_title(conversation: ConversationState, state: BranchState) -> bool:
    """Whether the title of a conversation was made of a message that a branch does not share with its parent."""
    record = conversation.record
    return record.title_made and record.title != "" and titles.gives(to_messages(state.own_rows()), record.title)


def _new_owner(view: BranchView, at: Address) -> dict[str, Any]:
    """The owner to set: a session without an owner gets the first user who writes to it; else nothing."""
    if not at.user_key or view.conversation.record.user_key:
        return {}
    return {"user_id": at.user_id, "user_key": at.user_key}


def _new_title(view: BranchView, title: str | None) -> dict[str, Any]:
    """The title to set: only if the conversation has neither a title nor a user message yet; else nothing."""
    has_turns = view.state.last_turn or view.conversation.branches[MAIN_BRANCH].last_turn
    has_title = view.conversation.record.title
    return {"title": title, "title_made": True} if title and not has_turns and not has_title else {}
