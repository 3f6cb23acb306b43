"""Validation: every bad payload has one clear error that names the field, and nothing is written."""

import pickle
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, get_type_hints

import msgspec
import pytest
from django.test import override_settings
from hypothesis import given, settings, strategies as st

from chat_memory import ChatMemoryError, Message, TooLarge, ValidationError, append_many, conversation
from chat_memory.exceptions import Busy
from chat_memory.fields import SETTABLE
from chat_memory.records import MessageFields, Receipt, SessionFields
from chat_memory.rules import message as message_rules, session as session_rules
from chat_memory.rules.attachments import hashes
from chat_memory.rules.json_values import LARGEST_JSON, check_json, object_of
from chat_memory.rules.limits import Limits
from chat_memory.rules.message import check_batch, check_message
from chat_memory.rules.names import check_key, check_workspace
from chat_memory.rules.numbers import whole_number
from chat_memory.rules.times import EARLIEST, LATEST
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.testing.conformance.kit import SENT_AT
from tests.payloads import FIELDS, MESSAGES, NAMES, deep
from tests.strategies import json_values, keys, messages

pytestmark = pytest.mark.once

LIMITS = Limits(content_bytes=1_000, metadata_bytes=1_000, metadata_depth=8, batch=3)
GENEROUS = Limits(content_bytes=10**6, metadata_bytes=10**6, metadata_depth=32, batch=10)


@pytest.mark.parametrize("name", MESSAGES)
def test_bad_message_is_refused_by_field_and_nothing_written(name: str) -> None:
    """FEATURES J16, J17, J35, R08."""
    bad, field = MESSAGES[name]
    adapter = MemoryAdapter()
    chat = conversation("k", adapter=adapter)
    with pytest.raises(ValidationError) as caught:
        chat.append(Message.user("good"), bad)
    assert caught.value.field == f"messages[1].{field}"
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()
    with pytest.raises(ValidationError) as caught:
        append_many({conversation("other", adapter=adapter): [Message.user("good")], chat: [bad]})
    assert caught.value.field == f"batches[<Conversation default/k>].messages[0].{field}"
    assert adapter.sessions.find("default") == []


@pytest.mark.parametrize("name", FIELDS)
def test_bad_session_field_is_refused_and_nothing_written(name: str) -> None:
    fields, field = FIELDS[name]
    chat = conversation("k", adapter=MemoryAdapter())
    with pytest.raises(ValidationError) as caught:
        chat.open(**fields)
    assert caught.value.field == field
    assert chat.session() is None
    before = chat.open(title="before")
    with pytest.raises(ValidationError):
        chat.update(**{"title": "after", **fields})
    assert chat.session() == before


@pytest.mark.parametrize("name", NAMES)
def test_bad_name_is_refused_without_input_or_output(name: str) -> None:
    """FEATURES R17."""
    names: dict[str, Any]
    names, field = NAMES[name]
    with pytest.raises(ValidationError) as caught:
        conversation(**{"key": "k", "adapter": MemoryAdapter(), **names})
    assert caught.value.field == field


@pytest.mark.parametrize("key", ["a:b", "a/b", "*", " ", "é", "{}", "k" * 255, "\u202e", "😀" * 255])
def test_any_printable_key_is_a_key(key: str) -> None:
    chat = conversation(key, adapter=MemoryAdapter())
    chat.append(Message.user("x", id=key[:128]))
    assert [message.id for message in chat.messages()] == [key[:128]]


@given(messages)
def test_every_whole_message_is_accepted(message: Message) -> None:
    check_message(message, GENEROUS)


@given(keys)
def test_every_text_without_control_characters_is_a_key(key: str) -> None:
    check_key(key)


@given(st.text(max_size=5))
def test_workspace_is_a_short_alphabet(slug: str) -> None:
    letters = all(letter.isascii() and (letter.isalnum() or letter in "._-") for letter in slug)
    allowed = slug not in ("", ".", "..") and letters
    try:
        check_workspace(slug)
    except ValidationError:
        assert not allowed
    else:
        assert allowed


@given(json_values, st.integers(0, 6))
def test_depth_is_counted_in_containers(value: Any, levels: int) -> None:
    nested = value
    for _level in range(levels):
        nested = [nested]
    assert _accepts(nested, _depth(nested))
    assert _depth(nested) == 0 or not _accepts(nested, _depth(nested) - 1)


def _accepts(value: Any, depth: int) -> bool:
    try:
        check_json(value, "value", depth, 10**9, "SIZE")
    except ValidationError:
        return False
    return True


def _depth(value: Any) -> int:
    """How many containers lie around the innermost value; an empty one is a value itself."""
    if not isinstance(value, list | dict) or not value:
        return 0
    return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value))


@given(json_values)
def test_size_is_that_of_the_json(value: Any) -> None:
    size = len(msgspec.json.encode(value))
    check_json(value, "value", 100, size, "SIZE")
    with pytest.raises(TooLarge, match="SIZE"):
        check_json(value, "value", 100, size - 1, "SIZE")


def test_numbers_up_to_4000_digits_are_stored() -> None:
    """Python itself turns no longer number into text."""
    number = 10**3_999
    chat = conversation("k", adapter=MemoryAdapter())
    chat.append(Message.user("x", metadata={"n": number, "m": -number}))
    assert chat.messages()[0].metadata == {"n": number, "m": -number}
    assert sys.get_int_max_str_digits() > 4_000


def test_content_is_measured_in_bytes_not_characters() -> None:
    check_message(Message.user("é" * 500), LIMITS)
    with pytest.raises(TooLarge, match="1002 bytes, over MAX_CONTENT_BYTES"):
        check_message(Message.user("é" * 501), LIMITS)


def test_batch_is_checked_as_a_whole() -> None:
    """FEATURES J28."""
    with pytest.raises(TooLarge, match="MAX_BATCH"):
        check_batch([Message.user("x")] * 4, LIMITS)
    with pytest.raises(ValidationError, match=r"^messages: messages\[0\] and messages\[2\] have the same id 'a'$"):
        check_batch([Message.user("x", id="a"), Message.user("y"), Message.user("z", id="a")], LIMITS)
    check_batch([Message.user("x")] * 3, LIMITS)


anything: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-2, 2**31 + 1) | st.text(max_size=3) | st.just([]) | st.just({})
)
ids = anything | st.sampled_from(["a", "i" * 128, "i" * 129, "a\nb", "a\x00", "a\ud800", "é", "\x7f", "\x85"])
contents = anything | st.sampled_from(
    ["é" * 500, "é" * 501, "x" * 1_000, "x" * 1_001, "a\x00b", "a\ud800", "\U0001f600" * 251]
)
moments = anything | st.sampled_from(
    [SENT_AT, EARLIEST, LATEST, EARLIEST - timedelta(1), LATEST + timedelta(1), datetime(2026, 1, 1)]  # noqa: DTZ001
)
odd_messages = st.builds(
    Message,
    st.sampled_from(["user", "assistant", "robot", ""]) | anything,
    contents,
    name=st.none() | anything,
    id=st.none() | ids,
    created_at=st.none() | moments,
    tokens=st.none() | anything,
    content_absent=st.just(False) | anything,
    state=st.just("complete") | anything,
)


@given(odd_messages)
@settings(max_examples=500)
def test_what_is_seen_to_be_right_at_a_glance_keeps_every_rule(message: Message) -> None:
    """The short way through ``check_message`` lets nothing through that the long one refuses."""
    with pytest.MonkeyPatch.context() as patched:
        verdicts = []
        for is_short_way_open in (True, False):
            if not is_short_way_open:
                patched.setattr(message_rules, "_is_short_text", lambda _message, _limits: False)
            try:
                check_message(message, LIMITS)
                verdicts.append("")
            except ValidationError as error:
                verdicts.append(str(error))
    assert verdicts[0] == verdicts[1]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: whole_number(-3, "at"), "at: must be a whole number from 0, not -3"),
        (lambda: whole_number(-(10**5_000)), "n: must be a whole number from 0, not a value of type int"),
        (lambda: whole_number("7"), "n: must be a whole number from 0, not '7'"),
        (lambda: object_of([("a", 1), ("b", 2), ("a", 3)]), "an object has the same name twice: 'a'"),
        (lambda: check_key("a\nb"), r"key: must not contain control characters or surrogates, such as '\n' at index 1"),
        (
            lambda: check_message(Message.user("x", tokens=-1), LIMITS),
            "tokens: must be a number from 0 to 2147483647, not -1",
        ),
        (lambda: check_message(Message.user(["x"]), LIMITS), "content[0]: must be an object, not str"),
    ],
)
def test_an_error_names_what_was_given(wrong: Callable[[], object], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        wrong()
    assert str(caught.value) == text


def test_every_settable_field_has_a_rule_and_a_type() -> None:
    assert set(session_rules._FIELD_CHECKS) == set(SETTABLE)
    assert set(get_type_hints(SessionFields)) == set(SETTABLE)


def test_every_field_of_a_message_has_the_type_that_type_checkers_see() -> None:
    own = get_type_hints(Message)
    assert get_type_hints(MessageFields) == {name: own[name] for name in own if name not in ("role", "content")}


@pytest.mark.parametrize("thing", [None, "text", {"role": "user", "content": "x"}, object()])
def test_what_is_no_message_is_refused(thing: Any) -> None:
    """FEATURES N38."""
    with pytest.raises(ValidationError, match=r"messages\[0\]: must be a chat_memory.Message"):
        conversation("k", adapter=MemoryAdapter()).append(thing)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"role": "user", "content": "x"}, "not dict: Message.from_dict() makes one of it"),
        ([Message.user("x")], "not list: give the messages one by one, as in append(*messages)"),
        ((Message.user("x"),), "not tuple: give the messages one by one, as in append(*messages)"),
    ],
)
def test_what_makes_messages_of_it_is_said(given: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        conversation("k", adapter=MemoryAdapter()).append(given)
    assert str(caught.value) == f"messages[0]: must be a chat_memory.Message, {said}"


@pytest.mark.parametrize("number", [-1, 1.0, True, "1", None, SENT_AT])
@pytest.mark.parametrize("verb", ["tail", "head", "since"])
def test_counts_are_whole_numbers_from_0(verb: str, number: Any) -> None:
    """FEATURES J14, N35."""
    with pytest.raises(ValidationError, match="whole number"):
        getattr(conversation("k", adapter=MemoryAdapter()), verb)(number)


@pytest.mark.parametrize("version", [-1, 1.0, True, "1", None, Receipt(1, 1, 1, False, ())])
def test_least_version_is_a_number_in_every_mode(version: Any) -> None:
    """A receipt in place of its version is told at once, and not first where the cache compares it."""
    chat = conversation("k", adapter=MemoryAdapter())
    for read in (partial(chat.tail, 1), partial(chat.tail_json, 1), chat.messages, partial(chat.window, turns=1)):
        with pytest.raises(ValidationError, match="min_version: must be a whole number"):
            read(min_version=version)


def test_a_number_beyond_all_is_as_good_as_everything() -> None:
    chat = conversation("k", adapter=MemoryAdapter())
    chat.append(Message.user("x"))
    assert (len(chat.tail(10**5_000)), chat.tail(0), chat.since(10**5_000)) == (1, [], [])


@override_settings(CHAT_MEMORY={"MAX_CONTENT_BYTES": 3, "MAX_BATCH": 1, "MAX_METADATA_DEPTH": 0})
def test_limits_are_the_settings_of_now() -> None:
    chat = conversation("k", adapter=MemoryAdapter())
    chat.append(Message.user("xyz"))
    for refused in ([Message.user("wxyz")], [Message.user("x")] * 2, [Message.user("x", metadata={"a": []})]):
        with pytest.raises(ValidationError):
            chat.append(*refused)
    assert chat.count() == 1


def test_errors_are_exceptions_of_one_tree() -> None:
    """FEATURES J30."""
    assert issubclass(TooLarge, ValidationError)
    assert issubclass(ValidationError, ChatMemoryError)
    assert issubclass(ValidationError, ValueError)


def test_c9_busy_says_what_is_held_and_travels_between_processes() -> None:
    busy: Any = pickle.loads(pickle.dumps(Busy("conversation 'k' in workspace 'acme'", 5.02)))
    assert isinstance(busy, Busy)
    assert (busy.what, busy.seconds) == ("conversation 'k' in workspace 'acme'", 5.02)
    assert str(busy) == "conversation 'k' in workspace 'acme' is locked by another transaction; waited 5.0 seconds"


def test_b2_objects_and_lists_have_a_ceiling() -> None:
    """B2: wherever they are, and whatever little text they take."""
    most: Any
    for most in ([{}] * (LARGEST_JSON - 1), {"a": [[]] * (LARGEST_JSON - 2)}):
        check_json(most, "value", 32, 10**9, "SIZE")
        with pytest.raises(TooLarge, match="100000 objects and lists"):
            check_json([most], "value", 32, 10**9, "SIZE")


def test_c15_parts_in_parts_are_looked_through_at_any_depth() -> None:
    """Python 3.13 reads JSON five times deeper than calls nest, and what a message refers to is looked for first."""
    inner: Any = {"type": "file_ref", "file_ref": {"sha256": "a" * 64}}
    for _ in range(5 * sys.getrecursionlimit()):
        inner = {"type": "tool_result", "content": ["x", inner]}
    assert hashes([[inner, {"type": "image_ref", "image_ref": {"sha256": "b" * 64}}]]) == {"a" * 64, "b" * 64}
    with pytest.raises(ValidationError, match="nested deeper than"):
        check_message(Message.user([inner]), GENEROUS)


def test_hostile_nesting_is_refused_quickly() -> None:
    wide: Any = [deep(40)] * 2_000
    with pytest.raises(ValidationError, match=r"nested deeper than 32 levels \(MAX_METADATA_DEPTH\)"):
        check_json(wide, "value", 32, 10**9, "SIZE")
