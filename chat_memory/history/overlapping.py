"""Owns how a new question is treated while earlier questions of its branch are being answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from chat_memory.choices import CURRENT, TurnState
from chat_memory.exceptions import TurnTaken
from chat_memory.history.handle import Place
from chat_memory.records import Address, HeldTurn, Message, uuid7
from chat_memory.rules.overlap import pauses
from chat_memory.storage.contract import BranchStore, TurnStore


def among_others(
    store: TurnStore, held: HeldTurn, busy: str, *, end: float, longest: float, renew: Callable[[], None]
) -> Iterator[float]:
    """Treat the open turns before a held one as the caller has chosen; each value is a number of seconds to wait.

    Args:
        store: the store of the turns.
        held: the turn that the caller holds.
        busy: the caller's choice, one of ``rules.overlap.BUSY``.
        end: the time of the monotonic clock at which the wait ends.
        longest: the most seconds of one pause.
        renew: renews the right to the held turn.

    Raises:
        TurnTaken: an earlier turn is still being answered at ``end``.
    """
    if busy in ("interrupt", "rollback"):
        store.interrupt(held.at, before=held.number, state=TurnState.INTERRUPTED)
    waits = pauses()
    while busy == "enqueue":
        others = [each for each in store.open(held.at) if each.number < held.number]
        if not others:
            return
        now = time.monotonic()
        if now >= end:
            raise TurnTaken(held.at.key, others[-1].number, others[-1].seconds)
        yield max(0.0, min(next(waits), end - now, longest))
        renew()  # after the pause, so that the caller has the right when the wait ends


def going_on_before(place: Place, asked: Message | str) -> Address:
    """Withdraw the questions that are being answered, unless the new one is stored; the address to ask it at.

    First a new branch becomes the current one, then the withdrawn turns end. So if the process dies in between, their
    answers land on a branch that is not shown, and a retry continues on the new branch.
    """
    at = place.address
    if isinstance(asked, str) or place.adapter.messages.locate(at, asked.id or "") is not None:
        return at
    turns, branches = place.adapter.part(TurnStore), place.adapter.part(BranchStore)
    if not turns.open(at):
        return at
    former = at if at.branch else place.on(next(each.name for each in branches.all(at) if each.current))
    opened = turns.open(former)
    if not opened:
        return at
    branch, _left = branches.fork(former, f"rolled-back-{uuid7()}", opened[0].seq - 1, switch=True)
    turns.interrupt(former, state=TurnState.WITHDRAWN)
    return place.on(branch.name) if at.branch != CURRENT else at
