"""Settings of the processes under faults: a primary, a replica behind it that the host's router reads from."""

import json
import os
from typing import Any
from urllib.parse import urlsplit

from tests.settings import *  # settings build on settings by a star import

DATABASES["replica"] = DATABASES["default"] | {"PORT": urlsplit(os.environ["REPLICA_URL"]).port}
DATABASE_ROUTERS = ["tests.faults.settings.ReadsFromReplica"]
CHAT_MEMORY = json.loads(os.environ["CHAT_MEMORY"])


class ReadsFromReplica:
    """The router of many a host."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"
