"""Settings of the test runs: the example project's, over the servers that `tests.servers` named."""

import os
import tempfile
from pathlib import Path

from example_project.settings import *

DEBUG = False
SECRET_KEY = "not-a-secret-and-used-by-tests-only"
INSTALLED_APPS = [*INSTALLED_APPS, "tests.toy_notes"]
MEDIA_ROOT = Path(os.environ.setdefault("CHAT_MEMORY_TEST_MEDIA", tempfile.mkdtemp(prefix="chat_memory_media_")))
"""Processes that a test starts write to the same folder."""
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, since threads and processes of one test share it; an in-memory database would be private to each.
    DATABASES["default"]["TEST"] = {"NAME": DATABASES["default"]["NAME"]}
