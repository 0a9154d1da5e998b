"""Draws the staff page from a board: the whole page once, then the sections that change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sync_agent.fleet.presence import Presence, Seen
from sync_agent.web import words
from sync_agent.web.board import Board
from sync_agent.web.words import Language, Words

SECTIONS: Final = ("trouble", "tally", "devices", "records")
"""Parts of the page that are sent again when they change, by the name of their event."""


class Page:
    """Draws in every language. One object a process; may be used from any thread."""

    def __init__(self, tenant: str, zone: ZoneInfo, asset_mark: str) -> None:
        """Load templates and words.

        Args:
            tenant: the operator, shown in the head.
            zone: in which times are shown.
            asset_mark: goes into the addresses of assets, so that a new release is fetched anew.
        """
        self._zone = zone
        self._words = {language: words.load(language) for language in Language}
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {
            "tenant": tenant,
            "mark": asset_mark,
            "languages": list(Language),
            "when": self._when,
            "clock": self._clock,
        }

    def whole(self, board: Board | None, *, is_stale: bool, language: Language) -> str:
        """Return the page as HTML."""
        sections = {name: Markup(html) for name, html in self.sections(board, is_stale=is_stale, language=language).items()}
        return self._draw("page.html", language, sections=sections)

    def sections(self, board: Board | None, *, is_stale: bool, language: Language) -> Mapping[str, str]:
        """Return every section as HTML.

        Args:
            board: what to show; None where nothing could be read yet.
            is_stale: the database does not answer, and `board` is what was read last.
            language: of the words.
        """
        return {
            name: ""
            if board is None and name != "trouble"
            else self._draw(f"{name}.html", language, board=board, is_stale=is_stale)
            for name in SECTIONS
        }

    def _draw(self, template: str, language: Language, **values: object) -> str:
        say = self._words[language]
        return self._templates.get_template(template).render(
            say=say, language=language, reason=lambda seen: _reason(say, seen), **values
        )

    def _when(self, moment: datetime) -> Markup:
        """Return day and time in the registry's zone; the whole date stands in the title."""
        return self._marked(moment, "%m-%d %H:%M:%S")

    def _clock(self, moment: datetime) -> Markup:
        """Return the time of day in the registry's zone."""
        return self._marked(moment, "%H:%M:%S")

    def _marked(self, moment: datetime, form: str) -> Markup:
        local = moment.astimezone(self._zone)
        title = f"{local:%Y-%m-%d %H:%M:%S %Z}"
        return Markup('<time datetime="{}" title="{}">{}</time>').format(moment.isoformat(), title, local.strftime(form))


def _reason(say: Words, seen: Seen) -> str:
    """Say why a device is not well."""
    reasons = []
    if seen.parts:
        names = ("、" if say.language is Language.ZH else ", ").join(say(f"part.{name}") for name in seen.parts)
        reasons.append(say("reason.parts", parts=names))
    if seen.is_late:
        reasons.append(say("reason.late"))
    if seen.presence is Presence.SILENT:
        reasons.append(say("reason.cut" if seen.is_cut else "reason.mute"))
    return ("，" if say.language is Language.ZH else ", ").join(reasons)
