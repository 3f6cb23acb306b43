"""A host whose users have a UUID for a key and an address for a name, and no page in the admin of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.empty_databases import postgresql_database

ROOT = Path(__file__).resolve().parents[2]
MODELS = """
import uuid
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models

class People(BaseUserManager):
    def create_user(self, email, password=None, **fields):
        person = self.model(email=email, **fields)
        person.set_password(password)
        person.save(using=self._db)
        return person

class Person(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_staff = models.BooleanField(default=False)
    USERNAME_FIELD = "email"
    objects = People()

    class Meta:
        ordering = ["email"]
"""
SETTINGS = """
from example_project.settings import *
DEBUG = False
SECRET_KEY = "not-a-secret-and-used-by-tests-only"
ALLOWED_HOSTS = ["testserver"]
INSTALLED_APPS = [*INSTALLED_APPS, "people"]
INSTALLED_APPS.remove("example_project")
AUTH_USER_MODEL = "people.Person"
ROOT_URLCONF = "addresses"
DATABASES["default"] |= {"NAME": DATABASE}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""
ADDRESSES = """
from django.contrib import admin
from django.urls import include, path
urlpatterns = [path("api/", include("chat_memory.api.urls")), path("admin/", admin.site.urls)]
"""
STEPS = """
import django
django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command
call_command("makemigrations", "people", verbosity=0)
call_command("migrate", verbosity=0)

from django.test import Client
from chat_memory import Message, conversation
from chat_memory.models import Session, WorkspaceMember
from chat_memory.sessions import find_sessions

Person = get_user_model()
ada = Person.objects.create_user("ada@example.com")
root = Person.objects.create_user("root@example.com", is_staff=True, is_superuser=True)
chat = conversation("k", workspace="acme", user=ada)
chat.append(Message.user("hi"))
chat.append(Message.assistant("hello"))
assert [found.user_id for found in find_sessions("acme", user=ada).sessions] == [ada.pk]
row = Session.objects.get()
assert (row.user, row.user_key) == (ada, str(ada.pk))
WorkspaceMember.objects.create(workspace=row.workspace, user=ada)

browser = Client()
browser.force_login(ada)
messages = f"/api/workspaces/acme/sessions/{row.pk}/messages/"
assert browser.post(messages, {"role": "user", "content": "more"}, content_type="application/json").status_code == 201
assert len(browser.get(messages).json()["results"]) == 3

browser.force_login(root)
for address in ("session/", f"session/{row.pk}/transcript/", f"session/{row.pk}/change/", "workspacemember/?o=1",
                f"workspacemember/{WorkspaceMember.objects.get().pk}/change/", f"workspace/{row.workspace_id}/change/"):
    shown = browser.get(f"/admin/chat_memory/{address}")
    assert shown.status_code == 200, address
assert "ada@example.com" in browser.get("/admin/chat_memory/session/").content.decode()

key = str(ada.pk)
ada.delete()
row.refresh_from_db()
assert (row.user_id, row.user_key, WorkspaceMember.objects.count()) == (None, key, 0)
assert conversation("k", workspace="acme").count() == 3
print("all right")
"""


def take_steps(folder: Path, database: str) -> None:
    """Run the host in a process of its own."""
    for name, text in {
        "people/__init__.py": "",
        "people/models.py": MODELS,
        "host_settings.py": f"DATABASE = {database!r}\n{SETTINGS}",
        "addresses.py": ADDRESSES,
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "host_settings",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(folder))),
        "DJANGO_SECRET_KEY": "only-until-the-settings-name-another",
    }
    command = [sys.executable, "-W", "error", "-c", STEPS]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "all right" in ended.stdout


@pytest.mark.sqlite
def test_r42_users_whose_keys_are_no_numbers_on_sqlite(tmp_path: Path) -> None:
    take_steps(tmp_path, str(tmp_path / "host.sqlite3"))


@pytest.mark.postgresql
def test_r42_users_whose_keys_are_no_numbers_on_postgresql(tmp_path: Path, worker_id: str) -> None:
    with postgresql_database(f"other_users_{worker_id}") as given:
        take_steps(tmp_path, given["NAME"])
