"""The changes that a conversation can be asked for, each beside what the model makes of it."""

from typing import Any

import pytest

from chat_memory import Message, conversation
from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.exceptions import (
    BranchExists,
    BranchInUse,
    BranchNotFound,
    MessageConflict,
    MessageNotFound,
    MessageRedacted,
)
from chat_memory.history.conversation import Conversation
from chat_memory.rules.redaction import PLACEHOLDER
from tests.faults.expected_reads import as_shown, last
from tests.faults.plain_lists import History, Said

MOST_BRANCHES = 6
NOWHERE = "nowhere"
FORKED = ("a", "b")
ROLES = ("user", "assistant", "user", "system", "assistant")


class Verbs:
    """Each takes a handle and a number that chooses what there is to choose, and gives the model after it, or None."""

    key: str
    number: int
    at: str
    history: History

    def append(self, chat: Conversation, n: int) -> History | None:
        return self.store(chat, self.new(n))

    def append_batch(self, chat: Conversation, n: int) -> History | None:
        return self.store(chat, [said for each in range(3) for said in self.new(n + each)])

    def retry(self, chat: Conversation, n: int) -> History | None:
        """The newest again, of which a clear may have hidden some."""
        return self.store(chat, self.line.said[-2:])

    def append_partly_known(self, chat: Conversation, n: int) -> History | None:
        """Known ones around a new one, old ones too."""
        known = self.line.said
        return self.store(chat, [*known[:1], *self.new(n), *known[1:][-1:], *self.new(n + 1)])

    def new(self, n: int) -> list[Said]:
        self.number += 1
        said = f"m{self.number}"
        return [Said(0, said, ROLES[n % len(ROLES)], said, 1 + self.number % 4)]

    def store(self, chat: Conversation, given: Any) -> History | None:
        known = self.line.ids
        new = [said for said in given if said.id not in known]
        receipt = chat.append(*(message_of(said) for said in given))
        assert [message.id for message in receipt.messages] == [said.id for said in given]
        assert (receipt.replayed, receipt.version) == (bool(given) and not new, version(chat))
        return self.history.opened(self.life()).appended(self.at, new) if new else None

    def clear(self, chat: Conversation, n: int) -> History | None:
        chat.clear()
        return self.history.cleared(self.at) if self.line.shown else None

    def delete(self, chat: Conversation, n: int) -> History | None:
        if self.at not in (CURRENT, MAIN_BRANCH) and self.history.children(self.at):
            with pytest.raises(BranchInUse):
                chat.delete()
            return None
        assert chat.delete() == bool(self.history.lines)
        return self.history.without(self.at) if self.history.lines else None

    def open(self, chat: Conversation, n: int) -> History | None:
        assert chat.open().version == version(chat)
        return None if self.history.lines else self.history.opened(self.life())

    def update(self, chat: Conversation, n: int) -> History | None:
        if not self.history.lines:
            return None
        assert chat.update(title="t").version == version(chat)
        return self.history

    def fork(self, chat: Conversation, n: int) -> History | None:
        """At any position that is shown, or before the first of them."""
        name, line = FORKED[n % 2], self.line
        if name in self.history.lines:
            self.refused(chat, n)
            return None
        seq = len(line.said) if n % 4 == 0 else line.base + n % (len(line.shown) + 1)
        assert chat.fork(name, None if n % 4 == 0 else seq).branch == name
        return self.history.opened(self.life()).forked(self.at, name, seq, self.life())

    def switch(self, chat: Conversation, n: int) -> History | None:
        """To another one, or now and then to the current one."""
        current = self.history.current
        others = [name for name in self.history.lines if name != current]
        name = others[n % len(others)] if others and n < 10 else current
        chat.switch(name)
        return None if name == current else self.history._replace(current=name)

    def truncate_after(self, chat: Conversation, n: int) -> History | None:
        """One of the newest messages is the last one from now on."""
        line = self.line
        if not line.shown or len(self.history.lines) >= MOST_BRANCHES:
            return None
        kept = last(line.shown, 4 - n % 4)[0]
        assert chat.truncate_after(kept.id) == len(line.said) - kept.seq
        if kept.seq == len(line.said):
            return None
        (name,) = {branch.name for branch in chat.branches()}.difference(self.history.lines)
        return self.history.forked(self.at, name, kept.seq, self.life())._replace(current=name)

    def edit(self, chat: Conversation, n: int) -> History | None:
        was = self.one_of_shown(n)
        if was is None:
            return None
        if was.text == PLACEHOLDER:
            with pytest.raises(MessageRedacted):
                chat.edit(was.seq, "back")
            return None
        text = f"{was.text}, or {n}"
        (now,) = as_shown([chat.edit(was.seq, text)])
        assert now == was._replace(text=text, tokens=now.tokens)
        assert [former.content for former in chat.revisions(was.seq)][-1:] == [was.text]
        return self.history.edited(self.at, now.seq, text=text, tokens=now.tokens)

    def note(self, chat: Conversation, n: int) -> History | None:
        """Metadata that comes later, by the id of the message."""
        was = self.one_of_shown(n)
        if was is None or was.text == PLACEHOLDER:
            return None
        former = chat.revisions(was.id)
        (now,) = as_shown([chat.edit(was.id, metadata={"noted": n})])
        assert (now, chat.revisions(was.id)) == (was._replace(noted=n), former)
        return self.history.edited(self.at, was.seq, noted=n) if was.noted != n else None

    def redact(self, chat: Conversation, n: int) -> History | None:
        was, before = self.one_of_shown(n), version(chat)
        if was is None:
            return None
        (now,) = as_shown([chat.redact(was.seq if n % 2 else was.id)])
        assert now == was._replace(text=PLACEHOLDER, noted=None, tokens=now.tokens)
        assert chat.revisions(was.seq) == []
        if was.text == PLACEHOLDER:
            assert version(chat) == before
            return None
        return self.history.edited(self.at, was.seq, text=PLACEHOLDER, noted=None, tokens=now.tokens)

    def pop(self, chat: Conversation, n: int) -> History | None:
        full = self.line.shown
        if full and self.history.sharing_the_newest(self.at):
            with pytest.raises(BranchInUse):
                chat.pop()
            return None
        popped = chat.pop()
        assert as_shown([popped] if popped else []) == full[-1:]
        return self.history.popped(self.at) if full else None

    def one_of_shown(self, n: int) -> Said | None:
        """A message that is shown, the newest among those that are chosen most."""
        full = self.line.shown
        return full[n % len(full)] if full else None

    def refused(self, chat: Conversation, n: int) -> None:
        """What cannot be done is not done in part."""
        beyond = len(self.line.said) + 1
        ids = [said.id for said in self.line.said if said.text != PLACEHOLDER]
        other = [Message.user("other", id=each) for each in ids[:1]]
        for error, call in (
            (BranchExists, lambda: chat.fork(list(self.history.lines or [MAIN_BRANCH])[-1])),
            (BranchNotFound, lambda: chat.switch(NOWHERE)),
            (BranchNotFound, lambda: conversation(self.key, branch=NOWHERE).append(Message.user("new"))),
            (MessageNotFound, lambda: chat.fork(NOWHERE, beyond)),
            (MessageNotFound, lambda: chat.edit(beyond, "new")),
            (MessageNotFound, lambda: chat.truncate_after(NOWHERE)),
            *[(MessageConflict, lambda: chat.append(Message.user("new"), *other))] * len(other),
        ):
            with pytest.raises(error):
                call()

    def count(self, chat: Conversation, n: int) -> None:
        assert chat.count() == len(self.line.shown)

    @property
    def line(self) -> Any:
        """The branch that is changed."""
        return self.history.line(self.at)

    def life(self) -> int:
        """A number no branch has had."""
        self.number += 1
        return self.number


def version(chat: Conversation) -> int:
    """What the database says; 0 where there is nothing."""
    record = chat.session()
    return record.version if record else 0


def message_of(said: Said) -> Message:
    """A message as it is given to an append."""
    metadata = None if said.noted is None else {"noted": said.noted}
    return Message(said.role, said.text, id=said.id, tokens=said.tokens, metadata=metadata)
