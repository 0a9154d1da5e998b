"""Fonts by script: Noto Sans CJK in its Simplified Chinese face, Noto Serif Tibetan with its shaping; one baseline for both."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Final

import pygame.font
from pygame import SRCALPHA, Surface

from kiosk.screens.faults import FontMissing
from kiosk.screens.theme import Colour, Style

_FOLDER: Final = Path("/usr/share/fonts")
_SC: Final = "Noto Sans CJK SC"
_BO: Final = "Noto Serif Tibetan"
_TIBETAN: Final = re.compile(r"([\u0f00-\u0fff]+)")
_TIBETAN_SCALE: Final = 1.25
"""Tibetan reads alike at 1.25 times the Chinese size."""
_CHINESE_ASCENT: Final = 0.88
"""Of the ideographic box above the baseline, em."""


class Script(Enum):
    """A script with its font: Debian package, file by weight, name that the font must give itself."""

    CHINESE = ("fonts-noto-cjk", "opentype/noto/NotoSansCJK-{}.ttc", _SC)
    TIBETAN = ("fonts-noto-core", "truetype/noto/NotoSerifTibetan-{}.ttf", _BO)

    def __init__(self, package: str, file: str, family: str) -> None:
        self.package = package
        self.file = file
        self.family = family


class Fonts:
    """Measures and renders lines of text; a font is opened when it is first needed and kept."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        """Open the Chinese fonts.

        Args:
            folder: where Debian's font packages put their files.

        Raises:
            FontMissing: a file is not there or is not the font it should be.
        """
        pygame.font.init()
        self._folder = folder
        self._files: dict[tuple[Script, bool], bytes] = {}
        self._fonts: dict[tuple[Script, Style], pygame.font.Font] = {}
        for bold in (False, True):
            self._font(Script.CHINESE, Style(28, bold))

    def width(self, text: str, style: Style) -> int:
        """Return the width of one line of text, px."""
        return sum(font.size(run)[0] for font, run in self._set(text, style))

    def render(self, text: str, style: Style, colour: Colour) -> Surface:
        """Return one line of text as a transparent surface, `style.line_height` high (more where a script needs it)."""
        pieces = [(font, font.render(run, True, colour)) for font, run in self._set(text, style)]
        baseline = round((style.line_height - style.size) / 2 + _CHINESE_ASCENT * style.size)
        canvas = Surface((max(1, sum(p.get_width() for _, p in pieces)), style.line_height), SRCALPHA)
        # One colour everywhere, so that the blend of transparent edges stays in it.
        canvas.fill((*colour, 0))
        x = 0
        for font, piece in pieces:
            canvas.blit(piece, (x, baseline - font.get_ascent()))
            x += piece.get_width()
        return canvas

    def _set(self, text: str, style: Style) -> Iterator[tuple[pygame.font.Font, str]]:
        return ((self._font(script, style), run) for script, run in runs(text))

    def _font(self, script: Script, style: Style) -> pygame.font.Font:
        font = self._fonts.get((script, style))
        if font is None:
            font = self._open(script, style)
            self._fonts[script, style] = font
        return font

    def _open(self, script: Script, style: Style) -> pygame.font.Font:
        path = self._folder / script.file.format("Bold" if style.bold else "Regular")
        data = self._files.get((script, style.bold))
        if data is None:
            try:
                data = path.read_bytes()
            except OSError as err:
                raise FontMissing(
                    f"font {path} cannot be read ({err.strerror}). Install it: apt install {script.package}"
                ) from err
            data = _face(data, script, path)
            self._files[script, style.bold] = data
        size = round(style.size * (_TIBETAN_SCALE if script is Script.TIBETAN else 1))
        font = pygame.font.Font(io.BytesIO(data), size)
        if font.name != script.family:
            raise FontMissing(
                f"font {path} opens as {font.name!r}, not {script.family!r}. Reinstall: apt install {script.package}"
            )
        if script is Script.TIBETAN:
            # Without it the stacks come apart in ways a non-reader misses.
            font.set_script("Tibt")
        return font


def runs(text: str) -> Iterator[tuple[Script, str]]:
    """Split a line where the script changes, for no font has both."""
    for piece in _TIBETAN.split(text):
        if piece:
            yield (Script.TIBETAN if _TIBETAN.fullmatch(piece) else Script.CHINESE), piece


def _face(data: bytes, script: Script, path: Path) -> bytes:
    """Return a font file, or a collection turned so that its first face is the one named `script.family`.

    pygame opens face 0 only, which is the Japanese one: 骨 直 令 复 返 take Japanese shapes. The face is found by its name
    and its offset written into the first slot of the header (OpenType 1.9, "TTC header"). The file is checked here because
    pygame-ce 2.5.8 crashes the process on bytes that are not a font.

    Raises:
        FontMissing: it is cut short, is no font, or has no face of that name.
    """
    try:
        if data[:4] != b"ttcf":
            if script.family in _families(data, 0):
                return data
        else:
            (count,) = struct.unpack_from(">I", data, 8)
            for offset in struct.unpack_from(f">{count}I", data, 12):
                if script.family in _families(data, offset):
                    return data[:12] + struct.pack(">I", offset) + data[16:]
    except (struct.error, UnicodeDecodeError) as err:
        raise FontMissing(f"font {path} is no font or is cut short. Reinstall it: apt install {script.package}") from err
    raise FontMissing(f"font {path} has no face named {script.family!r}. Reinstall it: apt install {script.package}")


def _families(data: bytes, offset: int) -> set[str]:
    """Return the family names (name id 1, Windows platform) of the face at `offset`.

    Raises:
        struct.error: a table goes beyond the end of the file.
    """
    found: set[str] = set()
    (tables,) = struct.unpack_from(">H", data, offset + 4)
    for index in range(tables):
        tag, _, start, size = struct.unpack_from(">4sIII", data, offset + 12 + 16 * index)
        # Its last byte must be there.
        struct.unpack_from(">B", data, start + max(0, size - 1))
        if tag != b"name":
            continue
        _, records, strings = struct.unpack_from(">HHH", data, start)
        for record in range(records):
            platform, _, _, name, length, at = struct.unpack_from(">6H", data, start + 6 + 12 * record)
            if platform == 3 and name == 1:
                found.add(data[start + strings + at : start + strings + at + length].decode("utf-16-be"))
    return found
