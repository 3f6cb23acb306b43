"""docs/reference/api.md says what is: addresses, methods, members, codes and numbers."""

import argparse
import json
import re
import shlex
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.exceptions import (
    MethodNotAllowed,
    NotAcceptable,
    NotAuthenticated,
    Throttled,
    UnsupportedMediaType,
)

from chat_memory.api import queries, shapes
from chat_memory.api.http import idempotency, pages, problems, throttling
from chat_memory.api.resources import context
from chat_memory.api.urls import urlpatterns
from chat_memory.fields import GIVEN, SETTABLE
from chat_memory.rules.names import BRANCH_LENGTH
from chat_memory.storage.mapping import JSON_MEMBERS
from tests.acceptance.api_support import caller, stored

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "api.md").read_text()
NAMES = re.compile(r"`([a-z_]+)`")


def names_after(beginning: str) -> list[str]:
    """The names in code style of the sentence with that beginning."""
    return NAMES.findall(PAGE.split(beginning, 1)[1].split(".", 1)[0].split(";", 1)[0])


def test_addresses_and_methods() -> None:
    rows = re.findall(r"^\| `(.*?)` \| ([A-Z, ]+) \|", PAGE, re.MULTILINE)
    known = {}
    for pattern in urlpatterns:
        if pattern.name == "unknown":
            continue
        address = "/api/" + re.sub(r"<str:(\w+)>", r"{\1}", str(pattern.pattern))
        actions: dict[str, str] = vars(pattern.callback)["actions"]
        known[address] = {method.upper() for method in actions} - {"HEAD"}
    assert {address: set(methods.split(", ")) for address, methods in rows} == known


def test_members() -> None:
    assert names_after("A session has") == list(shapes.SessionOut.__struct_fields__)
    assert [*names_after("A message has"), *names_after("If the stored message had no content")] == list(JSON_MEMBERS)
    assert names_after("A branch has") == list(shapes.BranchOut.__struct_fields__)
    assert set(names_after("You give")) == set(GIVEN)
    assert set(names_after("**PATCH** sets")) == set(SETTABLE)


def test_parameters() -> None:
    rows = re.findall(r"^  \| (`.*?`) \|", PAGE, re.MULTILINE)
    documented = [name for row in rows for name in NAMES.findall(row)]
    assert set(documented) == set(queries.SessionQuery.__struct_fields__) - set(pages.CursorQuery.__struct_fields__)
    for name in (*queries.MessageQuery.__struct_fields__, *queries.ContextQuery.__struct_fields__):
        assert f"?{name}=" in PAGE


def test_numbers() -> None:
    assert f"is {pages.DEFAULT_SIZE} by default\nand {pages.LARGEST_SIZE} at most" in PAGE
    assert f"(1 to {idempotency.LONGEST} characters)" in PAGE
    assert f"`name` of 1 to {BRANCH_LENGTH} characters" in PAGE
    of = context.LARGEST
    assert of["turns"] == of["messages"]
    assert (
        f"More than {of['turns']} turns or messages count as {of['turns']}, more than {of['tokens']:,} tokens" in PAGE
    )
    assert {throttling.READS, throttling.WRITES} <= set(re.findall(r"\w+", PAGE))


def test_codes() -> None:
    """Every code of a problem that this package makes has its row."""
    rows = re.findall(r"^\| (\d+)[\d, ]* \| (`.*?`) \|", PAGE, re.MULTILINE)
    documented = {(int(status), code) for status, codes in rows for code in NAMES.findall(codes)}
    assert {(status, code) for _kind, status, code, _detail in problems._KNOWN} <= documented
    raised = (NotAuthenticated, MethodNotAllowed, NotAcceptable, UnsupportedMediaType, Throttled)
    assert {(error.status_code, error.default_code) for error in raised} <= documented


def test_examples_are_what_they_say() -> None:
    """Each call of curl, log-in and all, is answered by the JSON that follows it; ids and times differ."""
    user = caller("writer").user
    user.username = "you"
    user.set_password("secret")
    user.save()
    examples = re.findall(r"^```sh\n(curl .*?)^```\n+```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(examples) == 3
    there, here = json.loads(examples[0][1])["id"], ""
    for command, answer in examples:
        got = answer_to_curl(command.replace(there, here))
        assert shape(got) == shape(json.loads(answer)), command
        here = here or got["id"]


def answer_to_curl(command: str) -> Any:
    """What the API answers to a call of curl, whose options are few; the password is typed where curl asks for it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-u", dest="user", required=True)
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="body")
    given = parser.parse_args(shlex.split(command.replace("\\\n", " "))[1:])
    headers = dict(header.split(": ", 1) for header in given.headers)
    headers["Authorization"] = f"Basic {b64encode(f'{given.user}:secret'.encode()).decode()}"
    method, body = ("GET", "") if given.body is None else ("POST", given.body)
    answer = Client(headers=headers).generic(method, given.url, body, headers.get("Content-Type", ""))
    assert answer.status_code in (200, 201), answer.content
    return json.loads(answer.content)


def shape(value: Any) -> Any:
    """A JSON value with what differs from run to run, ids and times, by its kind alone."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    if not isinstance(value, str):
        return value
    kinds = {r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "id", r"\d{4}-\d\d-\d\dT[\d:.]+Z": "time", r"\d+": "number"}
    return next((kind for pattern, kind in kinds.items() if re.fullmatch(pattern, value)), value)


def test_addresses_have_names() -> None:
    me, session = caller(), stored(messages=1)
    names = {"slug": "acme", "session_id": session.id}
    assert reverse("chat_memory:messages", kwargs=names) == me.messages(session)
    assert me.get(reverse("chat_memory:message", kwargs={**names, "seq": 1})).status_code == 200
