"""The files of attachments: when they go, what a failure or a kill -9 leaves of them, and who removes that."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage
from django.core.management import call_command
from django.db import connection, transaction

from chat_memory import AttachmentNotFound, Message, SessionNotFound, conversation
from chat_memory.maintenance.integrity import check
from chat_memory.maintenance.retention import clean_up
from chat_memory.models import Attachment, AttachmentReference, Feedback, Session, Workspace
from chat_memory.records import Address, Transcript
from chat_memory.storage.contract import ArchiveStore
from chat_memory.storage.orm.adapter import DjangoAdapter
from tests.acceptance.command_line import run
from tests.attached import CAT, DOG, environment_of_the_run, files, hash_of, pictured
from tests.integration.killed_upload import BYTES, STEPS
from tests.rollback import undone
from tests.waiting import eventually, somebody_waits_for_a_lock
from tests.ways_out import WAYS, WAYS_OF_A_WORKSPACE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("media")]

ROOT = Path(__file__).resolve().parents[2]


def test_a_removal_that_is_rolled_back_keeps_the_file(media: Path) -> None:
    chat = pictured()
    with undone():
        chat.delete()
    assert chat.attachments.read(hash_of(CAT)) == CAT


@pytest.mark.parametrize("way", WAYS | WAYS_OF_A_WORKSPACE)
def test_files_go_by_every_way_out(way: str, media: Path) -> None:
    doomed, kept = pictured("doomed"), pictured("doomed", "globex")
    doomed.fork("draft").append(Message.user([doomed.attachments.add(DOG, media_type="image/png")]))
    assert len(files(media)) == 3
    (WAYS | WAYS_OF_A_WORKSPACE)[way](Session.objects.get(workspace__slug="acme", key="doomed", branch="main"))
    assert list(Attachment.objects.values_list("workspace__slug", flat=True)) == ["globex"]
    assert len(files(media)) == 1
    assert kept.attachments.read(hash_of(CAT)) == CAT
    assert check().violations == 0


def test_a_file_that_the_storage_lost_comes_back_with_the_same_bytes(media: Path) -> None:
    chat = pictured()
    (lost,) = files(media)
    lost.unlink()
    assert check().violations == 1
    with pytest.raises(AttachmentNotFound):
        chat.attachments.read(hash_of(CAT))
    chat.attachments.add(CAT, media_type="image/png")
    assert (chat.attachments.read(hash_of(CAT)), len(files(media)), check().violations) == (CAT, 1, 0)


def test_a_lost_file_of_a_session_that_goes_meanwhile_does_not_come_back(media: Path, monkeypatch: Any) -> None:
    chat = conversation("k", "acme")
    chat.open()
    chat.attachments.add(CAT, media_type="image/png")
    (path,) = files(media)
    path.unlink()
    save: Any = FileSystemStorage._save  # type: ignore[attr-defined]

    def saved(storage: Any, name: str, content: Any) -> Any:
        chat.delete()
        return save(storage, name, content)

    monkeypatch.setattr(FileSystemStorage, "_save", saved)
    with pytest.raises(SessionNotFound):
        chat.attachments.add(CAT, media_type="image/png")
    assert (Attachment.objects.count(), files(media)) == (0, [])


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_message_that_is_popped_takes_its_file_along(role: str, media: Path) -> None:
    """Of an answer too, which PostgreSQL takes off by one statement."""
    chat = conversation("k", "acme")
    chat.append(Message(role, [chat.attachments.add(CAT, media_type="image/png")]))
    chat.feedback.give(1, 1, by="anna")
    chat.pop()
    assert (files(media), AttachmentReference.objects.count(), Feedback.objects.count()) == ([], 0, 0)
    chat.append(Message(role, "next"))
    assert chat.feedback.entries() == []


@pytest.mark.parametrize("made", [True, False])
@pytest.mark.postgresql
def test_a_restore_that_is_not_committed_yet_keeps_what_it_refers_to(made: bool, media: Path) -> None:
    """Whoever removes the last other reference waits for it, and then sees the new one."""
    chat = pictured("first")
    if not made:
        conversation("second", "acme").append(Message.user("before"))
    transcript = Transcript("second", [Message.user(chat.tail(1)[0].content, id="m")])
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            (restored,) = DjangoAdapter().part(ArchiveStore).restore([(Address("acme", "second"), transcript)])
            assert (restored.error, restored.made) == (None, made)
            removal = pool.submit(_in_thread, chat.delete)
            eventually(lambda: somebody_waits_for_a_lock() or removal.done())
        removal.result(timeout=60)
    assert conversation("second", "acme").attachments.read(hash_of(CAT)) == CAT


def _in_thread(call: Callable[[], object]) -> None:
    try:
        call()
    finally:
        connection.close()


def test_cleanup_of_cleared_messages_removes_their_files(media: Path) -> None:
    chat = pictured()
    chat.append(Message.user("more"))
    chat.clear()
    assert len(files(media)) == 1
    Session.objects.update(cleared_at=datetime.now(UTC) - timedelta(days=400))
    clean_up(3650)
    assert files(media) == []


def test_what_was_added_for_no_message_is_cleaned_up_after_a_day(media: Path) -> None:
    chat = conversation("k", "acme")
    chat.attachments.add(CAT, media_type="image/png")
    assert clean_up(3650).attachments == 0
    assert chat.attachments.read(hash_of(CAT)) == CAT
    AttachmentReference.objects.update(until=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(AttachmentNotFound):
        chat.attachments.read(hash_of(CAT))
    assert clean_up(3650, workspace=_workspace("globex")).attachments == 0
    assert "; 1 file of attachments that no message refers to" in run("cleanup", "--days", "3650")
    assert (Attachment.objects.count(), AttachmentReference.objects.count(), files(media)) == (0, 0, [])


def _workspace(slug: str) -> str:
    return Workspace.objects.create(slug=slug).slug


def test_check_names_what_is_wrong_with_attachments(media: Path) -> None:
    chat = pictured()
    other = pictured("other", data=DOG)
    stored = {row.sha256: row for row in Attachment.objects.all()}
    (media / stored[hash_of(CAT)].file).unlink()
    AttachmentReference.objects.filter(sha256=hash_of(DOG)).delete()
    found = {(fault.key, fault.what, fault.detail) for fault in check().faults}
    assert found == {
        (stored[hash_of(CAT)].file, "attachment", "has no file in the storage"),
        (stored[hash_of(DOG)].file, "attachment", "is referred to by no message"),
    }
    with pytest.raises(AttachmentNotFound):
        chat.attachments.read(hash_of(CAT))
    assert chat.attachments.resolve(chat.messages())[0].content[1] == {"type": "text", "text": "[image: cat.png]"}
    report = check(repair=True)
    assert (report.violations, report.repaired) == (2, 1)
    assert files(media) == []
    Attachment.objects.all().delete()
    assert [fault.detail for fault in check().faults] == ["is referred to by messages, and not stored"]
    other.delete()


def test_a_storage_that_fails_leaves_what_a_cleanup_removes(media: Path, monkeypatch: Any, caplog: Any) -> None:
    chat = pictured()
    path = files(media)[0].parent
    path.chmod(0o500)
    monkeypatch.setattr("django.core.files.storage.FileSystemStorage.delete", _failing)
    chat.delete()
    assert "could not be removed" in caplog.text
    path.chmod(0o700)
    (fault,) = check().faults
    assert fault.detail == "was to be removed, and is not yet"
    monkeypatch.undo()
    assert clean_up(3650).attachments == 1
    assert (files(media), check().violations) == ([], 0)


def test_a_storage_that_is_away_is_asked_once_and_no_request_tries_what_others_have_left(monkeypatch: Any) -> None:
    """Each try may last until a client of an object store gives up."""
    chat, rivals = conversation("k", "acme"), pictured("k", "rival")
    for data in (b"1", b"2", b"3"):
        chat.append(Message.user([chat.attachments.add(data, media_type="image/png")]))
    asked: list[str] = []
    poisoned: list[str] = []

    def delete(_storage: Any, name: str) -> None:
        asked.append(name)
        if not poisoned or name in poisoned:
            raise TimeoutError

    monkeypatch.setattr("django.core.files.storage.FileSystemStorage.delete", delete)
    chat.delete()
    assert len(asked) == 1
    own = Attachment.objects.get(workspace__slug="rival").file
    rivals.pop()
    assert asked[1:] == [own]
    assert (clean_up(3650).attachments, len(asked)) == (0, 3)
    poisoned.append(asked[-1])
    assert clean_up(3650).attachments == 3
    assert (clean_up(3650).attachments, [row.file for row in Attachment.objects.all()]) == (0, poisoned)


def _failing(*_args: Any) -> None:
    raise OSError("the store is away")


def test_an_upload_that_fails_leaves_nothing(media: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("django.core.files.storage.FileSystemStorage._save", _failing)
    with pytest.raises(OSError, match="away"):
        conversation("k", "acme").attachments.add(CAT, media_type="image/png")
    assert (Attachment.objects.count(), files(media)) == (0, [])


@pytest.mark.parametrize("step", STEPS)
def test_kill_9_leaves_no_dangling_reference_and_nothing_that_cleanup_forgets(step: str, media: Path) -> None:
    chat = conversation("k", "acme")
    chat.append(Message.user("before"))
    if "removal" in step:
        chat.append(Message.user([chat.attachments.add(BYTES, media_type="image/png")]))
    name = str(connection.settings_dict["NAME"])
    connection.close()
    ended = subprocess.run(
        [sys.executable, "-m", "tests.integration.killed_upload", name, step],
        cwd=ROOT,
        env=environment_of_the_run() | {"CHAT_MEMORY_TEST_MEDIA": str(media)},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert [fault.detail for fault in check().faults] == (
        ["was to be removed, and is not yet"] if "removal" in step else []
    )
    if "removal" not in step:
        assert [message.content for message in chat.messages()] == ["before"]
        with pytest.raises(AttachmentNotFound):
            chat.attachments.read(hash_of(BYTES))
        Attachment.objects.update(created_at=datetime.now(UTC) - timedelta(days=2))
        assert [fault.detail for fault in check().faults] == ["is of an upload that was broken off"]
        assert [fault.repaired for fault in check(repair=True).faults] == [True]
    else:
        assert check(repair=True).repaired == 1
    assert (files(media), Attachment.objects.count(), check().violations) == ([], 0, 0)
    chat.append(Message.user([chat.attachments.add(BYTES, media_type="image/png")]))
    assert chat.attachments.read(hash_of(BYTES)) == BYTES


def test_redaction_and_erasure_leave_no_marker(media: Path, redis_client: Any, settings: Any) -> None:
    """Neither in the database, nor in the media, nor in Redis."""
    settings.CHAT_MEMORY = {"CACHE": "strict"}
    for key in ("redacted", "erased"):
        chat = conversation(key, "acme")
        part = chat.attachments.add(f"MARKER of {key}".encode(), media_type="image/png", name="MARKER.png")
        chat.append(Message.assistant([part, {"type": "text", "text": "MARKER"}]))
        chat.feedback.give(1, -1, "MARKER", by="anna")
        assert chat.tail(5)
    assert _marks(media, redis_client) == {"database", "media", "redis"}
    conversation("redacted", "acme").redact(1)
    conversation("erased", "acme").delete()
    conversation("redacted", "acme").tail(5)
    assert _marks(media, redis_client) == set()


def _marks(media: Path, redis_client: Any) -> set[str]:
    """Where the marker is."""
    dumped = StringIO()
    call_command("dumpdata", "chat_memory", stdout=dumped)
    texts = {
        "database": dumped.getvalue().encode(),
        "media": b"".join(path.read_bytes() for path in files(media)),
        "redis": b"".join(redis_client.dump(key) or b"" for key in redis_client.scan_iter()),
    }
    assert json.loads(dumped.getvalue())
    return {place for place, text in texts.items() if b"MARKER" in text}
