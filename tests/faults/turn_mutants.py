"""The guards of turns, broken."""

from tests.faults.mutant import TURNS, Mutant

TURN, TURN_ROWS, POPPING, DRAFTS = (
    "history/turn.py",
    "storage/orm/turns.py",
    "storage/orm/popping.py",
    "storage/orm/drafts.py",
)
TURN_MUTANTS = (
    Mutant(
        "an answer that crossed stays where it came",
        "storage/windowing.py",
        "return sorted(messages, key=_by_turn)",
        "return list(messages)",
        TURNS,
    ),
    Mutant(
        "a prompt has what was asked later",
        TURN,
        "until=held.number), pending=pending)",
        "until=None), pending=pending)",
        TURNS,
    ),
    Mutant(
        "two answer one question", TURN_ROWS, "if seconds or is_answered(answers):", "if is_answered(answers):", TURNS
    ),
    Mutant(
        "an answered question is answered again", TURN_ROWS, "if seconds or is_answered(answers):", "if seconds:", TURNS
    ),
    Mutant(
        "a message gets the id of another one of its turn", "history/stamping.py", " if ident not in known)", ")", TURNS
    ),
    Mutant(
        "a right stays whose question is gone",
        POPPING,
        "workspace_id=row.workspace_id, seq=seq).delete()",
        "workspace_id=row.workspace_id, seq=0).delete()",
        TURNS,
    ),
    Mutant("a draft stays whose question is gone", POPPING, "drafts.filter(turn=message.turn).delete()", "pass", TURNS),
    Mutant(
        "a part is replaced that another branch shows",
        DRAFTS,
        "if stored is not None and in_turn and _is_shared(rows, stored):",
        "if False:",
        TURNS,
    ),
    Mutant(
        "a part is replaced that another branch shows by now",
        DRAFTS,
        "draft.turn and is_answered([message])",
        "False",
        TURNS,
    ),
    Mutant(
        "a new answer is not current",
        "storage/orm/appending.py",
        "if rows.row.pending in _AT_ONCE:",
        "if False:",
        TURNS,
    ),
)
