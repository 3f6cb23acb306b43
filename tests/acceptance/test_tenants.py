"""What one tenant leaves to the next, and what one user is shown of another (A9, A11)."""

from typing import Any

import pytest
from django.test import Client
from redis import Redis

from chat_memory import Message, conversation
from chat_memory.models import Workspace
from chat_memory.sessions import count_sessions, find_sessions
from tests.acceptance.admin_world import page
from tests.acceptance.api_support import caller
from tests.cache.caching import caching


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", ["strict", "bounded"])
@pytest.mark.parametrize("way", ["page", "action", "row", "query"])
def test_a9_the_next_tenant_of_a_slug_reads_nothing_of_the_last(
    mode: str, way: str, redis_client: Redis, admin_client: Client
) -> None:
    """Nor does anything of it stay in Redis, where entries may have no end."""
    with caching(mode, redis_client_address(redis_client), CACHE_TTL=None):
        conversation("k", "t").append(Message.user("SECRET"))
        assert [message.content for message in conversation("k", "t").tail(5)] == ["SECRET"]
        assert redis_client.keys()
        end(way, admin_client)
        assert redis_client.keys() == []
        Workspace.objects.create(slug="t")
        assert conversation("k", "t").tail(5) == []
        conversation("k", "t").append(Message.user("new"))
        for _read in range(2):
            assert [message.content for message in conversation("k", "t").tail(5)] == ["new"]


def redis_client_address(client: Redis) -> str:
    where = client.connection_pool.connection_kwargs
    return f"redis://{where['host']}:{where['port']}/{where['db']}"


def end(way: str, admin_client: Client) -> None:
    """Delete the workspace."""
    workspace = Workspace.objects.get(slug="t")
    if way == "page":
        admin_client.post(page("workspace_delete", workspace), {"post": "yes"})
    elif way == "action":
        form = {"action": "delete_selected", "_selected_action": [str(workspace.pk)], "post": "yes"}
        admin_client.post(page("workspace_changelist"), form)
    elif way == "row":
        workspace.delete()
    else:
        Workspace.objects.filter(slug="t").delete()
    assert not Workspace.objects.filter(slug="t").exists()


@pytest.mark.django_db
@pytest.mark.urls("tests.acceptance.api_urls")
@pytest.mark.parametrize("role", ["writer", "admin"])
def test_a11_a_session_with_the_key_of_a_user_is_not_the_users(role: str) -> None:
    """A user object means the owner, in Python as in the API."""
    me, ada = caller(role), caller("member")
    planted = {"key": "x", "user_key": str(ada.user.pk), "title": "Your bank details are needed"}
    assert me.post(me.sessions, planted).status_code == 201
    mine = ada.post(ada.sessions, {"key": "mine"})
    assert mine.status_code == 201

    def keys(user: Any) -> list[str]:
        return [session.key for session in find_sessions("acme", user=user).sessions]

    assert keys(ada.user) == ["mine"]
    assert [session["key"] for session in ada.get(ada.sessions).json()["results"]] == ["mine"]
    assert keys(str(ada.user.pk)) == ["x"]  # a text is a key of another system
    assert count_sessions("acme", user=str(ada.user.pk)) == 1
