"""The commands that reach one Redis database; the server itself shows those of other test processes too."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile

from redis import Redis

LAST = "that was all"


@contextmanager
def watched(client: Redis) -> Iterator[Iterator[dict[str, str]]]:
    """The commands in the client's database from here on, in order: `command` and `client_type` ("lua" in a script)."""
    own = client.get_connection_kwargs().get("db", 0)
    with client.monitor() as monitor:
        yield (each for each in monitor.listen() if each["db"] == own)


def commands_in_redis(client: Redis, call: Callable[[], object]) -> list[dict[str, str]]:
    """Those that a call makes Redis do, those within scripts included."""
    with watched(client) as commands:
        call()
        client.echo(LAST)
        return list(takewhile(lambda each: LAST not in each["command"], commands))


def names_in_redis(client: Redis, call: Callable[[], object]) -> list[str]:
    """The names of the commands that a call makes Redis do, those within scripts included, in order."""
    return [each["command"].partition(" ")[0].upper() for each in commands_in_redis(client, call)]
