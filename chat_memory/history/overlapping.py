"""Owns what becomes of a question that comes while others of its conversation are being answered."""

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
    """Do with the turns before one that is held what the caller has chosen; each value is a number of seconds to wait.

    Args:
        store: where the turns are.
        held: the turn.
        busy: what the caller has chosen.
        end: the moment of the monotonic clock at which it waits no longer.
        longest: a pause takes so many seconds at most.
        renew: renews the right to the turn.

    Raises:
        TurnTaken: those before it are still being answered.
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
        renew()  # behind the pause, so that who is let in has the right


def going_on_before(place: Place, asked: Message | str) -> Address:
    """Take back the questions that are being answered, unless the asked one is stored: the address to ask it at.

    The new branch is the current one before those who answer lose the right: where this process ends in between, they
    answer on a branch that is not shown, and who asks again goes on from the new one.
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
