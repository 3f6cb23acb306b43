"""System checks of the settings: each wrong value is reported with what to do, and nothing else is."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.apps import AppConfig, apps
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.test import override_settings
from redis import Redis

import tests.unit
from chat_memory.checks import cache, configuration, contributed, database
from chat_memory.conf import live
from chat_memory.findings import Check, warning
from tests.findings import ids

pytestmark = pytest.mark.once

LOCMEM = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
BUILT_IN = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"}}
REDIS = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:1"}}


def redis_with(**given: Any) -> dict[str, Any]:
    """CACHES with other values in its alias."""
    return {"default": {**REDIS["default"], **given}}


NO_SCHEME = redis_with(LOCATION="not-a-url")
NO_FACTORY = redis_with(OPTIONS={"CONNECTION_FACTORY": "no.where"})
NO_LOCATION = {"default": {"BACKEND": "django_redis.cache.RedisCache"}}


def a_callable() -> None:
    """What a dotted path may lead to."""


@pytest.mark.parametrize("value", [0, -1, 2**31])
@pytest.mark.parametrize("name", ["CACHE_TAIL", "MAX_CONTENT_BYTES", "MAX_METADATA_BYTES", "MAX_BATCH", "SUMMARIZE_AT"])
def test_numbers_out_of_range(settings, name: str, value: int) -> None:
    settings.CHAT_MEMORY = {name: value}
    (error,) = configuration.check_settings()
    assert (ids([error]), name in error.msg) == (["E003"], True)
    with pytest.raises(ImproperlyConfigured, match=name):
        live.now()


@pytest.mark.parametrize(
    "given",
    [
        {"CACHE_MAX_AGE": 0},
        {"CACHE_MAX_AGE": -1},
        {"CACHE_MAX_AGE": float("nan")},
        {"CACHE_MAX_AGE": float("inf")},
        {"CACHE_TTL": -1},
        {"CACHE_TTL": float("nan")},
        {"CACHE_TTL": float("inf")},
        {"CLEARED_DAYS": -1},
        {"CLEARED_DAYS": 10**9},
        {"MAX_METADATA_DEPTH": -1},
        {"ACTIVITY_GRAIN": -1},
        {"ACTIVITY_GRAIN": 3601},
        {"ACTIVITY_GRAIN": float("nan")},
    ],
    ids=str,
)
def test_values_that_would_misbehave(settings, given: dict[str, Any]) -> None:
    """FEATURES N11, R03: no life below nothing, none without end by accident."""
    settings.CHAT_MEMORY = given
    assert ids(configuration.check_settings()) == ["E003"]
    with pytest.raises(ImproperlyConfigured, match=next(iter(given))):
        live.now()


def test_each_wrong_setting_is_told() -> None:
    """With its value, and with what it may be, in one run."""
    given = {"CACH": "strict", "CACHE": "strct", "CACHE_TTL": "x", "CACHE_TAIL": 5, "DEFAULT_WORKSPACE": "two words"}
    with override_settings(CHAT_MEMORY=given):
        found = configuration.check_settings()
    assert ids(found) == ["E002", "E003", "E003", "E005"]
    typo, mode, life, _slug = ((message.msg, str(message.hint)) for message in found)
    assert "'CACHE'" in typo[1]
    assert ("'strct'" in mode[0], "'off', 'strict' or 'bounded'" in mode[1]) == (True, True)
    assert ("CACHE_TTL" in life[0], "'x'" in life[0]) == (True, True)


@pytest.mark.parametrize("slug", ["", "two words", "ä", "x" * 101])
def test_default_workspace_is_a_slug(settings, slug: str) -> None:
    settings.CHAT_MEMORY = {"DEFAULT_WORKSPACE": slug}
    assert ids(configuration.check_settings()) == ["E005"]


@pytest.mark.parametrize("name", ["REDIS_CLIENT", "TOKEN_COUNTER", "SUMMARIZER", "EMBEDDER"])
@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("tests.unit.test_checks.a_callable", []),
        ("tests.unit.test_checks.missing", ["E006"]),
        ("nowhere.at_all", ["E006"]),
        ("word", ["E006"]),
        ("tests.unit.test_checks.LOCMEM", ["E006"]),
    ],
)
def test_dotted_paths(settings, name: str, path: str, found: list[str]) -> None:
    settings.CHAT_MEMORY = {name: path}
    errors = configuration.check_paths()
    assert ids(errors) == found
    assert all(name in error.msg and path in error.msg for error in errors)


@pytest.mark.parametrize(
    ("path", "found"),
    [("recorders.Hearing", []), ("recorders.heard", ["E006"]), ("recorders.not_a_recorder", ["E006"])],
)
def test_recorder_has_its_one_method(settings, path: str, found: list[str]) -> None:
    settings.CHAT_MEMORY = {"RECORDER": f"tests.integration.{path}"}
    assert ids(configuration.check_paths()) == found


@pytest.mark.parametrize(
    ("given", "caches", "found"),
    [
        ({}, LOCMEM, []),
        ({}, REDIS, []),
        ({}, {}, []),
        ({}, NO_LOCATION, ["E007"]),
        ({"CACHE": "off"}, LOCMEM, []),
        ({"CACHE": "strict"}, REDIS, []),
        ({"CACHE": "strict"}, LOCMEM, ["E007"]),
        ({"CACHE": "bounded"}, BUILT_IN, ["E007"]),
        ({"CACHE": "bounded", "CACHE_ALIAS": "chat"}, REDIS, ["E007"]),
        ({"CACHE": "strict", "REDIS_CLIENT": "tests.unit.test_checks.a_callable"}, LOCMEM, []),
        ({"CACHE_ALIAS": "chat"}, REDIS, ["E007"]),
        ({"CACHE_ALIAS": "chat", "CACHE": "off"}, REDIS, []),
        ({"CACHE_ALIAS": "default"}, LOCMEM, []),
        ({}, NO_SCHEME, ["E009"]),
        ({}, NO_FACTORY, ["E009"]),
        ({}, redis_with(LOCATION=5), ["E009"]),
        ({}, redis_with(LOCATION={"url": "redis://127.0.0.1:1"}), ["E009"]),
        ({}, redis_with(OPTIONS={"CONNECTION_POOL_KWARGS": {"nonsense": 1}}), ["E009"]),
        ({"CACHE": "strict"}, {"default": None}, ["E007"]),
        ({"CACHE": "off"}, NO_SCHEME, []),
    ],
)
def test_the_cache_needs_a_django_redis_alias(settings, given: Any, caches: Any, found: list[str]) -> None:
    settings.CHAT_MEMORY, settings.CACHES = given, caches
    assert ids(cache.check_cache()) == found


def a_redis() -> Redis:
    """What REDIS_CLIENT may lead to."""
    return Redis()


def a_pipeline() -> object:
    return Redis().pipeline()


def a_class() -> object:
    return Redis


def a_mistake() -> Redis:
    raise KeyError("REDIS_HOST")


@pytest.mark.parametrize(
    ("factory", "found"),
    [
        ("a_redis", []),
        ("a_callable", ["E009"]),
        ("a_class", ["E009"]),
        ("a_pipeline", ["E009"]),
        ("a_mistake", ["E009"]),
        ("nowhere", ["E009"]),
        ("ids", ["E009"]),
    ],
)
def test_what_the_factory_returns_is_tried_before_production(settings, factory: str, found: list[str]) -> None:
    settings.CHAT_MEMORY = {"CACHE": "strict", "REDIS_CLIENT": f"{__name__}.{factory}"}
    messages = cache.check_client()
    assert ids(messages) == found
    assert all(factory in message.msg for message in messages)
    assert cache.check_cache() == []  # at every start nobody is called
    settings.CHAT_MEMORY = {**settings.CHAT_MEMORY, "CACHE": "off"}
    assert cache.check_client() == []


@pytest.mark.parametrize(
    ("given", "caches", "names"),
    [
        ({"CACHE": "off", "CACHE_TTL": 60, "CACHE_TAIL": 9}, REDIS, ["CACHE_TAIL", "CACHE_TTL"]),
        ({"CACHE": "strict", "CACHE_MAX_AGE": 3}, REDIS, ["CACHE_MAX_AGE"]),
        ({"CACHE": "bounded", "CACHE_TTL": 60}, REDIS, ["CACHE_TTL"]),
        ({"CACHE": "bounded", "CACHE_TTL": 0, "CACHE_MAX_AGE": 3}, REDIS, []),
        ({"CACHE": "strict", "CACHE_TTL": None, "CACHE_TAIL": 9}, REDIS, []),
        ({"REDIS_CLIENT": "tests.unit.test_checks.a_callable"}, LOCMEM, ["REDIS_CLIENT"]),
        ({"CACHE": "bounded", "CACHE_TTL": None}, REDIS, ["CACHE_TTL"]),
        ({"CACHE": "off", "CACHE_TTL": 3600}, REDIS, []),
        ({"CACHE_TTL": 60}, LOCMEM, []),
    ],
)
def test_settings_that_do_nothing_in_this_mode(settings, given: Any, caches: Any, names: list[str]) -> None:
    settings.CHAT_MEMORY, settings.CACHES = given, caches
    found = cache.check_cache()
    assert ids(found) == ["W001"] * len(names)
    assert [next(name for name in names if repr(name) in message.msg) for message in found] == names


@pytest.mark.parametrize(("alias", "found"), [("default", []), ("staticfiles", []), ("media", ["E013"])])
def test_attachments_need_a_storage_that_there_is(settings, alias: str, found: list[str]) -> None:
    settings.CHAT_MEMORY = {"ATTACHMENT_STORAGE": alias}
    errors = configuration.check_storage()
    assert ids(errors) == found
    assert all("'media'" in error.msg and "default, staticfiles" in str(error.hint) for error in errors)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, []),
        ({"EMBEDDER": "tests.unit.test_checks.a_callable"}, ["EMBEDDER"]),
        ({"EMBEDDER": None}, []),
    ],
)
def test_settings_that_nothing_reads_yet(settings, given: Any, names: list[str]) -> None:
    settings.CHAT_MEMORY = given
    warnings = configuration.check_unread()
    assert ids(warnings) == ["W001"] * len(names)
    assert [next(name for name in names if repr(name) in warning.msg) for warning in warnings] == names


@pytest.mark.parametrize(
    ("debug", "given", "caches", "found"),
    [
        (False, {}, LOCMEM, ["W002"]),
        (False, {}, BUILT_IN, ["W002"]),
        (False, {"CACHE": "off"}, LOCMEM, []),
        (False, {}, REDIS, []),
        (True, {}, LOCMEM, []),
    ],
)
def test_production_without_a_cache_is_meant_so(settings, debug: bool, given, caches, found: list[str]) -> None:
    settings.DEBUG, settings.CHAT_MEMORY, settings.CACHES = debug, given, caches
    assert ids(cache.check_presence()) == found


@pytest.mark.parametrize(
    ("debug", "options", "found"),
    [
        (False, {}, ["W003"]),
        (False, {"transaction_mode": "DEFERRED"}, ["W003"]),
        (False, {"transaction_mode": "immediate"}, []),
        (True, {}, []),
    ],
)
def test_sqlite_in_production_locks_before_it_reads(settings, monkeypatch, debug, options, found: list[str]) -> None:
    sqlite = {**connections["default"].settings_dict, "ENGINE": "django.db.backends.sqlite3", "OPTIONS": options}
    handler = type(connections)({"default": sqlite})
    monkeypatch.setattr(database, "connections", handler)
    settings.DEBUG = debug
    assert ids(database.check_sqlite()) == found


def test_wrong_settings_are_told_once_by_the_check_of_settings(settings) -> None:
    """The other checks have nothing to go by then, and none of them fails."""
    wrong: list[Any] = [[], 7, {"CACHE": "sometimes"}, {"TYPO": 1}]
    for given in wrong:
        settings.CHAT_MEMORY = given
        others = [*(check.find for check in configuration.CHECKS[1:]), *(check.find for check in cache.CHECKS)]
        assert [check() for check in others] == [[]] * len(others)
        assert len(configuration.check_settings()) == 1


def a_finding(**_kwargs: Any) -> list[CheckMessage]:
    """What a check of a sub-app finds."""
    return [warning(99, "A sub-app has something to say.", "Listen.")]


CHECKS = (Check(a_finding, "sub_app"),)


class SubApp(AppConfig):
    """A sub-app with checks of its own, which are those of this module."""

    name = "tests.unit"
    label = "sub_app"
    chat_memory_checks = "tests.unit.test_checks"


def test_sub_app_contributes_checks_of_its_own(monkeypatch) -> None:
    """Beside those of each room, all of them once."""
    before = list(contributed())
    assert len({check.find for check in before}) == len(before)
    monkeypatch.setitem(apps.app_configs, "sub_app", SubApp("tests.unit", tests.unit))
    assert list(contributed()) == [*before, *CHECKS]
    assert ids(CHECKS[0].find()) == ["W099"]


def test_ids_of_the_reference_are_those_that_are_told() -> None:
    """Each check names what it finds; ``settings.md`` explains the same."""
    named = re.findall(r"\b[EW]\d{3}\b", " ".join(check.find.__doc__ or "" for check in contributed()))
    root = Path(__file__).parents[2]
    for checks in (root / "chat_memory").glob("*/checks.py"):  # of sub-apps, which are not installed here
        named += re.findall(r"\b([EW]\d{3}): ", checks.read_text())
    reference = (root / "docs" / "reference" / "settings.md").read_text()
    assert set(re.findall(r"chat_memory\.([EW]\d{3})\b", reference)) == set(named)
