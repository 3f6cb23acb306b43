"""Owns a rule-based assistant that knows only the stored history, and quotes it; it must not store anything."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from chat_memory import Message
from example_project.presentation import text_of

# A value ends with its sentence. A question has no value, because it tells nothing about the user.
VALUE = r"(?P<value>[^\s.,;:!?][^.,;:!?\n]{0,80}?)(?=\s+(?:and (?:i|my|call)|from now on|please)\b|[.,;:!\n]|$)"
# After a bare "I'm", a capital letter distinguishes a name from a mood.
CAPITALISED = r"(?-i:[^\W\d_a-zß-ÿ][a-zß-ÿ])"
TELLS = {
    "name": rf"\b(?:my name is|my name's|call me|i am called|i'm called|(?:i'm|i am)(?= {CAPITALISED})) {VALUE}",
    "place": rf"\b(?:i live in|i am from|i'm from|i come from) {VALUE}",
    "work": rf"\b(?:i work as|i work for|i work at) {VALUE}",
    "likes": rf"\bi (?:really |also )?(?:like|love|enjoy|prefer) {VALUE}",
    "dislikes": rf"\bi (?:really )?(?:don't like|do not like|dislike|hate) {VALUE}",
    "notes": rf"\bremember (?:that )?{VALUE}",
}
SAID = {
    "name": "your name is {}",
    "place": "you live in {}",
    "work": "you do this for work: {}",
    "likes": "you like {}",
    "dislikes": "you do not like {}",
    "notes": "you asked me to remember: {}",
}
HINT = (
    "Tell me your name, where you live or what you like, and ask me later; or ask what you said first, how many "
    "messages we have, or for a summary."
)

PAUSE = 0.05
"""Seconds between two words, so that the page has a growing answer to show; rules have theirs at once."""


class Fact(NamedTuple):
    """Something the user said, and the position of the message that says it."""

    kind: str
    value: str
    seq: int


Rule = Callable[[Sequence[Message], re.Match[str]], str]


def reply(history: Sequence[Message]) -> str:
    """The answer to the last message, from the messages before it."""
    question, earlier = history[-1], history[:-1]
    text = _plain(text_of(question)).strip()
    for pattern, rule in RULES:
        if found := re.search(pattern, text, re.IGNORECASE):
            return rule(earlier, found)
    told = list(_facts([question]))
    if told:
        return f"So {_told(told)}. This is message {question.seq}; ask me whenever you like, even after a restart."
    return _noted(question, earlier)


def spoken(text: str) -> Iterator[str]:
    """A text word by word, as a model streams it."""
    for word in re.findall(r"\s*\S+|\s+$", text):
        time.sleep(PAUSE)
        yield word


def _noted(question: Message, earlier: Sequence[Message]) -> str:
    name = _newest("name", earlier)
    greeting = f"Noted, {name.value}" if name else "Noted"
    return f"{greeting}: that is message {question.seq} of this conversation. {HINT}"


def _told(facts: Sequence[Fact]) -> str:
    return ", ".join(SAID[fact.kind].format(fact.value) for fact in facts)


def _of_kind(kind: str, missing: str) -> Rule:
    """A rule that answers with the newest fact of a kind."""

    def rule(earlier: Sequence[Message], _found: re.Match[str]) -> str:
        fact = _newest(kind, earlier)
        if fact is None:
            return f"You have not told me {missing} yet."
        return f"{_sentence(SAID[kind].format(fact.value))}: you said so in message {fact.seq}."

    return rule


def _everything_of(*kinds: str) -> Rule:
    def rule(earlier: Sequence[Message], _found: re.Match[str]) -> str:
        facts = [fact for fact in _facts(earlier) if fact.kind in kinds]
        if not facts:
            return f"Nothing of that kind is in our history yet. {HINT}"
        lines = (f"• {_sentence(SAID[fact.kind].format(fact.value))} (message {fact.seq})" for fact in facts)
        return "From our stored history:\n" + "\n".join(lines)

    return rule


def _first(earlier: Sequence[Message], _found: re.Match[str]) -> str:
    return _quoted("The first thing you said", next(_by_user(earlier), None))


def _previous(earlier: Sequence[Message], _found: re.Match[str]) -> str:
    return _quoted("Before this you said", next(_by_user(earlier[::-1]), None))


def _quoted(opening: str, message: Message | None) -> str:
    if message is None:
        return "You have said nothing before this message."
    return f"{opening}, in message {message.seq}: “{_short(message)}”"


def _counted(earlier: Sequence[Message], _found: re.Match[str]) -> str:
    mine = sum(1 for _message in _by_user(earlier)) + 1
    tools = sum(message.role == "tool" for message in earlier)
    results = f", and {tools} tool results" if tools else ""
    return f"This conversation has {len(earlier) + 1} messages so far, {mine} of them yours{results}."


def _summary(earlier: Sequence[Message], _found: re.Match[str]) -> str:
    said = list(_by_user(earlier))
    if not said:
        return "There is nothing to summarise yet."
    shown = said if len(said) <= 6 else [*said[:3], *said[-3:]]
    lines = [f"• {message.seq}: {_short(message)}" for message in shown]
    if len(shown) < len(said):
        lines.insert(3, f"• … {len(said) - len(shown)} more …")
    facts = list(_facts(earlier))
    about = f"\nI know that {_told(facts)}." if facts else ""
    return f"You wrote {len(said)} message{'s' if len(said) > 1 else ''}:\n" + "\n".join(lines) + about


def _mentions(earlier: Sequence[Message], found: re.Match[str]) -> str:
    words = found["value"].strip().casefold()
    hits = [message for message in earlier if words in _plain(text_of(message)).casefold()]
    if not hits:
        return f"“{found['value']}” is in none of our {len(earlier)} earlier messages."
    lines = (f"• {message.seq} ({message.role}): {_short(message)}" for message in hits[-5:])
    return f"“{found['value']}” is in {len(hits)} earlier messages:\n" + "\n".join(lines)


def _help(_earlier: Sequence[Message], _found: re.Match[str]) -> str:
    return f"I am a set of rules, without a model behind me, and I read our stored history. {HINT}"


RULES: tuple[tuple[str, Rule], ...] = (
    (r"\b(what is|what's|do you know|remember) my name\b|\bwho am i\b", _of_kind("name", "your name")),
    (r"\bwhere (do i live|am i from|do i come from)\b", _of_kind("place", "where you live")),
    (r"\b(what do i do|where do i work|what is my job|what's my job)\b", _of_kind("work", "about your work")),
    (r"\bwhat (do|did) i (say i )?(like|love|prefer|enjoy|hate|dislike)\b", _everything_of("likes", "dislikes")),
    (r"\bmy preferences\b", _everything_of("likes", "dislikes")),
    (r"\bwhat (do you|did you) (know|remember)\b", _everything_of(*TELLS)),
    (
        r"\bwhat (did|was) .{0,40}\b(ask|say|tell|question|message)\b.{0,40}\bfirst\b|\bmy first (question|message)\b",
        _first,
    ),
    (r"\bwhat did i (just )?(ask|say|tell you)( (last|before|just now))?\s*\?*$", _previous),
    (r"\bhow many (messages|questions)\b|\bhow long is (this|our) (chat|conversation)\b", _counted),
    (r"\bsummar(y|i[sz]e)\b", _summary),
    (r"\b(?:did (?:i|we|you) (?:mention|talk about)|what did (?:i|we|you) say about) (?P<value>[^?.!\n]+)", _mentions),
    (r"^(help|hello|hi|hey|good (morning|day|evening))\b[\s,.!?]*(there|you)?[\s.!?]*$", _help),
)


def _facts(messages: Sequence[Message]) -> Iterator[Fact]:
    for message in _by_user(messages):
        text = _plain(text_of(message))
        for kind, pattern in TELLS.items():
            for found in re.finditer(pattern, text, re.IGNORECASE):
                yield Fact(kind, found["value"], message.seq or 0)


def _newest(kind: str, messages: Sequence[Message]) -> Fact | None:
    return next((fact for fact in reversed(list(_facts(messages))) if fact.kind == kind), None)


def _by_user(messages: Sequence[Message]) -> Iterator[Message]:
    return (message for message in messages if message.role == "user")


def _short(message: Message) -> str:
    text = " ".join(text_of(message).split()) or "(no text)"
    return text if len(text) <= 90 else f"{text[:89]}…"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(text: str) -> str:
    """The text with plain apostrophes, so that the rules need to know only one kind."""
    return text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
