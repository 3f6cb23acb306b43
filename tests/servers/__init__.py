"""Real PostgreSQL and Redis servers for tests and benchmarks; knows neither Django nor chat_memory.

`serve` names the servers of a whole run in DATABASE_URL and REDIS_URL; `start_postgres`, `start_mortal_postgres`,
`start_replica` and `start_redis` give one test a private server that it may stop, freeze or restart.
"""

from tests.servers.environment import serve
from tests.servers.postgres import start_mortal_postgres, start_postgres, start_replica
from tests.servers.process import Server
from tests.servers.programs import ServerUnavailable
from tests.servers.redis import start_redis, start_sentinel

__all__ = [
    "Server",
    "ServerUnavailable",
    "serve",
    "start_mortal_postgres",
    "start_postgres",
    "start_redis",
    "start_replica",
    "start_sentinel",
]
