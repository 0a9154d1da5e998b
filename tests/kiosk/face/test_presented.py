"""The liveness test against synthetic people and attacks, through the real networks.

All of it is synthetic: a photograph turned as a head, as paper, as a cut film. It shows that each check stops what it is there
for, and, with that check left out, that nothing else had stopped it. It shows nothing of real attacks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from kiosk.cameras.base import Frame
from kiosk.cards.document import Portrait
from kiosk.face import continuity
from kiosk.face import verify as verify_module
from kiosk.face.evaluate_challenge import Watched, put_to_test, read_clips, watch
from kiosk.face.given import Likeness, Pictured
from kiosk.face.liveness import EVERY_CHECK
from kiosk.face.matcher import Matcher
from kiosk.face.result import Ask, Glimpse, LivenessCause, QualityCause, Step
from kiosk.face.tally import Standard
from kiosk.face.verify import verify
from kiosk.face.way import Way
from kiosk.settings import FaceSettings
from models.load import Pack
from models.spec import PlanaritySpec
from sync_agent.contract.kinds import Comparison, Condition, Liveness, LivenessCheck, Outcome
from system.simulate import presenting
from system.simulate.film import head_of
from system.simulate.presenting import SIDES, Cast, Kind, Presenter, another, frames, make_clips
from tests.kiosk.face.conftest import Chip
from tests.kiosk.face.given_packs import of_yunet

FPS = 6
TURN_S = 6.0
ALWAYS = (LivenessCheck.CHALLENGE, LivenessCheck.IDENTITY, LivenessCheck.CONTINUITY)
STOPPED_BY = {
    Kind.FLAT: (LivenessCheck.CHALLENGE, {LivenessCause.LATE}),
    Kind.BENT: (LivenessCheck.CHALLENGE, {LivenessCause.LATE}),
    Kind.CUT_OUT: (LivenessCheck.CHALLENGE, {LivenessCause.LATE, LivenessCause.OTHER_SIDE}),
    Kind.REPLAY: (LivenessCheck.CHALLENGE, {LivenessCause.OTHER_SIDE}),
    Kind.SPLICE: (LivenessCheck.IDENTITY, {LivenessCause.STRANGER}),
    Kind.MOVED: (LivenessCheck.CONTINUITY, {LivenessCause.JUMPED}),
    Kind.STILLS: (LivenessCheck.CONTINUITY, {LivenessCause.LATE, LivenessCause.OTHER_SIDE}),
    Kind.STILLS_GAP: (LivenessCheck.CONTINUITY, {LivenessCause.LOST}),
}

pytestmark = pytest.mark.slow


def presenter(kind: Kind, sides: tuple[Ask, ...], seed: int = 0) -> Presenter:
    return Presenter(kind, Cast(head_of("right"), head_of("impostor")), seed, another(sides))


def standard(pack: Pack) -> Standard:
    return Standard.of(pack, Condition.CHIP, None)


Seen = Callable[[Kind], Watched]


@pytest.fixture(scope="module")
def seen(pack: Pack, loaded: Matcher, chip: Chip) -> Seen:
    """What the frames of each presentation give, made once."""

    @cache
    def of(kind: Kind) -> Watched:
        watched = watch(loaded, chip("right").image, frames(presenter(kind, SIDES[0]), SIDES[0], FPS), standard(pack))
        assert watched is not None
        return watched

    return of


def put(pack: Pack, watched: Watched, checks: frozenset[LivenessCheck] = EVERY_CHECK) -> Comparison:
    return put_to_test(watched, SIDES[0], standard(pack), TURN_S, checks)


@pytest.mark.parametrize("kind", STOPPED_BY)
def test_fail__each_synthetic_attack_is_stopped_by_the_check_that_is_there_for_it(pack: Pack, seen: Seen, kind: Kind) -> None:
    """The control: with that check left out it gets through."""
    check, causes = STOPPED_BY[kind]
    stopped = put(pack, seen(kind))
    assert (stopped.outcome, stopped.liveness) == (Outcome.NOT_LIVE, Liveness.FAILED)
    assert stopped.quality in causes
    assert check in stopped.checks
    assert put(pack, seen(kind), EVERY_CHECK - {check}).outcome is Outcome.MATCH


def test_a_film_of_these_very_turns_gets_through_which_is_why_they_are_drawn_by_chance(pack: Pack, seen: Seen) -> None:
    known = put_to_test(seen(Kind.REPLAY), another(SIDES[0]), standard(pack), TURN_S)
    assert known.liveness is Liveness.CHALLENGE_ONLY


# --- with a pack whose points carry a test of planarity -------------------------------------------------------------------


@pytest.fixture(scope="module")
def yunet_pack(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    changed = of_yunet(pack, tmp_path_factory.mktemp("yunet"))
    liveness = changed.spec.liveness.model_copy(update={"turn_deg": 15.0, "planarity": PlanaritySpec(residual_at=0.033)})
    return Pack(changed.spec.model_copy(update={"liveness": liveness}), changed.sha256, changed.folder)


def test_with_points_off_the_plane_a_living_head_passes_and_paper_is_flat(yunet_pack: Pack, chip: Chip) -> None:
    """Paper is stopped by the challenge before; that is left out here, and then both, which lets it through.

    Photographs of every turn are no sheet that is turned: their points are those of a head. That they are changed is what tells.
    """
    matcher = Matcher(yunet_pack, threads=2)
    ended = {}
    for kind in (Kind.LIVING, Kind.FLAT, Kind.BENT, Kind.STILLS):
        shown = frames(presenter(kind, SIDES[0]), SIDES[0], FPS)
        watched = watch(matcher, chip("right").image, shown, standard(yunet_pack))
        assert watched is not None
        ended[kind] = watched
    alive = put(yunet_pack, ended[Kind.LIVING])
    assert (alive.outcome, alive.liveness) == (Outcome.MATCH, Liveness.PASSED)
    assert alive.checks == (*ALWAYS, LivenessCheck.PLANARITY)
    unasked = EVERY_CHECK - {LivenessCheck.CHALLENGE}
    for paper in (Kind.FLAT, Kind.BENT):
        assert put(yunet_pack, ended[paper]).quality == LivenessCause.LATE
        assert put(yunet_pack, ended[paper], unasked).quality == LivenessCause.FLAT
        assert put(yunet_pack, ended[paper], unasked - {LivenessCheck.PLANARITY}).outcome is Outcome.MATCH
    stills = put(yunet_pack, ended[Kind.STILLS])
    assert (stills.liveness, stills.quality in STOPPED_BY[Kind.STILLS][1]) == (Liveness.FAILED, True)
    assert put(yunet_pack, ended[Kind.STILLS], EVERY_CHECK - {LivenessCheck.CONTINUITY}).liveness is Liveness.PASSED


# --- the whole try: a person who is asked and answers ---------------------------------------------------------------------


class Sitting:
    """Somebody before a camera, a judge without a process, and a clock that a judged frame moves on: one try in no time."""

    def __init__(self, pack: Pack, matcher: Matcher, who: Presenter) -> None:
        self.pack = pack
        self.calibration = None
        self.steps: list[Step] = []
        self._matcher = matcher
        self._who = who
        self._at = 0.0
        self._frame: Pictured | None = None

    # the clock
    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self._at

    def age_s(self) -> int | None:
        return None

    # the camera
    def newest(self) -> Frame:
        picture = self._who.picture(self._at)
        return Frame(round(self._at * FPS) + 1, self._at, picture, picture)

    # the judge
    async def refer(self, portrait: Likeness, condition: Condition, other: Likeness | None = None) -> QualityCause | None:
        cause = self._matcher.refer(portrait.image, condition)
        if other is not None:
            assert self._matcher.refer_other(other.image, condition) is None
        return cause

    def offer(self, frame: Pictured) -> None:
        self._frame = frame

    async def glimpse(self, wait_s: float) -> Glimpse | None:
        frame, self._frame = self._frame, None
        self._at += 1 / FPS
        return None if frame is None else self._matcher.look(frame.number, frame.image)

    async def forget(self) -> None:
        self._matcher.forget()

    def hear(self, step: Step) -> None:
        self.steps.append(step)
        self._who.asked(step.ask, self._at)

    async def tried(
        self, portrait: Portrait, other: Portrait | None = None, *, gentle: bool = False, settings: FaceSettings | None = None
    ) -> Comparison:
        return await verify(
            self,
            self,
            portrait,
            other=other,
            gentle=gentle,
            settings=settings or FaceSettings(turn_s=3.0),
            clock=self,
            on_step=self.hear,
        )

    @property
    def asked(self) -> set[Ask]:
        return {step.ask for step in self.steps}


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[Ask, ...]], None]:
    """What is drawn, so that a test is the same each time."""
    return lambda these: monkeypatch.setattr(verify_module, "drawn", lambda turns: these[:turns])


Draw = Callable[[tuple[Ask, ...]], None]


@pytest.mark.parametrize("seed", range(3))
async def test_ok__somebody_who_turns_as_asked_matches(pack: Pack, matcher: Matcher, chip: Chip, sides: Draw, seed: int) -> None:
    sides(SIDES[seed])
    sitting = Sitting(pack, matcher, presenter(Kind.LIVING, SIDES[seed], seed))
    comparison = await sitting.tried(chip("right"))
    assert (comparison.outcome, comparison.liveness, comparison.checks) == (Outcome.MATCH, Liveness.CHALLENGE_ONLY, ALWAYS)
    assert (comparison.quality, comparison.frames) == ("", 5)
    assert (comparison.condition, comparison.accept_fmr, comparison.calibration) == (Condition.CHIP, 1e-3, "")
    turned = [step.ask for n, step in enumerate(sitting.steps) if n and step.ask is not sitting.steps[n - 1].ask]
    assert turned == [ask for side in SIDES[seed] for ask in (side, Ask.STRAIGHT)]
    progress = [step.progress for step in sitting.steps]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


async def test_fail__paper_that_is_turned_as_asked_is_not_live(pack: Pack, matcher: Matcher, chip: Chip, sides: Draw) -> None:
    sides(SIDES[0])
    comparison = await Sitting(pack, matcher, presenter(Kind.FLAT, SIDES[0])).tried(chip("right"))
    assert (comparison.outcome, comparison.liveness, comparison.quality) == (Outcome.NOT_LIVE, Liveness.FAILED, "too-late")
    assert comparison.distance is not None  # the control: the face itself matched
    assert comparison.distance <= comparison.accept_at


@pytest.mark.parametrize("kind", [Kind.STILLS, Kind.STILLS_GAP])
async def test_fail__photographs_of_every_turn_changed_as_asked_are_not_live(
    pack: Pack, matcher: Matcher, chip: Chip, sides: Draw, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """The control: without a look at the way, and with as much patience for an empty picture as for a blurred one, they pass."""
    sides(SIDES[0])
    cause = {Kind.STILLS: LivenessCause.LATE, Kind.STILLS_GAP: LivenessCause.LOST}[kind]
    comparison = await Sitting(pack, matcher, presenter(kind, SIDES[0])).tried(chip("right"))
    assert (comparison.outcome, comparison.liveness, comparison.quality) == (Outcome.NOT_LIVE, Liveness.FAILED, cause)
    monkeypatch.setattr(Way, "leads_to", lambda way, at_deg: True)
    monkeypatch.setattr(continuity, "ABSENT_S", continuity.UNSEEN_S)
    control = await Sitting(pack, matcher, presenter(kind, SIDES[0])).tried(chip("right"))
    assert (control.outcome, control.liveness) == (Outcome.MATCH, Liveness.CHALLENGE_ONLY)


async def test_who_does_not_match_learns_nothing_of_the_challenge(pack: Pack, matcher: Matcher, chip: Chip) -> None:
    stranger = Sitting(pack, matcher, presenter(Kind.LIVING, SIDES[0]))
    comparison = await stranger.tried(chip("impostor"))
    assert (comparison.outcome, comparison.liveness, comparison.checks) == (Outcome.NO_MATCH, Liveness.NOT_RUN, ())
    assert stranger.asked == {Ask.STRAIGHT}
    chained = Sitting(pack, matcher, presenter(Kind.LIVING, SIDES[0]))
    comparison = await chained.tried(chip("impostor"), chip("right"))
    assert (comparison.outcome, comparison.liveness) == (Outcome.WRONG_PERSON, Liveness.NOT_RUN)
    assert chained.asked == {Ask.STRAIGHT}
    control = Sitting(pack, matcher, presenter(Kind.LIVING, SIDES[0]))
    assert (await control.tried(chip("right"), chip("impostor"))).outcome is Outcome.MATCH
    assert len(control.asked) > 1


async def test_who_cannot_turn_is_asked_nothing_and_an_attendant_confirms(pack: Pack, matcher: Matcher, chip: Chip) -> None:
    gentle = Sitting(pack, matcher, presenter(Kind.LIVING, SIDES[0]))
    comparison = await gentle.tried(chip("right"), gentle=True)
    assert (comparison.outcome, comparison.liveness, comparison.checks) == (Outcome.TO_CONFIRM, Liveness.ATTENDANT, ())
    assert gentle.asked == {Ask.STRAIGHT}
    stranger = await Sitting(pack, matcher, presenter(Kind.LIVING, SIDES[0])).tried(chip("impostor"), gentle=True)
    assert (stranger.outcome, stranger.liveness) == (Outcome.NO_MATCH, Liveness.NOT_RUN)


async def test_where_nobody_stands_by_a_match_goes_to_a_person(pack: Pack, matcher: Matcher, chip: Chip) -> None:
    for attended, outcome in ((True, Outcome.MATCH), (False, Outcome.REVIEW)):
        sitting = Sitting(pack, matcher, presenter(Kind.LIVING, SIDES[0]))
        comparison = await sitting.tried(chip("right"), settings=FaceSettings(attended=attended, challenge_turns=0))
        assert (comparison.outcome, comparison.liveness) == (outcome, Liveness.NOT_RUN)


# --- the set that kiosk evaluate reads ------------------------------------------------------------------------------------


def test_the_program_that_makes_the_set_lists_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presenting, "FPS", 1)
    told: list[str] = []
    make_clips(tmp_path, 1, told.append)
    clips = read_clips(tmp_path / "clips.csv")
    assert [clip.film.name for clip in clips] == told
    assert [clip.kind for clip in clips] == list(Kind)
    assert [clip.is_live for clip in clips] == [kind is Kind.LIVING for kind in Kind]
    assert all(clip.is_synthetic for clip in clips)
