"""Branches, new answers, truncation, edits and merges, over both back ends."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync

from chat_memory import (
    BranchExists,
    BranchInUse,
    BranchNotFound,
    Conversation,
    Message,
    MessageConflict,
    MessageNotFound,
    NotSupported,
    ValidationError,
    conversation,
    signals,
)
from chat_memory.records import Address
from chat_memory.storage.contract import BranchStore
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.redis import RedisAdapter
from tests.conversations import all_contents, contents, say_with_ids
from tests.histories import calling

pytestmark = pytest.mark.django_db(transaction=True)


def branch_names(chat: Conversation) -> list[str]:
    return [branch.name for branch in chat.branches()]


def test_a_branch_shares_what_was_said_and_goes_its_own_way(chats) -> None:
    chat = chats()
    say_with_ids("a", "b", "c", to=chat)
    draft = chat.fork("draft", at=2)
    say_with_ids("d", to=draft)
    say_with_ids("e", to=chat)
    assert (all_contents(draft), all_contents(chat)) == (["a", "b", "d"], ["a", "b", "c", "e"])
    assert [message.seq for message in draft.tail(2)] == [2, 3]
    assert (draft.count(), draft.branch, chat.branch) == (3, "draft", "main")
    assert all_contents(chats(branch="draft")) == all_contents(draft)
    other = async_to_sync(chat.afork)("other")
    assert all_contents(other) == all_contents(chat)
    assert [
        (branch.name, branch.parent, branch.fork_seq, branch.current) for branch in async_to_sync(chat.abranches)()
    ] == [
        ("main", None, 0, True),
        ("draft", "main", 2, False),
        ("other", "main", 4, False),
    ]


def test_a_branch_of_a_branch(chats) -> None:
    say_with_ids("a", "b", to=chats())
    one = chats().fork("one", at=1)
    say_with_ids("c", "d", to=one)
    two = one.fork("two", at=2)
    say_with_ids("e", to=two)
    assert all_contents(two) == ["a", "c", "e"]
    assert (all_contents(one), all_contents(chats())) == (["a", "c", "d"], ["a", "b"])
    early = two.fork("early", at=1)
    say_with_ids("f", to=early)
    assert all_contents(early) == ["a", "f"]
    assert {branch.name: branch.parent for branch in chats().branches()}["early"] == "main"


def test_main_is_there_from_the_start(chats) -> None:
    """FEATURES N47."""
    chat = chats()
    assert [(branch.name, branch.message_count, branch.current) for branch in chat.branches()] == [("main", 0, True)]
    async_to_sync(chat.aswitch)("main")
    assert chat.session() is None
    say_with_ids("a", to=chat.fork("draft"))
    assert (branch_names(chat), all_contents(chat), all_contents(chats(branch="draft"))) == (
        ["main", "draft"],
        [],
        ["a"],
    )


def test_switch_changes_the_current_branch(chats) -> None:
    chat, main = chats(), chats(branch="main")
    say_with_ids("a", "b", to=chat)
    say_with_ids("c", to=chat.fork("draft", at=1))
    before = chat.session().version
    async_to_sync(chat.aswitch)("draft")
    assert (all_contents(chat), all_contents(chats()), all_contents(main)) == (["a", "c"], ["a", "c"], ["a", "b"])
    assert chat.session().version > before
    say_with_ids("d", to=chat)
    assert all_contents(chats(branch="draft")) == ["a", "c", "d"]
    chat.switch("main")
    assert all_contents(chat) == ["a", "b"]
    assert [branch.name for branch in chat.branches() if branch.current] == ["main"]


@pytest.mark.parametrize("existing", [True, False])
def test_what_is_not_there_is_a_typed_error(chats, existing: bool) -> None:
    chat = chats()
    if existing:
        say_with_ids("a", to=chat)
    calls: list[tuple[type[Exception], Any]] = [
        (BranchNotFound, lambda: chat.switch("nope")),
        (BranchNotFound, lambda: chat.merge("nope", "main")),
        (BranchNotFound, lambda: chat.merge("main", "nope")),
        (BranchNotFound, lambda: chats(branch="nope").fork("x")),
        (BranchNotFound, lambda: chats(branch="nope").append(Message.user("x"))),
        (BranchExists, lambda: chat.fork("main")),
        (MessageNotFound, lambda: chat.fork("x", at=9)),
        (MessageNotFound, lambda: chat.regenerate(9)),
        (MessageNotFound, lambda: chat.regenerate(0)),
        (MessageNotFound, lambda: chat.edit(9, "x")),
        (MessageNotFound, lambda: chat.edit(0, "x")),
        (MessageNotFound, lambda: chat.until("nope")),
        (MessageNotFound, lambda: chat.until("a\x00")),
        (MessageNotFound, lambda: chat.truncate_after("nope")),
        (MessageNotFound, lambda: chat.truncate_after(5)),
        (ValidationError, lambda: chat.fork("")),
        (ValidationError, lambda: chat.fork("a\nb")),
        (ValidationError, lambda: chat.fork("x" * 101)),
        (ValidationError, lambda: chat.fork("x", at=-1)),
        (ValidationError, lambda: chat.switch(None)),
        (ValidationError, lambda: chats(branch="")),
    ]
    for error, call in calls:
        with pytest.raises(error):
            call()
    assert (chat.session() is not None, branch_names(chat), all_contents(chat)) == (
        existing,
        ["main"],
        ["a"] if existing else [],
    )


def test_a_name_is_taken_once(chats) -> None:
    say_with_ids("a", to=chats())
    chats().fork("draft")
    with pytest.raises(BranchExists, match="draft"):
        chats(branch="draft").fork("draft")
    assert branch_names(chats()) == ["main", "draft"]


def test_a_new_answer_keeps_the_old_one(chats) -> None:
    """FEATURES E09, E10: by the question's position or by the answer's."""
    chat = chats()
    chat.append(Message.user("q1"), Message.assistant("a1"), Message.user("q2"), Message.assistant("a2"))
    new = chat.regenerate(2)
    assert (all_contents(new), all_contents(chat)) == (["q1"], ["q1", "a1", "q2", "a2"])
    new.append(Message.assistant("better"))
    assert all_contents(chats()) == ["q1", "better"]
    assert all_contents(chats(branch="main")) == ["q1", "a1", "q2", "a2"]
    again = async_to_sync(chats(branch="main").aregenerate)(3, switch=True)
    assert all_contents(again) == all_contents(chats()) == ["q1", "a1", "q2"]
    assert again.branch.startswith("regenerated-")
    assert len(chat.branches()) == 3


def test_a_new_answer_does_not_begin_between_a_call_and_its_results(chats) -> None:
    chat = chats()
    chat.append(
        Message.user("q"),
        calling("c1", "c2"),
        Message.tool("1", tool_call_id="c1"),
        Message.tool("2", tool_call_id="c2"),
        Message.assistant("a"),
    )
    assert all_contents(chats(branch="main").regenerate(4)) == ["q"]
    assert all_contents(chats(branch="main").regenerate(5)) == ["q", None, "1", "2"]
    assert all_contents(chats(branch="main").regenerate(1)) == ["q"]


def test_the_first_message_can_be_replaced(chats) -> None:
    chat = chats()
    chat.append(Message.assistant("Welcome!"), Message.user("Hi"))
    assert all_contents(chat.regenerate(1)) == []
    say_with_ids("x", to=chat)
    chat.clear()
    chat.append(Message.assistant("Welcome back!"))
    assert all_contents(chat.regenerate(chat.tail(1)[0].seq)) == []


def test_truncate_after_a_message(chats) -> None:
    """FEATURES S1.19: as many as were shown after it; they stay on the branch they were on."""
    chat = chats()
    say_with_ids("a", "b", "c", "d", to=chat)
    assert contents(async_to_sync(chat.auntil)("b")) == ["a", "b"]
    assert chat.truncate_after("d") == 0
    assert branch_names(chat) == ["main"]
    assert async_to_sync(chat.atruncate_after)("b") == 2
    assert all_contents(chat) == ["a", "b"]
    say_with_ids("e", to=chat)
    assert all_contents(chats()) == ["a", "b", "e"]
    assert all_contents(chats(branch="main")) == ["a", "b", "c", "d"]
    assert chat.truncate_after("a") == 2
    with pytest.raises(MessageNotFound):
        chat.until("c")
    assert chat.truncate_after("a", inclusive=True) == 1
    assert (all_contents(chat), all_contents(chats(branch="main"))) == ([], ["a", "b", "c", "d"])
    say_with_ids("f", "g", to=chat)
    assert chat.truncate_after("g", inclusive=True) == 1
    chat.clear()
    say_with_ids("h", to=chat)
    assert chat.truncate_after("h", inclusive=True) == 1
    assert all_contents(chat) == []


def test_edit_is_seen_wherever_the_message_is_shared(chats) -> None:
    chat = chats()
    say_with_ids("a", "b", "c", to=chat)
    draft, early = chat.fork("draft", at=2), chat.fork("early", at=1)
    below = draft.fork("below")
    versions = [one.session().version for one in (chat, draft, below)]
    edited = chat.edit(2, content="B, at greater length")
    assert (edited.content, edited.id, edited.seq, edited.role) == ("B, at greater length", "b", 2, "user")
    assert edited.tokens > chat.head(1)[0].tokens
    for one in (chat, draft, below):
        assert one.head(2)[1] == edited
    assert all(one.session().version > was for one, was in zip((chat, draft, below), versions, strict=True))
    assert all_contents(early) == ["a"]
    async_to_sync(draft.aedit)(2, [{"type": "text", "text": "again"}])
    assert all_contents(chat)[1] == [{"type": "text", "text": "again"}]
    assert [former.content for former in async_to_sync(chat.arevisions)(2)] == ["b", "B, at greater length"]
    assert (chat.revisions(1), chat.revisions(99)) == ([], [])


@pytest.mark.parametrize("content", [None, 5, "a\x00b", ["text"], "x" * 2_000_000])
def test_edit_refuses_what_an_append_would(chats, content: Any) -> None:
    chat = chats()
    say_with_ids("a", to=chat)
    version = chat.session().version
    with pytest.raises(ValidationError, match=r"^content(\[0\])?: "):
        chat.edit(1, content)
    assert (all_contents(chat), chat.revisions(1), chat.session().version) == (["a"], [], version)


def test_merge_takes_what_is_new_once(chats) -> None:
    chat = chats()
    say_with_ids("a", to=chat)
    draft = chat.fork("draft")
    say_with_ids("b", "c", to=draft)
    say_with_ids("d", to=chat)
    receipt = chat.merge("draft", "main")
    assert all_contents(chat) == ["a", "d", "b", "c"]
    assert [message.id for message in receipt.messages] == ["b", "c"]
    assert receipt.messages[0].created_at == draft.messages()[1].created_at
    assert (receipt.first_seq, receipt.last_seq, receipt.replayed) == (3, 4, False)
    version = chat.session().version
    assert (async_to_sync(chat.amerge)("draft", "main")).replayed
    assert chat.session().version == version
    say_with_ids("e", to=draft)
    chat.merge("draft", "main")
    assert all_contents(chat) == ["a", "d", "b", "c", "e"]
    assert all_contents(draft) == ["a", "b", "c", "e"]
    assert chat.merge("main", "main").messages == ()


def test_merge_between_branches_begins_where_they_part(chats) -> None:
    say_with_ids("a", "b", "c", to=chats())
    one = chats().fork("one", at=2)
    say_with_ids("d", to=one)
    two = one.fork("two", at=3)
    say_with_ids("e", to=two)
    early = chats().fork("early", at=1)
    assert contents(list(chats().merge("two", "main").messages)) == ["d", "e"]
    assert contents(list(chats().merge("two", "early").messages)) == ["b", "d", "e"]
    assert all_contents(early) == ["a", "b", "d", "e"]
    assert chats().merge("early", "one").messages[-1].content == "e"


def test_merge_of_what_contradicts_writes_nothing(chats) -> None:
    say_with_ids("a", to=chats())
    draft = chats().fork("draft")
    draft.append(Message.user("b", id="b"), Message.user("c", id="same"))
    chats().append(Message.user("another", id="same"))
    with pytest.raises(MessageConflict, match="same"):
        chats().merge("draft", "main")
    assert all_contents(chats()) == ["a", "another"]


def test_delete_of_a_branch_and_of_all(chats) -> None:
    say_with_ids("a", to=chats())
    one = chats().fork("one")
    say_with_ids("b", to=one)
    two = one.fork("two", at=2)
    with pytest.raises(BranchInUse, match="two"):
        one.delete()
    two.switch("two")
    assert two.delete()
    assert (all_contents(chats()), branch_names(chats())) == (["a"], ["main", "one"])
    assert not two.delete()
    assert one.delete()
    say_with_ids("c", to=chats().fork("three"))
    assert chats().delete()
    assert (branch_names(chats()), all_contents(chats(branch="three"))) == (["main"], [])


def test_clear_is_of_one_branch(chats) -> None:
    say_with_ids("a", "b", to=chats())
    draft = chats().fork("draft")
    chats().clear()
    assert (all_contents(chats()), all_contents(draft)) == ([], ["a", "b"])
    say_with_ids("c", to=chats())
    draft.clear()
    assert (all_contents(chats()), all_contents(draft)) == (["c"], [])


def test_an_id_is_a_replay_on_every_branch_that_shows_it(chats) -> None:
    say_with_ids("a", to=chats())
    draft = chats().fork("draft")
    assert draft.append(Message.user("a", id="a")).replayed
    with pytest.raises(MessageConflict):
        draft.append(Message.user("other", id="a"))
    say_with_ids("x", to=chats())
    say_with_ids("x", to=draft)
    assert (all_contents(chats()), all_contents(draft)) == (["a", "x"], ["a", "x"])


def test_windows_and_versions_of_a_branch(chats) -> None:
    chat = chats()
    chat.append(Message.system("s"), *(Message.user(text) for text in "abc"))
    draft = chat.fork("draft", at=3)
    draft.append(Message.user("d"))
    assert contents(draft.window(turns=2)) == ["s", "b", "d"]
    assert contents(draft.window(messages=3)) == ["s", "a", "b", "d"]
    assert contents(draft.since(2)) == ["b", "d"]
    assert contents(draft.head(2)) == ["s", "a"]
    seen = draft.session().version
    chat.append(Message.user("e"))
    assert draft.append(Message.user("f"), if_version=seen).version == seen + 1


def test_until_a_message_that_goes_meanwhile_finds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another branch becomes the current one between the look-up of the id and the read."""
    adapter = MemoryAdapter()
    locate = adapter.messages.locate

    def switching(at: Address, message_id: str) -> int | None:
        seq = locate(at, message_id)
        adapter.part(BranchStore).switch(at, "draft")
        return seq

    monkeypatch.setattr(adapter.messages, "locate", switching)
    chat = conversation("k", adapter=adapter)
    say_with_ids("a", "b", to=chat)
    say_with_ids("c", to=chat.fork("draft", at=1))
    with pytest.raises(MessageNotFound):
        chat.until("b")


def test_a_back_end_without_branches_says_so(redis_client) -> None:
    chat = conversation("k", adapter=RedisAdapter(redis_client))
    say_with_ids("a", "b", to=chat)
    for call in (chat.branches, lambda: chat.fork("x"), lambda: chat.regenerate(1), lambda: chat.edit(1, "x")):
        with pytest.raises(NotSupported):
            call()
    assert contents(chat.until("a")) == ["a"]


def test_changes_of_branches_are_told(chats) -> None:
    told: list[tuple[Any, ...]] = []

    def note(signal: Any, sender: Any, branch: str, **said: Any) -> None:
        for name in ("workspace", "key", "using"):
            del said[name]
        told.append((heard[id(signal)], branch, said))

    heard = {
        id(getattr(signals, name)): name
        for name in ("session_created", "messages_appended", "branch_forked", "branch_switched", "message_edited")
    }
    for name in heard.values():
        getattr(signals, name).connect(note)
    try:
        draft = chats().fork("draft")
        say_with_ids("a", to=draft)
        chats().switch("draft")
        say_with_ids("b", to=chats())
        chats().edit(1, "c")
        chats().merge("draft", "main")
        chats().switch("draft")
    finally:
        for name in heard.values():
            getattr(signals, name).disconnect(note)
    versions = [said.pop("version", None) for *_rest, said in told]
    assert told == [
        ("session_created", "main", {}),
        ("branch_forked", "draft", {"parent": "main", "fork_seq": 0}),
        ("messages_appended", "draft", {"count": 1, "last_seq": 1}),
        ("branch_switched", "draft", {}),
        ("messages_appended", "draft", {"count": 1, "last_seq": 2}),
        ("message_edited", "draft", {"seq": 1}),
        ("messages_appended", "main", {"count": 2, "last_seq": 2}),
    ]
    assert versions[2:6] == sorted(versions[2:6])
