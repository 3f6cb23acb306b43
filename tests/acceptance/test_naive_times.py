"""Times that do not say their zone: refused by Python and the API, counted and given a zone by an import."""

import io
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import override

from chat_memory import Message, ValidationError, conversation
from chat_memory.maintenance.importing import import_conversations
from chat_memory.models import Session, Summary
from chat_memory.sessions import find_sessions
from tests.acceptance.api_support import caller, stored
from tests.acceptance.command_line import run, write

pytestmark = pytest.mark.django_db

NAIVE = datetime(2025, 1, 31, 12)  # noqa: DTZ001
TEXT = "2025-01-31T12:00:00"
TOKYO = ZoneInfo("Asia/Tokyo")


def sent_at_time(created_at: str, text: str = "x") -> dict[str, Any]:
    return {"role": "user", "content": text, "created_at": created_at}


def test_f9_python_refuses_a_naive_time() -> None:
    """Also with a zone active, which could be what was meant and could be not."""
    chat = conversation("k", "acme")
    naive = Message.user("x", created_at=NAIVE)
    with override(TOKYO):
        for messages in ([naive], [Message.user("y"), naive]):
            with pytest.raises(ValidationError, match="must be an aware datetime") as caught:
                chat.append(*messages)
            assert caught.value.field == f"messages[{len(messages) - 1}].created_at"
    assert chat.session() is None
    chat.append(Message.user("x", created_at=NAIVE.replace(tzinfo=TOKYO)))
    assert chat.tail(1)[0].created_at == datetime(2025, 1, 31, 3, tzinfo=UTC)


@pytest.mark.parametrize("created_at", [TEXT, NAIVE, "2025-01-31 12:00:00.5"])
def test_f9_a_message_of_a_dict_refuses_a_naive_time(created_at: Any) -> None:
    with pytest.raises(ValidationError, match="naive") as caught:
        Message.from_dict({"role": "user", "content": "x", "created_at": created_at})
    assert caught.value.field == "created_at"


def test_f9_other_calls_refuse_a_naive_time() -> None:
    chat = conversation("k", "acme")
    chat.append(Message.user("x"))
    for name in ("expires_at", "archived_at"):
        with pytest.raises(ValidationError, match=f"^{name}: must be an aware datetime"):
            chat.update(**{name: NAIVE})  # type: ignore[arg-type]
        with pytest.raises(ValidationError, match=f"^{name}: must be an aware datetime"):
            conversation("new", "acme").open(**{name: NAIVE})  # type: ignore[arg-type]
    for name in ("since", "until"):
        with pytest.raises(ValidationError, match=f"^{name}: must be an aware datetime"):
            find_sessions("acme", **cast("Any", {name: NAIVE}))


def test_f9_the_api_refuses_a_naive_time() -> None:
    """The server sets the time; what a client read and sends back is ignored as before."""
    me = caller("writer")
    session = stored(user=me.user)
    for body, field in (
        (sent_at_time(TEXT), "created_at"),
        ([sent_at_time(f"{TEXT}Z"), sent_at_time(TEXT)], "messages[1].created_at"),
    ):
        refused = me.post(me.messages(session), body)
        assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert me.get(me.messages(session)).json()["results"] == []
    assert me.post(me.messages(session), sent_at_time(f"{TEXT}Z")).status_code == 201
    assert me.post(me.messages(session), {**sent_at_time(TEXT), "created_at": None}).status_code == 201
    assert me.patch(me.session(session), {"expires_at": TEXT}).status_code == 422
    assert me.get(f"{me.sessions}?since={TEXT}").status_code == 400


LINE = {
    "key": "ours",
    "created_at": TEXT,
    "archived_at": TEXT,
    "expires_at": TEXT,
    "messages": [sent_at_time(TEXT), sent_at_time(f"{TEXT}+00:00", "y"), sent_at_time(f"{TEXT}.5", "z")],
    "branches": [{"name": "b", "fork_seq": 1, "created_at": TEXT, "messages": [sent_at_time(TEXT, "w")]}],
    "summaries": [{"text": "s", "first_seq": 1, "last_seq": 1, "created_at": TEXT}],
}
"""Eight times without an offset, and one with."""


@pytest.mark.parametrize(
    ("zone", "noon"),
    [
        (None, datetime(2025, 1, 31, 12, tzinfo=UTC)),
        ("Asia/Tokyo", datetime(2025, 1, 31, 3, tzinfo=UTC)),
        ("America/New_York", datetime(2025, 1, 31, 17, tzinfo=UTC)),
        (timezone(timedelta(hours=2)), datetime(2025, 1, 31, 10, tzinfo=UTC)),
    ],
    ids=str,
)
def test_f9_an_import_counts_naive_times_and_takes_them_in_its_zone(zone: Any, noon: datetime) -> None:
    chosen = {} if zone is None else {"timezone": zone}
    report = import_conversations([json.dumps(LINE).encode()], "acme", **chosen)
    assert (report.naive_times, report.messages, report.damaged) == (8, 4, 0)
    root = Session.objects.get(workspace__slug="acme", key="ours", branch="main")
    assert (root.created_at, root.archived_at, root.expires_at) == (noon, noon, noon)
    times = [message.created_at for message in conversation("ours", "acme").messages()]
    assert times == [noon, datetime(2025, 1, 31, 12, tzinfo=UTC), noon + timedelta(seconds=0.5)]
    branch = conversation("ours", "acme", branch="b")
    assert [message.created_at for message in branch.messages()] == [noon, noon]
    assert Session.objects.get(workspace__slug="acme", key="ours", branch="b").created_at == noon
    assert Summary.objects.get(workspace__slug="acme").created_at == noon


def test_f9_only_stored_lines_are_counted() -> None:
    lines = [
        {"id": "damaged", "messages": [sent_at_time(TEXT), {"role": "wizard", "content": "x"}]},
        {"id": "theirs", "created_at": TEXT, "messages": [sent_at_time(TEXT)]},
        {"messages": [sent_at_time(TEXT)]},
    ]
    report = import_conversations([json.dumps(line).encode() for line in lines], "acme")
    assert (report.damaged, report.sessions, report.naive_times) == (1, 2, 2)
    metadata = Session.objects.get(workspace__slug="acme", key="theirs").metadata
    assert metadata["created_at"] == TEXT  # a key of others stays as it stands


def test_f9_a_line_without_a_name_is_the_same_conversation_in_every_zone() -> None:
    line = json.dumps({"messages": [sent_at_time(TEXT)]}).encode()
    assert import_conversations([line], "acme").sessions == 1
    again = import_conversations([line], "acme", timezone="Asia/Tokyo")
    assert (again.sessions, again.replayed) == (0, 1)


def test_f9_the_command_takes_a_zone_and_says_how_many_times_needed_it(tmp_path: Path) -> None:
    path = write(tmp_path / "chats.jsonl", LINE)
    assert "8 times without an offset, taken as Asia/Tokyo" in run(
        "import", path, "--workspace", "acme", "--timezone", "Asia/Tokyo"
    )
    told = json.loads(run("import", path, "--workspace", "other", "--report", "json"))
    assert told["naive_times"] == 8
    first = conversation("ours", "acme").head(1)[0]
    assert first.created_at == datetime(2025, 1, 31, 3, tzinfo=UTC)


def test_f9_an_export_has_no_naive_times(tmp_path: Path) -> None:
    run("import", write(tmp_path / "chats.jsonl", LINE), "--workspace", "acme")
    exported = tmp_path / "exported.jsonl"
    run("export", exported, "--workspace", "acme")
    printed = run("import", exported, "--workspace", "copy", "--timezone", "Asia/Tokyo")
    assert "offset" not in printed
    times = [[each.created_at for each in conversation("ours", name).messages()] for name in ("acme", "copy")]
    assert times[0] == times[1]


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "Europe", "../../etc/passwd", "/etc/localtime", "+01:00"])
def test_f9_a_name_that_is_no_zone_is_refused(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "chats.jsonl", LINE)
    with pytest.raises(CommandError, match=r"^--timezone names no time zone"):
        call_command("chat_memory_import", str(path), workspace="acme", timezone=name, stdout=io.StringIO())
    with pytest.raises(ValidationError, match=r"^timezone: "):
        import_conversations([], "acme", timezone=name)
    assert not Session.objects.filter(workspace__slug="acme").exists()


def test_f9_a_time_that_leaves_the_calendar_in_utc_is_damage() -> None:
    line = json.dumps(
        {"id": "k", "messages": [sent_at_time("2025-01-31T12:00:00Z"), sent_at_time("0001-01-01T00:00:00")]}
    ).encode()
    report = import_conversations([line], "acme", timezone="Asia/Tokyo")
    assert (report.damaged, report.naive_times) == (1, 0)
    assert report.faults[0].reason.startswith("messages[1].created_at: is out of range in UTC")
