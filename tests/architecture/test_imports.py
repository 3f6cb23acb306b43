"""The rooms of the package and the arrows between them: the contracts of pyproject.toml, held as a test."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from importlinter.api import read_configuration

from tests.architecture.drawing import is_module

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = str(ROOT / "pyproject.toml")
LARGE = 6
"""From so many modules on, a room needs an order."""

# Modules that a contract must name once they exist: import-linter refuses the name of a module that does not.
ROOMS = {
    (
        "orm-free",
        "source_modules",
    ): "cache feedback fields flow history host_callables providers records rules "
    "sessions storage.contract turns wiring",
    ("thin-doors", "source_modules"): "management tasks",
    ("doors-independent", "modules"): "admin api flow management providers turns",
    (
        "pure",
        "source_modules",
    ): "cache.codec cache.entry cache.keys cache.spans fields history.cache_marks history.pairs history.selection "
    "history.served history.tokens records rules storage.listing storage.mapping storage.syncing storage.titles "
    "storage.windowing",
}


def test_contracts_are_kept() -> None:
    """Arrows point down, doors do not know each other, third-party packages stay behind theirs."""
    # In a process of its own, since it silences every logger of the one it runs in.
    lint = f"sys.exit(cli.lint_imports(config_filename={CONFIGURATION!r}, no_cache=True, no_logo=True))"
    subprocess.run([sys.executable, "-c", f"import sys; from importlinter import cli; {lint}"], check=True, cwd=ROOT)


@pytest.mark.parametrize(("contract", "option"), ROOMS)
def test_contracts_name_every_room_that_exists(contract: str, option: str) -> None:
    """A room built later cannot stay outside a contract that is meant for it."""
    existing = {f"chat_memory.{room}" for room in ROOMS[contract, option].split() if is_module(f"chat_memory.{room}")}
    options = {found["id"]: found for found in read_configuration(CONFIGURATION)["contracts_options"]}
    assert set(options[contract][option]) == existing


def test_every_large_room_has_an_order() -> None:
    """A contract says which of its modules stands on which, and a new module has to find its place there."""
    ordered = {
        container
        for contract in read_configuration(CONFIGURATION)["contracts_options"]
        for container in contract.get("containers", ())
        if contract.get("exhaustive") == "True"
    }
    assert large_rooms() - ordered == set()


def large_rooms() -> set[str]:
    """The packages of the house with so many modules that a newcomer would ask which one to read first."""
    counts = Counter(path.parent for path in (ROOT / "chat_memory").rglob("*.py") if path.stem != "__init__")
    return {".".join(path.relative_to(ROOT).parts) for path, modules in counts.items() if modules >= LARGE}


def test_package_is_imported_without_django_set_up() -> None:
    """`import chat_memory` needs neither settings nor the ORM."""
    script = "import sys, chat_memory; sys.exit('django.db.models' in sys.modules)"
    subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {script}"], check=True)
