"""What the worst that may be stored costs a search, and the filling of its index, beside the least of the same kind."""

from collections.abc import Iterator

import pytest
from django.test import Client

from chat_memory import Message, conversation
from chat_memory.maintenance.indexing import fill_index
from chat_memory.rules.searching import LONGEST_SEARCH, MAX_TERMS
from tests.acceptance.costs_rows import LONGEST, Row
from tests.acceptance.costs_states import World
from tests.acceptance.test_costs import IDLE, PACE, PROCESSOR, SLOWEST, TIMES, Worker

pytestmark = pytest.mark.django_db(transaction=True)
SEARCH = "/api/workspaces/{of}/search/?page_size=100&q="
WORDS = "+or+".join(["x", "text", "ok", "q", "0", "a*", *(f"x{number}*" for number in range(MAX_TERMS - 6))])
ROWS = [
    Row("one word", f"{SEARCH}x"),
    Row("every message", f"{SEARCH}{WORDS}"),
    Row("in a flood of long ones", f"{SEARCH}ok+or+now+or+0*"),
    Row("a prefix that much begins with", f"{SEARCH}0*"),
    Row("a phrase", f"{SEARCH}%22{'0+' * 200}%22"),
    Row("nothing", f"{SEARCH}{'z' * LONGEST_SEARCH}"),
    Row("excluded", f"{SEARCH}x+-{'+-'.join('abcdefghi')}"),
    Row("many words in long parts", f"{SEARCH}zz+or+{'+or+'.join(f'qq{number}' for number in range(MAX_TERMS - 1))}"),
    Row("of a condition", f"{SEARCH}x&archived=false&since=2026-01-01T00:00:00Z"),
]


@pytest.fixture(autouse=True)
def _index_agrees() -> None:
    """Not asked here: a check of all that the limits allow takes a minute, and these tests write nothing."""


@pytest.fixture
def indexed_world() -> World:
    """As that of the other costs, with what the sub-app makes of it."""
    made = World()
    client = Client()
    client.force_login(made.staff)
    made.ids["session"] = client.cookies["sessionid"].value
    part = {"type": "text", "text": "words " * 8_000 + "zz"}
    for of, number in (("few", 1), ("many", 20)):
        for key in range(number // 2 or 1):
            conversation(f"long-{key}", of).append(Message.user([part] * number))
    assert fill_index(batch_size=500).busy == 0
    return made


@pytest.fixture
def searching_worker(indexed_world: World) -> Iterator[Worker]:
    process = Worker()
    process.costs(ROWS[0].request(indexed_world, "few"))
    yield process
    process.end()


def test_every_search_keeps_to_its_budget(
    indexed_world: World, searching_worker: Worker, subtests: pytest.Subtests
) -> None:
    for row in ROWS:
        with subtests.test(row.name):
            least, most = (searching_worker.costs(row.request(indexed_world, of)) for of in ("few", "many"))
            assert (least["status"], most["status"]) == (200, 200), most["beginning"]
            assert most["bytes"] <= LONGEST
            assert most["memory"] <= IDLE + TIMES * most["bytes"]
            assert most["cpu"] <= PROCESSOR * min(max(most["pace"] / PACE, 1), SLOWEST)
            assert 0 <= most["statements"] - least["statements"] <= 1
