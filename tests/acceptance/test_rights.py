"""The one table of rights: the documentation shows it, and both doors, API and admin, go by it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chat_memory.choices import MemberRole
from chat_memory.models import Session, Workspace, WorkspaceMember
from chat_memory.rules.rights import GRANTED, SUPERUSER, TABLE, Act, Reach, allows
from tests.acceptance.admin_world import as_staff, form_of, page
from tests.acceptance.api_support import Caller, caller, stored

pytestmark = [pytest.mark.once, pytest.mark.django_db]

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", ["reference/api.md", "how-to/staff.md"])
def test_docs_show_the_table_of_the_code(name: str) -> None:
    titles = ["role", *(act.replace("_", " ") for act in Act)]
    rows = [titles, ["---"] * len(titles)]
    for role, acts in TABLE.items():
        rows.append([f"`{role}`", *(shown(act, reached) for act, reached in acts.items())])
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows).replace("| --- ", "|---").replace("--- |", "---|")
    assert table in (DOCS / name).read_text()


def shown(act: Act, reached: Reach) -> str:
    return f"{reached}, with the grant" if act in GRANTED and reached is not Reach.NONE else str(reached)


def by_api(me: Caller, act: Act, session: Session) -> bool | None:
    """Whether the API lets somebody do this; None: it has no such thing."""
    address = me.session(session)
    said = {"content": "x"}
    answer = {
        Act.READ: lambda: me.get(address),
        Act.WRITE: lambda: me.patch(address, {"title": "t"}),
        Act.DELETE: lambda: me.delete(address),
        Act.SEND_SYSTEM: lambda: me.post(me.messages(session), {"role": "system", **said}),
        Act.SEND_TOOL: lambda: me.post(me.messages(session), {"role": "tool", **said}),
        Act.ADMINISTER: lambda: None,
    }[act]()
    return None if answer is None else answer.status_code < 300


def by_admin(me: Caller, act: Act, session: Session) -> bool | None:
    """Whether the admin lets somebody do this; None: it has no such thing."""
    browser = as_staff(me)
    if act in GRANTED:
        return None
    if act is Act.READ:
        return browser.get(page("session_transcript", session)).status_code == 200
    if act is Act.ADMINISTER:
        form = {"name": "new", "metadata": "{}", "members-TOTAL_FORMS": "0", "members-INITIAL_FORMS": "0"}
        browser.post(page("workspace_change", session.workspace), form)
        return Workspace.objects.get(pk=session.workspace_id).name == "new"
    if act is Act.WRITE:
        browser.post(page("session_change", session), form_of(session, title="t"))
        return Session.objects.get(pk=session.pk).title == "t"
    browser.post(page("session_delete", session), {"post": "yes"})
    return not Session.objects.filter(pk=session.pk).exists()


def somebody(role: str, *, granted: bool) -> Caller:
    if role != SUPERUSER:
        return caller(role, may_send_system=granted, may_send_tool=granted)
    me = caller(None)
    me.user.is_superuser = True
    me.user.save()
    return me


@pytest.mark.parametrize("role", TABLE)
@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("door", [by_api, by_admin])
def test_every_door_goes_by_the_table(role: str, act: Act, own: bool, door: Callable[..., bool | None]) -> None:
    for granted in (True, False) if act in GRANTED else (False,):
        me = somebody(role, granted=granted)
        session = stored(f"of {granted}", user=me.user if own else caller("member").user, messages=1)
        allowed = door(me, act, session)
        in_table = allows(role, act, own=own, granted=granted)
        counts = door is by_admin or role != SUPERUSER
        assert allowed in (None, in_table and counts)


def test_roles_of_the_model_are_the_roles_of_the_table() -> None:
    assert WorkspaceMember._meta.get_field("role").choices == MemberRole.choices
