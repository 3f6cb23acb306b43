"""What the deletion of a user takes along where users and conversations share a database, and where they do not."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat_memory import Message, conversation
from chat_memory.models import Session, Workspace, WorkspaceMember


@pytest.fixture
def ada_of_acme() -> User:
    """A member of a workspace with one conversation in it."""
    user = User.objects.create_user("ada")
    conversation("k", "acme", user=user).append(Message.user("hi"))
    WorkspaceMember.objects.create(workspace=Workspace.objects.get(slug="acme"), user=user)
    return user


def check_taken_along(user_id: int) -> None:
    session = Session.objects.get(key="k", workspace__slug="acme")
    assert (session.user_id, session.user_key) == (None, str(user_id))
    assert not WorkspaceMember.objects.exists()
    assert conversation("k", "acme").count() == 1


@pytest.mark.django_db
def test_r38_a_deleted_user_leaves_sessions_and_takes_memberships(ada_of_acme: User) -> None:
    pk = ada_of_acme.pk
    ada_of_acme.delete()
    check_taken_along(pk)


@pytest.mark.django_db
def test_r38_users_are_deleted_by_a_query_with_a_fixed_number_of_statements(ada_of_acme: User) -> None:
    """Django collects for all of them at once what goes along."""
    pk = ada_of_acme.pk
    User.objects.bulk_create(User(username=f"user-{number}") for number in range(20))
    with CaptureQueriesContext(connection) as asked:
        User.objects.all().delete()
    assert len(asked) < 20
    check_taken_along(pk)


@pytest.mark.django_db
def test_r38_the_admin_names_the_memberships_that_go_with_a_user(ada_of_acme: User, admin_client: Client) -> None:
    address = f"/admin/auth/user/{ada_of_acme.pk}/delete/"
    asked = admin_client.get(address)
    assert asked.status_code == 200
    assert "ada (member)" in asked.content.decode()
    assert admin_client.post(address, {"post": "yes"}).status_code == 302
    check_taken_along(ada_of_acme.pk)


@pytest.mark.django_db
def test_r42_a_session_whose_user_is_nowhere_is_listed_by_key(ada_of_acme: User, admin_client: Client) -> None:
    """No constraint keeps others from deleting rows of users past Django."""
    User.objects.filter(pk=ada_of_acme.pk)._raw_delete("default")
    session = Session.objects.get(key="k", workspace__slug="acme")
    for address in ("", f"{session.pk}/transcript/", f"{session.pk}/change/"):
        shown = admin_client.get(f"/admin/chat_memory/session/{address}")
        assert shown.status_code == 200
        assert str(ada_of_acme.pk) in shown.content.decode()
    assert admin_client.get("/admin/chat_memory/workspacemember/").status_code == 200


@pytest.fixture
def legacy(django_db_blocker: pytest.FixtureRequest) -> Iterator[str]:
    """A second database with users of its own, and without our tables."""
    connections.settings["legacy"] = {
        **connections["default"].settings_dict,
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        "OPTIONS": {},
    }
    with django_db_blocker.unblock():  # type: ignore[attr-defined]  # of pytest-django
        for app in ("contenttypes", "auth", "admin"):
            call_command("migrate", app, database="legacy", verbosity=0)
        try:
            yield "legacy"
        finally:
            connections["legacy"].connection.close()
            del connections["legacy"]
            del connections.settings["legacy"]


@pytest.mark.once
@pytest.mark.django_db
def test_r38_users_of_a_database_without_our_tables_are_deleted(ada_of_acme: User, legacy: str) -> None:
    """They are other people, whatever their keys."""
    User.objects.using(legacy).create(pk=ada_of_acme.pk, username="other")
    User.objects.using(legacy).all().delete()
    assert not User.objects.using(legacy).exists()
    assert Session.objects.get(key="k", workspace__slug="acme").user == ada_of_acme
    assert WorkspaceMember.objects.count() == 1


@pytest.mark.once
@pytest.mark.django_db
def test_r38_rows_of_a_further_database_go_with_its_own_users(ada_of_acme: User, legacy: str) -> None:
    call_command("migrate", "chat_memory", database=legacy, verbosity=0)
    other = User.objects.using(legacy).create(pk=ada_of_acme.pk, username="other")
    conversation("k", "acme", user=other, using=legacy).append(Message.user("hi"))
    assert Session.objects.using(legacy).get(key="k", workspace__slug="acme").user == other
    other.delete()
    assert Session.objects.using(legacy).get(key="k", workspace__slug="acme").user_id is None
    assert Session.objects.get(key="k", workspace__slug="acme").user == ada_of_acme
