from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

import pytest

from kiosk.face.result import LivenessCause
from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import KINDS, Cause, Direction, Liveness, LivenessCheck, Outcome, PartState, Scoring
from sync_agent.contract.receipts import Standing
from sync_agent.fleet.presence import Presence
from sync_agent.registry.tables import AbnormalCode
from sync_agent.web import words
from sync_agent.web.board import Answer
from sync_agent.web.words import Language

ENUMERATIONS: dict[str, type[StrEnum]] = {
    "abnormal": AbnormalCode,  # S50: each code has words
    "answer": Answer,
    "answer-hint": Answer,
    "cause": Cause,
    "check": LivenessCheck,
    "code": Code,
    "direction": Direction,
    "failed-by": LivenessCause,
    "liveness": Liveness,
    "outcome": Outcome,
    "part-state": PartState,
    "presence": Presence,
    "scoring": Scoring,
    "standing": Standing,
}


def named_in_templates() -> set[str]:
    templates = (words.FOLDER.parent / "templates").glob("*.html")
    return {key for path in templates for key in re.findall(r'say\("([a-z-]+\.[a-z-]+)"', path.read_text())}


@pytest.mark.parametrize("language", Language)
def test_everything_the_page_can_say_has_words(language: Language) -> None:
    wanted = {f"{group}.{word}" for group, kind in ENUMERATIONS.items() for word in kind}
    wanted |= {f"kind.{kind}" for kind in KINDS} | named_in_templates()
    wanted |= {"reason.parts", "reason.late", "reason.cut", "reason.mute"}
    assert wanted - words.load(language).keys() == set()


def test_every_language_says_the_same_things_with_the_same_values() -> None:
    first, *others = (words.load(language) for language in Language)
    for other in others:
        assert other.keys() == first.keys()
        assert {key for key in first.keys() if places(first._words[key]) != places(other._words[key])} == set()  # noqa: SIM118 - not a dict


def places(text: str) -> Iterable[str]:
    return set(re.findall(r"\{[a-z]*\}", text))


def test_a_word_that_nobody_wrote_down_is_shown_as_it_came() -> None:
    assert words.load(Language.ZH)("part.fingerprint") == "fingerprint"
