"""One interleaving for each way a cache is known to go wrong, against the real scripts on a real Redis."""

import re
from typing import Any

import pytest
from redis import Redis

from chat_memory.cache.client import CacheClient
from tests.faults.stage import FORMAT, KEY, LEASE_MS, OTHER_SESSION, STATE, Stage, header

pytestmark = pytest.mark.once

NEWER, OLDER = "02s", "00s"
MAX_AGE_MS = 60_000


@pytest.fixture
def strict(redis_client: Redis) -> Stage:
    """Readers and writers in mode strict."""
    return Stage(redis_client)


@pytest.fixture
def bounded(redis_client: Redis) -> Stage:
    """Readers and writers in mode bounded."""
    return Stage(redis_client, "bounded", max_age=MAX_AGE_MS / 1000)


def test_fill_after_the_writers_push(bounded: Stage) -> None:
    """A reader missed, has the lease and read version 1; version 2 is committed before it fills."""
    lease = bounded.lease()
    assert bounded.push(header(2), "b") == "leased"
    assert bounded.fill(header(1), "a", lease=lease) == "old"
    assert bounded.look() is None
    assert bounded.fill(header(2), "ab", lease=lease) == "filled"
    assert bounded.texts() == "ab"


def test_pushes_on_a_leased_key_come_in_any_order(bounded: Stage) -> None:
    """The largest version announced counts, not the last."""
    lease = bounded.lease()
    assert [bounded.push(header(3), "c"), bounded.push(header(2), "b")] == ["leased", "leased"]
    assert bounded.fill(header(2), "ab", lease=lease) == "old"


def test_append_after_expiry_makes_no_partial_list(strict: Stage) -> None:
    """FEATURES N02, N03: a part is never taken for the whole."""
    assert strict.push(header(2), "b") == "absent"
    assert not strict.is_there()


def test_fill_without_lease_after_flushall(bounded: Stage, redis_client: Redis) -> None:
    lease = bounded.lease()
    redis_client.flushdb()
    assert bounded.fill(header(1), "a", lease=lease) == "unleased"
    assert not bounded.is_there()


def test_only_one_fills(bounded: Stage) -> None:
    """FEATURES N08: of those who miss together one fills, and once."""
    first, second = bounded.lease(), bounded.lease()
    assert (bool(first), second) == (True, "")
    assert bounded.fill(header(1), "a", lease="0123456789abcdef") == "unleased"
    assert bounded.fill(header(1), "a", lease=first) == "filled"
    assert bounded.fill(header(1), "a", lease=first) == "unleased"


def test_lease_on_what_was_filled_a_moment_ago(bounded: Stage) -> None:
    """Who missed before somebody else filled does not take the entry away, unless it is too old for him."""
    bounded.warm(header(3), "abc")
    assert [bounded.lease(), bounded.lease(least=3)] == ["", ""]
    assert bounded.texts() == "abc"
    assert bounded.lease(least=4)
    assert bounded.look() is None


def test_lease_lapses(bounded: Stage) -> None:
    """Who took too long fills no more, and another may."""
    late = bounded.lease()
    bounded.lapse()
    assert bounded.fill(header(1), "a", lease=late) == "unleased"
    assert bounded.lease() not in ("", late)


def test_lapsed_lease_keeps_what_writers_announced(bounded: Stage) -> None:
    bounded.lease()
    bounded.push(header(5), "e")
    bounded.lapse()
    assert bounded.fill(header(4), "abcd", lease=bounded.lease()) == "old"


def test_key_of_a_lease_goes_with_it(bounded: Stage) -> None:
    """A reader that died leaves nothing for ever."""
    bounded.lease()
    assert 0 < bounded.life() <= LEASE_MS + 50


def test_lost_push_is_seen_at_once_in_strict(strict: Stage) -> None:
    """The row says 2, the entry 1: no answer; and who read the row at 1 does not bring it back over 2."""
    strict.warm(header(1), "a")
    assert strict.entry().is_at(header(1))
    assert not strict.entry().is_at(header(2))
    assert not strict.entry().is_ahead_of(header(2))
    assert strict.fill(header(2), "ab") == "filled"
    assert strict.fill(header(1), "a") == "old"
    assert strict.texts() == "ab"


def test_lost_push_is_noticed_by_the_next(strict: Stage) -> None:
    """FEATURES N04: a gap drops the entry."""
    strict.warm(header(1), "a")
    assert strict.push(header(3), "c") == "dropped"
    assert not strict.is_there()


def test_lost_push_is_forgotten_at_the_age_limit(bounded: Stage) -> None:
    """In place of the mark that told readers of a writer at work: the entry it left behind dies by its age."""
    bounded.warm(header(1), "a")
    assert 0 < bounded.life() <= MAX_AGE_MS
    bounded.pass_time(MAX_AGE_MS)
    assert bounded.look() is None


def test_pushes_arrive_out_of_order(strict: Stage) -> None:
    strict.warm(header(1), "a")
    assert [strict.push(header(3), "c"), strict.push(header(2), "b")] == ["dropped", "absent"]


def test_zombie_push_after_a_timeout(strict: Stage) -> None:
    """A push that its writer gave up long ago changes nothing, and costs the entry nothing."""
    strict.warm(header(3), "abc")
    assert strict.push(header(2), "b") == "old"
    assert strict.texts() == "abc"


def test_the_same_push_twice(strict: Stage) -> None:
    strict.warm(header(1), "a")
    assert [strict.push(header(2), "b"), strict.push(header(2), "b")] == ["pushed", "old"]
    assert strict.texts() == "ab"


def test_failover_to_an_older_copy(strict: Stage, redis_client: Redis) -> None:
    """The replica that took over had not seen the push."""
    strict.warm(header(1), "a")
    older: Any = redis_client.dump(KEY)
    assert strict.push(header(2), "b") == "pushed"
    redis_client.restore(KEY, 0, older, replace=True)
    assert not strict.entry().is_at(header(2))
    assert strict.push(header(3), "c") == "dropped"


def test_database_went_back_to_the_same_number(strict: Stage) -> None:
    """A restore or a lossy failover: version 6 again, with another history. The token tells them apart."""
    strict.warm(header(6, token=7), "abcdex")
    assert strict.entry().is_at(header(6, token=7))
    assert not strict.entry().is_at(header(6, token=8))
    assert strict.push(header(7, token=8), "g", before=header(6, token=8)) == "dropped"


def test_same_number_with_another_token_is_no_repetition(strict: Stage) -> None:
    """The push of another history's version 6 drops the entry, for one of the two is wrong."""
    strict.warm(header(6, token=7), "abcdex")
    assert strict.push(header(6, token=8), "y") == "dropped"


def test_same_token_with_another_number_is_no_predecessor(strict: Stage) -> None:
    """Tokens are drawn: two may be equal, if hardly ever."""
    strict.warm(header(6, token=2), "abcdef")
    assert header(4, token=3).vtoken == header(6, token=2).vtoken
    assert strict.push(header(7), "g", before=header(4, token=3)) == "dropped"


def test_database_went_back_behind_the_cache(strict: Stage) -> None:
    """The entry is ahead of the row: first the reader looks at the row again, then it insists."""
    strict.warm(header(9), "abcdefghi")
    assert strict.entry().is_ahead_of(header(5))
    assert strict.fill(header(5), "abcde") == "old"
    assert strict.texts() == "abcdefghi"
    assert strict.fill(header(5), "abcde", insist=True) == "filled"
    assert strict.texts() == "abcde"


def test_fill_from_a_replica_is_refused_when_a_newer_version_is_known(bounded: Stage) -> None:
    """What a reader must at least see, and what the entry had, bind its own fill as well."""
    bounded.warm(header(5), "abcde")
    assert bounded.fill(header(4), "abcd", lease=bounded.lease(least=6)) == "old"
    bounded.redis.delete(KEY)
    assert bounded.fill(header(4), "abcd", lease=bounded.lease(least=5)) == "old"


def test_clear_beside_an_append(strict: Stage) -> None:
    """In whichever order the two reach Redis, nothing of before the clear stays."""
    strict.warm(header(1), "a")
    strict.drop()
    assert strict.push(header(3), "c") == "absent"
    strict.warm(header(1), "a")
    assert strict.push(header(3), "c") == "dropped"
    strict.drop()
    assert not strict.is_there()


def test_clear_beside_a_fill(bounded: Stage) -> None:
    """The lease goes with the key, so what was read before the clear is not stored after it."""
    lease = bounded.lease()
    bounded.drop()
    assert bounded.fill(header(1), "a", lease=lease) == "unleased"
    second = bounded.lease()
    assert bounded.fill(header(1), "a", lease=lease) == "unleased"
    assert bounded.fill(header(2, cleared=2), "", lease=second) == "filled"


@pytest.mark.parametrize("version", [1, 9])
def test_push_of_a_later_session_of_the_same_name(strict: Stage, version: int) -> None:
    """Deleted and made again: its version 2 does not follow the old one's, nor is it older."""
    strict.warm(header(version), "abcdefghi"[:version])
    assert strict.push(header(2, session=OTHER_SESSION), "b") == "dropped"


def test_entry_of_an_earlier_session_of_the_same_name(strict: Stage) -> None:
    """It is neither the row's nor ahead of it, whatever the numbers say; a smaller version replaces it."""
    strict.warm(header(2), "ab")
    assert not strict.entry().is_at(header(2, session=OTHER_SESSION))
    assert not strict.entry().is_ahead_of(header(1, session=OTHER_SESSION))
    assert strict.fill(header(1, session=OTHER_SESSION), "z") == "filled"
    assert strict.texts() == "z"


def test_old_release_meets_a_newer_format(strict: Stage, bounded: Stage) -> None:
    """It asks the database, fills nothing, takes no lease; its append drops what it cannot complete."""
    strict.warm(header(1), "a")
    strict.rewrite(FORMAT, NEWER)
    assert strict.look() is None
    assert strict.fill(header(2), "ab") == "newer"
    assert bounded.look() is None
    assert bounded.lease() == ""
    assert strict.raw_header()[FORMAT] == NEWER
    assert strict.push(header(2), "b") == "dropped"


def test_new_release_meets_an_older_format(strict: Stage) -> None:
    strict.warm(header(9), "abcdefghi")
    strict.rewrite(FORMAT, OLDER)
    assert strict.look() is None
    assert strict.fill(header(2), "ab") == "filled"
    assert strict.texts() == "ab"


def test_modes_and_ages_do_not_read_each_other(strict: Stage, bounded: Stage, redis_client: Redis) -> None:
    """An entry of strict has no age, and one of an hour is not one of a minute."""
    hour = Stage(redis_client, "bounded", max_age=3600)
    strict.warm(header(1), "a")
    assert bounded.look() is None
    assert hour.push(header(2), "b") == "dropped"
    hour.warm(header(1), "a")
    assert strict.look() is None
    assert bounded.look() is None
    assert bounded.lease()


def test_cap_keeps_the_newest_and_says_so(redis_client: Redis) -> None:
    """FEATURES N07."""
    stage = Stage(redis_client, tail=6)
    stage.warm(header(5), "abcde")
    assert stage.push(header(6), "f") == "pushed"
    assert stage.entry().whole
    assert stage.push(header(8), "gh") == "pushed"
    assert (stage.texts(), stage.entry().whole, redis_client.llen(KEY)) == ("cdefgh", False, 7)


def test_push_of_more_than_the_cap_is_not_the_whole(redis_client: Redis) -> None:
    stage = Stage(redis_client, tail=3)
    stage.warm(header(0), "")
    assert stage.push(header(7), "abcdefg") == "pushed"
    assert (stage.texts(), stage.entry().whole) == ("efg", False)


def test_longer_history_than_the_cap_is_not_filled_as_the_whole(redis_client: Redis) -> None:
    stage = Stage(redis_client, tail=3)
    stage.warm(header(5), "abcde")
    assert (stage.texts(), stage.entry().whole) == ("cde", False)


@pytest.mark.parametrize("texts", ["", "a", "abc"])
def test_hard_age_limit_is_not_extended_by_pushes(bounded: Stage, texts: str) -> None:
    """FEATURES N11: an empty entry too keeps its expiry when the first message is added to it."""
    bounded.warm(header(len(texts)), texts)
    bounded.pass_time(MAX_AGE_MS - 1000)
    assert bounded.push(header(len(texts) + 1), "d") == "pushed"
    assert 0 < bounded.life() <= 1000


def test_age_counts_from_before_the_read(bounded: Stage) -> None:
    """From the lease, not from the fill: between the two the database may have moved on."""
    lease = bounded.lease()
    bounded.pass_time(LEASE_MS - 100)
    assert bounded.fill(header(1), "a", lease=lease) == "filled"
    assert bounded.life() <= MAX_AGE_MS - LEASE_MS + 100


def test_evicted_key_mid_lease(bounded: Stage, redis_client: Redis) -> None:
    lease = bounded.lease()
    redis_client.delete(KEY)
    assert bounded.push(header(2), "b") == "absent"
    assert bounded.fill(header(1), "a", lease=lease) == "unleased"


def test_lease_is_no_entry(bounded: Stage) -> None:
    bounded.lease()
    assert bounded.look() is None
    assert bounded.raw_header()[STATE] == "L"


def test_cluster_every_script_touches_one_key(redis_client: Redis) -> None:
    """FEATURES R13: and that one is declared."""
    scripts = CacheClient(lambda: redis_client)._scripts
    for name in ("lease", "fill", "push"):
        _sha, source = scripts[name]
        assert re.findall(r"KEYS\[(\d+)\]", source) == ["1"]
        assert set(re.findall(r"redis\.call\('(?!TIME)\w+', ?([\w.]+)", source)) == {"key"}
