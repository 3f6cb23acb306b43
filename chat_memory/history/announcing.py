"""Owns which signals of ``chat_memory.signals`` a committed change sends, and with which arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.dispatch import Signal

from chat_memory import signals
from chat_memory.choices import MAIN_BRANCH
from chat_memory.history.conversation import Conversation
from chat_memory.storage.changed import Changed, Kind


def announce(event: Changed, **_of_the_event: Any) -> None:
    """Receive ``storage.changed.changed``: send the signals of the change that have receivers."""
    if event.made and signals.session_created.receivers:
        send(signals.session_created, event, version=_version(event))
    for signal, arguments in _SENT.get(event.kind, ()):
        if signal.receivers:
            given = arguments(event)
            if given is not None:
                send(signal, event, **given)


def send(signal: Signal, event: Changed, **arguments: Any) -> None:
    """Send a signal about the branch of an event; an error in a receiver is logged and not raised."""
    signal.send_robust(
        Conversation, workspace=event.workspace, key=event.key, branch=event.branch, using=event.using, **arguments
    )


Arguments = Callable[[Changed], dict[str, Any] | None]
"""Returns the arguments of a signal beside workspace, key, branch and using; None: the event does not send it."""


def _version(event: Changed) -> int:
    return event.header.version if event.header else 0


def _appended(event: Changed) -> dict[str, Any] | None:
    if event.first_seq is None or event.last_seq is None:
        return None
    count = event.commit.change.added if event.commit and event.commit.change else event.last_seq - event.first_seq + 1
    return {"count": count, "last_seq": event.last_seq, "version": _version(event)}


def _updated(event: Changed) -> dict[str, Any]:
    return {"fields": event.fields, "version": _version(event)}


def _renamed(event: Changed) -> dict[str, Any] | None:
    """A rename is announced once, for ``main``, although each branch has an event."""
    return {"fields": ("key",), "version": _version(event)} if event.branch == MAIN_BRANCH else None


def _versioned(event: Changed) -> dict[str, Any]:
    return {"version": _version(event)}


def _deleted(event: Changed) -> dict[str, Any] | None:
    """A deletion is announced once, for ``main`` or for the branch that was deleted alone; not for each branch."""
    return {} if event.branch in (MAIN_BRANCH, event.asked) else None


def _forked(event: Changed) -> dict[str, Any]:
    return {"parent": event.parent, "fork_seq": event.last_seq}


def _restored_branch(event: Changed) -> dict[str, Any] | None:
    """An imported branch; it forks before its first own message, or at its end if it has none."""
    if not event.parent or event.header is None:
        return None
    return {
        "parent": event.parent,
        "fork_seq": event.header.last_seq if event.first_seq is None else event.first_seq - 1,
    }


def _edited(event: Changed) -> dict[str, Any] | None:
    """An edit or a redaction is announced once, for the branch it was made on, not for each that shares the message."""
    return {"seq": event.first_seq, "version": _version(event)} if event.commit else None


def _popped(event: Changed) -> dict[str, Any]:
    return {"seq": event.first_seq, "version": _version(event)}


def _rated(event: Changed) -> dict[str, Any]:
    return {"seq": event.first_seq}


def _kept(event: Changed) -> dict[str, Any]:
    return {"first_seq": event.first_seq, "last_seq": event.last_seq}


_SENT: Mapping[Kind, tuple[tuple[Signal, Arguments], ...]] = {
    Kind.APPENDED: ((signals.messages_appended, _appended),),
    Kind.UPDATED: ((signals.session_updated, _updated),),
    Kind.RENAMED: ((signals.session_updated, _renamed),),
    Kind.CLEARED: ((signals.session_cleared, _versioned),),
    Kind.DELETED: ((signals.session_deleted, _deleted),),
    Kind.FORKED: ((signals.branch_forked, _forked),),
    Kind.SWITCHED: ((signals.branch_switched, _versioned),),
    Kind.EDITED: ((signals.message_edited, _edited),),
    Kind.REDACTED: ((signals.message_redacted, _edited),),
    Kind.POPPED: ((signals.message_popped, _popped),),
    Kind.SUMMARIZED: ((signals.summary_kept, _kept),),
    Kind.RATED: ((signals.message_rated, _rated),),
    Kind.RESTORED: ((signals.branch_forked, _restored_branch), (signals.messages_appended, _appended)),
}
