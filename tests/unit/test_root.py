"""The package root: what users import, before Django is set up too."""

import subprocess
import sys
from pathlib import Path

import pytest

import chat_memory

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a Python of its own, without settings."""
    before = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    return subprocess.run([sys.executable, "-I", "-c", before + script], check=False, capture_output=True, text=True)


def test_import_needs_no_settings() -> None:
    ended = run_script("import chat_memory; print(chat_memory.__version__, len(dir(chat_memory)) > 10)")
    assert (ended.stderr, ended.returncode) == ("", 0)
    assert ended.stdout == f"{chat_memory.__version__} True\n"


def test_messages_and_errors_need_no_settings() -> None:
    """The ORM is not imported for them either."""
    ended = run_script(
        "from chat_memory import Message, NotSupported, Receipt, ValidationError\n"
        "assert Message.from_dict({'role': 'user', 'content': 'x'}) == Message.user('x')\n"
        "from django.apps import apps\n"
        "assert not apps.ready and 'chat_memory.models' not in sys.modules"
    )
    assert (ended.stderr, ended.returncode) == ("", 0)


def test_every_public_name_is_there_and_remembered() -> None:
    for name in chat_memory.__all__:
        assert getattr(chat_memory, name) is getattr(chat_memory, name)
        assert name in dir(chat_memory)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'converse'"):
        chat_memory.converse  # noqa: B018


def test_conformance_kit_needs_no_factory_boy() -> None:
    """It is in the extra ``testing``; an adapter's author may do without."""
    ended = run_script(
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'; sys.modules['factory'] = None\n"
        "import django; django.setup()\n"
        "import chat_memory.testing.conformance\n"
        "try: import chat_memory.testing.factories\n"
        "except ImportError: print('not there')"
    )
    assert (ended.stderr, ended.stdout) == ("", "not there\n")
