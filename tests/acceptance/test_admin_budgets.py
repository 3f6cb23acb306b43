"""Searches, filters, lists and pages of the admin that somebody makes dear: cut first, ended, or refused, and said."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import override_settings
from django.urls import reverse

from chat_memory import Message, conversation
from chat_memory.admin import searching, stored_size
from chat_memory.admin.lookups import CHEAP
from chat_memory.admin.presentation import SHOWN, WHOLE
from chat_memory.exceptions import SearchTooLong
from chat_memory.models import Message as MessageRow, Revision, Session, Summary, Workspace, WorkspaceMember
from chat_memory.storage.orm.limited import limited_time
from tests.acceptance.admin_world import links, member, page, signed_in, stored_session

pytestmark = pytest.mark.django_db

OURS = (Workspace, WorkspaceMember, Session, MessageRow)
ACROSS = (
    "session__key__iregex",
    "session__metadata__a__regex",
    "session__user__username__regex",
    "workspace__name__regex",
    "workspace__metadata__a__b__iregex",
    "messages__content__regex",
    "head__title__regex",
    "parent__key__iregex",
    "members__user__username__iregex",
    "metadata__regex",
    "metadata__a__iregex",
    "tags__0__regex",
    "created_at__year__regex",
    "content__contains",
    "content__exact",
)
HOUR = datetime(2026, 1, 2, tzinfo=UTC)
MARKS = "a" + "̀̕" * 200_000
"""Normalizing it would take the square of its length."""


@pytest.fixture
def staff_request(rf: Any, admin_user: User) -> Any:
    request = rf.get("/")
    request.user = admin_user
    return request


@pytest.mark.parametrize("model", OURS)
def test_b7_no_lookup_but_a_cheap_one_is_allowed(model: Any, staff_request: Any) -> None:
    """Of all that Django has for a field, transforms before it too."""
    of_model = admin.site.get_model_admin(model)
    allowed: set[str] = set()
    for field in model._meta.get_fields():
        for name, lookup in getattr(field, "get_lookups", dict)().items():
            further: Any = getattr(lookup, "get_lookups", dict)()
            for path in (f"{field.name}__{name}", *(f"{field.name}__{name}__{last}" for last in further)):
                if of_model.lookup_allowed(path, "x", staff_request):
                    allowed.add(path.split("__", 1)[1])
    assert allowed <= CHEAP
    assert {"exact", "in"} <= allowed


@pytest.mark.parametrize("model", OURS)
@pytest.mark.parametrize("path", ACROSS)
def test_b7_relations_and_json_lead_to_no_dear_lookup(model: Any, path: str, staff_request: Any) -> None:
    first = path.split("__", maxsplit=1)[0]
    if first in {field.name for field in model._meta.get_fields()}:
        assert not admin.site.get_model_admin(model).lookup_allowed(path, "x", staff_request)


@pytest.mark.parametrize(
    "query", ["content__regex=(a|a)%2B", "session__key__iregex=(a|a)%2B", "extra__icontains=x", "metadata__a__regex=x"]
)
def test_b7_what_is_refused_is_no_server_error(query: str, admin_client) -> None:
    stored_session("k")
    assert admin_client.get(f"{page('message_changelist')}?{query}").status_code == 400


def test_filters_of_the_pages_and_links_to_them_go_on(admin_client) -> None:
    session = stored_session("k")
    for query in ("role__exact=user", f"session={session.pk}", f"session__id__exact={session.pk}", "workspace=acme"):
        assert admin_client.get(f"{page('message_changelist')}?{query}").context["cl"].result_count == 2
    for query in (
        "status=active",
        "active_at__gte=2000-01-01+00:00:00%2B00:00",
        "key=k",
        "key__in=k,b",
    ):
        response = admin_client.get(f"{page('session_changelist')}?{query}")
        assert (query, response.status_code) == (query, 200), response.headers
        assert response.context["cl"].result_count == 1


def test_b6_a_search_is_for_the_first_words_and_says_so(admin_client) -> None:
    stored_session("one two three", size=1)
    words = " ".join(["one"] * searching.WORDS)
    few = admin_client.get(page("session_changelist"), {"q": words})
    many = admin_client.get(page("session_changelist"), {"q": f"{words} none of these"})
    long = admin_client.get(page("session_changelist"), {"q": f"one {'x' * searching.CHARACTERS}"})
    assert [response.context["cl"].result_count for response in (few, many, long)] == [1, 1, 0]
    assert ["Only the first words" in response.text for response in (few, many, long)] == [False, True, True]
    assert searching.first_words("'two words' x\x00") == ("'two words' x", False)


def test_b6_a_search_looks_at_so_many_bytes(admin_client, monkeypatch) -> None:
    monkeypatch.setattr("chat_memory.admin.pages.messages.SEARCHED_BYTES", 1_000)
    chat = conversation("k", "acme")
    chat.append(*(Message.user(f"{number} {'ä' * 200}") for number in range(5)))
    found = admin_client.get(page("message_changelist"), {"q": "ä"}).context["cl"].result_list
    assert [message.content[0] for message in found] == ["4", "3"]
    chat.append(Message.user("5" + "ä" * 1_000))
    assert admin_client.get(page("message_changelist"), {"q": "ä"}).context["cl"].result_count == 1


@pytest.mark.parametrize("address", ["message_changelist", "session_changelist", "workspace_changelist"])
def test_b6_a_search_that_takes_too_long_is_ended_and_says_so(address: str, admin_client, monkeypatch) -> None:
    """On both databases, in a transaction of the host's too, which goes on afterwards."""
    stored_session("k")
    answer = admin_client.get(page(address), {"q": "k"})
    assert "took too long" not in answer.text
    monkeypatch.setattr("chat_memory.admin.base.limited_time", _sleeping)
    answer = admin_client.get(page(address), {"q": "k"})
    assert answer.status_code == 200
    assert answer.context["cl"].result_count == 0
    assert "took too long and was ended" in answer.text
    assert Session.objects.count() == 1


@override_settings(CHAT_MEMORY={"SEARCH_SECONDS": 0.05})
def test_b6_a_statement_is_ended_and_the_next_one_is_not() -> None:
    for _ in range(2):
        with pytest.raises(SearchTooLong), limited_time("default"):
            _work_for_ever()
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SHOW statement_timeout")
                assert cursor.fetchone() == ("0",)
        assert Session.objects.count() == 0


def test_suggestions_search_within_the_same_bounds(admin_client, monkeypatch) -> None:
    Workspace.objects.create(slug="acme")
    names = {"app_label": "chat_memory", "model_name": "workspacemember", "field_name": "workspace"}
    found = admin_client.get(reverse("admin:autocomplete"), {"term": "acme " * 30, **names}).json()["results"]
    assert [each["text"] for each in found] == ["acme"]
    monkeypatch.setattr("chat_memory.admin.base.limited_time", _sleeping)
    assert admin_client.get(reverse("admin:autocomplete"), {"term": "acme", **names}).json()["results"] == []


def test_an_address_that_every_link_would_repeat_has_a_length(admin_client) -> None:
    stored_session("k")
    assert admin_client.get(page("session_changelist"), {"q": "x" * 3_000}).status_code == 200
    assert admin_client.get(page("session_changelist"), {"q": "x" * 5_000}).status_code == 414


def test_an_action_takes_a_page_of_rows_and_says_so(admin_client, monkeypatch) -> None:
    monkeypatch.setattr("chat_memory.admin.base.AT_ONCE", 2)
    rows = [stored_session(f"k-{number}", size=1) for number in range(3)]
    across = {"action": "delete_selected", "_selected_action": [str(rows[0].pk)], "select_across": "1", "post": "yes"}
    listed = {"action": "delete_selected", "_selected_action": [str(row.pk) for row in rows], "post": "yes"}
    for form in (across, listed):
        answer = admin_client.post(page("session_changelist"), form, follow=True)
        assert "Select at most 2 rows at once: nothing was done." in answer.text
        assert Session.objects.count() == 3
    admin_client.post(page("session_changelist"), listed | {"_selected_action": [str(row.pk) for row in rows[:2]]})
    assert Session.objects.count() == 1


def test_b4_lists_load_no_metadata(admin_client, django_assert_max_num_queries) -> None:
    """Of 64 KiB each; neither the rows' own nor those of what they name."""
    stored_session("k")
    WorkspaceMember.objects.create(workspace=Workspace.objects.get(), user=User.objects.create_user("u"), role="member")
    for name in ("session", "message", "workspace", "workspacemember"):
        for query in ("", "?q=k", "?q=acme"):
            with django_assert_max_num_queries(12) as queries:
                admin_client.get(page(f"{name}_changelist") + query)
            assert [each["sql"] for each in queries if '"metadata"' in each["sql"]] == []


def test_table_of_members_has_the_first_and_a_link_to_all(admin_client, monkeypatch) -> None:
    monkeypatch.setattr("chat_memory.admin.member_table.LISTED", 3)
    workspace = Workspace.objects.create(slug="acme")
    users = User.objects.bulk_create(User(username=f"user-{number}") for number in range(5))
    members = WorkspaceMember.objects.bulk_create(WorkspaceMember(workspace=workspace, user=user) for user in users)
    response = admin_client.get(page("workspace_change", workspace))
    (formset,) = (each.formset for each in response.context["inline_admin_formsets"])
    assert [form.instance for form in formset.initial_forms] == members[:3]
    assert "?workspace=acme" in response.text
    assert admin_client.get(page("workspacemember_changelist") + "?workspace=acme").context["cl"].result_count == 5
    sent: dict[str, Any] = {
        "slug": "acme",
        "name": "",
        "metadata": "{}",
        "members-TOTAL_FORMS": "3",
        "members-INITIAL_FORMS": "3",
    }
    for index, each in enumerate(reversed(members[:3])):
        sent |= {f"members-{index}-id": each.pk, f"members-{index}-workspace": workspace.pk}
        sent |= {f"members-{index}-role": "reader" if index else "admin", f"members-{index}-user": users[4].pk}
    assert admin_client.post(page("workspace_change", workspace), sent).status_code == 302
    stored = WorkspaceMember.objects.order_by("pk").values_list("user_id", "role")
    assert list(stored) == [
        *((user.pk, role) for user, role in zip(users, ("reader", "reader", "admin", "member", "member"), strict=True))
    ]
    flood = sent | {"members-TOTAL_FORMS": "900"}
    assert "at most" in admin_client.post(page("workspace_change", workspace), flood).text


def test_b2_a_page_ends_where_the_next_message_does_not_fit(admin_client) -> None:
    """Whichever way it was asked for; all messages are reached, each once."""
    conversation("k", "acme").append(*(Message.user(f"{seq}: {'x' * 100_000}") for seq in range(1, 13)))
    address = page("session_transcript", Session.objects.get())

    def shown(query: str) -> list[int]:
        response = admin_client.get(address + query)
        entries = response.context["page"].entries
        assert 'rel="next"' in response.text or entries[-1].row.seq == 12
        assert 'rel="prev"' in response.text or entries[0].row.seq == 1
        return [entry.row.seq for entry in entries]

    assert shown("") == [8, 9, 10, 11, 12]
    assert shown("?before=8") == [3, 4, 5, 6, 7]
    assert shown("?before=3") == [1, 2]
    assert shown("?after=0") == [1, 2, 3, 4, 5]
    assert shown("?at=6") == [4, 5, 6, 7, 8]
    assert shown("?at=1") == [1, 2, 3, 4, 5]


def test_one_message_is_shown_however_long_it_is() -> None:
    assert stored_size.fitting([5, 900, 5], 1, 10) == (1, 1)
    assert stored_size.fitting([5, 5, 900], 0, 10) == (0, 1)
    assert stored_size.fitting([1, 1, 1, 1, 1], 2, 100) == (0, 4)
    assert stored_size.fitting([1, 1, 1, 1, 1], 4, 3) == (2, 4)


def test_former_texts_that_do_not_fit_are_reached_by_links(admin_client) -> None:
    session = stored_session("k", size=1)
    same = {"workspace": session.workspace, "session": session, "seq": 1, "edited_at": HOUR}
    Revision.objects.bulk_create(Revision(**same, content=f"former {number} {'x' * 90_000}") for number in range(7))
    transcript = admin_client.get(page("session_transcript", session)).text
    assert "edited, with 7 former texts" in transcript
    assert "Older texts: show the whole message" in transcript
    message = MessageRow.objects.get()
    found: list[str] = []
    query = ""
    while True:
        text = admin_client.get(page("message_change", message) + query).text
        found += [str(number) for number in range(6, -1, -1) if f"former {number} x" in text]
        if "Still older texts" not in text:
            break
        query = text.split('<a href="?former_before=')[1].split('"')[0]
        query = f"?former_before={query}"
    assert found == list("6543210")


@pytest.mark.parametrize("where", ["id of a call", "id of a result", "summary"])
def test_b1_marks_are_never_put_in_order(where: str, admin_client) -> None:
    """What Django's own filter for long texts does takes minutes for a text of this length."""
    session = stored_session("k", size=1)
    call = [{"id": MARKS, "function": {"name": "f", "arguments": "{}"}}]
    if where == "id of a call":
        conversation("k", "acme").append(Message.assistant(tool_calls=call))
    elif where == "id of a result":
        conversation("k", "acme").append(*(Message.tool("x", tool_call_id=MARKS[:9_999]) for _ in range(100)))
    else:
        said = {"text": MARKS, "created_at": HOUR, "first_seq": 1, "last_seq": 1}
        Summary.objects.create(workspace=session.workspace, session=session, **said)
    text = admin_client.get(page("session_transcript", session)).text
    assert MARKS[:150] in text
    assert ("The summary goes on" in text) is (where == "summary")
    assert text.count(MARKS[1]) < 130 * SHOWN


def test_message_beyond_what_its_page_holds_says_where_the_rest_is(admin_client, settings) -> None:
    settings.CHAT_MEMORY = {"MAX_CONTENT_BYTES": 4 * WHOLE}
    conversation("k", "acme").append(Message.user("x" * (WHOLE + 7)))
    text = admin_client.get(page("message_change", MessageRow.objects.get())).text
    assert "7 more characters: the API and chat_memory_export have them" in text


def test_message_that_is_long_everywhere_shows_one_section_at_a_time(admin_client) -> None:
    """The largest that can be stored: nothing of it is out of reach, and no page is longer than one section needs."""
    texts = {name: letter * (WHOLE - 40) for name, letter in (("content", "'"), ("calls", '"'), ("extra", "&"))}
    session = stored_session("k", size=1)
    row = MessageRow.objects.get()
    arguments = [{"id": "c", "function": {"name": "f", "arguments": texts["calls"]}}]
    row.content, row.tool_calls, row.extra = texts["content"], json.dumps(arguments), json.dumps({"x": texts["extra"]})
    row.save()
    Revision.objects.create(
        workspace=session.workspace, session=session, seq=row.seq, content="<" * WHOLE, edited_at=HOUR
    )
    address, shown = page("message_change", row), {"content": "&#x27;", "calls": "&quot;", "extra": "&amp;"}
    shown["former"] = "&lt;"
    for section, escaped in shown.items():
        text = admin_client.get(f"{address}?first={section}").text
        assert len(text) < 8 * 1024 * 1024
        assert text.count(escaped) >= WHOLE - 40
        for other in shown.keys() - {section}:
            assert f'href="?first={other}"' in text
            assert SHOWN - 40 <= text.count(shown[other]) <= SHOWN + 40
    for asked in ("", "?first=nothing", "?first="):
        assert admin_client.get(address + asked).text.count(shown["content"]) >= WHOLE - 40


def test_staff_that_may_only_look_sees_the_same_table() -> None:
    stored_session("k")
    reader = member("acme", "reader")
    text = signed_in(reader).get(page("workspace_change", Workspace.objects.get())).text
    assert "reader-of-acme" in text


def test_long_lists_of_branches_are_cut_and_keep_the_current_one(admin_client, monkeypatch) -> None:
    for module in ("shown_branch", "transcript"):
        monkeypatch.setattr(f"chat_memory.admin.pages.{module}.LISTED", 2)
    session = stored_session("k")
    for number in range(9):
        conversation("k", "acme").fork(f"b{number}")
    conversation("k", "acme").switch("b2")
    response = admin_client.get(page("session_transcript", session))
    assert list(links(response)) == ["main", "b8", "b7"]
    assert 'aria-current="page" dir="auto">b2<' in response.text
    listed: list[str] = []
    address = page("session_transcript", session)
    while following := re.search(r'href="(\?branches=\d+)" rel="next"', response.text):
        response = admin_client.get(address + following[1])
        assert 'aria-current="page" dir="auto">b2<' in response.text
        listed += [name for name in links(response) if name != "main"]
    assert listed == ["b6", "b5", "b4", "b3", "b1", "b0"]
    assert 'href="?" rel="first"' in response.text


def _sleeping(_alias: str) -> Any:
    """The time is up at once, as if the database had worked for so long."""
    raise SearchTooLong(3.0)


def _work_for_ever() -> None:
    numbers = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with connection.cursor() as cursor:
        cursor.execute(numbers)
