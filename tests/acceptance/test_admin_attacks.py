"""What careless or hostile staff does in the admin: an error at its field or an answer without a traceback."""

import sys

import pytest
from django import forms
from django.contrib.admin.models import LogEntry
from django.test import override_settings
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timezone import get_current_timezone, localtime

from chat_memory import Message, ValidationError, conversation
from chat_memory.admin.forms import MetadataField
from chat_memory.models import Session, Workspace, WorkspaceMember
from chat_memory.rules.times import EARLIEST, LATEST
from tests.acceptance.admin_world import first_message, page, stored_session
from tests.payloads import deep

pytestmark = pytest.mark.django_db

NO_MEMBERS = {"members-TOTAL_FORMS": "0", "members-INITIAL_FORMS": "0"}


def test_slug_that_exists_is_an_error_at_its_field(admin_client) -> None:
    Workspace.objects.create(slug="acme")
    response = admin_client.post(page("workspace_add"), {"slug": "acme", "name": "", "metadata": "{}"} | NO_MEMBERS)
    assert response.status_code == 200
    assert "slug" in response.context["adminform"].form.errors
    assert Workspace.objects.count() == 1


@pytest.mark.parametrize("slug", [".", ".."])
def test_a14_a_slug_that_addresses_swallow_is_refused(slug: str, admin_client) -> None:
    """Browsers and curl take such a part of a path away."""
    response = admin_client.post(page("workspace_add"), {"slug": slug, "name": "", "metadata": "{}"} | NO_MEMBERS)
    assert "slug" in response.context["adminform"].form.errors
    with pytest.raises(ValidationError):
        conversation("k", slug).append(Message.user("x"))
    assert not Workspace.objects.exists()
    assert conversation("k", "...").append(Message.user("x")).first_seq == 1


def test_metadata_that_is_too_deep_to_be_a_text_is_an_error_of_its_field() -> None:
    """Newer releases of Python read deeper JSON than they write."""
    with pytest.raises(forms.ValidationError, match="valid JSON"):
        MetadataField().run_validators(deep(5 * sys.getrecursionlimit()))


def test_a16_a_second_membership_is_an_error_of_the_form(admin_client, admin_user) -> None:
    acme = Workspace.objects.create(slug="acme")
    sent = {"workspace": str(acme.pk), "user": str(admin_user.pk), "role": "reader"}
    assert admin_client.post(page("workspacemember_add"), sent).status_code == 302
    again = admin_client.post(page("workspacemember_add"), sent | {"role": "admin"})
    assert again.context["adminform"].form.errors
    assert [member.role for member in WorkspaceMember.objects.all()] == ["reader"]


@pytest.mark.parametrize("name", ["session_changelist", "workspace_changelist", "workspacemember_changelist"])
def test_b11_no_cache_keeps_a_page(name: str, admin_client) -> None:
    kept = admin_client.get(page(name))["Cache-Control"]
    assert {"no-cache", "no-store", "private"} <= {part.strip() for part in kept.split(",")}


@pytest.mark.parametrize("way", ["changed", "deleted", "deleted by an action"])
def test_a19_the_log_of_the_admin_keeps_no_words(way: str, admin_client) -> None:
    """Of a title that we made; one that somebody set is a name like any other."""
    shown = {"title": "Set by staff", "tags": "", "metadata": "{}"} | dict.fromkeys(
        ("archived_at_0", "archived_at_1", "expires_at_0", "expires_at_1"), ""
    )
    conversation("k", "acme").append(Message.user("my card is SECRET 4111"))
    session = Session.objects.get()
    assert "SECRET" in session.title
    assert "SECRET" in admin_client.get(page("session_changelist")).text
    if way == "changed":
        admin_client.post(page("session_change", session), {**shown, "title": session.title, "tags": "new"})
    elif way == "deleted":
        admin_client.post(page("session_delete", session), {"post": "yes"})
    else:
        action = {"action": "delete_selected", "_selected_action": [str(session.pk)], "post": "yes"}
        admin_client.post(page("session_changelist"), action)
    (entry,) = LogEntry.objects.all()
    assert (entry.object_repr, "SECRET" in entry.change_message) == ("k", False)


def test_form_of_a_session_is_judged_by_its_model_too(admin_client, monkeypatch) -> None:
    """What a host adds to the model's own rules holds here as in every form of Django's."""
    session = stored_session("k")
    shown = {"title": "x", "tags": "", "metadata": "{}"} | dict.fromkeys(
        ("archived_at_0", "archived_at_1", "expires_at_0", "expires_at_1"), ""
    )
    asked: list[Session] = []
    monkeypatch.setattr(Session, "validate_unique", lambda row, **_names: asked.append(row))
    assert admin_client.post(page("session_change", session), shown).status_code == 302
    assert asked == [session]


@pytest.mark.parametrize("zone", ["Etc/GMT+12", "Pacific/Kiritimati"])
def test_every_storable_time_is_shown_in_every_zone(zone: str, admin_client) -> None:
    """The earliest and the latest, in the zones that are the farthest from UTC."""
    with override_settings(TIME_ZONE=zone):
        chat = conversation("k", "acme")
        chat.append(Message.user("old", created_at=EARLIEST), Message.user("new", created_at=LATEST))
        chat.update(archived_at=EARLIEST, expires_at=LATEST)
        session = Session.objects.select_related("workspace").get()
        assert get_current_timezone().key == zone
        message = first_message(session)
        addresses = [
            *(page(f"{model}_changelist") for model in ("workspace", "session", "message")),
            *(page(f"session_{name}", session) for name in ("change", "transcript", "delete", "history")),
            page("message_change", message),
        ]
        for address in addresses:
            assert admin_client.get(address).status_code == 200, address
        text = admin_client.get(page("session_transcript", session)).text
        for moment in (EARLIEST, LATEST):
            assert date_format(localtime(moment)) in text


@pytest.mark.parametrize("zone", ["Etc/GMT+12", "Pacific/Kiritimati"])
def test_form_shown_and_sent_back_leaves_every_storable_time_as_it_is(zone: str, admin_client) -> None:
    with override_settings(TIME_ZONE=zone):
        conversation("k", "acme").open(archived_at=EARLIEST, expires_at=LATEST)
        session = Session.objects.get()
        form = admin_client.get(page("session_change", session)).context["adminform"].form
        shown = {"title": "x", "tags": "", "metadata": "{}"}
        for name in ("archived_at", "expires_at"):
            context = form.fields[name].widget.get_context(name, form[name].value(), {})
            shown |= {widget["name"]: widget["value"] for widget in context["widget"]["subwidgets"]}
        assert admin_client.post(page("session_change", session), shown).status_code == 302
        after = Session.objects.get()
    assert (after.title, after.archived_at, after.expires_at) == ("x", EARLIEST, LATEST)


@pytest.mark.parametrize(
    ("model", "query"),
    [
        ("message", "role__exact=%00"),
        ("message", "state__exact=%00"),
        ("session", "title__exact=%00"),
        ("session", "workspace=%00&status=%00"),
        ("workspacemember", "role__exact=%00"),
        ("workspace", "name__exact=a%00"),
    ],
)
def test_filter_that_no_database_can_answer_is_no_traceback(model: str, query: str, admin_client) -> None:
    stored_session("k")
    response = admin_client.get(f"{page(f'{model}_changelist')}?{query}", follow=True)
    assert response.status_code == 200


def test_suggestions_for_what_no_database_can_store_are_no_traceback(admin_client) -> None:
    Workspace.objects.create(slug="acme")
    names = {"app_label": "chat_memory", "model_name": "workspacemember", "field_name": "workspace"}
    response = admin_client.get(reverse("admin:autocomplete"), {"term": "ac\x00me", **names})
    assert response.status_code == 200


@pytest.mark.parametrize("key", ["true", "1.5", "a\x00"])
def test_membership_of_what_can_be_no_key_is_no_traceback(key: str, admin_client, admin_user) -> None:
    """Django's field with suggestions asks the database for it, in a form that comes back and in an address."""
    workspace = Workspace.objects.create(slug="acme")
    add, users = page("workspacemember_add"), {"user": str(admin_user.pk)}
    row = {f"members-{name}": value for name, value in {"0-user": key, "0-role": "member", "TOTAL_FORMS": "1"}.items()}
    assert admin_client.get(add, {"user": key, "workspace": key}).status_code == 200
    assert admin_client.post(add, users | {"workspace": key, "role": "member"}).status_code == 200
    table = {"slug": "acme", "metadata": "{}", "members-INITIAL_FORMS": "0"} | row
    assert admin_client.post(page("workspace_change", workspace), table).status_code == 200
    assert not WorkspaceMember.objects.exists()
