"""The documentation does what it says: its code runs, its commands exist, its links lead somewhere."""

import configparser
import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command, get_commands, load_command_class
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import chat_memory.exceptions
from chat_memory import Message, conversation
from chat_memory.conf import NAMES
from chat_memory.fields import SETTABLE
from chat_memory.records import SessionRecord
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.orm import DjangoAdapter
from chat_memory.storage.redis import RedisAdapter

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
WITH_SEARCH = ROOT / "docs" / "how-to" / "search.md"
WITH_VECTORS = ROOT / "docs" / "how-to" / "relevance.md"
"""The pages whose code needs a sub-app; each is run where that is installed."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
THE_TWO_COMMANDS = [
    f"python3 -m venv .venv && .venv/bin/pip install -q tox && .venv/bin/tox run -e {name}" for name in ("demo", "test")
]
# What newcomers type between them, which test_packaging.py does in its own way.
AROUND_THEM = {"python3 -m venv .venv", ". .venv/bin/activate", "django-admin startproject mysite", "cd mysite"}
# What these serve or ask would never end here: their options are checked, and other tests run them.
NOT_RUN = {"createsuperuser", "demo", "runserver", "shell"}
DATA_LANGUAGES = {"json", "jsonl", "toml", "ini", "text", "http", "mermaid"}
FENCE = re.compile(r"^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
INLINE_TOX = re.compile(r"`([^`]*tox run [^`]+)`")
HERE = re.compile(r"\.(?:/chat_memory)?(?:\[(?P<extras>[a-z,]+)\])?")
TABLE_ROW = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with the line its code begins at."""

    page: Path
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, found.start("code")) + 1, found["language"].strip(), found["code"])
        for found in FENCE.finditer(text)
    ]


def commands_of(block: Block) -> Iterator[str]:
    """The lines of a shell block, continued lines joined, without prompts and comments."""
    for line in block.code.replace("\\\n", " ").splitlines():
        command = line.strip().removeprefix("$ ")
        if command and not command.startswith("#"):
            yield command


def by_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands of a page run: a folder with the files that the pages speak of, and a workspace `acme`."""
    monkeypatch.chdir(tmp_path)
    for name in ("chats.jsonl", "openai.jsonl"):
        shutil.copy(ROOT / "example_project" / "samples" / "library.jsonl", tmp_path / name)
    conversation("support-41", workspace="acme").append(Message.user("Hello"), Message.assistant("Hello!"))
    return tmp_path


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("page", [page for page in PAGES if page not in (WITH_SEARCH, WITH_VECTORS)], ids=by_name)
def test_code_of_a_page_runs(page: Path, folder: Path, settings: Any) -> None:
    """Python blocks share one namespace and commands one database, in the order of the page."""
    settings.ALLOWED_HOSTS = ["127.0.0.1", "localhost"]  # as in a new project, without the test client's own
    run_page(page)


def run_page(page: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "documentation"}
    for block in blocks(page):
        if block.language == "python":
            run_python(block, namespace)
        elif block.language in ("sh", "console"):
            for command in commands_of(block):
                run_command(command, block)
        else:
            assert block.language in DATA_LANGUAGES, f"{block} has the language {block.language!r}"
            parse(block)


def run_python(block: Block, namespace: dict[str, Any]) -> None:
    """Runs a block as `manage.py shell` would, so without `await`; a failure points at the line of the page."""
    source = "\n" * (block.line - 1) + block.code
    exec(compile(source, str(block.page), "exec", dont_inherit=True), namespace)  # noqa: S102 - our own documentation


def run_command(command: str, block: Block) -> None:
    if command in THE_TWO_COMMANDS:
        return
    words = shlex.split(command)
    program = Path(words[0]).name
    if command in AROUND_THEM:
        return
    if words[:2] == ["python", "manage.py"]:
        run_management(words[2], words[3:])
    elif program == "pip":
        check_pip(words, block)
    elif program == "tox":
        check_tox(words, str(block))
    elif program == "curl":  # what the API answers, test_api_reference.py asks
        assert "http://127.0.0.1:8000/" in command, f"{block}: {command}"
    else:
        pytest.fail(f"{block}: {command}")


def run_management(name: str, arguments: list[str]) -> None:
    """Runs a command as written, or only reads its options where it would never end."""
    if name in NOT_RUN:
        load_command_class(get_commands()[name], name).create_parser("manage.py", name).parse_args(arguments)
    else:
        call_command(name, *arguments)


def check_pip(words: list[str], block: Block) -> None:
    """Ours comes from a checkout, for no index has it yet; with extras that exist."""
    assert words[1] == "install", f"{block} uses pip for something else"
    for word in words[2:]:
        if here := HERE.fullmatch(word):
            extras = set(filter(None, (here["extras"] or "").split(",")))
            assert extras <= set(PROJECT["optional-dependencies"]), f"{block} names an unknown extra"
        elif not word.startswith("-"):
            name = canonicalize_name(Requirement(word).name)
            assert name != canonicalize_name(PROJECT["name"]), f"{block} installs what no index has"


def check_tox(words: list[str], place: str) -> None:
    """Where tox was installed it is run from; the environments are in tox.ini, and files that pytest is given exist."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert words[0] == ".venv/bin/tox", f"{place}: {words[0]} is not where the first command installs it"
    assert words[1:3] == ["run", "-e"], f"{place} runs tox in another way"
    for name in words[3].split(","):
        assert f"testenv:{name}" in tox, f"{place}: tox.ini has no environment {name}"
    for word in words[4:]:
        if word.startswith("tests/"):
            assert (ROOT / word.partition("::")[0]).exists(), f"{place}: {word} does not exist"


def parse(block: Block) -> None:
    if block.language == "json":
        json.loads(block.code)
    elif block.language == "jsonl":
        for line in block.code.splitlines():
            json.loads(line)
    elif block.language == "toml":
        tomllib.loads(block.code)
    elif block.language == "ini":
        configparser.ConfigParser(interpolation=None).read_string(block.code)


@pytest.mark.once
@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_links_lead_somewhere(page: Path) -> None:
    for found in LINK.finditer(FENCE.sub("", page.read_text())):
        target, _, anchor = found["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), f"{page.relative_to(ROOT)} links to {found['target']}, which does not exist"
        if anchor and linked.suffix == ".md":
            assert anchor in anchors(linked), f"{page.relative_to(ROOT)} links to {found['target']}"


@pytest.mark.once
@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_tox_commands_in_the_text_exist(page: Path) -> None:
    for found in INLINE_TOX.finditer(FENCE.sub("", page.read_text())):
        check_tox(shlex.split(found[1]), by_name(page))


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get where Markdown is shown."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.once
def test_readme_has_the_two_commands_each_alone() -> None:
    readme = [list(commands_of(block)) for block in blocks(ROOT / "README.md") if block.language == "sh"]
    for command in THE_TWO_COMMANDS:
        assert [command] in readme


@pytest.mark.once
def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / found["target"]).resolve() for found in LINK.finditer(index.read_text())}
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - {index} <= linked


@pytest.mark.once
def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert set(NAMES) <= set(re.findall(r"`([A-Z_]+)`", text))
    assert set(TABLE_ROW.findall(text)) <= set(NAMES)


@pytest.mark.once
def test_every_public_name_is_documented() -> None:
    text = (ROOT / "docs" / "reference" / "python-api.md").read_text()
    named = set(re.findall(r"`([A-Za-z_]+)", text))
    methods = {name for name in dir(chat_memory.Conversation) if not name.startswith("_")}
    twins = {f"a{name}" for name in methods}
    assert methods - twins <= named
    assert set(Message.__struct_fields__) | set(SessionRecord.__struct_fields__) | set(SETTABLE) <= named
    assert {adapter.__name__ for adapter in (DjangoAdapter, MemoryAdapter, RedisAdapter)} <= named
    assert {name for name in chat_memory.__all__ if not name.startswith("aappend")} <= named


@pytest.mark.once
def test_every_error_is_imported_from_the_root_and_documented() -> None:
    text = (ROOT / "docs" / "reference" / "python-api.md").read_text()
    assert set(chat_memory.exceptions.__all__) <= set(chat_memory.__all__)
    rows = [row for row in text[text.index("\n## Errors") :].splitlines() if row.startswith("|")]
    assert set(chat_memory.exceptions.__all__) - {"ChatMemoryError"} <= set(re.findall(r"`([A-Za-z]+)`", "".join(rows)))


@pytest.mark.once
def test_every_extra_that_installs_something_is_documented() -> None:
    text = "".join(page.read_text() for page in PAGES)
    extras = {name for name, installed in PROJECT["optional-dependencies"].items() if installed}
    assert {name for name in extras if f"[{name}]" not in text} == set()


@pytest.mark.once
def test_every_variable_of_the_test_runs_is_documented() -> None:
    read = "".join(path.read_text() for path in (ROOT / "tests" / "servers").glob("*.py"))
    variables = set(re.findall(r"CHAT_MEMORY_TEST_[A-Z]+", read)) | {"DATABASE_URL", "REDIS_URL"}
    assert variables <= set(re.findall(r"`([A-Z_]+)`", (ROOT / "CONTRIBUTING.md").read_text()))
