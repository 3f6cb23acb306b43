"""Owns the pages of the example: log-in and chat; it must not decide what is stored."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from chat_memory import ChatMemoryError, DraftNotFound, MessageConflict
from example_project import answering, assistant
from example_project.conversations import (
    Sight,
    answer_again,
    ask,
    ask_differently,
    look,
    new_chat,
    sessions_of,
    workspaces_of,
)
from example_project.demo.people import accounts
from example_project.forms import EditForm, MessageForm
from example_project.presentation import bubbles

if TYPE_CHECKING:
    import uuid

    from django.contrib.auth.models import User
    from django.http import HttpRequest, HttpResponse

    from chat_memory.models import Session, Workspace

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
    """Redirect to the user's first workspace."""
    workspace = workspaces_of(_user(request)).first()
    if workspace is None:
        return render(request, "example_project/no_workspace.html", status=403)
    return redirect("chat-new", workspace.slug)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def chat(request: HttpRequest, workspace: str, session_id: uuid.UUID | None = None) -> HttpResponse:
    """A conversation, or the beginning of one; a POST says something in it."""
    place = _workspace(request, workspace)
    session = _session(request, workspace, session_id) if session_id else None
    if request.method != "POST":
        return _page(request, place, session, MessageForm())
    form = MessageForm(request.POST)
    if not form.is_valid():
        return _page(request, place, session, form, status=400)
    return _said(request, place, session, form)


@login_required
@require_POST
def answer(request: HttpRequest, workspace: str, session_id: uuid.UUID) -> HttpResponse:
    """Have a question answered; if the form names an existing answer, have another one written."""
    session = _session(request, workspace, session_id)
    question, former = request.POST.get("question", ""), request.POST.get("answer", "")
    try:
        if former:
            answer_again(session.history(), question, former)
        else:
            answering.begin(session.history(), question)
    except ChatMemoryError as error:  # for example because there are too many branches
        notices.error(request, f"The question is not answered again: {error}")
    return _to_latest(session)


@login_required
@require_POST
def edit(request: HttpRequest, workspace: str, session_id: uuid.UUID) -> HttpResponse:
    """Ask a question again in other words."""
    session = _session(request, workspace, session_id)
    form = EditForm(request.POST)
    if not form.is_valid():
        notices.error(request, "The question was not changed: it needs a text of at most 20,000 characters.")
        return _to_latest(session)
    given = form.cleaned_data
    try:
        ask_differently(session.history(), given["question"], str(given["message_id"]), given["text"])
    except ChatMemoryError as error:
        notices.error(request, f"The question was not changed: {error}")
    return _to_latest(session)


@login_required
@require_POST
def stop(request: HttpRequest, workspace: str, session_id: uuid.UUID) -> HttpResponse:
    """Ask the writer of an answer to stop; if it has ended meanwhile, only say so."""
    session = _session(request, workspace, session_id)
    try:
        session.history().drafts.stop(request.POST.get("draft", ""))
    except DraftNotFound:
        notices.info(request, "This answer has already ended.")
    return _to_latest(session)


@login_required
@require_POST
def switch(request: HttpRequest, workspace: str, session_id: uuid.UUID) -> HttpResponse:
    """Show another of several alternative answers or questions."""
    session = _session(request, workspace, session_id)
    try:
        session.history().switch(request.POST.get("branch", ""))
    except ChatMemoryError:
        notices.error(request, "This alternative no longer exists.")
    return redirect("chat", workspace, session.pk)


def _said(request: HttpRequest, place: Workspace, session: Session | None, form: MessageForm) -> HttpResponse:
    given = form.cleaned_data
    conversation = session.history() if session else new_chat(_user(request), place, given["chat_id"])
    try:
        ask(conversation, str(given["message_id"]), given["text"])
    except MessageConflict:
        notices.error(request, "This form was sent before with another text: that text is stored, this one is not yet.")
        return _page(request, place, session, form.with_fresh_id(), status=409)
    except ChatMemoryError as error:
        form.add_error("text", str(error))
        return _page(request, place, session, form, status=400)
    return _to_latest(session or sessions_of(_user(request), place).get(key=conversation.key))


def _page(
    request: HttpRequest, place: Workspace, session: Session | None, form: MessageForm, status: int = 200
) -> HttpResponse:
    sight = look(session.history(), before=_position(request.GET.get("before", ""))) if session else Sight()
    user = _user(request)
    context = {
        "workspace": place,
        "workspaces": workspaces_of(user),
        "sessions": sessions_of(user, place)[:LISTED],
        "session": session,
        "title": session.title or session.key if session else "New chat",
        "bubbles": bubbles(sight),
        "hidden": sight.hidden,
        "first": sight.messages[0].seq if sight.messages else None,
        "is_newest": sight.is_newest,
        "grows": bool(sight.drafts),
        "assistant": assistant.name(),
        "form": form,
    }
    return render(request, "example_project/chat.html", context, status=status)


def _position(given: str) -> int | None:
    """The position that an address names; None where it names none."""
    return int(given) if re.fullmatch("[0-9]{1,18}", given) else None


def _workspace(request: HttpRequest, slug: str) -> Workspace:
    """A workspace of which the user is a member.

    Raises:
        Http404: the workspace does not exist, or the user is not a member of it.
    """
    if "\x00" in slug:  # PostgreSQL would raise an error
        raise Http404
    return get_object_or_404(workspaces_of(_user(request)), slug=slug)


def _session(request: HttpRequest, workspace: str, session_id: uuid.UUID) -> Session:
    """The user's own conversation.

    Raises:
        Http404: the conversation does not exist, or belongs to another user.
    """
    place = _workspace(request, workspace)
    return get_object_or_404(sessions_of(_user(request), place), pk=session_id)


def _to_latest(session: Session) -> HttpResponse:
    """Back to the page by GET, so that a reload sends nothing twice."""
    response = redirect("chat", session.workspace.slug, session.pk)
    response["Location"] += "#latest"
    return response


def _user(request: HttpRequest) -> User:
    """The user of a view that requires a log-in."""
    return cast("User", request.user)
