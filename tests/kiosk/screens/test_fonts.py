"""The fonts are the right ones, cover every message, and say what to install when they are missing."""

from __future__ import annotations

from pathlib import Path

import pygame
import pytest

from kiosk.screens import theme
from kiosk.screens.faults import FontMissing
from kiosk.screens.fonts import Fonts, Script, runs
from kiosk.screens.theme import Style
from kiosk.screens.words import OWN_NAME, Language, messages, offered
from tests.kiosk.screens.glyphs import covered

FOLDER = Path("/usr/share/fonts")


def drawn(surface: pygame.Surface) -> bytes:
    return pygame.image.tobytes(surface, "RGBA")


def test_the_chinese_face_is_the_simplified_one_and_not_the_first(fonts: Fonts) -> None:
    japanese = pygame.font.Font(FOLDER / Script.CHINESE.file.format("Regular"), 64)
    assert japanese.name == "Noto Sans CJK JP"
    # Characters that are drawn alike in both faces are the control: only the shapes differ, not the way of drawing.
    assert alike(fonts, japanese, "一")
    assert not alike(fonts, japanese, "骨")


def alike(fonts: Fonts, other: pygame.font.Font, letter: str) -> bool:
    """Whether two fonts draw a character in the same shape."""
    ours, theirs = fonts.render(letter, Style(64), theme.INK), other.render(letter, True, theme.INK)
    return drawn(ours.subsurface(ours.get_bounding_rect())) == drawn(theirs.subsurface(theirs.get_bounding_rect()))


@pytest.mark.parametrize("weight", ["Regular", "Bold"])
@pytest.mark.parametrize("language", offered())
def test_every_character_of_every_message_has_a_glyph(language: Language, weight: str) -> None:
    has = {script: covered((FOLDER / script.file.format(weight)).read_bytes()) for script in Script}
    said = "".join(messages(language).values()) + OWN_NAME[language]
    missing = {letter for script, run in runs(said) for letter in run if ord(letter) not in has[script] and letter != "\n"}
    assert missing == set()


def test_a_character_without_a_glyph_would_be_found() -> None:
    has = covered((FOLDER / Script.CHINESE.file.format("Regular")).read_bytes())
    assert ord("骨") in has
    assert ord("ཀ") not in has


def test_tibetan_is_shaped_into_stacks(fonts: Fonts) -> None:
    style = Style(51)  # 1.25 times as large in Tibetan: 64 px
    assert fonts.width("བརྒྱུད་", style) == pytest.approx(136, abs=3)
    assert fonts.width("རྩྭ་", style) == pytest.approx(60, abs=3)


def test_a_line_is_split_where_the_script_changes() -> None:
    assert list(runs("编号 7 བོད་ཡིག 完")) == [
        (Script.CHINESE, "编号 7 "),
        (Script.TIBETAN, "བོད་ཡིག"),
        (Script.CHINESE, " 完"),
    ]


def test_fail__a_missing_font_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(FontMissing, match=r"SCREEN-02.*apt install fonts-noto-cjk"):
        Fonts(tmp_path)


@pytest.mark.parametrize("other", ["opentype/noto/NotoSerifCJK-Regular.ttc", "truetype/noto/NotoSans-Regular.ttf"])
def test_fail__another_font_under_the_name_is_refused(tmp_path: Path, other: str) -> None:
    for weight in ("Regular", "Bold"):
        path = tmp_path / Script.CHINESE.file.format(weight)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(FOLDER / other)
    with pytest.raises(FontMissing, match=r"Noto Sans CJK SC.*fonts-noto-cjk"):
        Fonts(tmp_path)


@pytest.mark.parametrize("size", [0, 10, 3_000, 5_000_000], ids=["empty", "ten bytes", "header only", "half"])
def test_fail__a_file_that_is_cut_short_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / Script.CHINESE.file.format("Regular")
    path.parent.mkdir(parents=True)
    path.write_bytes((FOLDER / Script.CHINESE.file.format("Regular")).read_bytes()[:size])
    with pytest.raises(FontMissing, match="SCREEN-02"):
        Fonts(tmp_path)


def test_fail__bytes_that_are_no_font_are_refused(tmp_path: Path) -> None:
    path = tmp_path / Script.CHINESE.file.format("Regular")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a font")
    with pytest.raises(FontMissing, match="is no font or is cut short"):
        Fonts(tmp_path)
