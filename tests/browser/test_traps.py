"""Every trap springs on a page that trips it, and on no other: what never springs would show nothing."""

import pytest

from tests.browser.traps import Watched
from tests.browser.tripping import ASIDE, BODIES, SCRIPTS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("trap", [*SCRIPTS, *BODIES])
def test_trap_springs(trap: str, watched: Watched) -> None:
    sprung = {name for name, _what in watched.open(f"/tripping/{trap}/").sprung}
    assert trap in sprung
    assert sprung <= {trap, "console"} | ASIDE.get(trap, set())


def test_nothing_springs_without_a_reason(watched: Watched) -> None:
    assert watched.open("/tripping/nothing/").sprung == []
