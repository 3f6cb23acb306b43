"""What is inline in content: found in every provider's form, wherever it stands, and nothing else taken for it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from chat_memory import Message, conversation
from chat_memory.admin import blocks
from chat_memory.admin.blocks import Room
from chat_memory.history.tokens import INLINE_PART_TOKENS, count_tokens
from chat_memory.rules.inline import Inline, without_inline
from chat_memory.storage.mapping import to_row
from chat_memory.storage.memory import MemoryAdapter
from tests.strategies import json_values

pytestmark = pytest.mark.once

DATA = "QUJD" * 100_000
SIZE = len(DATA)
PDF = {"type": "base64", "media_type": "application/pdf", "data": DATA}
INLINE: dict[str, tuple[dict[str, Any], Inline]] = {
    "chat picture": (
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
        Inline("image", "image/png", SIZE),
    ),
    "responses picture": (
        {"type": "input_image", "image_url": f"DATA:image/gif,{DATA}"},
        Inline("image", "image/gif", SIZE),
    ),
    "chat sound": (
        {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}},
        Inline("audio", "wav", SIZE),
    ),
    "chat file": (
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{DATA}"}},
        Inline("file", "application/pdf", SIZE),
    ),
    "responses file": ({"type": "input_file", "file_data": DATA}, Inline("file", "", SIZE)),
    "anthropic picture": (
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": DATA}},
        Inline("image", "image/jpeg", SIZE),
    ),
    "anthropic document": ({"type": "document", "source": PDF}, Inline("file", "application/pdf", SIZE)),
    "bedrock picture": ({"image": {"format": "png", "source": {"bytes": DATA}}}, Inline("image", "", SIZE)),
    "bedrock video": ({"video": {"format": "mp4", "source": {"bytes": DATA}}}, Inline("video", "", SIZE)),
    "bedrock file": ({"document": {"format": "pdf", "name": "a", "source": {"bytes": DATA}}}, Inline("file", "", SIZE)),
    "gemini": ({"inline_data": {"mime_type": "image/webp", "data": DATA}}, Inline("image", "image/webp", SIZE)),
    "gemini camel": ({"inlineData": {"mimeType": "audio/mp3", "data": DATA}}, Inline("audio", "audio/mp3", SIZE)),
    "vercel": ({"type": "image", "image": DATA}, Inline("image", "", SIZE)),
    "vercel generated": (
        {"type": "file", "file": {"base64Data": DATA, "mediaType": "image/png"}},
        Inline("image", "image/png", SIZE),
    ),
    "mistral sound": ({"type": "input_audio", "input_audio": DATA}, Inline("audio", "", SIZE)),
    "langchain": ({"type": "image", "base64": DATA, "mime_type": "image/png"}, Inline("image", "image/png", SIZE)),
    "responses generated": (
        {"type": "image_generation_call", "id": "i", "result": DATA},
        Inline("image", "", SIZE),
    ),
    "mcp resource": (
        {"type": "resource", "resource": {"uri": "file://a", "mimeType": "video/mp4", "blob": DATA}},
        Inline("video", "video/mp4", SIZE),
    ),
    "haystack": ({"image": {"base64_image": DATA, "mime_type": "image/png"}}, Inline("image", "image/png", SIZE)),
    "ollama": ({"images": [DATA]}, Inline("image", "", SIZE)),
    "addresses in a list": ({"files": [f" data:audio/wav;base64,{DATA}"]}, Inline("audio", "audio/wav", SIZE)),
    "anywhere beside a media type": (
        {"type": "media", "content": DATA, "contentType": "image/png"},
        Inline("image", "image/png", SIZE),
    ),
    "jupyter": ({"type": "output", "data": {"image/png": DATA}}, Inline("image", "", SIZE)),
    "jupyter document": ({"data": {"application/pdf": DATA}}, Inline("file", "", SIZE)),
    "e2b": ({"type": "output", "png": DATA}, Inline("file", "", SIZE)),
    "by a name that tells": ({"type": "computer", "screenshot": DATA}, Inline("file", "", SIZE)),
    "by a name of two words": ({"image_bytes": DATA}, Inline("image", "", SIZE)),
    "semantic kernel": ({"$type": "ImageContent", "Data": DATA, "MimeType": "image/png"}, Inline("file", "", SIZE)),
    "glm, without data:": ({"type": "image_url", "image_url": {"url": DATA}}, Inline("image", "", SIZE)),
    "by the name of a format": ({"type": "output", "wav": DATA}, Inline("file", "", SIZE)),
    "beside its encoding": ({"path": "a.bin", "content": DATA, "encoding": "base64"}, Inline("file", "", SIZE)),
    "numbers of node": (
        {"type": "image", "image": {"type": "Buffer", "data": [137] * SIZE}},
        Inline("image", "", SIZE),
    ),
    "numbers of a browser": (
        {"type": "file", "mediaType": "image/png", "data": {str(place): 137 for place in range(1_000)}},
        Inline("image", "image/png", 1_000),
    ),
}


def noting(texts: list[str]) -> Callable[[str], int]:
    """A counter of tokens that notes each text it is given."""

    def counter(text: str) -> int:
        texts.append(text)
        return len(text)

    return counter


in_each_form = pytest.mark.parametrize("name", INLINE)


@in_each_form
def test_r6_what_is_inline_costs_a_bounded_amount(name: str) -> None:
    part, inline = INLINE[name]
    assert without_inline(part)[1] == [inline]
    result = {"type": "tool_result", "tool_use_id": "a", "content": [part]}
    answer = {"toolResult": {"toolUseId": "a", "content": [part, part]}}
    for content, number in (([part], 1), ([result], 1), ([answer, part], 3)):
        counted: list[str] = []
        tokens = count_tokens(Message.user(content), noting(counted))
        assert number * INLINE_PART_TOKENS < tokens < number * INLINE_PART_TOKENS + 500
        assert "QUJD" not in "".join(counted)


@in_each_form
def test_r6_the_transcript_names_what_is_inline(name: str) -> None:
    part, inline = INLINE[name]
    note = f"inline {inline.kind} ({inline.media_type or 'unknown type'}, "
    row = to_row(Message.user([part, {"type": "tool_result", "tool_use_id": "a", "content": [part]}]))
    one, other = blocks.content_blocks("user", None, row.parts, Room())
    assert (one.kind, one.text.startswith(note)) == ("note", True)
    assert (other.kind, note in other.text, "QUJDQUJD" in other.text) == ("json", True, False)


def test_r6_a_picture_does_not_push_out_the_questions_before_it() -> None:
    picture, _inline = INLINE["chat picture"]
    chat = conversation("k", adapter=MemoryAdapter())
    chat.append(Message.user("before"), Message.user([{"type": "text", "text": "what is this?"}, picture]))
    assert len(chat.window(tokens=128_000)) == 2
    chat.append(Message.assistant("a house"), Message.user("what colour was it?"))
    assert len(chat.window(tokens=128_000)) == 4


def test_r6_what_the_provider_added_counts_as_text_and_its_sound_is_inline() -> None:
    spoken = Message.assistant(extra={"audio": {"id": "a1", "data": DATA, "transcript": "hello"}})
    assert INLINE_PART_TOKENS < count_tokens(spoken) < INLINE_PART_TOKENS + 50
    counted: list[str] = []
    thought = Message.assistant("x", extra={"reasoning_content": "why", "role": "developer"})
    count_tokens(thought, noting(counted))
    count_tokens(Message.system("y", extra={"role": "developer"}), noting(counted))
    assert counted == ["x", '{"reasoning_content":"why"}', "y"]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": f"data:image/png;base64,{DATA}"},
        {"type": "text", "text": DATA},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x" * 1_000}},
        {"type": "document", "source": {"media_type": "text/plain", "data": "words in plain text " * 50}},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"data": DATA}},
        {"type": "custom", "data": "short"},
        {"type": "result", "result": DATA},
        {"type": "media", "content": DATA, "mediaType": "text/plain"},
        {"type": "vector", "data": [0.5] * 1_000},
        {"type": "levels", "data": [256] * 1_000},
        {"type": "levels", "data": [1, 2, 3]},
        {"type": "media", "id": "file-abc", "media_type": "image/png"},
        {"type": "redacted_thinking", "data": DATA},
        {"type": "image_url", "image_url": {"url": "data:" + "a;" * 1_000}},
        {"data": 5, "bytes": None, "url": []},
    ],
    ids=lambda part: repr(part)[:60],
)
def test_what_only_looks_like_it_is_text(part: dict[str, Any]) -> None:
    assert without_inline([part]) == ([part], [])


@given(json_values)
def test_any_json_may_be_looked_at(value: Any) -> None:
    left, found = without_inline(value)
    assert found or left == value


SEAL = "c2VhbGVk" * 20_000


@pytest.mark.parametrize(
    "message",
    [
        Message.assistant([{"text": "x", "thoughtSignature": SEAL}]),
        Message.assistant([{"type": "thinking", "thinking": "x", "signature": SEAL}]),
        Message.assistant([{"reasoningContent": {"reasoningText": {"text": "x", "signature": SEAL}}}]),
        Message.assistant([{"type": "reasoning", "encrypted_content": SEAL, "summary": []}]),
        Message.assistant([{"type": "redacted_thinking", "data": SEAL}]),
        Message.assistant("x", extra={"thinking_signature": SEAL}),
        Message.assistant(tool_calls=[{"id": "a", "extra_content": {"google": {"thought_signature": SEAL}}}]),
    ],
    ids=repr,
)
def test_r6_what_is_sealed_of_thoughts_costs_a_bounded_amount(message: Message) -> None:
    """Gemini signs a picture with a million characters, which cost nothing like as many tokens."""
    assert INLINE_PART_TOKENS < count_tokens(message) < INLINE_PART_TOKENS + 50
    short = SEAL[:400]
    assert 100 < count_tokens(Message.from_dict(json.loads(json.dumps(message.to_dict()).replace(SEAL, short)))) < 150
