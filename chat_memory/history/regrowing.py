"""Owns answering a question again and asking one again in other words, each on a new branch."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID, uuid5

from msgspec import structs

from chat_memory.choices import Pending, Role
from chat_memory.conf import settings
from chat_memory.exceptions import BranchExists, MessageNotFound, ValidationError
from chat_memory.history import selection
from chat_memory.history.reading import Reads
from chat_memory.history.selection import Trait
from chat_memory.history.stamping import stamped
from chat_memory.records import Branch, Content, Message, Receipt, Span, uuid7
from chat_memory.rules.json_values import shown
from chat_memory.storage.contract import BranchStore
from chat_memory.storage.contract.edits import not_found

PAGE, PAGE_BYTES = 5_000, 8 * 1024 * 1024
"""The most messages, and bytes of them, in memory at a time while the position to fork at is looked for."""
_EDITED = UUID("1f0c9a52-7c0e-4b51-9d56-6a2d1c9be3a7")
"""The namespace of the names of branches for edited questions."""
_UNTIL = {"begun": Pending.ANSWERED.value, "complete": Pending.COMPLETE.value}


def pending(until: object) -> str:
    """The ``Pending`` value of a new answer's branch, which says when it becomes the current one.

    Raises:
        ValidationError: ``until`` is neither "begun" nor "complete".
    """
    given = settings.regenerate_until if until is None else until
    if not isinstance(given, str) or given not in _UNTIL:
        raise ValidationError(f"must be begun or complete, not {shown(until)}", field="until")
    return _UNTIL[given]


class Regenerated(NamedTuple):
    """The branch for another answer, and whether this call created it; if not, it was there without an answer."""

    branch: Branch
    is_new: bool


def regenerated(chat: Reads, at: int, until: str) -> Regenerated:
    """See ``Branches.regenerate``; ``chat`` is bound to one branch; ``until``: of ``pending``, or "" to switch at once.

    Raises:
        MessageNotFound: the branch shows no message at ``at``.
    """
    messages = _traits(chat, max(0, at - 1))
    if selection.orphaned(messages):
        messages = _traits(chat, 0)
    kept = selection.last_kept(messages, at)
    if kept is None:
        raise MessageNotFound(chat.key, seq=at)
    branches, name = chat.place.adapter.part(BranchStore), f"regenerated-{uuid7()}"
    made, _left = branches.fork(chat.place.address, name, kept, switch=not until, pending=until)
    return Regenerated(made, made.name == name)


def _traits(chat: Reads, after: int) -> list[Trait]:
    """The traits of the messages after a position; only one page of texts is in memory at a time."""
    header = chat.place.adapter.messages.peek(chat.place.address)
    found: list[Trait] = []
    while header is not None and after < header.last_seq:
        span = Span(after=after, first=PAGE, most=PAGE_BYTES, min_version=header.version)
        page = chat._answer(span).messages
        if not page:
            break
        found += map(Trait.of, page)
        after = page[-1].seq or header.last_seq
    return found


def edited_and_branched(
    chat: Reads, seq: int | str, content: Content, *, message_id: str | None, metadata: dict[str, Any] | None
) -> Receipt:
    """See ``Branches.edit_and_branch``; ``chat`` is bound to one branch."""
    ready = stamped([Message.user(content, id=message_id, metadata=metadata)])
    known = None if message_id is None else chat.get(message_id)
    if known is not None:
        return _appended(chat, ready)
    former = chat.get(seq)
    if former is None or former.seq is None:
        raise not_found(chat.key, seq)
    if former.role != Role.USER.value:
        raise ValidationError(
            f"is a message in the role {former.role}; only a user's message can be asked again", field="seq"
        )
    if former.name is not None:
        ready = [structs.replace(ready[0], name=former.name)]
    again = _branch_of(chat, former.seq, message_id)
    if again is not None:
        receipt = _appended(chat._on(again), ready)
        chat.place.adapter.part(BranchStore).switch(chat.place.address, again)
        return structs.replace(receipt, former_branch=chat.branch)
    # The branch becomes current in the transaction of its first message, so nobody sees it without that message.
    receipt = _appended(chat._on(_branch_for(chat, former.seq, message_id)), ready)
    return structs.replace(receipt, former_branch=receipt.former_branch or chat.branch)


def _branch_of(chat: Reads, seq: int, message_id: str | None) -> str | None:
    """The branch on which a position has the message of an id, where it follows the same messages."""
    return next((each.branch for each in chat.siblings(seq) if each.id == message_id), None)


def _branch_for(chat: Reads, seq: int, message_id: str | None) -> str:
    """The branch for a new message at a position; equal calls at one moment get one, by a name made of the id."""
    branches, at, pending = chat.place.adapter.part(BranchStore), chat.place.address, Pending.EDITED.value
    if message_id is not None:
        name = f"edited-{uuid5(_EDITED, f'{chat.branch} {seq} {message_id}')}"
        try:
            return branches.fork(at, name, seq - 1, pending=pending)[0].name
        except BranchExists:  # it waits for the message, or has it by now; or it has lost it, and is another's
            is_waiting = any(each.name == name and each.pending for each in branches.all(at))
            if is_waiting or _branch_of(chat, seq, message_id) == name:
                return name
    return branches.fork(at, f"edited-{uuid7()}", seq - 1, pending=pending)[0].name


def _appended(chat: Reads, ready: list[Message]) -> Receipt:
    place = chat.place
    return place.receipt(place.adapter.messages.append(place.address, ready))
