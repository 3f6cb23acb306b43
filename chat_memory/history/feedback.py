"""Owns feedback on the messages of a conversation, as ``chat.feedback`` offers it."""

from __future__ import annotations

from typing import Any

from chat_memory.exceptions import MessageNotFound, ValidationError
from chat_memory.history.handle import Place
from chat_memory.history.naming import owner
from chat_memory.history.twins import twin
from chat_memory.records import Feedback, FeedbackPlace, Person, Votes
from chat_memory.rules.feedback import verdict
from chat_memory.rules.json_values import unstorable
from chat_memory.rules.numbers import message_place
from chat_memory.storage.contract import FeedbackStore


class ConversationFeedback:
    """What people think of the messages of a conversation: one verdict of each person on each message.

    Feedback hangs on its message: every branch that shares the message shows it, it goes with the message, and a
    redaction of the message empties the comments, which may quote it, and keeps the votes.

    Every method raises NotSupported where the back end keeps no feedback.
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    def give(self, seq: int | str, vote: int, comment: str = "", *, by: Any = None) -> Feedback:
        """Say what a person thinks of a message, in place of what that person has said of it before.

        Args:
            seq: the position of the message, or its id.
            vote: 1 (good) or -1 (bad).
            comment: why, at most 2,000 characters.
            by: who thinks so: a user object, or the user's key in another system as text; None: the user of this
                handle.

        Raises:
            ValidationError: the vote, the comment or the person is not usable, or there is no person.
            MessageNotFound: the conversation shows no such message.
            MessageRedacted: the message was redacted, so that a comment is refused; a vote is not.
        """
        given, who = verdict(vote, comment), self._person(by)
        return self._store.give(self.place.address, self._meant(seq), given, who)

    agive = twin(give)

    def remove(self, seq: int | str, *, by: Any = None) -> bool:
        """Remove what a person thinks of a message; False where there is nothing to remove.

        Raises:
            ValidationError: the person is not usable, or there is none.
            MessageNotFound: the conversation shows no such message.
        """
        who = self._person(by)
        return self._store.remove(self.place.address, self._meant(seq), who)

    aremove = twin(remove)

    def of(self, seq: int | str) -> list[Feedback]:
        """What people think of one message, in the order in which they first said so; nothing of an unknown one."""
        place = message_place(seq)
        if isinstance(place, str):
            known = None if unstorable(place) else self.place.adapter.messages.locate(self.place.address, place)
            if known is None:
                return []
            place = known
        begin = FeedbackPlace(place, 0)
        return self._store.find(self.place.address, after=begin, before=begin._replace(seq=place + 1))

    aof = twin(of)

    def entries(self) -> list[Feedback]:
        """The feedback on all messages that the conversation shows, in the order of the messages."""
        return self._store.find(self.place.address)

    aentries = twin(entries)

    def totals(self) -> Votes:
        """How much feedback there is on the messages that the conversation shows: votes of each kind, and comments."""
        return self._store.totals(self.place.address)

    atotals = twin(totals)

    @property
    def _store(self) -> FeedbackStore:
        return self.place.adapter.part(FeedbackStore)

    def _meant(self, seq: object) -> int | str:
        """The position or the id that a caller gave.

        Raises:
            MessageNotFound: no message can have this id.
        """
        place = message_place(seq)
        if isinstance(place, str) and unstorable(place):
            raise MessageNotFound(self.place.address.key, message_id=place)
        return place

    def _person(self, by: Any) -> Person:
        """Who gives feedback.

        Raises:
            ValidationError: nobody is named, or somebody who cannot be told from others.
        """
        at = self.place.address
        who = Person(*owner(by, "by")) if by is not None else Person(at.user_id, at.user_key)
        if not who.user_key:
            raise ValidationError("must say whose feedback it is: a user, or a user's key as text", field="by")
        return who
