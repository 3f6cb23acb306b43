"""Owns the sample conversations and their import; it must not write messages itself."""

from __future__ import annotations

from pathlib import Path

from chat_memory.maintenance.importing import import_conversations
from example_project.demo.people import ADMIN, JONAS, LIBRARY, MARA, WORKSHOP, user_of

FOLDER = Path(__file__).resolve().parent.parent / "samples"
SAMPLES = (
    ("library.jsonl", LIBRARY, MARA),
    ("workshop.jsonl", WORKSHOP, JONAS),
    ("library-office.jsonl", LIBRARY, ADMIN),
    ("workshop-office.jsonl", WORKSHOP, ADMIN),
)


def import_samples() -> None:
    """Store the sample conversations, each for its account; existing ones are not changed."""
    for name, place, account in SAMPLES:
        with (FOLDER / name).open("rb") as lines:
            report = import_conversations(lines, place.slug, user=user_of(account))
        if report.faults:
            raise ValueError(f"{name}, line {report.faults[0].line}: {report.faults[0].reason}")
