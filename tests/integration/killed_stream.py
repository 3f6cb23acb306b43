"""A program of its own that streams a message, and is killed on the way.

`python -m tests.integration.killed_stream DATABASE`: it dies after a flush, with a chunk that it has not flushed.
"""

import os
import signal
import sys

import django
from django.conf import settings
from django.utils.module_loading import import_string


def main(database: str) -> None:
    """Stream until death."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    settings.DATABASES["default"]["NAME"] = database
    django.setup()
    with import_string("chat_memory.conversation")("k", "acme").streaming(id="a") as stream:
        stream.write("flushed")
        stream.flush()
        stream.write(" and not flushed")
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
