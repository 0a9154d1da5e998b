"""The challenge as a state machine: what it asks, what ends it, and what a record will say ran."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import pytest

from kiosk.face.continuity import ABSENT_S, UNJUDGED_S, UNSEEN_S, Continuity
from kiosk.face.liveness import BACK, EVERY_CHECK, HELD, Challenge, drawn
from kiosk.face.result import Ask, Box, Glimpse, LivenessCause, QualityCause
from models.load import Pack
from models.spec import BandSpec, LivenessSpec, MinifasnetSpec, PlanaritySpec, WeightsSpec
from sync_agent.contract.kinds import Liveness, LivenessCheck
from system.simulate.presenting import Neck

LEFT_RIGHT: Final = (Ask.LEFT, Ask.RIGHT)
BAND: Final = BandSpec(accept_at=0.40, accept_fmr=1e-3, review_at=0.50, review_fmr=4e-2, frames=5)
BOX: Final = Box(0.4, 0.3, 0.2, 0.27)
ALWAYS: Final = (LivenessCheck.CHALLENGE, LivenessCheck.IDENTITY, LivenessCheck.CONTINUITY)
INTERVAL_S: Final = 0.1
HEAD: Final = ((-0.5, 0.0, 0.0), (0.5, 0.0, 0.0), (0.0, 0.55, 0.45), (-0.4, 1.0, 0.05), (0.4, 1.0, 0.05))
"""Eyes, nose tip and mouth, x, y and height above the plane of the eyes, in distances of the eyes."""


@pytest.fixture
def spec(pack: Pack) -> LivenessSpec:
    return pack.spec.liveness


def face(yaw_deg: float = 0.0, plain: float | None = 0.3, box: Box | None = BOX) -> Glimpse:
    return Glimpse(1, box, None, plain, plain=plain, yaw_deg=yaw_deg)


def turn(side: Ask, plain: float = 0.3) -> list[Glimpse]:
    """The way to a side, and the head held there."""
    towards = 1 if side is Ask.LEFT else -1
    return [face(towards * deg, plain) for deg in (2.0, 9.0, 19.0, 28.0, *[30.0] * (HELD - 1))]


def back(side: Ask, plain: float = 0.3) -> list[Glimpse]:
    towards = 1 if side is Ask.LEFT else -1
    return [face(towards * deg, plain) for deg in (29.0, 20.0, 11.0, 3.0, *[0.0] * (BACK - 1))]


class Sitting:
    """A challenge and the frames that came so far, ten a second."""

    def __init__(
        self,
        spec: LivenessSpec,
        sides: tuple[Ask, ...] = LEFT_RIGHT,
        straight: Iterable[Glimpse] = (),
        checks: frozenset[LivenessCheck] = EVERY_CHECK,
    ) -> None:
        track = Continuity()
        track.add(face(), 0.0)
        self.challenge = Challenge(sides, spec, BAND, 6.0, track, list(straight), checks)
        self.challenge.shown(0.0)
        self.at = 0.0

    def sees(self, *glimpses: Glimpse) -> Sitting:
        for glimpse in glimpses:
            self.at += INTERVAL_S
            if self.challenge.add(glimpse, self.at):
                self.challenge.shown(self.at)
        return self

    def turns(self, side: Ask, plain: float = 0.3) -> Sitting:
        """To a side within half a second, and back."""
        return self.sees(*turn(side, plain)).sees(*back(side, plain))


def test_ok__who_turns_as_asked_and_comes_back_has_met_the_challenge(spec: LivenessSpec) -> None:
    verdict = Sitting(spec).turns(Ask.LEFT).turns(Ask.RIGHT).challenge.verdict()
    assert (verdict.liveness, verdict.checks, verdict.cause) == (Liveness.CHALLENGE_ONLY, ALWAYS, None)


@pytest.mark.parametrize(("ask", "towards"), [(Ask.LEFT, +1), (Ask.RIGHT, -1)])
def test_left_is_the_persons_own_and_the_screens_left_which_is_the_cameras_right(
    spec: LivenessSpec, ask: Ask, towards: int
) -> None:
    """The preview is mirrored: what is on the camera's right is on the screen's left."""
    right_way, wrong_way = Sitting(spec, (ask,)), Sitting(spec, (ask,))
    right_way.sees(face(towards * 15.0), *[face(towards * 30.0)] * HELD)
    wrong_way.sees(*[face(-towards * 30.0)] * HELD)
    assert right_way.challenge.ask is Ask.STRAIGHT
    assert right_way.challenge.cause is None
    assert wrong_way.challenge.cause is LivenessCause.OTHER_SIDE


def test_the_prompts_come_one_after_the_other_and_progress_with_them(spec: LivenessSpec) -> None:
    sitting = Sitting(spec)
    asked, progress = [sitting.challenge.ask], [sitting.challenge.progress]
    for glimpse in [*turn(Ask.LEFT), *back(Ask.LEFT), *turn(Ask.RIGHT), *back(Ask.RIGHT)]:
        sitting.sees(glimpse)
        progress.append(sitting.challenge.progress)
        if sitting.challenge.ask is not asked[-1]:
            asked.append(sitting.challenge.ask)
    assert asked == [Ask.LEFT, Ask.STRAIGHT, Ask.RIGHT, Ask.STRAIGHT]
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0.0, 1.0)


def test_fail__a_film_of_other_turns_is_noticed_at_the_first_that_differs(spec: LivenessSpec) -> None:
    sitting = Sitting(spec, (Ask.LEFT, Ask.LEFT)).turns(Ask.LEFT)
    assert sitting.challenge.cause is None
    assert sitting.turns(Ask.RIGHT).challenge.cause is LivenessCause.OTHER_SIDE


def test_one_frame_to_the_other_side_is_a_mistake_of_the_points_and_two_are_a_turn(spec: LivenessSpec) -> None:
    assert Sitting(spec).sees(face(-30), face(0), face(-30)).challenge.cause is None
    assert Sitting(spec).sees(face(-30), face(-30)).challenge.cause is LivenessCause.OTHER_SIDE


def test_coming_back_a_little_too_far_is_no_turn_to_the_other_side(spec: LivenessSpec) -> None:
    assert Sitting(spec).sees(*turn(Ask.LEFT), face(15), face(-15), face(-15), *[face()] * BACK).challenge.ask is Ask.RIGHT


def test_turns_count_from_how_the_head_was_held_before(spec: LivenessSpec) -> None:
    uneven = Sitting(spec, (Ask.LEFT,), straight=[face(-8)] * 5).sees(face(3), *[face(spec.turn_deg - 6)] * HELD)
    assert uneven.challenge.ask is Ask.STRAIGHT
    even = Sitting(spec, (Ask.LEFT,), straight=[face(0)] * 5).sees(face(11), *[face(spec.turn_deg - 6)] * HELD)
    assert even.challenge.ask is Ask.LEFT


def test_fail__a_turn_after_its_deadline_is_too_late_also_when_no_frame_comes_any_more(spec: LivenessSpec) -> None:
    in_time, late, silent = Sitting(spec), Sitting(spec), Sitting(spec)
    in_time.sees(*[face()] * 50).turns(Ask.LEFT)
    late.sees(*[face()] * 62)
    silent.challenge.tick(6.01)
    assert in_time.challenge.cause is None
    assert late.challenge.cause is LivenessCause.LATE
    assert silent.challenge.cause is LivenessCause.LATE


def test_time_runs_from_when_the_prompt_was_shown_and_what_came_before_is_no_answer(spec: LivenessSpec) -> None:
    track = Continuity()
    challenge = Challenge((Ask.LEFT,), spec, BAND, 6.0, track, ())
    for frame in range(99):
        challenge.add(face(30), frame / 10)
    assert (challenge.ask, challenge.cause) == (Ask.LEFT, None)
    challenge.shown(10.0)
    challenge.add(face(15), 9.9)  # taken before, judged after
    challenge.add(face(30), 9.95)
    challenge.add(face(30), 10.01)
    assert challenge.progress == 0
    challenge.add(face(15), 10.03)  # the control
    challenge.add(face(30), 10.05)
    assert challenge.progress > 0
    challenge.tick(16.05)
    assert challenge.cause is LivenessCause.LATE


def test_fail__two_frames_in_a_row_of_somebody_else_end_it_and_one_counts_for_nothing(spec: LivenessSpec) -> None:
    other, same = spec.identity_at + 0.01, spec.identity_at
    assert Sitting(spec).sees(face(10, other), face(10, other)).challenge.cause is LivenessCause.STRANGER
    blurred = replace(face(plain=None), cause=QualityCause.BLURRED)
    assert Sitting(spec).sees(face(10, other), blurred, face(10, other)).challenge.cause is LivenessCause.STRANGER
    single = Sitting(spec).sees(face(15, same), *[face(30, other), face(30, same)] * (HELD - 1))
    assert (single.challenge.cause, single.challenge.ask) == (None, Ask.LEFT)
    assert single.sees(face(30)).challenge.ask is Ask.STRAIGHT
    left_out = Sitting(spec, checks=EVERY_CHECK - {LivenessCheck.IDENTITY}).sees(face(10, other), face(10, other))
    assert left_out.challenge.cause is None


@pytest.mark.parametrize(
    ("distance", "other", "cause"),
    [
        (BAND.review_at, None, None),
        (BAND.review_at + 0.01, None, LivenessCause.STRANGER),
        (0.39, 0.45, None),
        (0.39, 0.40, None),
        (0.39, 0.38, LivenessCause.STRANGER),
        (0.45, 0.39, LivenessCause.STRANGER),
    ],
)
def test_fail__who_comes_back_straight_is_held_to_the_band_and_against_the_other_of_a_chain(
    spec: LivenessSpec, distance: float, other: float | None, cause: LivenessCause | None
) -> None:
    """Each frame alone is near enough for a turned one; the control leaves the check out."""

    def ended(checks: frozenset[LivenessCheck]) -> Challenge:
        came = [replace(each, distance=distance, other=other) for each in back(Ask.LEFT)]
        return Sitting(spec, (Ask.LEFT,), checks=checks).sees(*turn(Ask.LEFT), *came).challenge

    assert ended(EVERY_CHECK).is_over
    assert ended(EVERY_CHECK).cause is cause
    assert ended(EVERY_CHECK - {LivenessCheck.IDENTITY}).cause is None


# --- the way from one turn to the next ------------------------------------------------------------------------------------


def test_fail__turns_without_a_way_to_them_count_for_nothing(spec: LivenessSpec) -> None:
    """Pictures that are changed. The controls: with a frame of the way, and with the check left out."""
    changed = [*[face()] * 4, *[face(30)] * 60]
    late = Sitting(spec, (Ask.LEFT,)).sees(*changed).challenge
    assert (late.progress, late.cause) == (0, LivenessCause.LATE)
    assert Sitting(spec, (Ask.LEFT,)).sees(*[face()] * 4, face(15), *[face(30)] * HELD).challenge.ask is Ask.STRAIGHT
    unseen = Sitting(spec, (Ask.LEFT,), checks=EVERY_CHECK - {LivenessCheck.CONTINUITY})
    assert unseen.sees(*changed[: 4 + HELD]).challenge.ask is Ask.STRAIGHT
    assert unseen.sees(*[face()] * BACK).challenge.is_over


def test_fail__coming_back_without_a_way_counts_for_nothing(spec: LivenessSpec) -> None:
    late = Sitting(spec, (Ask.LEFT,)).sees(*turn(Ask.LEFT), *[face()] * 62).challenge
    assert (late.ask, late.cause) == (Ask.STRAIGHT, LivenessCause.LATE)
    assert Sitting(spec, (Ask.LEFT,)).sees(*turn(Ask.LEFT), face(15), *[face()] * BACK).challenge.verdict().cause is None


@pytest.mark.parametrize(
    "readings",
    [(2.0, -2.2, 2.3, 1.0, 26.1, 37.6, 30.0), (9.0, 2.0, 30.0), (24.0, 30.0, 26.1, 37.6)],
    ids=["still pictures that sway", "back where it began", "never straight"],
)
def test_readings_at_either_end_are_no_way(spec: LivenessSpec, readings: tuple[float, ...]) -> None:
    sitting = Sitting(spec, (Ask.LEFT,)).sees(*map(face, readings), *[face(30)] * HELD)
    assert sitting.challenge.progress == 0


def test_who_turned_too_fast_and_turns_again_more_slowly_has_turned(spec: LivenessSpec) -> None:
    fast = Sitting(spec, (Ask.LEFT,)).sees(face(), *[face(30)] * 10)
    assert (fast.challenge.progress, fast.challenge.cause) == (0, None)
    assert fast.sees(face(12), face(1)).turns(Ask.LEFT).challenge.verdict().liveness is Liveness.CHALLENGE_ONLY


@pytest.mark.parametrize(("fps", "least"), [(5, 0.97), (8, 1.0), (15, 1.0)])
def test_people_who_turn_within_most_of_a_second_pass_at_the_rates_of_a_small_board(
    spec: LivenessSpec, fps: int, least: float
) -> None:
    """Noise as the points have it; with 0.5 to 1.0 s a turn."""

    def passes(seed: int) -> bool:
        neck, chance = Neck(seed), random.Random(seed)
        sides = drawn(2, chance)
        challenge = Challenge(sides, spec, BAND, 6.0, Continuity(), [face(chance.gauss(0, 0.8)) for _ in range(5)])
        at = chance.random() / fps
        neck.asked(challenge.ask, at)
        challenge.shown(at)
        while not challenge.is_over:
            at += 1 / fps
            if challenge.add(face(neck.yaw_deg(at) + chance.gauss(0, 0.8)), at) and not challenge.is_over:
                challenge.shown(at)
                neck.asked(challenge.ask, at)
        return challenge.cause is None

    assert sum(passes(seed) for seed in range(200)) >= least * 200


def test_fail__a_second_face_ends_it(spec: LivenessSpec) -> None:
    two = Glimpse(1, None, QualityCause.TWO_FACES, None)
    assert Sitting(spec).sees(two).challenge.cause is LivenessCause.TWO_FACES


def test_fail__a_face_out_of_sight_for_too_long_ends_it_and_a_missed_frame_does_not(spec: LivenessSpec) -> None:
    nobody = Glimpse(1, None, QualityCause.NO_FACE, None)
    blurred = replace(face(plain=None), cause=QualityCause.BLURRED)
    for useless, limit_s in ((nobody, ABSENT_S), (blurred, UNSEEN_S)):
        frames = math.floor(limit_s / INTERVAL_S) + 1
        assert Sitting(spec).sees(*[useless] * frames, face()).challenge.cause is None
        assert Sitting(spec).sees(*[useless] * (frames + 1)).challenge.cause is LivenessCause.LOST


def test_a_time_in_which_no_frame_was_judged_is_not_one_in_which_nobody_was_seen(spec: LivenessSpec) -> None:
    """A busy machine: the control has as long a time with frames that show nobody."""
    for gap_s, cause in ((1.2, None), (UNJUDGED_S + 0.1, LivenessCause.LOST)):
        busy = Sitting(spec).sees(face())
        busy.at += gap_s
        assert busy.sees(face()).challenge.cause is cause
    empty = Sitting(spec).sees(face(), *[Glimpse(1, None, QualityCause.NO_FACE, None)] * 11, face())
    assert empty.challenge.cause is LivenessCause.LOST


@pytest.mark.parametrize(
    "elsewhere", [Box(0.55, 0.3, 0.2, 0.27), Box(0.4, 0.52, 0.2, 0.27), Box(0.33, 0.2, 0.34, 0.45), Box(0.44, 0.35, 0.12, 0.16)]
)
def test_fail__a_box_that_jumps_grows_or_shrinks_within_a_frame_is_another_face(spec: LivenessSpec, elsewhere: Box) -> None:
    """The controls: left out, and the same way gone in a second."""
    assert Sitting(spec).sees(face(), face(box=elsewhere)).challenge.cause is LivenessCause.JUMPED
    left_out = EVERY_CHECK - {LivenessCheck.CONTINUITY}
    assert Sitting(spec, checks=left_out).sees(face(), face(box=elsewhere)).challenge.cause is None

    def between(part: float) -> Box:
        one, two = BOX, elsewhere
        mixed = [
            a + (b - a) * part for a, b in ((one.x, two.x), (one.y, two.y), (one.width, two.width), (one.height, two.height))
        ]
        return Box(*mixed)

    assert Sitting(spec).sees(*[face(box=between(n / 10)) for n in range(11)]).challenge.cause is None


def test_no_turns_are_no_challenge(spec: LivenessSpec) -> None:
    challenge = Challenge((), spec, BAND, 6.0, Continuity(), [face()] * 5)
    assert challenge.is_over
    assert (challenge.verdict().liveness, challenge.verdict().checks) == (Liveness.NOT_RUN, ())


def test_what_is_drawn_is_every_side_and_order_and_as_many_as_asked_for() -> None:
    chance = random.Random(1)
    assert {drawn(2, chance) for _ in range(100)} == {(a, b) for a in LEFT_RIGHT for b in LEFT_RIGHT}
    assert {len(drawn(turns)) for turns in (3,)} == {3}
    assert drawn(0) == ()


# --- what a pack may have besides -----------------------------------------------------------------------------------------


def with_planarity(spec: LivenessSpec) -> LivenessSpec:
    return spec.model_copy(update={"planarity": PlanaritySpec(residual_at=0.033)})


def pointed(yaw_deg: float, *, relief: float, chance: random.Random) -> Glimpse:
    """A face whose points stand out of its plane, or do not, as a camera sees them turned; half a pixel of noise at 150 px."""
    turn = turned(yaw_deg, relief)
    box = BOX
    points = tuple(
        (
            box.x + box.width * (0.5 + 0.4 * x + chance.gauss(0, 0.003)),
            box.y + box.height * (0.3 + 0.4 * y + chance.gauss(0, 0.003)),
        )
        for x, y in turn
    )
    return replace(face(yaw_deg), points=points)


def turned(yaw_deg: float, relief: float) -> list[tuple[float, float]]:
    turn = yaw_deg * 3.14159265 / 180
    return [(x * (1 - turn * turn / 2) + relief * z * turn, y) for x, y, z in HEAD]


@pytest.mark.parametrize("seed", range(5))
def test_points_that_stay_in_a_plane_are_flat_and_those_of_a_head_are_not(spec: LivenessSpec, seed: int) -> None:
    def ended(relief: float, checks: frozenset[LivenessCheck] = EVERY_CHECK) -> Challenge:
        chance = random.Random(seed)
        sitting = Sitting(with_planarity(spec), checks=checks, straight=[pointed(0, relief=relief, chance=chance)] * 5)
        for side in (30, -30):
            for yaw_deg in (side / 2, *[side] * HELD, side / 2, *[0] * BACK):
                sitting.sees(pointed(yaw_deg, relief=relief, chance=chance))
        return sitting.challenge

    alive = ended(1.0).verdict()
    assert (alive.liveness, alive.checks) == (Liveness.PASSED, (*ALWAYS, LivenessCheck.PLANARITY))
    flat = ended(0.0).verdict()
    assert (flat.liveness, flat.cause) == (Liveness.FAILED, LivenessCause.FLAT)
    without = ended(0.0, EVERY_CHECK - {LivenessCheck.PLANARITY}).verdict()
    assert (without.liveness, without.checks) == (Liveness.CHALLENGE_ONLY, ALWAYS)


def test_a_passive_model_decides_by_the_mean_of_its_frames(spec: LivenessSpec, pack: Pack) -> None:
    weights: WeightsSpec = pack.spec.weights[0]
    model = MinifasnetSpec(kind="minifasnet", weights=weights, input_px=80, scale=2.7, pass_at=0.8)
    passive = spec.model_copy(update={"passive": model})

    def ended(certain: float) -> Challenge:
        sitting = Sitting(passive, (Ask.LEFT,), straight=[replace(face(), passive=0.9)] * 5)
        sitting.sees(*[replace(each, passive=certain) for each in (*turn(Ask.LEFT), *back(Ask.LEFT))])
        return sitting.challenge

    assert (ended(0.8).verdict().liveness, ended(0.8).verdict().checks) == (Liveness.PASSED, (*ALWAYS, LivenessCheck.PASSIVE))
    assert ended(0.6).verdict().cause is LivenessCause.LIFELESS
    alone = Challenge((), passive, BAND, 6.0, Continuity(), [replace(face(), passive=0.5)] * 5)
    assert (alone.verdict().liveness, alone.verdict().cause) == (Liveness.FAILED, LivenessCause.LIFELESS)
