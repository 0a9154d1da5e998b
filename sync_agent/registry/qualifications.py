"""The vocabulary of qualifications: lines, grades and while they hold; two generations side by side (domain.md 10.7)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.registry.database import insert_absent
from sync_agent.registry.tables import QualificationLine

FILE: Final = Path(__file__).with_name("qualifications.csv")
"""One line, grade and family a row; grades are separated by a bar, none stands for a line without grades."""

FAMILIES: Final = frozenset({"general", "specialised", "comprehensive", "labour", "declared"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A line with one of its grades.

    Attributes:
        grade: empty for a line without grades.
        valid_until: last day; None: still in force.
    """

    line: str
    grade: str
    family: str
    valid_from: date
    valid_until: date | None


def entries() -> Iterator[Entry]:
    """Read the vocabulary.

    Raises:
        ValueError: a family or date in it cannot be read.
    """
    with FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["family"] not in FAMILIES:
                raise ValueError(f"{FILE.name} names the family {row['family']!r}; it must be one of {sorted(FAMILIES)}")
            until = date.fromisoformat(row["valid_until"]) if row["valid_until"] else None
            for grade in row["grades"].split("|"):
                yield Entry(row["line"], grade, row["family"], date.fromisoformat(row["valid_from"]), until)


def load(session: Session) -> None:
    """Bring the table up to the vocabulary; lines that the operator added stay, and nothing is ever taken out."""
    known = {(row.line, row.grade): row for row in session.scalars(select(QualificationLine))}
    for entry in entries():
        row = known.get((entry.line, entry.grade))
        if row is None:
            key = {"line": entry.line, "grade": entry.grade, "family": entry.family}
            insert_absent(session, QualificationLine, {**key, "valid_from": entry.valid_from, "valid_until": entry.valid_until})
        else:
            row.family, row.valid_from, row.valid_until = entry.family, entry.valid_from, entry.valid_until
