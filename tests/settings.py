"""Settings of the test runs: the example project's, over the servers that `tests.servers` named."""

from example_project.settings import *

DEBUG = False
SECRET_KEY = "not-a-secret-and-used-by-tests-only"
INSTALLED_APPS = [*INSTALLED_APPS, "tests.toy_notes"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, since threads and processes of one test share it; an in-memory database would be private to each.
    DATABASES["default"]["TEST"] = {"NAME": DATABASES["default"]["NAME"]}
