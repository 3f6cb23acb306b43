"""Owns the changes of stored messages, each a pure function from one state of a conversation to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from chat_memory.choices import MAIN_BRANCH, State
from chat_memory.exceptions import BranchInUse
from chat_memory.records import Feedback, Message
from chat_memory.rules.calls import starts_turn
from chat_memory.rules.feedback import model_of
from chat_memory.storage import titles
from chat_memory.storage.mapping import Row, to_messages, to_row
from chat_memory.storage.memory.states import BranchState, ConversationState, EditedRow
from chat_memory.storage.memory.view import BranchView
from chat_memory.storage.syncing import digest

replace = msgspec.structs.replace
_REDACTED = State.REDACTED.value
_CHANGED = ("content", "parts", "name", "tool_calls", "metadata", "extra", "tokens", "state")
"""The columns that an edit or a redaction may change."""


def edit(view: BranchView, seq: int, after: Message, now: datetime) -> tuple[ConversationState, dict[str, int]]:
    """The conversation after an edit, and the position of the message by the name of each branch that shows it."""
    owner = view.owner(seq)
    row = owner.row(seq)
    new = _with(row, after)
    says_else = (new.content, new.parts) != (row.content, row.parts)
    former = owner.edits[seq].former if seq in owner.edits else ()
    edits = {**owner.edits, seq: EditedRow(new, (*former, (row, now)) if says_else else former)}
    feedback = _naming(owner.feedback, seq, after, _message(owner, seq))
    places = {state.name: seq for state in view.conversation.sharing(owner.name, seq)}
    conversation = view.conversation.with_branches(replace(owner, edits=edits, feedback=feedback))
    conversation = conversation.noting((owner.id, seq))
    if not says_else:
        return _moved(conversation, places, {}, now), places
    title = _new_title(view.conversation, {owner.name: seq}, after)
    conversation = conversation.without_drafts(*places.items())
    return _moved(_without_summaries(conversation, places), places, title, now), places


def redact(view: BranchView, seq: int, after: Message, now: datetime) -> tuple[ConversationState, dict[str, int]]:
    """As ``edit``, for a redaction, which includes copies on other branches and removes all former contents."""
    conversation, owner = view.conversation, view.owner(seq)
    same = {owner.name: seq} | dict(_copies(conversation, owner, seq))
    places: dict[str, int] = {}
    for name, at in same.items():
        state = conversation.branches[name]
        ledger = state.ledger.with_row(at, _with(state.row(at), after))
        edits = {place: edited for place, edited in state.edits.items() if place != at}
        feedback = {**state.feedback, at: tuple(_without_words(each) for each in state.feedback.get(at, ()))}
        conversation = conversation.with_branches(replace(state, ledger=ledger, edits=edits, feedback=feedback))
        places |= {sharing.name: at for sharing in conversation.sharing(name, at)}
    conversation = conversation.noting(*((conversation.branches[name].id, at) for name, at in same.items()))
    title = _new_title(view.conversation, same, after)
    conversation = conversation.without_drafts(*places.items())
    return _moved(_without_summaries(conversation, places), places, title, now), places


def pop(view: BranchView, now: datetime) -> tuple[ConversationState, Message]:
    """The conversation without the newest message of the branch, and that message.

    Raises:
        BranchInUse: other branches share it.
    """
    state, seq = view.state, view.state.last_seq
    owner = view.owner(seq)
    message = view.message(seq)
    title: dict[str, Any] = {}
    if owner is state:
        children = (each for each in view.conversation.branches.values() if each.parent == state.name)
        others = sorted(child.name for child in children if child.fork_seq >= seq)
        if others:
            raise BranchInUse(state.name, others)
        title = _new_title(view.conversation, {state.name: seq}, None)
        edits = {place: edited for place, edited in state.edits.items() if place != seq}
        feedback = {place: given for place, given in state.feedback.items() if place != seq}
        less = replace(state, ledger=state.ledger.up_to(seq - 1), edits=edits, feedback=feedback)
    else:
        parent = view.owner(seq - 1).name
        less = replace(state, fork_seq=seq - 1, parent=parent, ledger=type(state.ledger)(seq - 1))
    turn = state.last_turn - starts_turn(message)
    rights = {number: right for number, right in state.rights.items() if right.seq != seq}
    less = replace(less, last_seq=seq - 1, last_turn=turn, rights=rights)
    conversation = _without_summaries(view.conversation.with_branches(less), {state.name: seq})
    conversation = conversation.noting((state.id, seq), taken=digest(message.id, message.created_at))
    conversation = conversation.without_drafts((state.name, seq))
    if starts_turn(message):
        conversation = conversation.without_drafts_of(state.name, message.turn)
    return _moved(conversation, {state.name: seq}, title, now), message


def _naming(
    feedback: Mapping[int, tuple[Feedback, ...]], seq: int, after: Message, before: Message
) -> dict[int, tuple[Feedback, ...]]:
    """The feedback of a branch after an edit of a message, with the language model that the message names now."""
    model = model_of(after)
    if model == model_of(before) or seq not in feedback:
        return {**feedback}
    return {**feedback, seq: tuple(replace(each, model=model) for each in feedback[seq])}


def _without_words(given: Feedback) -> Feedback:
    """Feedback on a redacted message, without its comment, which may quote the message, and without the model."""
    return replace(given, comment="", model="")


def _message(owner: BranchState, seq: int) -> Message:
    (message,) = to_messages([owner.columns(seq)])
    return message


def _with(row: Row, after: Message) -> Row:
    given = to_row(after)
    return row._replace(**{column: getattr(given, column) for column in _CHANGED})


def _copies(conversation: ConversationState, owner: BranchState, seq: int) -> Iterable[tuple[str, int]]:
    """The places of a message and of its copies, which a merge makes: same id, and a content that both have had."""
    message_id, said = owner.row(seq).client_id, _contents(owner, seq)
    for state in conversation.branches.values():
        at = state.ledger.position_of(message_id, state.last_seq)
        if at and state.row(at).state != _REDACTED and not said.isdisjoint(_contents(state, at)):
            yield state.name, at


def _contents(state: BranchState, seq: int) -> set[tuple[str | None, str | None]]:
    """The present and the former contents of a branch's own message."""
    former = state.edits[seq].former if seq in state.edits else ()
    return {(row.content, row.parts) for row in (state.row(seq), *(row for row, _until in former))}


def _without_summaries(conversation: ConversationState, places: Mapping[str, int]) -> ConversationState:
    """Without the summaries that cover a position of a branch, and without the claims on it."""
    states = []
    for name, seq in places.items():
        state = conversation.branches[name]
        kept = tuple(each for each in state.summaries if not each.first_seq <= seq <= each.last_seq)
        claim = state.held.claim if state.held else None
        held = None if claim and claim.first_seq <= seq <= claim.last_seq else state.held
        states.append(replace(state, summaries=kept, held=held))
    return conversation.with_branches(*states)


def _new_title(conversation: ConversationState, places: Mapping[str, int], after: Message | None) -> dict[str, Any]:
    """The title to set, if it was made from the message at one of these places; else nothing."""
    record = conversation.record
    for name, seq in places.items():
        state = conversation.branches[name]
        turn, before = state.ledger.turn(seq), _message(state, seq)
        title = titles.remade(record.title, made=record.title_made, turn=turn, before=before, after=after)
        if title is not None:
            return {"title": title}
    return {}


def _moved(
    conversation: ConversationState, places: Mapping[str, int], title: dict[str, Any], now: datetime
) -> ConversationState:
    """With new versions of the branches, and of ``main`` where the title changes."""
    names = {*places, MAIN_BRANCH} if title else {*places}
    return conversation.after(*(conversation.branches[name].next_version(now) for name in sorted(names)), **title)
