"""How names, users and session rows become the address of a conversation."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from django.contrib.auth.models import AnonymousUser, User

from chat_memory import ValidationError
from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.history.naming import address, address_of
from chat_memory.records import Address

pytestmark = pytest.mark.once


def stored_user() -> User:
    """A user as it comes from the database; there is none here."""
    user = User(pk=7, username="bob")
    user._state.adding = False
    return user


def test_what_is_not_named_is_the_default(settings) -> None:
    settings.CHAT_MEMORY = {"DEFAULT_WORKSPACE": "acme"}
    assert address("k", None, None, None) == Address("acme", "k", CURRENT)
    assert address("k", "other", None, "draft") == Address("other", "k", "draft")


@pytest.mark.parametrize(
    ("user", "owner"),
    [(None, (None, "")), (AnonymousUser(), (None, "")), ("bob", (None, "bob")), (stored_user(), (7, "7"))],
    ids=["nobody", "anonymous", "text", "user"],
)
def test_whose_conversation_it_is(user: Any, owner: tuple[Any, str]) -> None:
    found = address("k", "acme", user, None)
    assert (found.user_id, found.user_key) == owner


@pytest.mark.parametrize(
    "user", [User(pk=7), User(), 7, object(), ""], ids=["unsaved", "without a key", "7", "?", "''"]
)
def test_who_is_no_stored_user_is_refused(user: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        address("k", "acme", user, None)
    assert caught.value.field == "user"


@pytest.mark.parametrize("ttl", [msgspec.UNSET, None, 0, 60])
def test_the_life_of_the_cached_conversation_goes_along(ttl: Any) -> None:
    assert address("k", "acme", None, None, ttl).cache_ttl is ttl


def test_a_refused_name_is_refused_again() -> None:
    """What is usable is remembered, and only that."""
    for _ in range(2):
        with pytest.raises(ValidationError, match="key"):
            address("a\nb", "acme", None, None)
        with pytest.raises(ValidationError, match="workspace"):
            address("k", "two words", None, None)


@pytest.mark.parametrize(("branch", "named"), [(MAIN_BRANCH, CURRENT), ("draft", "draft")])
def test_a_row_is_the_address_of_itself_alone(branch: str, named: str) -> None:
    """The row of main stands for the conversation, and so for the branch that is current."""
    row = SimpleNamespace(
        pk=uuid4(), workspace_id=3, workspace=SimpleNamespace(slug="acme"), key="k", branch=branch, user_key="bob"
    )
    expected = Address(
        "acme", "k", named, user_key="bob", workspace_id=3, session_id=row.pk, pinned=True, any_owner=True
    )
    assert address_of(row) == expected
