"""Owns the clauses of attachments: stored once in a workspace, reached by conversations, gone with the last message."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

import hashlib
from functools import partial
from io import BytesIO

import pytest

from chat_memory.exceptions import AttachmentNotFound, NotSupported, SessionNotFound
from chat_memory.records import Address, Attachment, Message, Transcript
from chat_memory.storage.contract import Upload
from chat_memory.testing.conformance.kit import Kit, at_once, user, where

attached = where("attachments")

CAT, DOG = b"\x89PNG a cat", b"\x89PNG a dog"
WRITERS = 4


class AttachmentClauses(Kit):
    """See ``AttachmentStore``."""

    @attached
    def test_bytes_that_were_added_can_be_read(self) -> None:
        self.sessions.open(self.at())
        added = self._add(CAT)
        assert (added.sha256, added.size, added.media_type) == (_hash(CAT), len(CAT), "image/png")
        assert self.attachments.find(self.at()) == [added]
        assert self._read(CAT) == CAT
        self.messages.append(self.at(), [picture("a", CAT)])
        assert self.attachments.find(self.at()) == [added]
        assert self._read(CAT) == CAT

    @attached
    def test_an_unknown_session_takes_no_attachment(self) -> None:
        with pytest.raises(SessionNotFound):
            self._add(CAT)
        assert self.attachments.find(self.at()) == []

    @attached
    def test_the_same_bytes_are_stored_once(self) -> None:
        self.append("a")
        first = self._add(CAT)
        self.append("a", key="other")
        assert self._add(CAT, key="other", media_type="image/jpeg") == first
        assert self._add(CAT) == first
        assert self.attachments.find(self.at()) == self.attachments.find(self.at("other")) == [first]

    @attached
    def test_a_conversation_reaches_its_own_attachments_alone(self) -> None:
        self.append("a")
        self.append("a", key="other")
        self._add(CAT)
        for at in (self.at("other"), self.at("unknown")):
            assert self.attachments.find(at) == []
            with pytest.raises(AttachmentNotFound):
                self.attachments.open(at, _hash(CAT))
        assert [each.sha256 for each in self.attachments.find(self.at(), [_hash(CAT), _hash(DOG)])] == [_hash(CAT)]

    @attached
    def test_a_message_may_not_refer_to_what_is_not_there(self) -> None:
        for _stored in range(2):
            before = self.header()
            with pytest.raises(AttachmentNotFound, match=_hash(CAT)[:40]):
                self.messages.append(self.at(), [user("x"), picture("y", CAT)])
            assert self.header() == before
            self.append("a")

    @where("attachments", "edits")
    def test_a_hash_alone_gives_nobody_the_bytes_of_another_conversation(self) -> None:
        self.sessions.open(self.at())
        self._add(CAT)
        self.messages.append(self.at(), [picture("a", CAT)])
        self.append("b", key="other")
        for key in ("other", "new"):
            with pytest.raises(AttachmentNotFound):
                self.messages.append(self.at(key), [picture("a", CAT)])
        with pytest.raises(AttachmentNotFound):
            self.rewrite(1, picture("b", CAT).content, key="other")
        assert self.header("new") is None
        assert [message.content for message in self.messages.read(self.at("other")).messages] == ["b"]
        assert self.attachments.find(self.at("other")) == []
        self._add(CAT, key="other")
        self.messages.append(self.at("other"), [picture("a", CAT)])
        assert self._read(CAT, key="other") == CAT

    @where("attachments", "edits")
    def test_an_edit_may_not_refer_to_what_is_not_there(self) -> None:
        self.append("a")
        with pytest.raises(AttachmentNotFound):
            self.rewrite(1, picture("a", CAT).content)
        assert self.contents() == ["a"]

    @attached
    def test_an_attachment_goes_with_the_last_message(self) -> None:
        for key in ("k", "other"):
            self.sessions.open(self.at(key))
            self._add(CAT, key=key)
            self.messages.append(self.at(key), [picture("a", CAT)])
        self.sessions.delete(self.at())
        assert self._read(CAT, key="other") == CAT
        self.messages.append(self.at("other"), [picture("b", CAT)])
        self.messages.pop(self.at("other"))
        assert self._read(CAT, key="other") == CAT
        self.messages.pop(self.at("other"))
        self._check_gone(CAT, key="other")

    @attached
    def test_what_is_held_for_a_message_goes_with_its_conversation(self) -> None:
        self.sessions.open(self.at())
        self._add(CAT)
        self.sessions.delete(self.at())
        self.sessions.open(self.at())
        self._check_gone(CAT)

    @attached
    def test_what_another_conversation_is_about_to_refer_to_stays(self) -> None:
        for key in ("k", "other"):
            self.sessions.open(self.at(key))
            self._add(CAT, key=key)
        self.messages.append(self.at(), [picture("a", CAT)])
        self.sessions.delete(self.at())
        self.messages.append(self.at("other"), [picture("a", CAT)])
        assert self._read(CAT, key="other") == CAT

    @where("attachments", "edits")
    def test_a_former_content_keeps_what_it_refers_to(self) -> None:
        self._refer_to_one_of_two()
        self.rewrite(1, picture("a", DOG).content)
        assert self._read(CAT) == CAT
        assert self._read(DOG) == DOG
        self.redact(1)
        for data in (CAT, DOG):
            self._check_gone(data)

    @where("attachments", "edits")
    def test_redaction_takes_what_was_added_again_for_the_next_message(self) -> None:
        self._refer_to_one_of_two()
        self._add(CAT)
        self.redact(1)
        self._check_gone(CAT)
        assert self._read(DOG) == DOG

    @where("attachments", "branches", "edits")
    def test_a_branch_keeps_what_it_shares(self) -> None:
        self._refer_to_one_of_two()
        self.branches.fork(self.at(), "draft")
        self.messages.append(self.at(branch="draft"), [picture("b", DOG)])
        self.messages.append(self.at(branch="main"), [picture("c", CAT)])
        assert self.messages.pop(self.at(branch="main")) is not None
        assert self._read(CAT) == CAT
        self.sessions.delete(self.at(branch="draft"))
        self._check_gone(DOG)
        self.redact(1)
        self._check_gone(CAT)

    @attached
    def test_what_clear_has_hidden_is_not_reached(self) -> None:
        self.sessions.open(self.at())
        self._add(CAT)
        self.messages.append(self.at(), [picture("a", CAT)])
        self.messages.clear(self.at())
        assert self.attachments.find(self.at()) == []

    @where("attachments", "branches")
    def test_what_a_branch_still_shows_is_reached(self) -> None:
        self.sessions.open(self.at())
        self._add(CAT)
        self.messages.append(self.at(), [picture("a", CAT)])
        self.branches.fork(self.at(), "draft")
        self.messages.clear(self.at(branch="main"))
        assert self._read(CAT) == CAT
        self.messages.clear(self.at(branch="draft"))
        assert self.attachments.find(self.at()) == []

    @attached
    def test_no_workspace_sees_the_attachments_of_another(self) -> None:
        self.sessions.open(self.at())
        self._add(CAT)
        self.messages.append(self.at(), [picture("a", CAT)])
        there = Address(f"{self.workspace}-other", "k")
        self.make_workspace(there.workspace)
        self.sessions.open(there)
        with pytest.raises(AttachmentNotFound):
            self.messages.append(there, [picture("a", CAT)])
        self.attachments.add(there, upload(CAT, "image/jpeg"))
        self.messages.append(there, [picture("a", CAT)])
        self.sessions.delete(self.at())
        with self.attachments.open(there, _hash(CAT)) as file:
            assert file.read() == CAT
        assert [each.media_type for each in self.attachments.find(there)] == ["image/jpeg"]

    @attached
    def test_several_who_add_the_same_bytes_at_once_store_them_once(self) -> None:
        for number in range(WRITERS):
            self.sessions.open(self.at(f"k{number}"))
        added = at_once(*(partial(self._add, CAT, f"k{number}") for number in range(WRITERS)))
        assert len(set(added)) == 1
        for number in range(WRITERS):
            self.messages.append(self.at(f"k{number}"), [picture("a", CAT)])
        for number in range(WRITERS - 1):
            self.sessions.delete(self.at(f"k{number}"))
        assert self._read(CAT, key=f"k{WRITERS - 1}") == CAT

    @where("attachments", "archive")
    def test_a_restore_counts_what_its_messages_refer_to(self) -> None:
        """Both in a conversation that it creates, and for messages that it adds to an existing one."""
        self.sessions.open(self.at())
        self._add(CAT)
        self.append("b", key="old")
        for key in ("new", "old"):
            restored = self.archive.restore([(self.at(key), Transcript(key, [picture("a", CAT)]))])
            assert restored[0].error is None
        for gone, left in (("k", "new"), ("old", "new")):
            self.sessions.delete(self.at(gone))
            assert self._read(CAT, key=left) == CAT
        self.append("b", key="old")
        self.archive.restore([(self.at("old"), Transcript("old", [picture("a", CAT)]))])
        self.sessions.delete(self.at("new"))
        assert self._read(CAT, key="old") == CAT
        self.sessions.delete(self.at("old"))
        self.sessions.open(self.at())
        self._check_gone(CAT)

    def test_a_message_that_refers_is_refused_where_nothing_is_kept(self) -> None:
        if self.offers("attachments"):
            pytest.skip(f"{self.adapter.name} keeps attachments")
        with pytest.raises(NotSupported):
            self.messages.append(self.at(), [picture("a", CAT)])

    def _refer_to_one_of_two(self) -> None:
        """A conversation with two pictures, one of which its message refers to."""
        self.sessions.open(self.at())
        for data in (CAT, DOG):
            self._add(data)
        self.messages.append(self.at(), [picture("a", CAT)])

    def _add(self, data: bytes, key: str = "k", media_type: str = "image/png") -> Attachment:
        return self.attachments.add(self.at(key), upload(data, media_type))

    def _read(self, data: bytes, key: str = "k") -> bytes:
        with self.attachments.open(self.at(key), _hash(data)) as file:
            return file.read()

    def _check_gone(self, data: bytes, key: str = "k") -> None:
        """Check that the workspace no longer has these bytes, so that no message may refer to them."""
        with pytest.raises(AttachmentNotFound):
            self.attachments.open(self.at(key), _hash(data))
        with pytest.raises(AttachmentNotFound):
            self.messages.append(self.at(key), [picture("check", data)])
        self.sessions.open(self.at("check"))
        assert self._add(data, "check", "image/x-check").media_type == "image/x-check"
        self.sessions.delete(self.at("check"))


def upload(data: bytes, media_type: str = "image/png") -> Upload:
    """Bytes in the form that an adapter receives them."""
    return Upload(_hash(data), len(data), media_type, BytesIO(data))


def picture(message_id: str, data: bytes) -> Message:
    """A user message with a text and a part that refers to stored bytes."""
    part = {"type": "image_ref", "image_ref": {"sha256": _hash(data), "media_type": "image/png", "size": len(data)}}
    return Message(
        "user",
        [{"type": "text", "text": "look"}, part],
        id=message_id,
        created_at=user(message_id).created_at,
        tokens=5,
    )


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
