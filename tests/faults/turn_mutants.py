"""The guards of turns, broken."""

from tests.faults.mutant import TURNS, Mutant

TURN_ROWS, POPPING, DRAFTS = "storage/orm/turns.py", "storage/orm/popping.py", "storage/orm/drafts.py"
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
        "history/turn_prompt.py",
        "until=held.number)",
        "until=None)",
        TURNS,
    ),
    Mutant(
        "two answer one question", TURN_ROWS, "if seconds or is_answered(answers):", "if is_answered(answers):", TURNS
    ),
    Mutant(
        "an answered question is answered again", TURN_ROWS, "if seconds or is_answered(answers):", "if seconds:", TURNS
    ),
    Mutant(
        "a message gets the id of another one of its turn",
        "history/turn_ids.py",
        "if each not in known and each not in given)",
        "if each)",
        TURNS,
    ),
    Mutant(
        "a right stays whose question is gone",
        POPPING,
        "(Turn, Q(seq=seq)), ",
        "(Draft, Q(seq=seq)), ",
        TURNS,
    ),
    Mutant(
        "a draft stays whose question is gone",
        POPPING,
        "(Draft, Q(turn=message.turn))",
        "(Turn, Q(turn=message.turn))",
        TURNS,
    ),
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
        "record.turn and is_answered([message])",
        "False",
        TURNS,
    ),
    Mutant(
        "a new answer is not current",
        "storage/orm/appending.py",
        "if rows.row.pending in AT_ONCE:",
        "if False:",
        TURNS,
    ),
)
