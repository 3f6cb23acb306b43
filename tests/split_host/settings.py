"""The example project's settings over the databases and the router that the environment names."""

import json
import os

from example_project.settings import *

DEBUG = False
SECRET_KEY = "not-a-secret-and-used-by-tests-only"
ALLOWED_HOSTS = ["testserver"]
INSTALLED_APPS = [*INSTALLED_APPS, "tests.split_host"]
DATABASES = json.loads(os.environ["SPLIT_HOST_DATABASES"])
DATABASE_ROUTERS = json.loads(os.environ["SPLIT_HOST_ROUTERS"])
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "example_project.urls"
