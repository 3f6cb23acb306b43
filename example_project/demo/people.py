"""Owns the demo's workspaces, accounts and memberships; making them again must change nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import User

from chat_memory.models import Workspace, WorkspaceMember


@dataclass(frozen=True)
class Place:
    """A workspace of the demo."""

    slug: str
    name: str


@dataclass(frozen=True)
class Account:
    """A login of the demo; its password is published, so the command refuses to run where DEBUG is off."""

    title: str
    username: str
    password: str
    role: str
    places: tuple[Place, ...]
    superuser: bool = False


LIBRARY = Place("riverside-library", "Riverside Library")
WORKSHOP = Place("spoke-and-gear", "Spoke & Gear")
PLACES = (LIBRARY, WORKSHOP)
MARA = Account("Mara, borrower at the Riverside Library", "mara", "mara-demo", "member", (LIBRARY,))
JONAS = Account("Jonas, customer of Spoke & Gear", "jonas", "jonas-demo", "member", (WORKSHOP,))
ADMIN = Account("Administrator, member of both workspaces", "admin", "admin-demo", "admin", PLACES, superuser=True)
ACCOUNTS = (ADMIN, MARA, JONAS)


def make_people() -> None:
    """Create the workspaces, accounts and memberships that are missing; an existing account keeps its password."""
    for place in PLACES:
        Workspace.objects.get_or_create(slug=place.slug, defaults={"name": place.name})
    for account in ACCOUNTS:
        user = _made(account)
        for place in account.places:
            workspace = Workspace.objects.get(slug=place.slug)
            WorkspaceMember.objects.get_or_create(workspace=workspace, user=user, defaults={"role": account.role})


def user_of(account: Account) -> User:
    """The user behind an account of the demo."""
    return User.objects.get(username=account.username)


def accounts() -> list[Account]:
    """The accounts whose password is still the one printed here."""
    stored = dict(
        User.objects.filter(username__in=[account.username for account in ACCOUNTS]).values_list("username", "password")
    )
    return [account for account in ACCOUNTS if _opens(account.password, stored.get(account.username, ""))]


@cache
def _opens(password: str, encoded: str) -> bool:
    """Whether a stored hash is that of the password; cached, because password hashes are slow by design."""
    return check_password(password, encoded)


def _made(account: Account) -> User:
    known = User.objects.filter(username=account.username).first()
    if known is not None:
        return known
    make = User.objects.create_superuser if account.superuser else User.objects.create_user
    return make(account.username, password=account.password)
