"""The rooms of the package and the arrows between them: the contracts of pyproject.toml, held as a test."""

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.api import read_configuration

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = str(ROOT / "pyproject.toml")

# Modules that a contract must name once they exist: import-linter refuses the name of a module that does not.
ROOMS = {
    ("orm-free", "source_modules"): "cache flow history providers records sessions turns wiring",
    ("thin-doors", "source_modules"): "management tasks",
    ("doors-independent", "modules"): "admin api flow management providers turns",
    ("pure", "source_modules"): "cache.codec cache.keys history.selection history.tokens",
}


def test_contracts_are_kept() -> None:
    """Arrows point down, doors do not know each other, third-party packages stay behind theirs."""
    # In a process of its own, since it silences every logger of the one it runs in.
    lint = f"sys.exit(cli.lint_imports(config_filename={CONFIGURATION!r}, no_cache=True, no_logo=True))"
    subprocess.run([sys.executable, "-c", f"import sys; from importlinter import cli; {lint}"], check=True, cwd=ROOT)


@pytest.mark.parametrize(("contract", "option"), ROOMS)
def test_contracts_name_every_room_that_exists(contract: str, option: str) -> None:
    """A room built later cannot stay outside a contract that is meant for it."""
    existing = {f"chat_memory.{room}" for room in ROOMS[contract, option].split() if is_module(room)}
    options = {found["id"]: found for found in read_configuration(CONFIGURATION)["contracts_options"]}
    assert set(options[contract][option]) == existing


def test_package_is_imported_without_django_set_up() -> None:
    """`import chat_memory` needs neither settings nor the ORM."""
    script = "import sys, chat_memory; sys.exit('django.db.models' in sys.modules)"
    subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {script}"], check=True)


def is_module(room: str) -> bool:
    """Whether the package has that module or sub-package."""
    path = ROOT.joinpath("chat_memory", *room.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()
