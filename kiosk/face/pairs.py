"""Lists of pairs and labels as CSV files, and who is who in them."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SAME: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_MOST_LINES: Final = 5_000_000


class BadList(Exception):
    """A list cannot be used: which line, why, and what it should say. Permanent until somebody mends it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures: the portrait's side, the camera's side, and whether they show one person."""

    portrait: Path
    probe: Path
    same: bool


def read_pairs(path: Path) -> list[Pair]:
    """Read a list of pairs: columns img1 (the portrait), img2 (the photo) and same (1 or 0); paths relative to the list.

    Raises:
        BadList: it cannot be read, or a line is not as it should be.
    """
    pairs = []
    for number, row in _rows(path, ("img1", "img2", "same")):
        same = _SAME.get(row["same"].strip().lower())
        if same is None:
            raise BadList(f"list {path.name!r}, line {number}: `same` must be 1 or 0")
        pairs.append(Pair(path.parent / row["img1"], path.parent / row["img2"], same))
    if not pairs:
        raise BadList(f"list {path.name!r} holds no pairs")
    return pairs


def read_labels(path: Path) -> dict[Path, str]:
    """Read the groups of pictures: columns img and group; paths relative to the list.

    Raises:
        BadList: it cannot be read, or a line is not as it should be.
    """
    labels: dict[Path, str] = {}
    for number, row in _rows(path, ("img", "group")):
        group = row["group"].strip()
        if not 0 < len(group) <= 64 or not group.isprintable():
            raise BadList(f"list {path.name!r}, line {number}: a group is a name of 1 to 64 characters")
        labels[path.parent / row["img"]] = group
    return labels


def people_in(pairs: Sequence[Pair]) -> dict[Path, int]:
    """Return who is on each picture, as a number: pictures that pairs of one person link show one person.

    Raises:
        BadList: a pair of strangers is linked so.
    """
    root: dict[Path, Path] = {}

    def of(picture: Path) -> Path:
        while root.setdefault(picture, picture) != picture:
            root[picture] = root[root[picture]]
            picture = root[picture]
        return picture

    for pair in pairs:
        one, other = of(pair.portrait), of(pair.probe)
        if pair.same:
            root[one] = other
    for number, pair in enumerate(pairs, start=1):
        if not pair.same and of(pair.portrait) == of(pair.probe):
            raise BadList(f"pair {number} is of strangers, but other pairs say that its pictures show one person")
    numbers: dict[Path, int] = {}
    return {picture: numbers.setdefault(of(picture), len(numbers)) for picture in list(root)}


def sha256_of(pairs: Sequence[Pair], labels: dict[Path, str]) -> str:
    """Return a hash of what the pairs show, whatever the pictures are called and in which order the pairs come.

    Args:
        pairs: which; a picture that cannot be read counts as empty.
        labels: groups of pictures.
    """
    contents: dict[Path, str] = {}
    for picture in dict.fromkeys(picture for pair in pairs for picture in (pair.portrait, pair.probe)):
        content = hashlib.sha256(picture.read_bytes() if picture.is_file() else b"").hexdigest()
        contents[picture] = f"{content} {labels.get(picture, '')}"
    lines = sorted(f"{contents[pair.portrait]} {contents[pair.probe]} {int(pair.same)}" for pair in pairs)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the lines of a list with their numbers.

    Raises:
        BadList: it cannot be read, lacks a column, or a line is too short.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if missing := [name for name in columns if name not in (rows.fieldnames or ())]:
                raise BadList(
                    f"list {path.name!r} has no column {', '.join(missing)}; its first line must name {', '.join(columns)}"
                )
            for row in rows:
                if rows.line_num > _MOST_LINES:
                    raise BadList(f"list {path.name!r} has more than {_MOST_LINES} lines")
                if any(not row[name] for name in columns):
                    raise BadList(f"list {path.name!r}, line {rows.line_num}: {', '.join(columns)} are needed")
                yield rows.line_num, row
    except OSError as err:
        raise BadList(f"list {path.name!r} cannot be read: {err.strerror}") from err
    except (UnicodeDecodeError, csv.Error) as err:
        raise BadList(f"list {path.name!r} is no CSV file in UTF-8: {type(err).__name__}") from err
