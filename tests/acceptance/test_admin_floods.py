"""Messages and selections made to be expensive: a page takes a bounded number of pieces and characters."""

import json

import pytest

from chat_memory import Message, conversation
from chat_memory.admin import blocks
from chat_memory.admin.blocks import PARTS, Block, Room
from chat_memory.admin.json_text import LONGEST, SPACES, pretty
from chat_memory.admin.presentation import SHOWN
from chat_memory.models import Message as MessageRow, Session
from tests.acceptance.admin_world import page, stored_session

pytestmark = pytest.mark.django_db

OF_THE_PAGE = 100_000
"""How many characters the admin's frame, and the names around a message's texts, take at most."""


def stored_message(message: Message) -> tuple[str, str]:
    """The addresses of the transcript and of the message's own page."""
    conversation("flood", "acme").append(message)
    return page("session_transcript", Session.objects.get()), page("message_change", MessageRow.objects.get())


def picture(address: str) -> list[dict[str, object]]:
    return [{"type": "image_url", "image_url": {"url": address}}]


def bomb(levels: int, zeros: int) -> str:
    return "[" * levels + ",".join("0" * zeros) + "]" * levels


@pytest.mark.parametrize("address", ["data:a/" + "a" * 900_000, "data:" + "a;" * 400_000, "http://" + "a" * 900_000])
def test_b1_address_of_a_picture_is_looked_at_once(address: str, admin_client) -> None:
    """A search that tries again from every character would take a quarter of an hour."""
    transcript, own = stored_message(Message.user(picture(address)))
    text = admin_client.get(transcript).text
    assert len(text) < SHOWN + OF_THE_PAGE
    assert f"{len(address) - SHOWN} more characters" in text
    assert "<a href=" + f'"{address[:100]}' not in text
    assert address in admin_client.get(own).text


def test_b1_inline_pictures_are_named_by_type_and_size() -> None:
    room = Room(SHOWN)
    content = json.dumps(
        [*picture("data:image/png;base64,QUJD"), *picture("DATA:,x"), *picture(f"data:{'a' * 99}/b,c")]
    )
    shown = [block.text for block in blocks.content_blocks("user", None, content, room)]
    assert shown == [
        "inline image (image/png, 4 characters)",
        "inline image (unknown type, 1 characters)",
        "inline image (unknown type, 1 characters)",
    ]


@pytest.mark.parametrize(
    "message",
    [
        Message.assistant(tool_calls=[{}] * 90_000),
        Message.assistant(tool_calls=[{"id": "x" * 3_000, "name": "n" * 3_000, "args": "a" * 3_000}] * 100),
        Message.user([{}] * 90_000),
        Message.user([{"type": "t" * 3_000, "text": "a" * 3_000}] * 100),
    ],
    ids=["calls", "long calls", "parts", "long parts"],
)
def test_b2_number_of_calls_and_parts_is_bounded(message: Message, admin_client, settings) -> None:
    """The page says how many there are besides; the message's own page has their JSON as it is stored."""
    settings.CHAT_MEMORY = {"MAX_PARTS": 300_000}
    elements = message.tool_calls or message.content or ()
    transcript, own = stored_message(message)
    text = admin_client.get(transcript).text
    kind = "calls" if message.tool_calls else "parts"
    assert f"{len(elements) - PARTS} more {kind}: show the whole message" in text
    assert len(text) < SHOWN + OF_THE_PAGE
    whole = admin_client.get(own).text
    assert f"{len(elements) - PARTS} more {kind}<" in whole.replace("\n", "").replace(" <", "<")
    assert len(whole) < 8 * 1_000_000


@pytest.mark.parametrize(
    "message",
    [
        Message.assistant(tool_calls=[{"function": {"name": "f", "arguments": bomb(900, 100_000)}}]),
        Message.assistant(tool_calls=[{"function": {"name": "f", "arguments": bomb(900, 9_000)}}] * 10),
        Message.tool(bomb(900, 100_000), tool_call_id="x"),
        Message.tool(bomb(100, 9_000), tool_call_id="x"),
        Message.user("deep", metadata={"a": json.loads(bomb(30, 30_000))}),
        Message.user("deep", extra={"a": json.loads(bomb(30, 30_000))}),
        Message.user([{"type": "odd", "values": json.loads(bomb(28, 60_000))}]),
    ],
    ids=["arguments", "several arguments", "result", "short result", "metadata", "extra", "part"],
)
def test_b4_indentation_is_bounded(message: Message, admin_client) -> None:
    transcript, own = stored_message(message)
    assert len(admin_client.get(transcript).text) < 2 * SHOWN + OF_THE_PAGE
    stored = MessageRow.objects.get()
    size = sum(
        len(text or "") for text in (stored.content, stored.parts, stored.tool_calls, stored.metadata, stored.extra)
    )
    assert len(admin_client.get(own).text) < 2 * size + OF_THE_PAGE + 10 * SPACES


def test_b4_metadata_of_a_session_is_bounded_too(admin_client) -> None:
    chat = conversation("flood", "acme")
    chat.append(Message.user("x"))
    chat.update(metadata={"a": json.loads(bomb(30, 30_000))})
    for name in ("session_transcript", "session_change"):
        assert len(admin_client.get(page(name, Session.objects.get())).text) < 70_000 + OF_THE_PAGE


@pytest.mark.parametrize(
    ("levels", "zeros"), [(1, 1), (20, 20), (3, 800), (900, 1), (4, 2_000), (200, 200), (1, 9_000)]
)
def test_b4_pretty_adds_no_more_than_it_may(levels: int, zeros: int) -> None:
    text = bomb(levels, zeros)
    shown = pretty(text)
    assert json.loads(shown) == json.loads(text) if levels < 900 else shown == text
    assert len(shown) <= len(text) + 3 * SPACES
    assert (shown != text) is (levels * (levels + zeros) * 2 < SPACES)
    assert pretty(f"{text}{' ' * LONGEST}") == f"{text}{' ' * LONGEST}"


def test_room_is_shared_by_the_pieces_of_a_message() -> None:
    room = Room(10)
    pieces = [room.fit(Block("text", text)) for text in ("12345", "1234567", "123")]
    assert [(piece.text, piece.cut) for piece in pieces] == [("12345", 0), ("12345", 2), ("", 3)]
    assert Room(8).fit(Block("json", "[1,2,3]")).text == "[1,2,3]"
    assert Room().fit(Block("json", "[1]")).text == "[\n  1\n]"


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        ("null", []),
        ("{not json", [("text", "{not json")]),
        ('["\\ud800"]', [("text", '["\\ud800"]')]),
    ],
)
def test_content_that_only_looks_like_parts_is_shown_as_it_is(parts: str, shown: list[tuple[str, str]]) -> None:
    assert [(block.kind, block.text) for block in blocks.content_blocks("user", None, parts, Room())] == shown


def test_calls_that_are_no_json_are_shown_as_they_are() -> None:
    (call,), others = blocks.calls("{not json", Room())
    assert (call.name, call.arguments.text, others) == ("tool call", "{not json", None)


def test_other_scripts_are_readable_where_json_hides_them() -> None:
    assert pretty(r'["K\u00f6ln", "\\u00f6", "\u0022"]') == '[\n  "Köln",\n  "\\\\u00f6",\n  "\\u0022"\n]'


def test_question_before_a_deletion_names_the_first_sessions(admin_client, monkeypatch) -> None:
    monkeypatch.setattr("chat_memory.admin.pages.deletion.LISTED", 2)
    rows = [stored_session(f"k-{number}") for number in range(5)]
    form = {"action": "delete_selected", "_selected_action": [str(row.pk) for row in rows]}
    text = admin_client.post(page("session_changelist"), form).text
    assert "and 3 more" in text
    assert "Sessions: 5<" in text.replace("\n", "")
