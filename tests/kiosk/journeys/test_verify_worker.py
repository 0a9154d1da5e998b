"""Verifying a worker, driven through every answer, refusal, time-out and lost part; each way ends in the wipe (P05).

Each path says what visitor and world do, which records come of it and what was read last. The records are read back with the
registry's key out of the real outbox; the pages are arranged as the real window arranges them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from kiosk.cards.reader import CardFault, CardLifted, DamagedCard, ReaderStuck, UnknownCard
from kiosk.face.result import FaceFault, QualityCause
from kiosk.screens.pages import Consent, Face, Page, Touch
from kiosk.settings import VisitSettings
from kiosk.waiting import beside
from sync_agent.contract.kinds import Case, Cause, Liveness, Method, Outcome, Verification
from sync_agent.contract.logs import where_it_failed
from sync_agent.contract.parts import Nothing
from tests.kiosk.parts import FACTS, HASTY, PATIENT, PERSON, Hall, Script, hall, holder

SAME, UNSURE, OTHER = 0.2, 0.45, 0.9
"""Distances that the pack's bands call a match, a review and no match."""

Going = Callable[[Hall], Awaitable[None]]


@dataclass(frozen=True)
class Verified:
    """A verification that is expected."""

    method: Method
    outcome: Outcome
    comparisons: tuple[Outcome, ...] = ()
    quality: str = ""
    keep_photo: bool = False


@dataclass(frozen=True)
class Helped:
    """A case that is expected."""

    step: str


@dataclass(frozen=True)
class Way:
    """One way through the journey."""

    name: str
    goes: Going
    records: tuple[Verified | Helped, ...]
    read_last: tuple[str, ...]
    script: tuple[Script, ...] = ()
    visit: VisitSettings = PATIENT
    deadline_s: float = 20
    turns: int = 0


# --- what visitors do -----------------------------------------------------------------------------------------------


async def card(at: Hall) -> None:
    await at.window.says("card.place")
    at.reader.put()


async def agree(at: Hall) -> None:
    await card(at)
    await at.window.on("Consent", Touch.TICK_COMPARE)
    at.window.touch(Touch.AGREE)


async def agree_and_be_asked(at: Hall) -> None:
    await agree(at)
    await at.window.until_so(is_asked_to_turn)


def is_asked_to_turn(page: Page) -> bool:
    return isinstance(page, Face) and page.prompt is not None


def gently(first: Going, then: Going) -> Going:
    """Say that one cannot turn one's head, and do something else."""

    async def both(at: Hall) -> None:
        await first(at)
        await at.window.on("face.private", Touch.GENTLE)
        await at.window.says("face.gentle")
        await then(at)

    return both


async def refuse(at: Hall) -> None:
    await card(at)
    await at.window.on("Consent", Touch.OTHER_WAY)


async def change_ones_mind(at: Hall) -> None:
    """Tick both, untick the first, find that agreeing does nothing then, tick it again."""
    await card(at)
    await at.window.on("Consent", Touch.TICK_COMPARE, Touch.TICK_PHOTO, Touch.TICK_COMPARE)
    at.window.touch(Touch.TICK_COMPARE)
    at.window.touch(Touch.AGREE)


async def agree_and_fail(at: Hall) -> None:
    await agree(at)
    await at.window.says("result.no-match.headline")


def then(first: Going, key: str, *touches: Touch) -> Going:
    """First one thing, then touch where a message is on show."""

    async def both(at: Hall) -> None:
        await first(at)
        await at.window.on(key, *touches)

    return both


def again(key: str) -> Going:
    """Fail twice and try again each time."""

    async def all_tries(at: Hall) -> None:
        await agree(at)
        for _ in range(2):
            await at.window.on(key, Touch.AGAIN)
            await at.window.until_so(lambda page: key not in at.window.messages)

    return all_tries


def once(first: Going, change: Callable[[Hall], None]) -> Going:
    """Something is otherwise from the start."""

    async def both(at: Hall) -> None:
        change(at)
        await first(at)

    return both


def presents(*faults: type[CardFault]) -> Going:
    """Put the card down as often as it is asked for, each reading failing in its own way."""

    async def as_often(at: Hall) -> None:
        at.reader.faults.extend(faults)
        await card(at)
        for fault in faults[:2]:
            await at.window.says("card.again")
            assert fault.message in at.window.messages
            at.reader.lift()
            await card(at)

    return as_often


async def nothing(at: Hall) -> None:
    """Nobody is there."""


async def unplugged_while_awaited(at: Hall) -> None:
    await at.window.says("card.place")
    at.reader.unplug()


async def loses_camera_on_the_second_try(at: Hall) -> None:
    await agree_and_fail(at)
    at.camera.is_there = False
    at.window.touch(Touch.AGAIN)


async def leaves_when_asked_to_turn(at: Hall) -> None:
    await agree_and_be_asked(at)
    at.window.touch(Touch.LEAVE)


async def leaves_on_the_second_try(at: Hall) -> None:
    await agree_and_fail(at)
    at.window.touch(Touch.AGAIN)
    await at.window.on("face.hint.no-face", Touch.LEAVE)


async def is_asked_and_stays(at: Hall) -> None:
    """Nobody answers the consent page, then somebody says that they are still there and refuses."""
    await card(at)
    await at.window.on("StillThere", Touch.CONTINUE)
    await at.window.on("Consent", Touch.OTHER_WAY)


async def touches_done(at: Hall) -> None:
    await agree(at)
    await at.window.on("result.kept.advice", Touch.DONE)


def with_a_reader_that_sticks(at: Hall) -> None:
    at.reader.faults.append(ReaderStuck)


def with_a_reader_that_is_slow(at: Hall) -> None:
    at.reader.hangs = True


def who_turns(at: Hall) -> None:
    at.turns()


def who_turns_to_the_other_side(at: Hall) -> None:
    at.turns(as_asked=False)


def bug() -> Exception:
    """An unforeseen failure whose own text holds what no log may hold."""
    return RuntimeError(f"{PERSON.name} {PERSON.number}")


def with_a_bug_in_the_reading(at: Hall) -> None:
    at.reader.faults.append(bug)


def without_camera(at: Hall) -> None:
    at.camera.is_there = False


def with_a_camera_that_breaks(at: Hall) -> None:
    at.camera.lasts = 2


def with_a_camera_that_hangs(at: Hall) -> None:
    at.camera.hangs = True


def without_decoder(at: Hall) -> None:
    at.reader.has_decoder = False


def with_a_portrait_of_nobody(at: Hall) -> None:
    at.face.refuses = QualityCause.NO_FACE


def without_face_worker(at: Hall) -> None:
    at.face.refuses = lambda: FaceFault("FACE-02", "no model")


# --- what comes of it ------------------------------------------------------------------------------------------------

MANUAL = Verified(Method.MANUAL, Outcome.TO_CONFIRM)
FAILED = Verified(Method.FACE, Outcome.NO_MATCH, (Outcome.NO_MATCH,))
KEPT = "result.kept.advice"
ABSENT = ("card.reader-absent", "fault.advice")
HELP = ("help.headline", "help.advice")
FAULT = ("fault.headline", "fault.advice")
CONSENT = ("Consent",)
AWAY = ("StillThere",)
NO_MATCH = "result.no-match.headline"
NOT_LIVE = (Outcome.NOT_LIVE,) * 3
POOR = (Outcome.POOR_QUALITY,) * 3


def by_face(*outcomes: Outcome, quality: str = "") -> tuple[Verified, ...]:
    return (Verified(Method.FACE, outcomes[-1], outcomes, quality),)


M, N, R = Outcome.MATCH, Outcome.NO_MATCH, Outcome.REVIEW

WAYS = [
    # answers of the comparison
    Way("match", agree, by_face(M), ("result.match.headline", KEPT), (SAME,)),
    Way("match and done", touches_done, by_face(M), ("result.match.headline", KEPT), (SAME,), VisitSettings(result_s=60)),
    Way("a person decides", agree, by_face(R), ("result.review.headline", KEPT), (UNSURE,)),
    Way("three failures", again(NO_MATCH), by_face(N, N, N), (NO_MATCH, KEPT), (OTHER, OTHER, OTHER)),
    Way(
        "a failure and a match",
        then(agree, NO_MATCH, Touch.AGAIN),
        by_face(N, M),
        ("result.match.headline", KEPT),
        (OTHER, SAME),
    ),
    Way("a failure and the other way", then(agree, NO_MATCH, Touch.OTHER_WAY), by_face(N), (NO_MATCH, KEPT), (OTHER,)),
    Way(
        "no clear face three times",
        again("result.poor-quality.headline"),
        by_face(*POOR, quality="too-dark"),
        ("result.poor-quality.headline", KEPT),
        (QualityCause.TOO_DARK,) * 3,
        deadline_s=0.01,
    ),
    Way(
        "a portrait that cannot be decoded",
        once(agree, without_decoder),
        by_face(Outcome.NO_REFERENCE),
        ("result.no-reference.headline", KEPT),
    ),
    Way(
        "a portrait without a face",
        once(agree, with_a_portrait_of_nobody),
        by_face(Outcome.NO_REFERENCE, quality="no-face"),
        ("result.no-reference.headline", KEPT),
    ),
    # the challenge
    Way("turns as asked", once(agree, who_turns), by_face(M), ("result.match.headline", KEPT), (SAME,), turns=3),
    Way(
        "turns to the other side three times",
        once(again("result.not-live.headline"), who_turns_to_the_other_side),
        by_face(*NOT_LIVE, quality="other-side"),
        ("result.not-live.headline", KEPT),
        (SAME,) * 3,
        turns=1,
    ),
    Way(
        "turns to the other side and asks for a person",
        once(then(agree, "result.not-live.other-side", Touch.OTHER_WAY), who_turns_to_the_other_side),
        by_face(*NOT_LIVE[:1], quality="other-side"),
        ("result.not-live.headline", KEPT),
        (SAME,),
        turns=1,
    ),
    Way("no match is not asked to turn", then(agree, NO_MATCH, Touch.OTHER_WAY), by_face(N), (NO_MATCH, KEPT), (OTHER,), turns=2),
    Way(
        "cannot turn and says so at once",
        gently(agree, nothing),
        by_face(Outcome.TO_CONFIRM),
        ("result.to-confirm.headline", KEPT),
        (None, SAME),
        turns=2,
    ),
    Way(
        "cannot turn and says so when asked",
        gently(agree_and_be_asked, nothing),
        by_face(Outcome.TO_CONFIRM),
        ("result.to-confirm.headline", KEPT),
        (SAME, SAME),
        turns=2,
    ),
    Way(
        "cannot turn, and fails once before it goes well",
        gently(agree, then(nothing, NO_MATCH, Touch.AGAIN)),
        by_face(N, Outcome.TO_CONFIRM),
        ("result.to-confirm.headline", KEPT),
        (None, OTHER, SAME),
        turns=2,
    ),
    Way(
        "cannot turn, and the face is near the threshold",
        gently(agree, nothing),
        by_face(R),
        ("result.review.headline", KEPT),
        (None, UNSURE),
        turns=2,
    ),
    Way(
        "cannot turn, and leaves",
        gently(agree, then(nothing, "face.hint.no-face", Touch.LEAVE)),
        (),
        ("face.hint.no-face",),
        turns=1,
    ),
    Way(
        "cannot turn, and the face worker crashes",
        gently(agree, nothing),
        (MANUAL,),
        ("result.to-confirm.headline", KEPT),
        (None, lambda: FaceFault("FACE-01", "it crashed")),
        turns=1,
    ),
    Way("leaves when asked to turn", leaves_when_asked_to_turn, (), ("face.private",), (SAME,), turns=1),
    # answers of the visitor
    Way("refuses", refuse, (MANUAL,), ("result.to-confirm.headline", KEPT)),
    Way(
        "changes their mind",
        change_ones_mind,
        (Verified(Method.FACE, M, (M,), keep_photo=True),),
        ("result.match.headline", KEPT),
        (SAME,),
    ),
    # lost parts
    Way("no camera", once(agree, without_camera), (MANUAL,), ("result.to-confirm.headline", KEPT)),
    Way("the camera breaks", once(agree, with_a_camera_that_breaks), (MANUAL,), ("result.to-confirm.headline", KEPT)),
    Way("no face worker", once(agree, without_face_worker), (MANUAL,), ("result.to-confirm.headline", KEPT)),
    Way(
        "the face worker crashes",
        agree,
        (MANUAL,),
        ("result.to-confirm.headline", KEPT),
        (lambda: FaceFault("FACE-01", "it crashed"),),
    ),
    Way("the camera goes after a failure", loses_camera_on_the_second_try, (FAILED,), (NO_MATCH, KEPT), (OTHER,)),
    Way("lifted, then read", then(presents(CardLifted), "Consent", Touch.LEAVE), (), CONSENT),
    Way("unknown three times", presents(UnknownCard, UnknownCard, UnknownCard), (), ("card.unknown", "fault.advice")),
    Way("damaged three times", presents(DamagedCard, DamagedCard, DamagedCard), (), ("card.damaged", "fault.advice")),
    Way("the reader is stuck", once(card, with_a_reader_that_sticks), (), ("card.reader-stuck", "fault.advice")),
    Way("the reader goes while a card is awaited", unplugged_while_awaited, (), ABSENT),
    # leaving
    Way("leaves at the card", then(nothing, "card.place", Touch.LEAVE), (), ("card.place",)),
    Way(
        "leaves while the card is read",
        then(once(card, with_a_reader_that_is_slow), "card.reading", Touch.LEAVE),
        (),
        ("card.reading",),
    ),
    Way("leaves at the consent", then(card, "Consent", Touch.LEAVE), (), CONSENT),
    Way("leaves at the camera", then(agree, "face.hint.no-face", Touch.LEAVE), (), ("face.hint.no-face",)),
    Way(
        "leaves while the camera still opens",
        once(then(agree, "face.hint.no-face", Touch.LEAVE), with_a_camera_that_hangs),
        (),
        ("face.hint.no-face",),
    ),
    Way("leaves after a failure", then(agree, NO_MATCH, Touch.LEAVE), (FAILED,), (NO_MATCH,), (OTHER,)),
    Way("leaves on the second try", leaves_on_the_second_try, (FAILED,), ("face.hint.no-face",), (OTHER,)),
    # help
    Way("help at the card", then(nothing, "card.place", Touch.HELP), (Helped("card"),), HELP),
    Way(
        "help while the card is read",
        then(once(card, with_a_reader_that_is_slow), "card.reading", Touch.HELP),
        (Helped("card"),),
        HELP,
    ),
    Way("help at the consent", then(card, "Consent", Touch.HELP), (Helped("consent"),), HELP),
    Way("help at the camera", then(agree, "face.hint.no-face", Touch.HELP), (Helped("face"),), HELP),
    Way("help after a failure", then(agree, NO_MATCH, Touch.HELP), (FAILED, Helped("face")), HELP, (OTHER,)),
    # nobody there
    Way("idle at the card", nothing, (), AWAY, visit=HASTY),
    Way("idle at the consent", card, (), AWAY, visit=HASTY),
    Way(
        "still there at the consent",
        is_asked_and_stays,
        (MANUAL,),
        ("result.to-confirm.headline", KEPT),
        visit=VisitSettings(idle_s=0.05, still_there_s=60, result_s=0.01),
    ),
    # faults of the kiosk itself
    Way("a fault in the reading", once(card, with_a_bug_in_the_reading), (), FAULT),
    Way("a fault in the comparison", agree, (), FAULT, (bug,)),
]


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """Log as the kiosk does; `tests.planted` looks through what comes of it."""
    structlog.configure(processors=[where_it_failed, structlog.processors.JSONRenderer()])
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("way", [pytest.param(way, id=way.name) for way in WAYS])
async def test_whatever_happens_the_right_record_is_written_and_the_visitor_is_forgotten(way: Way, tmp_path: Path) -> None:
    with hall(tmp_path, *way.script, visit=way.visit, deadline_s=way.deadline_s, turns=way.turns) as at:
        async with asyncio.timeout(5), beside(at.serve()), beside(at.take_back()):
            await at.window.on("Attract", Touch.START)
            await way.goes(at)
            await at.is_over()
        assert set(way.read_last) <= at.read_last()
        check(at, way.records)
        assert at.remains() == []


def check(at: Hall, expected: tuple[Verified | Helped, ...]) -> None:
    records = at.records()
    assert len(records) == len(expected)
    for (facts, personal), wanted in zip(records, expected, strict=True):
        match wanted:
            case Helped(step):
                assert facts == Case(site="site-1", step=step, cause=Cause.HELP)
                assert personal == Nothing()
            case Verified(method, outcome, comparisons, quality, keep_photo):
                assert isinstance(facts, Verification)
                assert (facts.site, facts.card, facts.method, facts.outcome) == ("site-1", FACTS, method, outcome)
                assert tuple(one.outcome for one in facts.comparisons) == comparisons
                assert {one.quality for one in facts.comparisons} <= {quality}
                assert (facts.consent.notice, facts.consent.keep_photo) == ("3", keep_photo)
                assert facts.consent.compare or not comparisons
                assert personal == holder()


async def test_in_the_middle_of_a_visit_the_search_finds_the_visitor(tmp_path: Path) -> None:
    """The control of all the others."""
    with hall(tmp_path, SAME, visit=VisitSettings(result_s=60)) as at:
        async with asyncio.timeout(5), beside(at.serve()):
            await at.window.on("Attract", Touch.START)
            await agree(at)
            await at.window.says(KEPT)
            found = at.remains()
    assert {f"{PERSON.name} can be reached", f"{PERSON.number} can be reached", "a portrait"} <= set(found)
    assert "the screen was not wiped" in found


async def test_a_refusal_is_not_asked_about_again_and_opens_no_camera(tmp_path: Path) -> None:
    """P04."""
    with hall(tmp_path) as at:
        async with asyncio.timeout(5), beside(at.serve()), beside(at.take_back()):
            await at.window.on("Attract", Touch.START)
            await refuse(at)
            await at.is_over()
        assert [type(page) for page in at.window.shown].count(Consent) == 1
        assert at.camera.openings == 0


@pytest.mark.parametrize(("distance", "page"), [(OTHER, NO_MATCH), (SAME, KEPT)])
async def test_frames_and_vectors_are_gone_as_soon_as_the_result_is_decided(distance: float, page: str, tmp_path: Path) -> None:
    """P05, and what the notice promises: not only when the visit is over."""
    with hall(tmp_path, distance, visit=VisitSettings(result_s=60)) as at:
        async with asyncio.timeout(5), beside(at.serve()):
            await at.window.on("Attract", Touch.START)
            await agree(at)
            await at.window.says(page)
            assert (at.camera.openings, at.camera.is_open, at.window.wiped) == (1, False, 0)
            assert (at.face.forgot, at.face.portrait, at.window.pictures) == (1, None, [None])
            assert [frame for frame in at.camera.frames if frame() is not None] == []


async def test_who_cannot_turn_is_not_asked_again_and_stands_no_worse(tmp_path: Path) -> None:
    """P15: the choice is there from the first page on; once made, it holds for the visit and not for the next visitor."""
    with hall(tmp_path, None, OTHER, SAME, None, turns=2) as at:
        async with asyncio.timeout(5), beside(at.serve()), beside(at.take_back()):
            await at.window.on("Attract", Touch.START)
            await gently(agree, then(nothing, NO_MATCH, Touch.AGAIN))(at)
            await at.is_over()
            pages = [page for page in at.window.shown if isinstance(page, Face)]
            offered = [Touch.GENTLE in page.offers for page in pages]
            assert (offered[0], [is_asked_to_turn(page) for page in pages if is_asked_to_turn(page)]) == (True, [])
            assert offered == sorted(offered, reverse=True), "once it is chosen it is not offered again"
            await at.window.on("Attract", Touch.START)
            await agree(at)
            page = await at.window.until(Face)
        assert isinstance(page, Face)
        assert Touch.GENTLE in page.offers
    (record,) = (facts for facts, _ in at.records() if isinstance(facts, Verification))
    assert [one.liveness for one in record.comparisons] == [Liveness.NOT_RUN, Liveness.ATTENDANT]
