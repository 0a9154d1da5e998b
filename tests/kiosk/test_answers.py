"""What the visitor is told: no word before it is true, and always a number to ask by."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from kiosk.answers import not_passed, result, slip_standing
from kiosk.face.result import LivenessCause
from kiosk.screens.pages import Result, Sign, Text, Touch, Word
from kiosk.screens.words import Language, Words
from kiosk.uplink.outbox import Filed, Progress
from kiosk.uplink.store import State
from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Comparison, Liveness, Outcome
from sync_agent.contract.receipts import Standing

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
FILED = Filed(17, "kiosk-01-0123-17", UUID("019aaf52-6f00-7cc0-8000-0123456789ab"), "verification", NOW, "0123456789abcdef")
WHO = Text("result.who", {"name": "扎*顿珠", "number": "540102********0011"})


def progress(state: State, standing: Standing | None = None, code: Code | None = None, *, effective: bool = False) -> Progress:
    case = "000007" if standing is Standing.IN_REVIEW else None
    return Progress(state, standing, code, NOW if effective else None, case, None)


def told(how: Progress, outcome: Outcome = Outcome.MATCH, *, is_connected: bool = True) -> Result:
    return result(how, FILED, outcome, WHO, is_connected=is_connected)


def test_accepted_and_effective_lights_all_three_words() -> None:
    page = told(progress(State.ANSWERED, Standing.ACCEPTED, effective=True))
    assert (page.sign, page.words) == (Sign.TICK, frozenset(Word))


def test_accepted_but_not_yet_effective_lights_two() -> None:
    page = told(progress(State.ANSWERED, Standing.ACCEPTED))
    assert page.words == frozenset({Word.RECEIVED, Word.ACCEPTED})


def test_received_lights_one() -> None:
    assert told(progress(State.RECEIVED)).words == frozenset({Word.RECEIVED})


def test_offline_lights_none_and_says_m70_with_the_number() -> None:
    page = told(progress(State.WAITING), is_connected=False)
    assert page.words == frozenset()
    assert Words(Language.CHINESE).say(page.advice) == (
        "网络未连接，记录已加密保存在本机，联网后自动上报。编号 kiosk-01-0123-17。"
    )


def test_a_silent_centre_is_not_called_a_lost_network() -> None:
    assert "网络未连接" not in Words(Language.CHINESE).say(told(progress(State.WAITING)).advice)


def test_a_failed_match_ends_with_a_person_and_the_number_of_the_case() -> None:
    page = told(progress(State.ANSWERED, Standing.IN_REVIEW), Outcome.NO_MATCH)
    assert (page.sign, page.number) == (Sign.PERSON, "000007")
    assert Words(Language.CHINESE).say(page.headline) == "比对不通过"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (progress(State.ANSWERED, Standing.ACCEPTED, effective=True), "effective"),
        (progress(State.ANSWERED, Standing.ACCEPTED), "accepted"),
        (progress(State.ANSWERED, Standing.REFUSED, Code.CARD_EXPIRED), "refused"),
        (progress(State.ANSWERED, Standing.IN_REVIEW), "in-review"),
        (progress(State.RECEIVED), "received"),
        (progress(State.REJECTED), "rejected"),
        (progress(State.WAITING), "kept"),
    ],
)
def test_the_slip_says_no_more_than_is_true(how: Progress, said: str) -> None:
    assert slip_standing(how) == said


@pytest.mark.parametrize("code", Code)
@pytest.mark.parametrize("language", [Language.CHINESE, Language.ENGLISH])
def test_every_refusal_has_its_own_words(code: Code, language: Language) -> None:
    page = told(progress(State.ANSWERED, Standing.REFUSED, code))
    assert page.sign is Sign.CROSS
    assert Words(language).say(page.advice) != Words(language).say(Text("result.refused.unknown"))


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("language", [Language.CHINESE, Language.ENGLISH])
def test_whatever_happens_there_are_words_for_it(outcome: Outcome, state: State, language: Language) -> None:
    for standing in (*Standing, None):
        page = told(progress(state, standing), outcome)
        for text in (page.headline, page.advice):
            assert Words(language).say(text)
        assert page.number


def advice_after(outcome: Outcome, quality: str) -> str:
    comparison = Comparison(
        outcome=outcome,
        distance=0.2,
        accept_at=0.4,
        review_at=0.5,
        pack="dlib",
        pack_sha256="0" * 64,
        liveness=Liveness.FAILED,
        quality=quality,
        frames=5,
    )
    page = not_passed(comparison, 2)
    assert {Touch.AGAIN, Touch.OTHER_WAY, Touch.HELP, Touch.LEAVE} == set(page.offers)
    assert page.advice.args["n"] == "2"
    return page.advice.key


@pytest.mark.parametrize("cause", ["too-late", "other-side", "face-lost", "two-faces", "face-jumped"])
def test_who_can_do_better_in_a_challenge_is_told_how(cause: str) -> None:
    assert advice_after(Outcome.NOT_LIVE, LivenessCause(cause)) == f"result.not-live.{cause}"


@pytest.mark.parametrize("cause", [LivenessCause.STRANGER, LivenessCause.FLAT, LivenessCause.LIFELESS])
def test_what_gave_a_picture_away_is_not_told(cause: LivenessCause) -> None:
    assert advice_after(Outcome.NOT_LIVE, cause) == "result.not-live.advice"


@pytest.mark.parametrize(
    ("outcome", "quality"),
    [
        (Outcome.NO_MATCH, ""),
        (Outcome.WRONG_PERSON, ""),
        (Outcome.POOR_QUALITY, "two-faces"),
        (Outcome.NOT_LIVE, "of a later kind"),
    ],
)
def test_every_other_failed_try_has_the_advice_of_its_outcome(outcome: Outcome, quality: str) -> None:
    assert advice_after(outcome, quality) == f"result.{outcome}.advice"
