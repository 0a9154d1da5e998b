"""What is said of a slip, in each language; the words themselves are data."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Final

from sync_agent.contract.slip import Slip, Verdict

FOLDER: Final = Path(__file__).parent / "words"


class Language(StrEnum):
    """The languages; the first is the default."""

    ZH = "zh"
    EN = "en"


Words = dict[str, dict[str, str]]
"""Groups of words by their key."""


def load(language: Language) -> Words:
    """Read the words of a language."""
    words: Words = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    return words


def proven(slip: Slip, language: Language) -> str:
    """Say in plain words what a slip proves."""
    words, entry = load(language), slip.entry
    said = {
        "kind": words["kind"][entry.kind],
        "outcome": words["outcome"][entry.outcome] if entry.outcome else "",
        "standing": words["standing"][entry.standing],
        "time": f"{entry.at:%Y-%m-%d %H:%M:%S} UTC",
        "device": slip.device,
        "site": slip.site,
        "record": str(entry.record),
    }
    colon = "：" if language is Language.ZH else ": "
    lines = [words["field"][key] + colon + value for key, value in said.items() if value]
    return "\n".join([words["verdict"]["good"], words["meaning"]["good"], "", *lines, "", words["field"]["note"]])


def refused(verdict: Verdict, language: Language) -> str:
    """Say in plain words why a text proves nothing."""
    words = load(language)
    return f"{words['verdict'][verdict]}\n{words['meaning'][verdict]}"
