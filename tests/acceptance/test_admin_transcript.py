"""The transcript of a session: readable, escaped, paged by position, silent about what is hidden."""

import json
import re
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from chat_memory import Message, conversation
from chat_memory.models import Message as MessageRow, Session
from tests.acceptance.admin_world import page, stored_session

pytestmark = pytest.mark.django_db

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>' onmouseover='x"


def session_with(*messages: Message, key: str = "talk", **names) -> Session:
    conversation(key, "acme", **names).append(*messages)
    return Session.objects.get(key=key)


def positions_on_page(response) -> list[int]:
    """The positions a page shows, in its order."""
    return [int(seq) for seq in re.findall(r'<article [^>]*id="m(\d+)"', response.text)]


def tool_call(name: str, arguments: str, call_id: str = "call_1") -> dict:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_conversation_is_readable(admin_client) -> None:
    session = session_with(
        Message.system("Be kind.", created_at=datetime(2026, 3, 1, 9, tzinfo=UTC)),
        Message.user(
            "Weather?", name="Ana", metadata={"channel": "web"}, created_at=datetime(2026, 3, 2, 9, tzinfo=UTC)
        ),
        Message.assistant(tool_calls=[tool_call("forecast", '{"city":"K\\u00f6ln","days":1.50}')]),
        Message.tool('{"sky":"clear"}', tool_call_id="call_1"),
        Message.assistant("Clear & dry."),
        user="customer-9",
    )
    response = admin_client.get(page("session_transcript", session))
    assert positions_on_page(response) == [1, 2, 3, 4, 5]
    for text in ("system", "Be kind.", "Ana", "customer-9", "forecast", "Clear &amp; dry.", "March 1, 2026"):
        assert text in response.text
    assert "&quot;city&quot;: &quot;Köln&quot;,\n  &quot;days&quot;: 1.50" in response.text
    assert "{\n  &quot;sky&quot;: &quot;clear&quot;\n}" in response.text
    assert '<a href="#m3">' in response.text
    assert "{\n  &quot;channel&quot;: &quot;web&quot;\n}" in response.text
    assert response.text.count("<form") == admin_client.get(page("session_changelist") + "?q=none").text.count(
        'id="logout-form"'
    )


def test_a_title_is_shown_where_it_is_not_the_heading(admin_client) -> None:
    session = session_with(Message.user("How hot for rye bread?"))
    titled = '<dt>Title</dt><dd dir="auto">How hot for rye bread?</dd>'
    assert titled in admin_client.get(page("session_transcript", session)).text
    session.history().update(title="Rye")
    assert "<dt>Title</dt>" not in admin_client.get(page("session_transcript", session)).text


def test_what_no_field_has_is_shown(admin_client) -> None:
    session = session_with(Message.assistant(None, extra={"refusal": f"No. {HOSTILE}"}))
    row = MessageRow.objects.get()
    for address in (page("session_transcript", session), page("message_change", row)):
        shown = admin_client.get(address).text
        assert "Further fields" in shown
        assert "&quot;refusal&quot;: &quot;No. " in shown
        assert "<script>alert" not in shown


def test_everything_is_escaped(admin_client) -> None:
    session = session_with(
        Message.user(HOSTILE, name=HOSTILE, metadata={HOSTILE: HOSTILE}, id=HOSTILE),
        Message.assistant(HOSTILE, tool_calls=[tool_call(HOSTILE, HOSTILE, HOSTILE), {HOSTILE: HOSTILE}]),
        Message.tool(json.dumps([HOSTILE]), tool_call_id=HOSTILE, name=HOSTILE),
        Message.user([{"type": HOSTILE, "text": HOSTILE}, {"type": "text", "text": HOSTILE}]),
        key=HOSTILE,
        user=HOSTILE,
    )
    session.history().update(title=HOSTILE, tags=[HOSTILE], metadata={HOSTILE: HOSTILE})
    addresses = [
        page("session_transcript", session),
        page("session_change", session),
        page("session_delete", session),
        page("session_changelist"),
        page("message_changelist"),
        *(page("message_change", message) for message in MessageRow.objects.all()),
    ]
    for address in addresses:
        text = admin_client.get(address).text
        assert "alert(1)" in text, address
        assert "<script>alert" not in text, address
        assert "<img src=x" not in text, address
        assert "onmouseover='x" not in text, address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://images.example.com/a.png", '<a href="https://images.example.com/a.png" rel="noopener'),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("data:image/png;base64,QUJD", "inline image (image/png, 4 characters)"),
        ("//evil.example.com/a.png", "//evil.example.com/a.png"),
    ],
)
def test_images_are_named_and_never_fetched(address: str, shown: str, admin_client) -> None:
    session = session_with(Message.user([{"type": "image_url", "image_url": {"url": address}}]))
    text = admin_client.get(page("session_transcript", session)).text
    assert shown in text
    assert "<img" not in text
    assert 'href="javascript' not in text
    assert 'href="//' not in text


@pytest.mark.parametrize(
    "content",
    [
        [],
        [{}],
        [{"type": "image_url"}],
        [{"type": "image_url", "image_url": {"url": 5}}],
        [{"type": "text", "text": None}],
        [{"type": ["list"]}],
        "",
    ],
)
def test_odd_content_is_shown_somehow(content, admin_client) -> None:
    session = session_with(Message.user(content))
    assert positions_on_page(admin_client.get(page("session_transcript", session))) == [1]


@pytest.mark.parametrize(
    "tool_call", [{}, {"function": None}, {"function": "f"}, {"name": 1, "args": [1]}, {"id": {}, "input": None}]
)
def test_odd_tool_calls_are_shown_somehow(tool_call, admin_client) -> None:
    session = session_with(Message.assistant(tool_calls=[tool_call]))
    assert positions_on_page(admin_client.get(page("session_transcript", session))) == [1]


@pytest.mark.parametrize("result", ["[" * 5000, '{"a": NaN}', '{"a":' + "9" * 5000 + "}", "{not json", '["\\ud800"]'])
def test_results_that_only_look_like_json_are_shown_as_they_are(result: str, admin_client) -> None:
    session = session_with(Message.tool(result))
    response = admin_client.get(page("session_transcript", session))
    assert positions_on_page(response) == [1]
    shown = re.search(r"<(?:pre|div)[^>]*(?:tabindex|cm-text)[^>]*>(.*?)</(?:pre|div)>", response.text, re.DOTALL)
    assert shown is not None
    assert "".join(unescape(shown[1]).split()) == "".join(result.split())


def test_pages_go_through_a_long_conversation_by_position(admin_client, django_assert_max_num_queries) -> None:
    """No message is skipped or shown twice, and a page costs the same wherever it is."""
    address = page("session_transcript", stored_session("long", size=250))
    with django_assert_max_num_queries(11):
        assert positions_on_page(admin_client.get(address)) == list(range(151, 251))
    middle = admin_client.get(f"{address}?before=151")
    assert positions_on_page(middle) == list(range(51, 151))
    assert "?before=51" in middle.text
    assert "?after=150" in middle.text
    first = admin_client.get(f"{address}?before=51")
    assert positions_on_page(first) == list(range(1, 51))
    assert 'rel="prev"' not in first.text
    assert positions_on_page(admin_client.get(f"{address}?after=0")) == list(range(1, 101))
    last = admin_client.get(f"{address}?after=200")
    assert positions_on_page(last) == list(range(201, 251))
    assert 'rel="next"' not in last.text


def test_a_message_is_shown_among_its_neighbours(admin_client) -> None:
    response = admin_client.get(page("session_transcript", stored_session("long", size=250)) + "?at=120")
    assert positions_on_page(response) == list(range(70, 170))
    assert 'cm-user cm-at" id="m120"' in response.text


@pytest.mark.parametrize("query", ["?before=x", "?after=-1", "?at=" + "9" * 40, "?before=²", "?at=%00"])
def test_what_is_no_position_shows_the_newest(query: str, admin_client) -> None:
    assert positions_on_page(admin_client.get(page("session_transcript", stored_session("short")) + query)) == [1, 2]


def test_cleared_messages_stay_hidden(admin_client) -> None:
    session = stored_session("cleared", size=3)
    chat = session.history()
    chat.clear()
    assert positions_on_page(admin_client.get(page("session_transcript", session))) == []
    chat.append(Message.user("afresh"))
    assert positions_on_page(admin_client.get(page("session_transcript", session))) == [4]
    assert admin_client.get(page("message_changelist")).context["cl"].result_count == 1


@pytest.mark.parametrize(
    "message",
    [
        Message.user("x" * 30_000 + "the end"),
        Message.user([{"type": "text", "text": "x" * 30_000 + "the end"}]),
        Message.tool("[" + "1" * 29_998 + "]the end"),
        Message.assistant(tool_calls=[tool_call("f", "x" * 30_000 + "the end")]),
    ],
)
def test_a_very_long_text_is_cut_and_whole_on_its_own_page(message: Message, admin_client) -> None:
    session = session_with(message)
    text = admin_client.get(page("session_transcript", session)).text
    row = MessageRow.objects.get()
    assert "the end" not in text
    assert "10007 more characters" in text
    assert page("message_change", row) in text
    assert "the end" in admin_client.get(page("message_change", row)).text


def frame(text: str, name: str) -> list[tuple[str, str]]:
    """The element of that class and those around it, as tags with their classes."""
    found: list[tuple[str, str]] = []
    around: list[tuple[str, str]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            names = dict(attrs).get("class") or ""
            if tag not in {"link", "meta", "input", "br", "img", "use", "path"}:
                around.append((tag, names if name in names or "titles" in names else ""))
                if name in names.split() and not found:
                    found.extend(around)

        def handle_endtag(self, tag: str) -> None:
            if around and around[-1][0] == tag:
                around.pop()

    Reader().feed(text)
    return [(tag, names) for tag, names in found if tag not in {"html", "body"} and (tag, names) != ("div", "")]


def test_breadcrumbs_and_tools_stand_where_this_django_has_them(admin_client) -> None:
    """Their markup differs from release to release."""
    session = stored_session("short")
    transcript, form = (admin_client.get(page(f"session_{name}", session)).text for name in ("transcript", "change"))
    for name in ("breadcrumbs", "object-tools"):
        assert frame(form, name)
        assert frame(transcript, name) == frame(form, name)
    crumbs = transcript.split("breadcrumbs", 2)[-1].split("</nav>", 1)[0]
    shown = [text for text in re.sub(r"<[^>]*>|&rsaquo;", "\n", crumbs.partition(">")[2]).split("\n") if text.strip()]
    assert [text.strip() for text in shown] == ["Home", "Chat memory", "Sessions", "short", "Conversation"]
    assert transcript.count('class="object-tools"') == 1


def test_an_unknown_session_is_not_found(admin_client) -> None:
    session = stored_session("gone")
    address = page("session_transcript", session)
    session.history().delete()
    assert admin_client.get(address).status_code == 404
    assert admin_client.get(address.replace(str(session.pk), "no-uuid")).status_code == 404


@pytest.mark.parametrize("by", ["customer-9", None])
def test_r55_a_redacted_message_says_so(admin_client, by: str | None) -> None:
    session = session_with(Message.user("hunter2"), Message.assistant("ok"))
    conversation("talk", "acme").redact(1, by=by)
    (redacted, other) = MessageRow.objects.filter(workspace=session.workspace_id).order_by("seq")
    transcript = admin_client.get(page("session_transcript", session)).text
    assert transcript.count('<span class="cm-state">redacted</span>') == 1
    single = admin_client.get(page("message_change", redacted)).text
    assert "[redacted]" in single
    assert ("by customer-9" in single) == (by is not None)
    for shown in (transcript, single, admin_client.get(page("session_changelist")).text):
        assert "hunter2" not in shown
    assert "redacted</span>" not in admin_client.get(page("message_change", other)).text
