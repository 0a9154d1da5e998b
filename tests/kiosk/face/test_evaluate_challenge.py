"""Clips of people and attacks: the list that names them, and the figures that come of them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from kiosk.face import evaluate_challenge as module
from kiosk.face.evaluate_challenge import BadClips, Clip, evaluate_challenge, read_clips
from kiosk.face.liveness import BACK, HELD
from kiosk.face.matcher import Matcher
from kiosk.face.result import Ask, Box, Glimpse
from kiosk.face.tally import Standard
from models.load import Pack
from sync_agent.contract.kinds import Condition, LivenessCheck
from system.simulate.film import head_of, portrait_of
from system.simulate.people import chip_portrait
from system.simulate.presenting import SIDES, Cast, Kind, Presenter, record

GOOD = {"clip": "a.avi", "portrait": "p.jpg", "label": "live", "kind": "person", "asked": "left right", "synthetic": "yes"}
ATTACK = GOOD | {"label": "attack", "kind": "flat-print"}


def listed(folder: Path, *rows: dict[str, str], columns: tuple[str, ...] = module.COLUMNS) -> Path:
    for name in ("a.avi", "p.jpg"):
        (folder / name).write_bytes(b"")
    path = folder / "clips.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_ok__a_list_names_films_portraits_labels_and_what_was_asked(tmp_path: Path) -> None:
    one, two = read_clips(listed(tmp_path, GOOD, ATTACK))
    assert (one.film, one.portrait) == (tmp_path / "a.avi", tmp_path / "p.jpg")
    assert (one.is_live, one.kind, one.asked, one.is_synthetic) == (True, "person", (Ask.LEFT, Ask.RIGHT), True)
    assert (two.is_live, two.kind) == (False, "flat-print")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"label": "dead"}, "line 3: label is live or attack"),
        ({"asked": "up"}, "line 3: label is live or attack, asked is left and right"),
        ({"asked": ""}, "line 3: no turn was asked for"),
        ({"clip": "missing.avi"}, "line 3: there is no file .*missing.avi"),
        ({"synthetic": "maybe"}, "line 3: .*synthetic is yes or no"),
        ({"synthetic": "no"}, "mixes synthetic clips with others"),
        ({"label": "live"}, "needs clips of living people and of attacks"),
    ],
)
def test_fail__a_list_that_cannot_be_used_says_where_and_why(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    with pytest.raises(BadClips, match=said):
        read_clips(listed(tmp_path, GOOD, ATTACK | changed))


def test_fail__a_list_without_a_column_or_that_is_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadClips, match="lacks the columns asked"):
        read_clips(listed(tmp_path, GOOD, columns=tuple(name for name in module.COLUMNS if name != "asked")))
    with pytest.raises(BadClips, match="cannot be read"):
        read_clips(tmp_path / "nothing.csv")


def glimpses(yaw_deg: float, count: int, plain: float = 0.3) -> list[Glimpse]:
    return [Glimpse(0, Box(0.4, 0.3, 0.2, 0.27), None, plain, plain=plain, yaw_deg=yaw_deg)] * count


def timed(seen: list[Glimpse]) -> list[tuple[Glimpse, float]]:
    return [(Glimpse(n, g.box, None, g.distance, plain=g.plain, yaw_deg=g.yaw_deg), n / 10) for n, g in enumerate(seen)]


def test_rates_count_people_refused_attacks_passed_and_what_each_check_is_worth(
    pack: Pack, matcher: Matcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The maths on frames that are given; `test_presented` has real ones."""
    standard = Standard.of(pack, Condition.CHIP, None)
    way = glimpses(15, 1)
    ahead, left, back = glimpses(0, standard.band.frames), [*way, *glimpses(30, HELD)], [*way, *glimpses(0, BACK)]
    shown = {
        "living": timed([*ahead, *left, *back]),
        "hesitant": timed([*ahead, *glimpses(0, 80)]),
        "still": timed([*ahead, *glimpses(0, 80)]),
        "swapped": timed([*ahead, *way, *glimpses(30, HELD, plain=0.9), *back]),
        "mask": timed([*ahead, *left, *back]),
        "stranger": timed([*glimpses(0, standard.band.frames, plain=0.9)]),
    }
    monkeypatch.setattr(module, "_frames", lambda path: path)
    monkeypatch.setattr(module, "watch", lambda matcher, portrait, path, standard: shown[path.name])
    portrait = tmp_path / "p.jpg"
    portrait.write_bytes(chip_portrait(portrait_of("right")))
    clips = [
        Clip(tmp_path / name, portrait, name in ("living", "hesitant"), kind, (Ask.LEFT,), True)
        for name, kind in {
            "living": "people",
            "hesitant": "people",
            "still": "print",
            "swapped": "film",
            "mask": "mask",
            "stranger": "mask",
        }.items()
    ]
    found = evaluate_challenge(matcher, standard, 6.0, clips)
    assert found.figures.synthetic
    refused = found.figures.people_refused
    assert (refused.events, refused.trials) == (1, 2)
    assert refused.low < 0.5 < refused.high
    assert {each.kind: (each.passed.events, each.passed.trials) for each in found.figures.attacks} == {
        "print": (0, 1),
        "film": (0, 1),
        "mask": (1, 2),
    }
    without = {check: (rate.events, rate.trials) for check, rate in found.without.items()}
    assert without == {LivenessCheck.CHALLENGE: (2, 4), LivenessCheck.IDENTITY: (2, 4), LivenessCheck.CONTINUITY: (1, 4)}
    assert found.causes["people"] == {"match": 1, "too-late": 1}
    assert found.causes["mask"] == {"match": 1, "no-match": 1}


def test_fail__a_film_that_ends_before_the_face_is_decided_on_is_named(
    pack: Pack, matcher: Matcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standard = Standard.of(pack, Condition.CHIP, None)
    portrait = tmp_path / "p.jpg"
    portrait.write_bytes(chip_portrait(portrait_of("right")))
    clip = Clip(tmp_path / "short.avi", portrait, False, "print", (Ask.LEFT,), True)
    living = Clip(tmp_path / "living.avi", portrait, True, "person", (Ask.LEFT,), True)
    monkeypatch.setattr(module, "_frames", lambda path: path)
    for frames, is_enough in ((standard.band.frames, True), (standard.band.frames - 1, False)):  # the first is the control
        monkeypatch.setattr(module, "watch", lambda *_, of=frames: timed(glimpses(0, of)))
        if is_enough:
            assert evaluate_challenge(matcher, standard, 6.0, [living, clip]).causes["print"] == {"too-late": 1}
            continue
        with pytest.raises(BadClips, match=r"short\.avi.*make it longer"):
            evaluate_challenge(matcher, standard, 6.0, [clip])


@pytest.mark.slow
def test_a_clip_is_read_from_its_film_and_held_against_its_portrait(pack: Pack, matcher: Matcher, tmp_path: Path) -> None:
    cast = Cast(head_of("right"), head_of("impostor"))
    (tmp_path / "p.jpg").write_bytes(chip_portrait(portrait_of("right")))
    record(Presenter(Kind.LIVING, cast, 0), SIDES[0][:1], tmp_path / "living.avi")
    clip = Clip(tmp_path / "living.avi", tmp_path / "p.jpg", True, "person", SIDES[0][:1], True)
    standard = Standard.of(pack, Condition.CHIP, None)
    told_other = Clip(clip.film, clip.portrait, False, "replay", (Ask.RIGHT,), True)
    found = evaluate_challenge(matcher, standard, 6.0, [clip, told_other])
    assert found.figures.people_refused.events == 0
    assert found.figures.attacks[0].passed.events == 0
    assert found.causes == {"person": {"match": 1}, "replay": {"other-side": 1}}
    with pytest.raises(BadClips, match="no picture"):
        evaluate_challenge(matcher, standard, 6.0, [Clip(clip.film, clip.film, True, "person", SIDES[0][:1], True)])
    text = tmp_path / "film.avi"
    text.write_text("no film")
    with pytest.raises(BadClips, match="no pictures that OpenCV plays"):
        evaluate_challenge(matcher, standard, 6.0, [Clip(text, clip.portrait, True, "person", SIDES[0][:1], True)])
