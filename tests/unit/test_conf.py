"""Settings and their system checks."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from django.test import override_settings

from chat_memory.checks import configuration, database
from chat_memory.conf import NAMES, Settings, load, settings

pytestmark = pytest.mark.once


def check_ids(given: Any) -> list[str | None]:
    """The ids of what the check of the settings says about them."""
    with override_settings(CHAT_MEMORY=given):
        return [message.id for message in configuration.check_settings()]


def test_nothing_has_to_be_set() -> None:
    with override_settings():
        assert (settings.default_workspace, settings.create_workspaces) == ("default", True)
    assert check_ids({}) == []
    assert check_ids(None) == []


@pytest.mark.parametrize("given", [[], "strict", 7])
def test_settings_are_a_dictionary(given: Any) -> None:
    assert check_ids(given) == ["chat_memory.E001"]


def test_g2_unknown_setting_is_named_with_those_known() -> None:
    with override_settings(CHAT_MEMORY={"CACHE_MAXAGE": 5, "cache": "off", 7: 1}):
        errors = configuration.check_settings()
    assert [error.id for error in errors] == ["chat_memory.E002"] * 3
    assert "'CACHE_MAXAGE'" in errors[0].msg
    assert "CACHE_MAX_AGE" in str(errors[0].hint)


@pytest.mark.parametrize(
    "given",
    [
        {"CACHE": "sometimes"},
        {"MAX_BATCH": "many"},
        {"RAW_CURSOR": 1},
        {"LOCK_TIMEOUT": -1},
        {"LOCK_TIMEOUT": 86_401},
        {"LOCK_WAITERS": 0},
        {"CACHE_TTL": "1h"},
        {"DEFAULT_WORKSPACE": None},
    ],
)
def test_setting_of_a_wrong_type_is_named(given: dict[str, Any]) -> None:
    with override_settings(CHAT_MEMORY=given):
        (error,) = configuration.check_settings()
    assert error.id == "chat_memory.E003"
    assert next(iter(given)) in error.msg


def test_every_setting_is_read_live() -> None:
    assert settings.max_batch == Settings().max_batch
    with override_settings(CHAT_MEMORY={"MAX_BATCH": 7}):
        assert settings.max_batch == 7
        with override_settings(CHAT_MEMORY={"MAX_CONTENT_BYTES": 8}):
            assert (settings.max_batch, settings.max_content_bytes) == (Settings().max_batch, 8)
    assert settings.max_batch == Settings().max_batch


def test_names_are_the_upper_case_of_the_attributes() -> None:
    assert {name: name.lower() for name in NAMES} == dict(NAMES)
    assert load({}) == Settings()
    with pytest.raises(msgspec.ValidationError):
        load({"max_batch": 1})


@pytest.mark.parametrize(("vendor", "ids"), [("mysql", ["chat_memory.E004"]), ("postgresql", []), ("sqlite", [])])
def test_other_databases_are_an_error(vendor: str, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "connections", {"default": SimpleNamespace(vendor=vendor)})
    assert [error.id for error in database.check_database(databases=["default"])] == ids
    assert database.check_database(databases=["other"]) == []
    assert database.check_database() == []
