"""Attachments: ``chat.attachments`` over a real database and a folder of files."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.test import override_settings

from chat_memory import (
    AttachmentNotFound,
    Message,
    NotSupported,
    TooLarge,
    TransactionOpen,
    ValidationError,
    conversation,
)
from chat_memory.history.tokens import INLINE_PART_TOKENS, count_tokens
from chat_memory.models import Attachment, AttachmentReference, Session
from chat_memory.records import Attachment as Record
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.redis import RedisAdapter
from tests.attached import CAT, DOG, environment_of_the_run, files, hash_of, pictured
from tests.rollback import undone

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("media")]

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.once
@pytest.mark.parametrize("read", [b"", b"..."])
def test_a_source_that_gives_no_bytes_is_refused(read: bytes) -> None:
    """Empty, or read to its end by whoever looked at it first: an empty attachment would hide that."""
    source = BytesIO(read)
    source.read()
    with pytest.raises(ValidationError, match="source: gives no bytes"):
        conversation("k", "acme").attachments.add(source)


def test_s0_37_a_reference_is_of_the_bytes_and_can_be_resolved_after_a_restart(media: Path) -> None:
    """FEATURES S0.37, N50: not of the address, not of the process, and no md5."""
    chat = pictured()
    part = chat.tail(1)[0].content[1]
    held = {"sha256": hash_of(CAT), "media_type": "image/png", "size": len(CAT), "name": "cat.png"}
    assert part == {"type": "image_ref", "image_ref": held}
    script = (
        "import sys, django; from django.conf import settings; "
        "settings.DATABASES['default']['NAME'], settings.MEDIA_ROOT = sys.argv[1:3]; django.setup(); "
        "from chat_memory import conversation; "
        "print(conversation('k', 'acme').attachments.read(sys.argv[3]).hex())"
    )
    name = str(connection.settings_dict["NAME"])
    told = subprocess.run(
        [sys.executable, "-c", script, name, str(media), hash_of(CAT)],
        cwd=ROOT,
        env=environment_of_the_run(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert bytes.fromhex(told.stdout.strip()) == CAT


def test_s0_37_the_same_picture_is_stored_once_and_erasing_one_session_keeps_the_others(media: Path) -> None:
    first, second = pictured("one"), pictured("two")
    assert (Attachment.objects.count(), len(files(media))) == (1, 1)
    first.delete()
    assert second.attachments.read(hash_of(CAT)) == CAT
    second.delete()
    assert (Attachment.objects.count(), AttachmentReference.objects.count(), files(media)) == (0, 0, [])


def test_s0_24_parts_that_refer_are_stored_as_they_are_and_a_foreign_form_too() -> None:
    """FEATURES S0.24: whatever a content holds comes back; what is not ours means nothing here."""
    chat = conversation("k", "acme")
    foreign = [
        {"type": "image_ref", "image_ref": {"id": "f61f0281f90c883967bb3e455a57ad3a"}},
        {"type": "image_ref", "image_ref": "f61f0281"},
        {"type": "file_ref", "file_ref": {"sha256": "no hash"}},
        {"type": ["image_ref"], "image_ref": {"sha256": hash_of(CAT)}},
        {"type": "image_ref"},
    ]
    linked = chat.attachments.link("https://example.org/a.png?x=1", name="a.png")
    own = chat.attachments.add(CAT, media_type="image/png")
    content = [{"type": "text", "text": "see"}, *foreign, linked, own]
    chat.append(Message.user(content, id="m"))
    (stored,) = chat.tail(1)
    assert stored.content == content
    assert [row.sha256 for row in AttachmentReference.objects.all()] == [hash_of(CAT)]
    assert chat.append(Message.user(content, id="m")).replayed


def test_s0_36_a_picture_that_is_attached_counts_a_bounded_cost_and_is_no_text() -> None:
    """FEATURES S0.36: what is measured of a message is its text; its parts are handled, not measured as base64."""
    part = Record(hash_of(CAT), 10**7, "image/png", datetime.now(UTC)).part("cat.png")
    plain, attached = Message.user([{"type": "text", "text": "x"}]), Message.user([{"type": "text", "text": "x"}, part])
    assert 0 <= count_tokens(attached) - count_tokens(plain) - INLINE_PART_TOKENS < 100
    assert attached.to_openai()["content"] == [
        {"type": "text", "text": "x"},
        {"type": "text", "text": "[image: cat.png]"},
    ]


def test_s2_30_attachments_are_found_through_the_database() -> None:
    """FEATURES S2.30: by rows, as messages are: of a workspace, by type and size, and who refers to them."""
    chat = pictured()
    chat.attachments.add(b"%PDF " * 100, name="big.pdf")
    acme = Attachment.objects.filter(workspace__slug="acme")
    assert [(row.media_type, row.size) for row in acme.filter(media_type__startswith="image/")] == [
        ("image/png", len(CAT))
    ]
    assert acme.filter(size__gt=100).get().media_type == "application/pdf"
    referring = AttachmentReference.objects.filter(workspace__slug="acme", sha256=hash_of(CAT), seq__gt=0)
    assert [(row.session.key, row.seq) for row in referring] == [("k", 1)]


@pytest.mark.parametrize("kind", ["django", "memory"])
def test_models_get_bytes_inline_and_addresses(kind: str) -> None:
    chat = conversation("k", "acme", adapter=MemoryAdapter() if kind == "memory" else None)
    add = chat.attachments.add
    parts = [
        add(CAT, name="cat.png"),
        add(BytesIO(b"RIFF"), media_type="audio/x-wav"),
        add(b"ID3", media_type="audio/mpeg"),
        add(b"%PDF", name="a.pdf"),
        add(b"\x00"),
        chat.attachments.link("https://example.org/a.jpg"),
        chat.attachments.link("https://example.org/a.mp3"),
        {"type": "tool_result", "tool_use_id": "c", "content": [add(DOG, media_type="image/png")]},
    ]
    chat.append(Message.user("plain"), Message.user(parts))
    plain, full = _contents(chat.attachments.resolve(chat.messages()))
    assert plain == "plain"
    assert full[0]["image_url"]["url"].startswith("data:image/png;base64,iVBO")
    assert full[1:7] == [
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
        {"type": "file", "file": {"filename": "file.bin", "file_data": "data:application/octet-stream;base64,AA=="}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.jpg"}},
        {"type": "text", "text": "[audio: https://example.org/a.mp3]"},
    ]
    assert full[7]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,iVBO")
    (signed,) = _contents(chat.attachments.resolve(chat.tail(1), url=_signed))
    assert signed[0] == {"type": "image_url", "image_url": {"url": f"https://cdn.example.org/{hash_of(CAT)}"}}
    assert chat.messages()[1].content == parts


def _contents(messages: list[Message]) -> list[Any]:
    return [message.content for message in messages]


def _signed(attachment: Record) -> str:
    return f"https://cdn.example.org/{attachment.sha256}"


def test_async_twins_do_the_same() -> None:
    async def use() -> Any:
        chat = conversation("k", "acme")
        part = await chat.attachments.aadd(CAT, media_type="image/png")
        await chat.aappend(Message.user([part]))
        (resolved,) = await chat.attachments.aresolve(await chat.amessages())
        file = await chat.attachments.afile(hash_of(CAT))
        file.close()
        found = [await chat.attachments.aget(hash_of(CAT)), *await chat.attachments.aentries()]
        return resolved, await chat.attachments.aread(hash_of(CAT)), found

    resolved, data, (got, listed) = async_to_sync(use)()
    assert (data, got) == (CAT, listed)
    assert resolved.content[0]["type"] == "image_url"


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("source", lambda it: it.add("text", media_type="text/plain")),
        ("source", lambda it: it.add(StringIO("text"), media_type="text/plain")),
        ("source", lambda it: it.add(None)),
        ("media_type", lambda it: it.add(CAT, media_type="image")),
        ("media_type", lambda it: it.add(CAT, media_type="image/*")),
        ("media_type", lambda it: it.add(CAT, media_type=7)),
        ("media_type", lambda it: it.add(CAT, media_type="text/html")),
        ("name", lambda it: it.add(CAT, name="x" * 256)),
        ("name", lambda it: it.add(CAT, name="\x00")),
        ("url", lambda it: it.link("ftp://example.org/a.png")),
        ("url", lambda it: it.link("javascript:alert(1)")),
        ("url", lambda it: it.link("https://example.org/" + "a" * 2_000)),
        ("url", lambda it: it.link(None)),
        ("media_type", lambda it: it.link("https://example.org/a", media_type="x")),
    ],
)
def test_unusable_attachments_are_refused_and_named(field: str, call: Callable[[Any], Any], settings: Any) -> None:
    settings.CHAT_MEMORY = {"ATTACHMENT_TYPES": ["image/*", "text/plain", "application/octet-stream"]}
    with pytest.raises(ValidationError) as caught:
        call(conversation("k", "acme").attachments)
    assert caught.value.field == field
    assert not Attachment.objects.exists()


def test_the_largest_attachment_is_a_setting(settings: Any, media: Path) -> None:
    settings.CHAT_MEMORY = {"MAX_ATTACHMENT_BYTES": 5}
    chat = conversation("k", "acme")
    for source in (b"123456", BytesIO(b"123456")):
        with pytest.raises(TooLarge, match="MAX_ATTACHMENT_BYTES"):
            chat.attachments.add(source, media_type="image/png")
    assert (Attachment.objects.count(), files(media)) == (0, [])
    assert chat.attachments.add(BytesIO(b"12345"), media_type="image/png")


def test_an_attachment_is_added_outside_of_any_transaction(media: Path) -> None:
    """Its end would not take the file along."""
    chat = conversation("k", "acme")
    chat.open()
    with transaction.atomic(), pytest.raises(TransactionOpen):
        chat.attachments.add(CAT, media_type="image/png")
    transaction.set_autocommit(False)
    try:
        with pytest.raises(TransactionOpen):
            chat.attachments.add(CAT, media_type="image/png")
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert (Attachment.objects.count(), files(media)) == (0, [])


def test_what_fails_while_an_attachment_is_added_is_no_open_transaction(monkeypatch: Any) -> None:
    def fail(*_args: Any, **_options: Any) -> None:
        raise RecursionError

    monkeypatch.setattr("django.db.models.query.QuerySet.create", fail)
    with pytest.raises(RecursionError):
        conversation("k", "acme").attachments.add(CAT, media_type="image/png")


def test_a_message_that_is_rolled_back_refers_to_nothing() -> None:
    chat = conversation("k", "acme")
    part = chat.attachments.add(CAT, media_type="image/png")
    with undone():
        chat.append(Message.user([part]))
    assert [row.seq for row in AttachmentReference.objects.all()] == [0]
    with transaction.atomic(), pytest.raises(AttachmentNotFound):
        conversation("new", "globex").append(Message.user([part]))
    assert not Session.objects.filter(key="new").exists()


def test_sharing_between_conversations_goes_by_adding_the_bytes_again() -> None:
    anns = pictured("anns", user="ann")
    part = anns.tail(1)[0].content[1]
    bobs = conversation("bobs", "acme", user="bob")
    bobs.append(Message.user("hello"))
    for refused in (lambda: bobs.append(Message.user([part])), lambda: bobs.edit(1, content=[part])):
        with pytest.raises(AttachmentNotFound, match="add its bytes"):
            refused()
    assert [message.content for message in bobs.messages()] == ["hello"]
    with pytest.raises(AttachmentNotFound):
        bobs.attachments.read(hash_of(CAT))
    bobs.append(Message.user([bobs.attachments.add(anns.attachments.read(hash_of(CAT)), media_type="image/png")]))
    assert bobs.attachments.read(hash_of(CAT)) == CAT
    bobs.append(Message.user([part]))
    assert Attachment.objects.count() == 1


def test_a_merge_refers_to_what_it_copies(media: Path) -> None:
    chat = conversation("k", "acme")
    chat.append(Message.user("a"))
    draft = chat.fork("draft")
    draft.append(Message.user([draft.attachments.add(CAT, media_type="image/png")], id="p"))
    chat.merge("draft", into="main")
    draft.delete()
    assert chat.attachments.read(hash_of(CAT)) == CAT
    chat.redact("p")
    assert files(media) == []


def test_a_back_end_without_attachments_says_so(redis_client: Any) -> None:
    chat = conversation("k", "acme", adapter=RedisAdapter(redis_client))
    with pytest.raises(NotSupported, match="RedisAdapter keeps no attachments"):
        chat.attachments.add(CAT, media_type="image/png")
    part = Record(hash_of(CAT), 1, "image/png", datetime.now(UTC)).part()
    with pytest.raises(NotSupported, match="RedisAdapter keeps no attachments"):
        chat.append(Message.user([part]))
    assert chat.append(Message.user([chat.attachments.link("https://example.org/a.png")])).first_seq == 1


def test_files_beside_the_code_are_refused() -> None:
    with override_settings(MEDIA_ROOT=""), pytest.raises(NotSupported, match="MEDIA_ROOT is empty"):
        conversation("k", "acme").attachments.add(CAT, media_type="image/png")


def test_a_part_is_of_the_kind_that_its_own_caller_says() -> None:
    """Whoever stored the same bytes before may have known less of them."""
    chat = conversation("k", "acme")
    assert chat.attachments.add(CAT)["type"] == "file_ref"
    part = chat.attachments.add(CAT, media_type="image/png")
    assert part["type"] == "image_ref"
    chat.append(Message.user([part]))
    (resolved,) = _contents(chat.attachments.resolve(chat.tail(1)))
    assert resolved[0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert chat.attachments.entries()[0].media_type == "application/octet-stream"
