"""Where lines break."""

from __future__ import annotations

import pytest

from kiosk.screens.theme import Style
from kiosk.screens.wrapping import wrap

STYLE = Style(10)


class Ruler:
    """Ten px a Chinese character, five any other."""

    def width(self, text: str, style: Style) -> int:
        return sum(style.size if ord(letter) > 0x2E80 else style.size // 2 for letter in text)


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("一二三四五六", 60, ("一二三四五六",)),
        ("一二三四五六", 40, ("一二三", "四五六")),
        ("一二，三四五六", 60, ("一二，", "三四五六")),
        ("一二三四。", 40, ("一二", "三四。")),
        ("一二（三四）", 40, ("一二", "（三四）")),
        ("编号 A-1", 60, ("编号 A-1",)),
        ("one two three", 40, ("one two", "three")),
        ("一二\n三", 100, ("一二", "三")),
        ("ABCDEFGH", 20, ("ABCD", "EFGH")),
        ("", 20, ("",)),
    ],
)
def test_ok__lines_break_where_they_should(text: str, width: int, lines: tuple[str, ...]) -> None:
    assert wrap(text, STYLE, width, Ruler()) == lines


@pytest.mark.parametrize("width", range(30, 200, 10))
def test_no_line_begins_with_closing_or_ends_with_opening_punctuation(width: int) -> None:
    lines = wrap("请先把证件（身份证）拿开，再“重新”放上；多次不行，请找工作人员。", STYLE, width, Ruler())
    assert not [line for line in lines if line[0] in "，。；）”" or line[-1] in "（“"]
    assert all(Ruler().width(line, STYLE) <= width for line in lines)


def test_nothing_but_spaces_at_breaks_is_lost() -> None:
    text = "网络未连接，记录 A7K2-03F9 已保存。"
    assert "".join(wrap(text, STYLE, 60, Ruler())).replace(" ", "") == text.replace(" ", "")


def test_tibetan_breaks_after_the_tsheg_and_never_before_the_shad() -> None:
    lines = wrap("བཀྲ་ཤིས་བདེ་ལེགས།", STYLE, 30, Ruler())
    assert len(lines) > 1
    assert all(line[-1] in "་།" for line in lines)
    assert not [line for line in lines if line.startswith("།")]
