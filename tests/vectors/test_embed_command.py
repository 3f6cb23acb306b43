"""chat_memory_embed embeds ahead what nobody has asked for yet, and chat_memory_check says what is of nothing."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db import connection, connections, transaction

from chat_memory import Message, conversation
from chat_memory.maintenance import embedding
from chat_memory.maintenance.integrity import check
from chat_memory.models import Session
from chat_memory.vectors.models import Embedding
from tests.acceptance.command_line import run
from tests.vectors.embedders import Counting
from tests.vectors.looking import embeddings, saying

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
MODEL = "hashing-256"


def unasked(conversations: int = 5, each: int = 4) -> int:
    """Conversations that nobody has asked; how many of their messages need an embedding."""
    for number in range(conversations):
        chat = conversation(f"k{number}", "acme" if number % 2 else "rival")
        chat.append(*(Message.user(f"bread {number} {place}") for place in range(each)), Message.assistant(""))
        chat.fork("draft", at=1).append(Message.user("drafted"))
    return conversations * (each + 1)


def test_it_embeds_what_is_missing_and_nothing_twice() -> None:
    total = unasked()
    embedder, told = Counting(), list[int]()
    assert embedding.missing(embedder=embedder) == total
    report = embedding.embed(embedder=embedder, batch_size=7, on_batch=told.append)
    assert report == embedding.Report(messages=total, texts=total)
    assert told == [7, 14, 21, 25]
    assert list(map(len, embedder.calls)) == [7, 7, 7, 4]
    assert (embeddings("counting"), embedding.missing(embedder=embedder)) == (total, 0)
    assert embedding.embed(embedder=embedder) == embedding.Report()
    assert saying(conversation("k1", "acme").relevant("bread 1 2", 1, embedder)) == ["bread 1 2"]
    assert len(embedder.texts) == total + 1


def test_it_goes_on_where_it_was_stopped_and_may_take_one_workspace() -> None:
    total = unasked()
    report = embedding.embed(batch_size=3, max_seconds=1e-9)
    assert report == embedding.Report(messages=3, texts=3, finished=False)
    of_acme = embedding.missing("acme")
    answer = json.loads(run("embed", "--workspace", "acme", "--format", "json"))
    assert answer == {"messages": of_acme, "texts": of_acme, "busy": 0, "finished": True}
    assert (embedding.missing("acme"), embedding.missing("rival") > 0) == (0, True)
    left = total - 3 - of_acme
    assert run("embed") == f"{left} messages embedded, {left} texts given to the embedder\n"
    assert embedding.missing() == 0


def test_what_needs_none_is_not_sent_to_an_embedder() -> None:
    """What is redacted, cleared, without words, or in a conversation that is deleted and kept for a while."""
    chat = conversation("k", "acme")
    chat.append(Message.user("redacted"), Message.user([{"type": "image_url", "image_url": {"url": "x"}}]))
    chat.redact(1)
    cleared = conversation("cleared", "acme")
    cleared.append(Message.user("hidden"))
    cleared.clear()
    conversation("deleted", "acme").append(Message.user("gone"))
    Session.objects.filter(key="deleted").update(deleted_at="2026-01-01T00:00:00Z")
    embedder = Counting()
    assert embedding.embed(embedder=embedder) == embedding.Report(messages=1)
    assert (embedder.calls, embedding.missing(embedder=embedder)) == ([], 0)


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["--workspace", "unknown"], "no workspace 'unknown'"),
        (["--workspace", "no slug"], "--workspace must be 1 to 100"),
        (["--batch-size", "0"], "--batch-size must be from 1 to 1000"),
        (["--batch-size", "1001"], "--batch-size must be from 1 to 1000"),
        (["--max-seconds", "0"], "--max-seconds must be more than 0"),
    ],
)
def test_what_it_refuses_is_named_by_its_option(arguments: list[str], refusal: str) -> None:
    with pytest.raises(CommandError, match=refusal):
        run("embed", *arguments)


def test_an_embedder_that_fails_is_a_refusal(settings) -> None:
    unasked()
    settings.CHAT_MEMORY = {"EMBEDDER": "tests.vectors.test_embedders.unreachable"}
    with pytest.raises(
        CommandError, match=r"embedder 'tests\.vectors\.test_embedders\.unreachable' failed \(ConnectionError"
    ):
        run("embed")
    settings.CHAT_MEMORY = {}
    with pytest.raises(CommandError, match="EMBEDDER names none"):
        run("embed")
    assert embeddings() == 0


def test_it_is_safe_beside_writers_who_edit_redact_and_delete() -> None:
    """No embedding is of a former text, and none of a message that is gone."""
    unasked(conversations=16, each=6)
    done = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(16):
                chat = conversation(f"k{number}", "acme" if number % 2 else "rival")
                chat.edit(1, "edited")
                chat.redact(2)
                if number % 3 == 0:
                    chat.delete()
        except BaseException as error:  # noqa: BLE001  # shown by the test
            failures.append(error)
        finally:
            done.set()
            connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        embedding.embed(batch_size=5)
    writer.join()
    embedding.embed(batch_size=5)
    assert failures == []
    assert embedding.missing() == 0
    for number in range(16):
        chat = conversation(f"k{number}", "acme" if number % 2 else "rival")
        assert saying(chat.relevant("edited", 1)) == (["edited"] if chat.count() else [])


@pytest.mark.postgresql
def test_what_others_hold_is_left_to_the_next_run() -> None:
    total = unasked(conversations=2)
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Session.objects.select_for_update().get(key="k0", branch="main")
            holding.set()
            release.wait(60)
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert holding.wait(60)
        assert embedding.embed() == embedding.Report(messages=total // 2, texts=total, busy=total // 2)
        assert "left to the next run" in run("embed")
    finally:
        release.set()
        holder.join()
    assert embedding.embed().messages == total // 2


def test_a_run_that_is_killed_leaves_what_the_next_one_ends() -> None:
    total = unasked(conversations=8, each=8)
    named = connection.settings_dict
    url = (
        f"postgresql://{named['USER']}:{named['PASSWORD']}@{named['HOST']}:{named['PORT']}/{named['NAME']}"
        if connection.vendor == "postgresql"
        else f"sqlite:///{named['NAME']}"
    )
    script = (
        "import django; django.setup()\n"
        "from chat_memory.maintenance.embedding import embed\n"
        "import sys\n"
        "embed(batch_size=1, on_batch=lambda done: (print(done), sys.stdout.flush()))"
    )
    environment = dict(os.environ) | {"DJANGO_SETTINGS_MODULE": "tests.vectors.settings", "DATABASE_URL": url}
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    process.wait(60)
    left = embedding.missing()
    assert 0 <= left < total
    assert embedding.embed().messages == left
    assert (embedding.missing(), embeddings()) == (0, total)


def test_the_check_names_what_is_of_nothing_and_mends_it() -> None:
    chat = conversation("k", "acme")
    chat.append(Message.user("one"), Message.user("two"))
    conversation("whole", "acme").append(Message.user("three"))
    embedding.embed()
    like = Embedding._default_manager.get(session_id=Session.objects.get(key="k").pk, seq=2)
    with connection.cursor() as cursor:
        for session_id, seq in ((like.session_id, 77), ("0" * 32, 1)):
            ident = str(session_id) if connection.vendor == "postgresql" else str(session_id).replace("-", "")
            cursor.execute(
                "INSERT INTO chat_memory_vectors_embedding "
                "(message_id, workspace_id, session_id, seq, model, dimensions) VALUES (%s, %s, %s, %s, %s, 0)",
                [like.message_id, like.workspace_id, ident, seq, MODEL],
            )
    assert [(fault.key, fault.what, fault.detail) for fault in check().faults] == [
        ("k", "vectors", "table has 1 of no message"),
        ("", "vectors", "table has 1 entries of sessions that do not exist"),
    ]
    with pytest.raises(CommandError, match="2 violations left"):
        run("check")
    assert "vectors table has 1 of no message (repaired)" in run("check", "--repair")
    assert (check().violations, embeddings()) == (0, 3)


def test_what_is_redacted_behind_the_back_of_the_app_is_found() -> None:
    chat = conversation("k", "acme")
    chat.append(Message.user("one"), Message.user("two"))
    embedding.embed()
    chat.redact(1)
    row = Session.objects.get(key="k")
    restored = Embedding._default_manager.get(session_id=row.pk)
    from_first = row.messages.get(seq=1)
    restored.pk, restored.seq, restored.message_id = None, 1, from_first.pk
    restored.vector, restored.dimensions = None, 0
    restored.save(force_insert=True)
    assert [fault.what for fault in check().faults] == ["vectors"]
    assert saying(chat.relevant("one", 1)) == ["two"]
    run("check", "--repair")
    assert embeddings() == 1
