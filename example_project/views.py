"""Owns the pages of the example: log-in and chat; it must not decide what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from chat_memory import ChatMemoryError, MessageConflict
from example_project import assistant
from example_project.conversations import answer_last, new_chat, say, sessions_of, waits, workspaces_of
from example_project.demo.people import accounts
from example_project.endpoint import EndpointError
from example_project.forms import MessageForm
from example_project.presentation import bubbles

if TYPE_CHECKING:
    import uuid

    from django.contrib.auth.models import User
    from django.http import HttpRequest, HttpResponse

    from chat_memory import Message
    from chat_memory.models import Session, Workspace

NEWEST = 100
LISTED = 100


class LogIn(LoginView):
    """The log-in page; where DEBUG is on it shows the demo's accounts."""

    template_name = "example_project/login.html"
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """What the template needs."""
        return super().get_context_data(accounts=accounts() if settings.DEBUG else [], **kwargs)


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """To the user's first workspace."""
    workspace = workspaces_of(_user(request)).first()
    if workspace is None:
        return render(request, "example_project/no_workspace.html", status=403)
    return redirect("chat-new", workspace.slug)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def chat(request: HttpRequest, workspace: str, session_id: uuid.UUID | None = None) -> HttpResponse:
    """A conversation, or the beginning of one; a POST says something in it."""
    place = get_object_or_404(workspaces_of(_user(request)), slug=workspace)
    session = get_object_or_404(sessions_of(_user(request), place), pk=session_id) if session_id else None
    if request.method != "POST":
        return _page(request, place, session, MessageForm())
    form = MessageForm(request.POST)
    if not form.is_valid():
        return _page(request, place, session, form, status=400)
    return _said(request, place, session, form)


@login_required
@require_POST
def answer(request: HttpRequest, workspace: str, session_id: uuid.UUID) -> HttpResponse:
    """Ask once more for the answer that failed."""
    place = get_object_or_404(workspaces_of(_user(request)), slug=workspace)
    session = get_object_or_404(sessions_of(_user(request), place), pk=session_id)
    try:
        answer_last(session.history())
    except EndpointError as error:
        notices.error(request, str(error))
    return _to_latest(place, session.pk)


def _said(request: HttpRequest, place: Workspace, session: Session | None, form: MessageForm) -> HttpResponse:
    given = form.cleaned_data
    conversation = session.history() if session else new_chat(_user(request), place, given["chat_id"])
    try:
        say(conversation, given["message_id"], given["text"])
    except EndpointError as error:
        notices.error(request, f"{error} Your message is stored.")
    except MessageConflict:
        notices.error(request, "This form was sent before with another text: that text is stored, this one is not yet.")
        return _page(request, place, session, form.with_fresh_id(), status=409)
    except ChatMemoryError as error:
        form.add_error("text", str(error))
        return _page(request, place, session, form, status=400)
    record = conversation.session()
    return _to_latest(place, record.id) if record else redirect("chat-new", place.slug)


def _page(
    request: HttpRequest, place: Workspace, session: Session | None, form: MessageForm, status: int = 200
) -> HttpResponse:
    history: list[Message] = []
    if session is not None:
        stored = session.history()
        history = stored.messages() if "whole" in request.GET else stored.tail(NEWEST)
    user = _user(request)
    context = {
        "workspace": place,
        "workspaces": workspaces_of(user),
        "sessions": sessions_of(user, place)[:LISTED],
        "session": session,
        "bubbles": bubbles(history),
        "hidden": history[0].seq - 1 if history and history[0].seq else 0,
        "waits": waits(history),
        "assistant": assistant.name(),
        "form": form,
    }
    return render(request, "example_project/chat.html", context, status=status)


def _to_latest(place: Workspace, session_id: uuid.UUID) -> HttpResponse:
    """Back to the page by GET, so that a reload sends nothing twice."""
    response = redirect("chat", place.slug, session_id)
    response["Location"] += "#latest"
    return response


def _user(request: HttpRequest) -> User:
    """The user of a view that requires a log-in."""
    return cast("User", request.user)
