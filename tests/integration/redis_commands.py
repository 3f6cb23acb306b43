"""The commands that a call makes Redis do; the server's own counts include those of other test processes."""

from collections.abc import Callable
from itertools import takewhile

from redis import Redis

LAST = "that was all"


def commands_in_redis(client: Redis, call: Callable[[], object]) -> list[str]:
    """The names of the commands in the client's database while a call runs, those within scripts included, in order."""
    own = client.connection_pool.connection_kwargs["db"]
    with client.monitor() as monitor:
        call()
        client.echo(LAST)
        ours = (each["command"] for each in monitor.listen() if each["db"] == own)
        return [command.partition(" ")[0].upper() for command in takewhile(lambda each: LAST not in each, ours)]
