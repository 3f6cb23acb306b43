"""Owns the admin's page for temporary failures: a row that another transaction locks, or a database that is down."""

from __future__ import annotations

import logging

from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext

from chat_memory.exceptions import Busy
from chat_memory.log_limit import log_busy
from chat_memory.storage.orm.passing import is_crossed, is_locked, is_unavailable

logger = logging.getLogger("chat_memory.admin")


def page_for(error: Exception, request: HttpRequest | None = None) -> HttpResponse | None:
    """The page, with status 503; None for an error that is not temporary.

    The template needs no database. A transaction of ATOMIC_REQUESTS is rolled back.
    """
    is_busy = isinstance(error, Busy) or is_locked(error) or is_crossed(error)
    if is_busy:
        text = gettext("Somebody else is changing this at the moment, so not all of what you asked for was done.")
    elif is_unavailable(error):
        text = gettext("The database is not available at the moment, so not all of what you asked for was done.")
    else:
        return None
    for connection in connections.all(initialized_only=True):
        if connection.settings_dict["ATOMIC_REQUESTS"] and connection.in_atomic_block:
            transaction.set_rollback(True, using=connection.alias)
    body = render_to_string("admin/chat_memory/later.html", {"text": text})
    response = HttpResponse(body, status=503, headers={"Retry-After": "5", "Cache-Control": "no-store"})
    if is_busy:
        log_busy(logger, request, response)
    return response
