"""A conversation with its branches as plain lists that share their beginnings: what every read of it must show."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from chat_memory.choices import CURRENT, MAIN_BRANCH


class Said(NamedTuple):
    """A message as its readers see it."""

    seq: int
    id: str
    role: str
    text: str
    tokens: int
    noted: int | None = None
    """What its metadata say."""


Shown = tuple[Said, ...]


class Line(NamedTuple):
    """One branch: all that was said on it and before it, and for each message on which branch it was said.

    ``life`` tells it from an earlier branch of its name; what it shows begins after position ``base``.
    """

    life: int
    parent: str | None = None
    fork: int = 0
    base: int = 0
    said: Shown = ()
    by: tuple[str, ...] = ()

    @property
    def shown(self) -> Shown:
        """What its readers see."""
        return self.said[self.base :]

    @property
    def ids(self) -> tuple[str, ...]:
        """What it knows, also what is hidden."""
        return tuple(said.id for said in self.said)


class State(NamedTuple):
    """A committed state of what is read by one name: ``life`` and ``version`` are 0 where nothing is."""

    life: int = 0
    version: int = 0
    shown: Shown = ()
    last_seq: int = 0


class Listed(NamedTuple):
    """What ``branches()`` tells of a branch, but for its version and times."""

    parent: str | None = None
    fork_seq: int = 0
    last_seq: int = 0
    message_count: int = 0
    current: bool = True


class History(NamedTuple):
    """All branches by name, none where there is no conversation, and which is current; each change makes another.

    ``at`` is a branch's name, or CURRENT for the current one.
    """

    lines: Mapping[str, Line] = {}
    current: str = MAIN_BRANCH

    def name(self, at: str) -> str:
        """Which branch is meant."""
        return self.current if at == CURRENT else at

    def line(self, at: str) -> Line:
        """The branch that is meant; an empty one where it is not there."""
        return self.lines.get(self.name(at), Line(0))

    def state(self, at: str, versions: Mapping[str, int]) -> State:
        """What is read there; of the current branch the life is the conversation's."""
        name = self.name(at)
        if name not in self.lines:
            return State()
        line = self.lines[name]
        life = self.lines[MAIN_BRANCH if at == CURRENT else name].life
        return State(life, versions[name], line.shown, len(line.said))

    def listed(self) -> dict[str, Listed]:
        """What ``branches()`` must tell."""
        return {
            name: Listed(line.parent, line.fork, len(line.said), len(line.shown), name == self.current)
            for name, line in self.lines.items()
        } or {MAIN_BRANCH: Listed()}

    def changed(self, after: "History") -> set[str]:
        """The branches that are not as they were."""
        return {name for name in {*self.lines, *after.lines} if self.lines.get(name) != after.lines.get(name)}

    def children(self, at: str) -> list[str]:
        """Which branches share messages of this one."""
        return [name for name, line in self.lines.items() if line.parent == self.name(at)]

    def opened(self, life: int) -> "History":
        """As it is once there is a conversation."""
        return self if self.lines else History({MAIN_BRANCH: Line(life)})

    def appended(self, at: str, said: Sequence[Said]) -> "History":
        """With new messages, whose positions are counted here."""
        line = self.line(at)
        placed = tuple(each._replace(seq=seq) for seq, each in enumerate(said, len(line.said) + 1))
        return self._with(at, line._replace(said=line.said + placed, by=line.by + (self.name(at),) * len(placed)))

    def forked(self, at: str, name: str, seq: int, life: int) -> "History":
        """With a branch that shares what was said up to ``seq``: it hangs on who said that."""
        line = self.line(at)
        parent = line.by[seq - 1] if seq else MAIN_BRANCH
        made = Line(life, parent, seq, line.base, line.said[:seq], line.by[:seq])
        return self._replace(lines={**self.lines, name: made})

    def edited(self, at: str, seq: int, **changes: Any) -> "History":
        """With a message changed, on every branch whose message at that position was said by the same."""
        by = self.line(at).by[seq - 1]
        lines = dict(self.lines)
        for name, line in lines.items():
            if line.by[seq - 1 : seq] == (by,):
                new = line.said[seq - 1]._replace(**changes)
                lines[name] = line._replace(said=(*line.said[: seq - 1], new, *line.said[seq:]))
        return self._replace(lines=lines)

    def sharing_the_newest(self, at: str) -> list[str]:
        """The branches that share the newest message, which was said on this one."""
        line, name = self.line(at), self.name(at)
        if line.by[-1:] != (name,):
            return []
        return [other for other in self.children(at) if self.lines[other].fork >= len(line.said)]

    def popped(self, at: str) -> "History":
        """Without the newest message; what the branch shares with others stays there, and it shares one less."""
        line = self.line(at)
        less = line._replace(said=line.said[:-1], by=line.by[:-1])
        if line.by[-1] != self.name(at):
            less = less._replace(fork=len(less.said), parent=less.by[-1] if less.by else MAIN_BRANCH)
        return self._with(at, less)

    def cleared(self, at: str) -> "History":
        """With nothing shown there."""
        line = self.line(at)
        return self._with(at, line._replace(base=len(line.said)))

    def without(self, at: str) -> "History":
        """With the branch gone, and all where it is the one they began with, or none is named."""
        if at in (CURRENT, MAIN_BRANCH):
            return History()
        lines = {name: line for name, line in self.lines.items() if name != at}
        return History(lines, MAIN_BRANCH if at == self.current else self.current)

    def _with(self, at: str, line: Line) -> "History":
        return self._replace(lines={**self.lines, self.name(at): line})


def window(full: Shown, budget: str, size: int, *, system: bool) -> Shown:
    """The best choice within the budget; nothing where there is none, so that the call is refused.

    First the longest ending that begins with a user, with all system messages if wanted; then of the newest turn the
    question and as much of its end as there is room for, with the newest of the system messages that came later.
    """
    notes = [said for said in full if said.role == "system"] if system else []
    rest = [said for said in full if said.role != "system"]
    begins = [index for index, said in enumerate(rest) if said.role == "user"]
    newest = rest[begins[-1] :] if begins else []
    first = [said for index, said in enumerate(notes) if said == full[index]]
    choices = [(notes, rest[begin:]) for begin in begins]
    for kept in range(len(newest) - 1, -1, -1) if newest else [0]:
        turn = [*newest[:1], *newest[len(newest) - kept :]]
        choices += [([*first, *notes[left:]], turn) for left in range(len(first), len(notes) + 1)]
    for along, ending in choices if size else ():
        if _cost(budget, ending, along) <= size:
            return tuple(sorted([*along, *ending]))
    return ()


def _cost(budget: str, kept: Sequence[Said], always: Sequence[Said]) -> int:
    if budget == "tokens":
        return sum(said.tokens for said in (*kept, *always))
    return len([said for said in kept if budget == "messages" or said.role == "user"])
