"""Settings of the runs with full text: the tests' own, and the sub-app installed."""

from tests.settings import *

INSTALLED_APPS = [*INSTALLED_APPS, "chat_memory.search"]
