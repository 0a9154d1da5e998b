"""What the pages say, in each language: message files with the same keys, Chinese as the source.

`words/zh.toml` and `words/en.toml` are there. `words/bo.toml` is to come from a native reviewer (see words/README.md): unchecked
Tibetan is worse than Chinese. As soon as the file is there the language is offered; a key that it lacks is said in Chinese.
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib import resources
from typing import Any, Final

from kiosk.screens.faults import MessageFault
from kiosk.screens.pages import Text


class Language(StrEnum):
    """Languages of the screen, in the order in which they are offered."""

    CHINESE = "zh"
    TIBETAN = "bo"
    ENGLISH = "en"


OWN_NAME: Final[Mapping[Language, str]] = {
    Language.CHINESE: "中文",
    Language.TIBETAN: "བོད་ཡིག",
    Language.ENGLISH: "English",
}
"""What each language calls itself; a language button is always in its own script."""


class Words:
    """The messages of one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._messages = messages(Language.CHINESE) | messages(language)

    def say(self, text: Text) -> str:
        """Return the words of `text` with its arguments filled in.

        Raises:
            MessageFault: there is no such message, or it needs an argument that is not given. Arguments to spare are let be.
        """
        message = self._messages.get(text.key)
        if message is None:
            raise MessageFault(f"no message {text.key!r} in words/{Language.CHINESE}.toml")
        missing = placeholders(message) - set(text.args)
        if missing:
            # Names only: values may be personal.
            raise MessageFault(f"message {text.key!r} needs {sorted(missing)} and was given {sorted(text.args)}")
        return message.format_map(text.args)


def offered() -> tuple[Language, ...]:
    """Return the languages that have a message file."""
    return tuple(language for language in Language if _file(language).is_file())


def messages(language: Language) -> dict[str, str]:
    """Return the messages of one language's file by key; empty where there is no file yet."""
    file = _file(language)
    return dict(_flat("", tomllib.loads(file.read_text(encoding="utf-8")))) if file.is_file() else {}


def placeholders(message: str) -> set[str]:
    """Return the names that a message has places for."""
    return {name for _, name, _, _ in string.Formatter().parse(message) if name is not None}


def _file(language: Language) -> resources.abc.Traversable:
    return resources.files("kiosk.screens").joinpath("words", f"{language}.toml")


def _flat(prefix: str, table: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", str(value)
