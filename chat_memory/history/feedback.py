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
    """Feedback on the messages of a conversation: at most one vote, with a comment, of each person on each message.

    Feedback belongs to its message: every branch that shares the message shows it, and it is deleted with the message.
    Redacting the message empties the comments, because they may quote it, and keeps the votes.

    Every method raises NotSupported where the back end keeps no feedback.
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    def give(self, seq: int | str, vote: int, comment: str = "", *, by: Any = None) -> Feedback:
        """Store a person's vote on a message; it replaces that person's former feedback on it.

        Args:
            seq: the position of the message, or its id.
            vote: 1 (good) or -1 (bad).
            comment: why, at most 2,000 characters.
            by: the person: a user object, or the user's key in another system as text; None: the user of this
                handle.

        Raises:
            ValidationError: the vote, the comment or the person is not usable, or there is no person.
            MessageNotFound: the conversation shows no such message.
            MessageRedacted: the message was redacted, so a comment is refused; a vote alone is stored.
        """
        given, who = verdict(vote, comment), self._person(by)
        return self._store.give(self.place.address, self._meant(seq), given, who)

    agive = twin(give)

    def remove(self, seq: int | str, *, by: Any = None) -> bool:
        """Remove a person's feedback on a message; False if there is none.

        Raises:
            ValidationError: the person is not usable, or there is none.
            MessageNotFound: the conversation shows no such message.
        """
        who = self._person(by)
        return self._store.remove(self.place.address, self._meant(seq), who)

    aremove = twin(remove)

    def of(self, seq: int | str) -> list[Feedback]:
        """The feedback on one message, in the order in which it was first given; [] for an unknown message."""
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
        """The number of votes of each kind, and of comments, on the messages that the conversation shows."""
        return self._store.totals(self.place.address)

    atotals = twin(totals)

    @property
    def _store(self) -> FeedbackStore:
        return self.place.adapter.part(FeedbackStore)

    def _meant(self, seq: object) -> int | str:
        """The position or the id that a caller gave, checked.

        Raises:
            MessageNotFound: no message can have this id.
        """
        place = message_place(seq)
        if isinstance(place, str) and unstorable(place):
            raise MessageNotFound(self.place.address.key, message_id=place)
        return place

    def _person(self, by: Any) -> Person:
        """The person who gives feedback.

        Raises:
            ValidationError: there is none, or only an anonymous user.
        """
        at = self.place.address
        who = Person(*owner(by, "by")) if by is not None else Person(at.user_id, at.user_key)
        if not who.user_key:
            raise ValidationError("must say whose feedback it is: a user, or a user's key as text", field="by")
        return who
