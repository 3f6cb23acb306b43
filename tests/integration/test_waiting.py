"""Waiting for the database: a write gives up after LOCK_TIMEOUT, says so, and leaves nothing of itself."""

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from django.db import connection, connections, transaction

from chat_memory import Conversation, Message, append_many, conversation
from chat_memory.exceptions import Busy
from chat_memory.models import Message as MessageRow, Session, Workspace
from chat_memory.storage.orm import waiting
from chat_memory.storage.orm.removal import remove_workspace
from tests.locks import ROW, another_connection, locked_by_another
from tests.rollback import undone
from tests.waiting import eventually, places_taken, somebody_waits_for_a_lock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]

LONG = 300.0
"""Nobody waits that long in a test: who gives up has another reason."""
MADE = """INSERT INTO chat_memory_session SELECT (jsonb_populate_record(s,
  jsonb_build_object('id', gen_random_uuid(), 'key', 'new'))).*
  FROM chat_memory_session s WHERE key = 'k' AND branch = 'main'"""
WRITES: dict[str, Callable[[Conversation], Any]] = {
    "append": lambda chat: chat.append(Message.user("new")),
    "append of a turn": lambda chat: chat.append(Message.user("new"), Message.assistant("newer")),
    "append of a batch": lambda chat: chat.append(*(Message.user(f"{number}") for number in range(20))),
    "append by a fresh handle": lambda _: conversation("k", "acme").append(Message.user("new")),
    "append to a branch": lambda _: conversation("k", "acme", branch="draft").append(Message.user("new")),
    "append of a known message": lambda chat: chat.append(Message.user("x", id="first")),
    "edit": lambda chat: chat.edit(1, "other words"),
    "redact": lambda chat: chat.redact(1),
    "pop": lambda chat: chat.pop(),
    "clear": lambda chat: chat.clear(),
    "delete": lambda chat: chat.delete(),
    "update": lambda chat: chat.update(title="new"),
    "fork": lambda chat: chat.fork("another"),
    "switch": lambda chat: chat.switch("draft"),
    "summarize": lambda chat: chat.summarize(lambda _messages: "new", keep=1),
    "append_many": lambda chat: append_many({chat: [Message.user("new")]}),
}
IN_A_TRANSACTION = [name for name in WRITES if name != "summarize"]


@pytest.fixture
def impatient_writes(settings: Any) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": 0.05}


@pytest.fixture
def forked_chat() -> Conversation:
    """A conversation with two messages and a branch."""
    made = conversation("k", "acme")
    made.append(Message.user("x", id="first"), Message.assistant("y"))
    made.fork("draft", at=1)
    return made


@pytest.fixture
def _own_lock_timeout() -> Iterator[None]:
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")


def lock_timeout() -> str:
    """What the host's next statement would wait."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        return str(cursor.fetchone()[0])


def set_lock_timeout(value: str, *, local: bool = False) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, %s)", [value, local])


def every_row() -> list[Any]:
    """All that a write might leave."""
    return [list(model.objects.order_by("pk").values()) for model in (Workspace, Session, MessageRow)]


@pytest.mark.usefixtures("impatient_writes")
@pytest.mark.parametrize("name", WRITES)
def test_c9_a_write_gives_up_and_leaves_nothing(forked_chat: Conversation, name: str) -> None:
    """The server's own bound is five minutes: only what the statement sets before it waits ends it sooner."""
    before, own = every_row(), lock_timeout()
    with locked_by_another():
        with pytest.raises(Busy) as caught:
            WRITES[name](forked_chat)
        assert every_row() == before
        assert lock_timeout() == own
    assert caught.value.seconds > 0.04
    if name != "summarize":
        assert caught.value.what == "conversation 'k' in workspace 'acme'"
    WRITES[name](forked_chat)


@pytest.mark.usefixtures("impatient_writes")
def test_c9_a_write_to_several_names_them(forked_chat: Conversation) -> None:
    """Within a workspace or over several; of many the first."""
    other, elsewhere = conversation("a", "acme"), conversation("b", "globex")
    many = [forked_chat, *(conversation(f"c{number}", "acme") for number in range(9))]
    named = {
        (forked_chat, other): "one of 2 conversations ('k', 'a') in workspace 'acme'",
        (forked_chat, elsewhere): "one of 2 conversations ('k', 'b')",
        tuple(many): "one of 10 conversations ('k', 'c0', 'c1', 'c2', 'c3', ...) in workspace 'acme'",
    }
    with locked_by_another():
        for chats, what in named.items():
            with pytest.raises(Busy) as caught:
                append_many({chat: [Message.user("new")] for chat in chats})
            assert caught.value.what == what


@pytest.mark.usefixtures("impatient_writes")
async def test_c9_an_async_write_gives_up_alike(forked_chat: Conversation) -> None:
    with locked_by_another():
        with pytest.raises(Busy):
            await forked_chat.aappend(Message.user("new"))
        with pytest.raises(Busy):
            await forked_chat.aupdate(title="new")
    await forked_chat.aappend(Message.user("new"))


@pytest.mark.usefixtures("impatient_writes")
@pytest.mark.parametrize("name", IN_A_TRANSACTION)
def test_c9_in_the_callers_transaction_nothing_of_it_stays(forked_chat: Conversation, name: str) -> None:
    """Neither after a success nor after a savepoint that was rolled back has the host another bound than before."""
    for own in ("0", "7min"):
        with transaction.atomic():
            set_lock_timeout(own, local=True)
            with locked_by_another():
                with pytest.raises(Busy), transaction.atomic():
                    WRITES[name](forked_chat)
                assert lock_timeout() == own
        with undone():
            set_lock_timeout(own, local=True)
            WRITES[name](forked_chat)
            assert lock_timeout() == own
    assert lock_timeout() == "5min"


@pytest.mark.usefixtures("impatient_writes")
@pytest.mark.parametrize("own", [True, False])
def test_c9_a_conversation_that_somebody_is_making(forked_chat: Conversation, own: bool) -> None:
    """Nothing is there to be locked; the write waits for the other's end."""
    calls = [
        lambda: conversation("new", "acme").append(Message.user("x")),
        lambda: conversation("new", "acme").open(),
        lambda: conversation("new", "acme").fork("branch"),
    ]
    with locked_by_another(MADE):
        for call in calls:
            with nullcontext() if own else transaction.atomic(), pytest.raises(Busy):
                call()
    assert conversation("new", "acme").append(Message.user("x")).first_seq == 1


@pytest.mark.usefixtures("impatient_writes")
@pytest.mark.parametrize("own", [True, False])
def test_c9_a_workspace_that_somebody_is_making(own: bool) -> None:
    made = "INSERT INTO chat_memory_workspace (slug, name, metadata, created_at) VALUES ('new', '', '{}', now())"
    calls = [
        lambda: conversation("k", "new").append(Message.user("x")),
        lambda: conversation("k", "new").open(),
    ]
    with locked_by_another(made):
        for call in calls:
            with nullcontext() if own else transaction.atomic(), pytest.raises(Busy):
                call()
    conversation("k", "new").append(Message.user("x"))


@pytest.mark.usefixtures("impatient_writes", "forked_chat")
def test_c9_the_end_of_a_workspace() -> None:
    workspace = Workspace.objects.get(slug="acme")
    with locked_by_another():
        with pytest.raises(Busy):
            remove_workspace("default", workspace.pk)
        assert Workspace.objects.filter(slug="acme").exists()
    remove_workspace("default", workspace.pk)


@pytest.mark.usefixtures("_own_lock_timeout")
@pytest.mark.parametrize("name", ["append", "append to a branch", "update", "pop", "append_many"])
@pytest.mark.parametrize("ours", [LONG, None, 0])
def test_c10_a_lower_lock_timeout_of_the_host_counts(settings, forked_chat: Conversation, name: str, ours: Any) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": ours}
    set_lock_timeout("40ms")
    with locked_by_another(), pytest.raises(Busy):
        WRITES[name](forked_chat)
    assert lock_timeout() == "40ms"


def test_c9_deadlocks_are_still_tried_again(settings) -> None:
    """A bound that is longer than PostgreSQL's search for deadlocks changes nothing."""
    for key in ("a", "b"):
        conversation(key, "acme").append(Message.user("x"))
    with another_connection() as other:
        other.execute("SET deadlock_timeout = '5min'")
        other.execute(ROW, ["b"])

        def cross() -> None:
            other.execute(ROW, ["a"])
            other.commit()

        crossing = threading.Thread(target=cross)
        with transaction.atomic():
            conversation("a", "acme").append(Message.user("x"))
            crossing.start()
            eventually(somebody_waits_for_a_lock)
        crossing.join(60)
    assert conversation("b", "acme").append(Message.user("x")).first_seq == 2


def in_a_place(call: Callable[[], Any], answers: list[Any]) -> threading.Thread:
    """A request in a thread of its own that has taken a waiting place and stands before the lock."""

    def run() -> None:
        try:
            with waiting.request():
                answers.append(call())
        except Busy as error:
            answers.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("places", [1, 2])
@pytest.mark.parametrize("name", ["append", "append by a fresh handle", "update", "edit", "fork", "redact", "delete"])
def test_c9_of_many_requests_few_wait_and_the_others_give_up_at_once(
    settings, forked_chat: Conversation, places: int, name: str
) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": LONG, "LOCK_WAITERS": places}
    answers: list[Any] = []
    with locked_by_another() as other:
        threads = [
            in_a_place(lambda: conversation("k", "acme").append(Message.user("waited")), answers) for _ in range(places)
        ]
        eventually(lambda: places_taken() == places)
        before = every_row()
        for _ in range(3):
            with waiting.request(), pytest.raises(Busy) as caught:
                WRITES[name](forked_chat)
            assert caught.value.seconds < LONG / 2
        assert every_row() == before
        assert answers == []
        other.commit()
        for thread in threads:
            thread.join(60)
    assert sorted(receipt.first_seq for receipt in answers) == list(range(3, 3 + places))
    with waiting.request():
        WRITES[name](forked_chat)


def test_c9_other_conversations_and_python_have_no_places(settings, forked_chat: Conversation) -> None:
    """Who waits in Python waits, however many there are; another conversation is not looked at."""
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": LONG, "LOCK_WAITERS": 1}
    answers: list[Any] = []
    with locked_by_another() as other:
        waits = in_a_place(lambda: conversation("k", "acme").append(Message.user("waited")), answers)
        eventually(lambda: places_taken() == 1)
        with waiting.request():
            conversation("other", "acme").append(Message.user("x"))
            conversation("k", "globex").append(Message.user("x"))
        settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": 0.4}
        with pytest.raises(Busy) as caught:
            forked_chat.append(Message.user("x"))
        assert caught.value.seconds > 0.3
        other.commit()
        waits.join(60)
    assert answers[0].first_seq == 3


def test_c24_requests_go_on_trying_while_the_lock_changes_hands(settings, forked_chat: Conversation) -> None:
    """A place is taken, but those in it wait for nobody who holds the lock for long."""
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": LONG, "LOCK_WAITERS": 1}
    answers: list[Any] = []
    with another_connection() as place, locked_by_another() as other:
        place.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", ["chat_memory\nacme\nk"])
        tries = in_a_place(lambda: forked_chat.append(Message.user("tried")), answers)
        for _ in range(3):
            eventually(somebody_waits_for_a_lock)
        assert tries.is_alive()
        other.commit()
        tries.join(60)
    assert [receipt.first_seq for receipt in answers] == [3]
