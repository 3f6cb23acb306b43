"""One interleaving for each way a cache is known to go wrong, against the real scripts on a real Redis."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from chat_memory.cache import entry, lua
from chat_memory.cache.client import CacheClient
from chat_memory.storage.mapping import to_json
from tests.faults.one_key import EXTENT, FORMAT, KEY, OTHER_SESSION, STATE, WEIGHT, OneKey, header, one_letter_messages
from tests.patience import LEASE_MS

pytestmark = pytest.mark.once

NEWER, OLDER = f"{entry.LAYOUT + 1:02}s", f"{entry.LAYOUT - 1:02}s"
MAX_AGE_MS = 60_000
EACH = len(to_json(one_letter_messages(header(1), "a")[0]))
"""Bytes of a message of one letter."""


@pytest.fixture
def strict_key(redis_client: Redis) -> OneKey:
    """Readers and writers in mode strict."""
    return OneKey(redis_client)


@pytest.fixture
def bounded_key(redis_client: Redis) -> OneKey:
    """Readers and writers in mode bounded."""
    return OneKey(redis_client, "bounded", max_age=MAX_AGE_MS / 1000)


def test_fill_after_the_writers_push(bounded_key: OneKey) -> None:
    """A reader missed, has the lease and read version 1; version 2 is committed before it fills."""
    lease = bounded_key.lease()
    assert bounded_key.push(header(2), "b") == "leased"
    assert bounded_key.fill(header(1), "a", lease=lease) == "old"
    assert bounded_key.look() is None
    assert bounded_key.fill(header(2), "ab", lease=lease) == "filled"
    assert bounded_key.texts() == "ab"


def test_pushes_on_a_leased_key_come_in_any_order(bounded_key: OneKey) -> None:
    """The largest version announced counts, not the last."""
    lease = bounded_key.lease()
    assert [bounded_key.push(header(3), "c"), bounded_key.push(header(2), "b")] == ["leased", "leased"]
    assert bounded_key.fill(header(2), "ab", lease=lease) == "old"


def test_append_after_expiry_makes_no_partial_list(strict_key: OneKey) -> None:
    """FEATURES N02, N03: a part is never taken for the whole."""
    assert strict_key.push(header(2), "b") == "absent"
    assert not strict_key.is_there()


def test_fill_without_lease_after_flushall(bounded_key: OneKey, redis_client: Redis) -> None:
    lease = bounded_key.lease()
    redis_client.flushdb()
    assert bounded_key.fill(header(1), "a", lease=lease) == "unleased"
    assert not bounded_key.is_there()


def test_only_one_fills(bounded_key: OneKey) -> None:
    """FEATURES N08: of those who miss together one fills, and once."""
    first, second = bounded_key.lease(), bounded_key.lease()
    assert (bool(first), second) == (True, "")
    assert bounded_key.fill(header(1), "a", lease="0123456789abcdef") == "unleased"
    assert bounded_key.fill(header(1), "a", lease=first) == "filled"
    assert bounded_key.fill(header(1), "a", lease=first) == "unleased"


def test_lease_on_what_was_filled_a_moment_ago(bounded_key: OneKey) -> None:
    """Who missed before somebody else filled does not take the entry away, unless it is too old for him."""
    bounded_key.warm(header(3), "abc")
    assert [bounded_key.lease(), bounded_key.lease(least=3)] == ["", ""]
    assert bounded_key.texts() == "abc"
    assert bounded_key.lease(least=4)
    assert bounded_key.look() is None


def test_lease_lapses(bounded_key: OneKey) -> None:
    """Who took too long fills no more, and another may."""
    late = bounded_key.lease()
    bounded_key.lapse()
    assert bounded_key.fill(header(1), "a", lease=late) == "unleased"
    assert bounded_key.lease() not in ("", late)


def test_lapsed_lease_keeps_what_writers_announced(bounded_key: OneKey) -> None:
    bounded_key.lease()
    bounded_key.push(header(5), "e")
    bounded_key.lapse()
    assert bounded_key.fill(header(4), "abcd", lease=bounded_key.lease()) == "old"


def test_key_of_a_lease_goes_with_it(bounded_key: OneKey) -> None:
    """A reader that died leaves nothing for ever."""
    bounded_key.lease()
    assert 0 < bounded_key.life() <= LEASE_MS + 50


def test_lost_push_is_seen_at_once_in_strict(strict_key: OneKey) -> None:
    """The row says 2, the entry 1: no answer; and who read the row at 1 does not bring it back over 2."""
    strict_key.warm(header(1), "a")
    assert strict_key.entry().is_at(header(1))
    assert not strict_key.entry().is_at(header(2))
    assert not strict_key.entry().is_ahead_of(header(2))
    assert strict_key.fill(header(2), "ab") == "filled"
    assert strict_key.fill(header(1), "a") == "old"
    assert strict_key.texts() == "ab"


def test_lost_push_is_noticed_by_the_next(strict_key: OneKey) -> None:
    """FEATURES N04: a gap drops the entry."""
    strict_key.warm(header(1), "a")
    assert strict_key.push(header(3), "c") == "dropped"
    assert not strict_key.is_there()


def test_lost_push_is_forgotten_at_the_age_limit(bounded_key: OneKey) -> None:
    """In place of the mark that told readers of a writer at work: the entry it left behind dies by its age."""
    bounded_key.warm(header(1), "a")
    assert 0 < bounded_key.life() <= MAX_AGE_MS
    bounded_key.pass_time(MAX_AGE_MS)
    assert bounded_key.look() is None


def test_pushes_arrive_out_of_order(strict_key: OneKey) -> None:
    strict_key.warm(header(1), "a")
    assert [strict_key.push(header(3), "c"), strict_key.push(header(2), "b")] == ["dropped", "absent"]


def test_zombie_push_after_a_timeout(strict_key: OneKey) -> None:
    """A push that its writer gave up long ago changes nothing, and costs the entry nothing."""
    strict_key.warm(header(3), "abc")
    assert strict_key.push(header(2), "b") == "old"
    assert strict_key.texts() == "abc"


def test_the_same_push_twice(strict_key: OneKey) -> None:
    strict_key.warm(header(1), "a")
    assert [strict_key.push(header(2), "b"), strict_key.push(header(2), "b")] == ["pushed", "old"]
    assert strict_key.texts() == "ab"


def test_failover_to_an_older_copy(strict_key: OneKey, redis_client: Redis) -> None:
    """The replica that took over had not seen the push."""
    strict_key.warm(header(1), "a")
    older: Any = redis_client.dump(KEY)
    assert strict_key.push(header(2), "b") == "pushed"
    redis_client.restore(KEY, 0, older, replace=True)
    assert not strict_key.entry().is_at(header(2))
    assert strict_key.push(header(3), "c") == "dropped"


def test_database_went_back_to_the_same_number(strict_key: OneKey) -> None:
    """A restore or a lossy failover: version 6 again, with another history. The token tells them apart."""
    strict_key.warm(header(6, token=7), "abcdex")
    assert strict_key.entry().is_at(header(6, token=7))
    assert not strict_key.entry().is_at(header(6, token=8))
    assert strict_key.push(header(7, token=8), "g", before=header(6, token=8)) == "dropped"


def test_same_number_with_another_token_is_no_repetition(strict_key: OneKey) -> None:
    """The push of another history's version 6 drops the entry, for one of the two is wrong."""
    strict_key.warm(header(6, token=7), "abcdex")
    assert strict_key.push(header(6, token=8), "y") == "dropped"


def test_same_token_with_another_number_is_no_predecessor(strict_key: OneKey) -> None:
    """Tokens are drawn: two may be equal, if hardly ever."""
    strict_key.warm(header(6, token=2), "abcdef")
    assert header(4, token=3).vtoken == header(6, token=2).vtoken
    assert strict_key.push(header(7), "g", before=header(4, token=3)) == "dropped"


def test_database_went_back_behind_the_cache(strict_key: OneKey) -> None:
    """The entry is ahead of the row: first the reader looks at the row again, then it insists."""
    strict_key.warm(header(9), "abcdefghi")
    assert strict_key.entry().is_ahead_of(header(5))
    assert strict_key.fill(header(5), "abcde") == "old"
    assert strict_key.texts() == "abcdefghi"
    assert strict_key.fill(header(5), "abcde", insist=True) == "filled"
    assert strict_key.texts() == "abcde"


def test_fill_from_a_replica_is_refused_when_a_newer_version_is_known(bounded_key: OneKey) -> None:
    """What a reader must at least see, and what the entry had, bind its own fill as well."""
    bounded_key.warm(header(5), "abcde")
    assert bounded_key.fill(header(4), "abcd", lease=bounded_key.lease(least=6)) == "old"
    bounded_key.redis.delete(KEY)
    assert bounded_key.fill(header(4), "abcd", lease=bounded_key.lease(least=5)) == "old"


def test_clear_beside_an_append(strict_key: OneKey) -> None:
    """In whichever order the two reach Redis, nothing of before the clear stays."""
    strict_key.warm(header(1), "a")
    strict_key.drop()
    assert strict_key.push(header(3), "c") == "absent"
    strict_key.warm(header(1), "a")
    assert strict_key.push(header(3), "c") == "dropped"
    strict_key.drop()
    assert not strict_key.is_there()


def test_clear_beside_a_fill(bounded_key: OneKey) -> None:
    """The lease goes with the key, so what was read before the clear is not stored after it."""
    lease = bounded_key.lease()
    bounded_key.drop()
    assert bounded_key.fill(header(1), "a", lease=lease) == "unleased"
    second = bounded_key.lease()
    assert bounded_key.fill(header(1), "a", lease=lease) == "unleased"
    assert bounded_key.fill(header(2, cleared=2), "", lease=second) == "filled"


@pytest.mark.parametrize("version", [1, 9])
def test_push_of_a_later_session_of_the_same_name(strict_key: OneKey, version: int) -> None:
    """Deleted and made again: its version 2 does not follow the old one's, nor is it older."""
    strict_key.warm(header(version), "abcdefghi"[:version])
    assert strict_key.push(header(2, session=OTHER_SESSION), "b") == "dropped"


def test_entry_of_an_earlier_session_of_the_same_name(strict_key: OneKey) -> None:
    """It is neither the row's nor ahead of it, whatever the numbers say; a smaller version replaces it."""
    strict_key.warm(header(2), "ab")
    assert not strict_key.entry().is_at(header(2, session=OTHER_SESSION))
    assert not strict_key.entry().is_ahead_of(header(1, session=OTHER_SESSION))
    assert strict_key.fill(header(1, session=OTHER_SESSION), "z") == "filled"
    assert strict_key.texts() == "z"


def test_old_release_meets_a_newer_format(strict_key: OneKey, bounded_key: OneKey) -> None:
    """It asks the database, fills nothing, takes no lease; its append drops what it cannot complete."""
    strict_key.warm(header(1), "a")
    strict_key.rewrite(FORMAT, NEWER)
    assert strict_key.look() is None
    assert strict_key.fill(header(2), "ab") == "newer"
    assert bounded_key.look() is None
    assert bounded_key.lease() == ""
    assert strict_key.raw_header()[FORMAT] == NEWER
    assert strict_key.push(header(2), "b") == "dropped"


def test_new_release_meets_an_older_format(strict_key: OneKey) -> None:
    strict_key.warm(header(9), "abcdefghi")
    strict_key.rewrite(FORMAT, OLDER)
    assert strict_key.look() is None
    assert strict_key.fill(header(2), "ab") == "filled"
    assert strict_key.texts() == "ab"


def test_modes_and_ages_do_not_read_each_other(strict_key: OneKey, bounded_key: OneKey, redis_client: Redis) -> None:
    """An entry of strict has no age, and one of an hour is not one of a minute."""
    hour = OneKey(redis_client, "bounded", max_age=3600)
    strict_key.warm(header(1), "a")
    assert bounded_key.look() is None
    assert hour.push(header(2), "b") == "dropped"
    hour.warm(header(1), "a")
    assert strict_key.look() is None
    assert bounded_key.look() is None
    assert bounded_key.lease()


def test_cap_keeps_the_newest_and_says_so(redis_client: Redis) -> None:
    """FEATURES N07."""
    one_key = OneKey(redis_client, tail=6)
    one_key.warm(header(5), "abcde")
    assert one_key.push(header(6), "f") == "pushed"
    assert one_key.entry().whole
    assert one_key.push(header(8), "gh") == "pushed"
    assert (one_key.texts(), one_key.entry().whole, redis_client.llen(KEY)) == ("cdefgh", False, 7)


def test_push_of_more_than_the_cap_is_not_the_whole(redis_client: Redis) -> None:
    one_key = OneKey(redis_client, tail=3)
    one_key.warm(header(0), "")
    assert one_key.push(header(7), "abcdefg") == "pushed"
    assert (one_key.texts(), one_key.entry().whole) == ("efg", False)


def test_longer_history_than_the_cap_is_not_filled_as_the_whole(redis_client: Redis) -> None:
    one_key = OneKey(redis_client, tail=3)
    one_key.warm(header(5), "abcde")
    assert (one_key.texts(), one_key.entry().whole) == ("cde", False)


@pytest.fixture
def light(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[OneKey]:
    """A key in mode strict whose entries may weigh as much as two messages and a half."""
    monkeypatch.setattr(lua, "HEAVIEST", 2.5 * EACH)
    monkeypatch.setattr(entry, "HEAVIEST", 2.5 * EACH)
    lua.script.cache_clear()
    yield OneKey(redis_client, tail=6)
    lua.script.cache_clear()


def test_d2_push_makes_no_entry_heavier_than_it_may_be(light: OneKey) -> None:
    """The oldest go, as many as it takes, and the entry says that there is no more to be had."""
    light.warm(header(1), "a")
    assert (light.entry().whole, light.raw_header()[WEIGHT]) == (True, str(EACH))
    assert light.push(header(2), "b") == "pushed"
    assert (light.texts(), light.raw_header()[EXTENT]) == ("ab", "1")
    assert light.push(header(4), "cd") == "pushed"
    assert (light.texts(), light.raw_header()[EXTENT], light.raw_header()[WEIGHT]) == ("cd", "cut", str(2 * EACH))
    assert light.entry().is_cut_by_size
    for version, text in enumerate("efghi", 5):
        assert light.push(header(version), text) == "pushed"
    assert (light.texts(), light.raw_header()[WEIGHT]) == ("hi", str(2 * EACH))


def test_weight_goes_with_what_the_cap_takes_away(redis_client: Redis) -> None:
    one_key = OneKey(redis_client, tail=3)
    one_key.warm(header(2), "ab")
    for version, text in enumerate("cd", 3):
        assert one_key.push(header(version), text) == "pushed"
    assert (one_key.texts(), one_key.raw_header()[WEIGHT], one_key.entry().is_cut_by_size) == (
        "bcd",
        str(3 * EACH),
        False,
    )
    assert one_key.push(header(9), "efghi") == "pushed"
    assert (one_key.texts(), one_key.raw_header()[WEIGHT]) == ("ghi", str(3 * EACH))


def test_fill_of_what_is_heavy_says_that_it_was_cut(light: OneKey) -> None:
    """With or without messages beyond the cap: what is left out of those within it was too heavy."""
    for length in (5, 9):
        light.warm(header(length), "abcdefghi"[:length])
        assert (len(light.entry().messages), light.entry().is_cut_by_size) == (2, True)
    light.warm(header(2), "ab")
    assert (light.entry().whole, light.entry().is_cut_by_size) == (True, False)


def test_push_that_is_too_heavy_by_itself_leaves_nothing(light: OneKey) -> None:
    """Of its own messages none may be left out, for that would be a gap to those before."""
    light.warm(header(1), "a")
    light.push(header(4), "bcd")
    assert not light.is_there()


def test_push_onto_what_somebody_has_robbed(light: OneKey, redis_client: Redis) -> None:
    """Less is there than the header says: nothing is kept of it, and nothing breaks."""
    light.warm(header(2), "ab")
    light.rewrite(WEIGHT, 100 * EACH)
    assert light.push(header(3), "c") == "dropped"
    assert not light.is_there()


@pytest.mark.parametrize("texts", ["", "a", "abc"])
def test_hard_age_limit_is_not_extended_by_pushes(bounded_key: OneKey, texts: str) -> None:
    """FEATURES N11: an empty entry too keeps its expiry when the first message is added to it."""
    bounded_key.warm(header(len(texts)), texts)
    bounded_key.pass_time(MAX_AGE_MS - 1000)
    assert bounded_key.push(header(len(texts) + 1), "d") == "pushed"
    assert 0 < bounded_key.life() <= 1000


def test_age_counts_from_before_the_read(bounded_key: OneKey) -> None:
    """From the lease, not from the fill: between the two the database may have moved on."""
    lease = bounded_key.lease()
    bounded_key.pass_time(LEASE_MS - 100)
    assert bounded_key.fill(header(1), "a", lease=lease) == "filled"
    assert bounded_key.life() <= MAX_AGE_MS - LEASE_MS + 100


def test_evicted_key_mid_lease(bounded_key: OneKey, redis_client: Redis) -> None:
    lease = bounded_key.lease()
    redis_client.delete(KEY)
    assert bounded_key.push(header(2), "b") == "absent"
    assert bounded_key.fill(header(1), "a", lease=lease) == "unleased"


def test_lease_is_no_entry(bounded_key: OneKey) -> None:
    bounded_key.lease()
    assert bounded_key.look() is None
    assert bounded_key.raw_header()[STATE] == "L"


def test_cluster_every_script_touches_one_key(redis_client: Redis) -> None:
    """FEATURES R13: and that one is declared."""
    scripts = CacheClient(lambda: redis_client)._scripts
    for name in ("lease", "fill", "push"):
        _sha, source = scripts[name]
        assert re.findall(r"KEYS\[(\d+)\]", source) == ["1"]
        assert set(re.findall(r"redis\.call\('(?!TIME)\w+', ?([\w.]+)", source)) == {"key"}
