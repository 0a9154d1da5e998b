"""What the staff page says, in each language; the words themselves are data."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

FOLDER: Final = Path(__file__).parent / "words"


class Language(StrEnum):
    """The languages of the page; the first is the default."""

    ZH = "zh"
    EN = "en"


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language."""

    language: Language
    _words: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return the words for a key, for instance ``tally.missing``; an unknown key is shown as its last part.

        What devices and later releases bring, such as the name of a new part, has no words yet and must still show.
        """
        words = self._words.get(key)
        return key.rsplit(".", 1)[-1] if words is None else words.format(**values)

    def keys(self) -> frozenset[str]:
        """Return every key that has words."""
        return frozenset(self._words)


def load(language: Language) -> Words:
    """Read the words of a language."""
    groups = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    flat = {f"{group}.{key}": text for group, words in groups.items() for key, text in words.items()}
    return Words(language, MappingProxyType(flat))
