"""Owns what follows from a change of a conversation: a new state, the old one left as it was; it must not keep any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import BranchExists, BranchInUse, BranchNotFound, MessageNotFound, VersionConflict
from chat_memory.records import Address, Message, SessionRecord, uuid7
from chat_memory.storage.mapping import check_replay, to_messages, to_row
from chat_memory.storage.memory.states import Conversation, Edited, Ledger, State, View, new_token
from chat_memory.storage.titles import first_title


def made(at: Address, workspace_id: int, fields: Mapping[str, Any], now: datetime) -> Conversation:
    """A conversation in which nothing has happened, at version 0 unless the fields say otherwise."""
    given = {"title": "", "tags": [], "metadata": {}, "pinned": False, "created_at": now, **fields}
    base_seq, version = given.pop("base_seq", 0), given.pop("version", 0)
    main = State(
        name=MAIN_BRANCH,
        id=uuid7(),
        parent=None,
        fork_seq=0,
        base_seq=base_seq,
        last_seq=base_seq,
        last_turn=0,
        version=version,
        vtoken=new_token(),
        created_at=given["created_at"],
        updated_at=now,
        ledger=Ledger(base_seq),
    )
    counters = dict.fromkeys(("message_count", "version", "last_seq", "base_seq", "last_turn"), 0)
    record = SessionRecord(
        id=main.id,
        workspace=at.workspace,
        key=at.key,
        branch=MAIN_BRANCH,
        user_key=at.user_key,
        user_id=at.user_id,
        updated_at=now,
        **{**counters, **given},
    )
    return Conversation(record, workspace_id, {}).after(main)


def appended(
    view: View, at: Address, messages: Sequence[Message], if_version: int | None, now: datetime
) -> tuple[Conversation | None, tuple[Message, ...]]:
    """The conversation with the messages that are new, None where none is; and all as they are stored.

    Raises:
        MessageConflict: an id is stored with other content.
        VersionConflict: the branch is not at ``if_version`` and not every message is known already.
    """
    whole, state = view
    placed = view.known(messages)
    for message in messages:
        if message.id in placed:
            check_replay(placed[message.id], message)
    fresh = [message for message in messages if message.id not in placed]
    if not fresh:
        return None, tuple(placed[message.id] for message in messages)
    if if_version is not None and if_version != state.version:
        raise VersionConflict(if_version, state.version)
    new = [msgspec.structs.replace(message, seq=seq) for seq, message in enumerate(fresh, state.last_seq + 1)]
    state.ledger.put(new, state.last_turn)
    last_seq = state.last_seq + len(new)
    after = state.moved(now, last_seq=last_seq, last_turn=state.ledger.turn(last_seq))
    placed |= {message.id: message for message in new}
    described = _claimed(whole.record, at) | _titled(whole, fresh)
    return whole.after(after, **described), tuple(placed[message.id] for message in messages)


def cleared(view: View, now: datetime) -> Conversation:
    """The conversation without what the branch has shown."""
    return view.conversation.after(view.state.moved(now, base_seq=view.state.last_seq))


def described(view: View, fields: Mapping[str, Any], now: datetime) -> Conversation:
    """The conversation with other fields."""
    whole = view.conversation
    states = {state.name: state for state in (whole.branches[MAIN_BRANCH], view.state)}
    return whole.after(*(state.moved(now) for state in states.values()), **fields)


def forked(view: View, name: str, seq: int | None, now: datetime) -> Conversation:
    """The conversation with one more branch, which refers to what it shares.

    Raises:
        BranchExists: there is one of this name.
        MessageNotFound: the branch does not show the position, nor begin after it.
    """
    whole, state = view
    if name in whole.branches:
        raise BranchExists(f"conversation {whole.record.key!r} has a branch {name!r} already")
    at = state.last_seq if seq is None else seq
    if not state.base_seq <= at <= state.last_seq:
        raise MessageNotFound(f"branch {state.name!r} shows no message at position {at}")
    owner = view.owner(at)
    new = State(
        name=name,
        id=uuid7(),
        parent=owner.name,
        fork_seq=at,
        base_seq=state.base_seq,
        last_seq=at,
        last_turn=state.last_turn if at == state.last_seq else owner.ledger.turn(at),
        version=1,
        vtoken=new_token(),
        created_at=now,
        updated_at=now,
        ledger=Ledger(at),
    )
    # Not yet a change of the conversation, whose place in a listing stays.
    return whole.after(new, updated_at=whole.record.updated_at)


def spoken(whole: Conversation, name: str, now: datetime) -> Conversation:
    """The conversation with another speaker, whose version passes what any speaker before it has shown.

    Raises:
        BranchNotFound: there is no such branch.
    """
    if name not in whole.branches:
        raise BranchNotFound(f"conversation {whole.record.key!r} has no branch {name!r}")
    known = [whole.branches[branch].version for branch in (MAIN_BRANCH, whole.head, name)]
    # Who speaks is said of the conversation as its title is, so main moves too.
    states = {MAIN_BRANCH: whole.branches[MAIN_BRANCH].moved(now)}
    states[name] = whole.branches[name].moved(now, version=max(known) + 1)
    return whole.after(*states.values(), head=name)


def parted(view: View, now: datetime) -> Conversation:
    """The conversation without a branch; main speaks where that did.

    Raises:
        BranchInUse: other branches share messages of it.
    """
    whole, state = view
    others = sorted(other.name for other in whole.branches.values() if other.parent == state.name)
    if others:
        raise BranchInUse(f"branch {state.name!r} shares messages with {', '.join(map(repr, others))}")
    left = spoken(whole, MAIN_BRANCH, now) if whole.head == state.name else whole
    kept = {name: other for name, other in left.branches.items() if name != state.name}
    return msgspec.structs.replace(left, branches=kept)


def edited(view: View, message: Message, now: datetime) -> tuple[Conversation, Message]:
    """The conversation in which a message has other content and tokens, and that message.

    Raises:
        MessageNotFound: the branch does not show it.
    """
    whole, seq = view.conversation, message.seq or 0
    if not view.shows(seq):
        raise MessageNotFound(f"conversation {whole.record.key!r} shows no message at position {seq}")
    owner, given = view.owner(seq), to_row(message)
    row = owner.row(seq)
    said = row._replace(content=given.content, parts=given.parts, tokens=given.tokens)
    before = owner.edits[seq].former if seq in owner.edits else ()
    edits = {**owner.edits, seq: Edited(said, (*before, (row, now)))}
    changed = [state.moved(now, **({"edits": edits} if state is owner else {})) for state in whole.below(owner.name)]
    return whole.after(*changed), to_messages([(seq, *said)])[0]


def _claimed(record: SessionRecord, at: Address) -> dict[str, Any]:
    """A session of nobody becomes that of the first user who writes to it."""
    return {"user_id": at.user_id, "user_key": at.user_key} if at.user_key and not record.user_key else {}


def _titled(whole: Conversation, fresh: Sequence[Message]) -> dict[str, Any]:
    """A conversation without a title has that of its first user's message."""
    untitled = not whole.record.title and not whole.branches[MAIN_BRANCH].last_turn
    return {"title": first_title(fresh)} if untitled else {}
