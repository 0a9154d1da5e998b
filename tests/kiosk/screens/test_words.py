"""The message files: complete, alike, and the platform's own sentences to the letter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kiosk
from kiosk.face.result import QualityCause
from kiosk.screens.faults import MessageFault
from kiosk.screens.pages import Text, Touch, Way, Word
from kiosk.screens.words import Language, Words, messages, offered, placeholders
from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Outcome
from tests.kiosk.screens.every_page import CARD_FAULTS, LAST

OWN_SENTENCES = {
    "card.again": "请先把证件拿开，再重新放上。",
    "result.kept.advice": "网络未连接，记录已加密保存在本机，联网后自动上报。编号 {id}。",
    "result.refused.CARD_EXPIRED": "证件已过有效期。",
    "result.refused.PERSON_MISMATCH": "证件与待核验人员不一致。",
    "button.other-way": "不同意人脸识别，改用人工核验",
}


def differences(source: dict[str, str], other: dict[str, str]) -> list[str]:
    """Say where two message files do not agree."""
    keys = [f"{key}: only in one" for key in source.keys() ^ other.keys()]
    places = [key for key in source.keys() & other.keys() if placeholders(source[key]) != placeholders(other[key])]
    return keys + [f"{key}: other places" for key in places]


@pytest.mark.parametrize("language", [each for each in offered() if each is not Language.CHINESE])
def test_every_language_has_the_keys_and_places_of_chinese(language: Language) -> None:
    assert differences(messages(Language.CHINESE), messages(language)) == []


def test_a_missing_key_and_a_lost_place_would_be_found() -> None:
    found = differences({"a": "{n} left", "b": "x"}, {"a": "left", "c": "x"})
    assert sorted(found) == ["a: other places", "b: only in one", "c: only in one"]


def test_chinese_and_english_are_offered_and_tibetan_waits_for_its_reviewer() -> None:
    assert {Language.CHINESE, Language.ENGLISH} <= set(offered())
    if Language.TIBETAN not in offered():
        assert Words(Language.TIBETAN).say(Text("card.place")) == messages(Language.CHINESE)["card.place"]


@pytest.mark.parametrize(("key", "sentence"), OWN_SENTENCES.items())
def test_the_platforms_own_sentences_are_kept_to_the_letter(key: str, sentence: str) -> None:
    assert messages(Language.CHINESE)[key] == sentence


def test_headline_and_advice_of_a_failed_comparison_together_are_m15() -> None:
    zh = messages(Language.CHINESE)
    assert f"{zh['result.no-match.headline']}：{zh['result.no-match.advice']}" == (
        "比对不通过：现场相貌与证件照片差异较大。请摘下口罩/墨镜，正对镜头，避开强光。还可尝试 {n} 次，或选择人工核验。"
    )


@pytest.mark.parametrize("key", ["card.reader-absent", "card.reader-stuck"])
def test_a_silent_reader_is_m13_with_its_cause(key: str) -> None:
    assert re.fullmatch(r"读卡器没有反应：.+。工作人员已收到提示。", messages(Language.CHINESE)[key])


def test_everything_that_can_be_named_has_words() -> None:
    wanted = {
        *(f"face.hint.{cause}" for cause in QualityCause),
        *(f"face.ask.{way}" for way in Way),
        *CARD_FAULTS,
        *(f"result.refused.{code}" for code in Code),
        *(f"result.{outcome}.headline" for outcome in Outcome),
        *(f"result.{outcome}.advice" for outcome in Outcome if outcome not in LAST),
        *(f"word.{word}" for word in Word),
        *(f"button.{touch}" for touch in Touch if not touch.startswith("tick-")),
    }
    assert wanted - messages(Language.CHINESE).keys() == set()


def test_every_message_that_the_kiosk_names_is_there() -> None:
    root = Path(kiosk.__file__).parent
    literal = re.compile(r'\bText\(\s*"([a-z][a-zA-Z0-9.-]+)"|"(result\.[a-z-]+\.[a-zA-Z_-]+)"')
    named = {a or b for file in root.rglob("*.py") for a, b in literal.findall(file.read_text(encoding="utf-8"))}
    assert len(named) > 10
    assert named - messages(Language.CHINESE).keys() == set()


def test_arguments_are_filled_in_and_braces_in_them_are_left_alone() -> None:
    words = Words(Language.CHINESE)
    assert words.say(Text("result.number", {"number": "A-1"})) == "编号 A-1"
    assert words.say(Text("result.number", {"number": "{x}"})) == "编号 {x}"


def test_an_unknown_message_is_an_error_with_its_key() -> None:
    with pytest.raises(MessageFault, match=r"SCREEN-03.*no\.such\.key"):
        Words(Language.ENGLISH).say(Text("no.such.key"))


def test_a_missing_argument_is_an_error_that_names_no_value() -> None:
    with pytest.raises(MessageFault, match=r"result\.who.*number") as caught:
        Words(Language.ENGLISH).say(Text("result.who", {"name": "测试人"}))
    assert "测试人" not in str(caught.value)
