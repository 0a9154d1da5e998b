"""The invented people: their records are what the layouts say, their numbers hold, their portraits fit the chip."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import cv2
import numpy as np
import pytest

from kiosk.cards import photo, resident
from sync_agent.contract.kinds import Finding
from system.simulate.people import PEOPLE, WLT_FILLER, chip_portrait, text_record
from tests.kiosk.cards.vectors import VECTORS

TODAY = date(2026, 6, 1)


@pytest.mark.parametrize("letter", VECTORS)
def test_records_are_the_vectors_byte_for_byte(letter: str) -> None:
    vector = VECTORS[letter]
    assert text_record(PEOPLE[vector.person]) == vector.record


@pytest.mark.parametrize("who", PEOPLE)
def test_everyones_card_is_in_order_but_for_what_they_are_here_for(who: str) -> None:
    person = PEOPLE[who]
    reading = resident.parse(text_record(person), reader_module="", today=TODAY)
    assert reading.facts.findings == ((Finding.EXPIRED,) if who == "tashi-expired" else ())
    assert (reading.holder.name, reading.holder.number) == (person.name, person.number)


def test_no_two_people_share_a_number_or_a_name_field_too_long() -> None:
    assert len({person.number for person in PEOPLE.values()}) == len(PEOPLE)
    assert len(PEOPLE["losang"].name) == 15
    with pytest.raises(ValueError, match="15 code units cannot hold 16"):
        text_record(replace(PEOPLE["losang"], name=PEOPLE["losang"].name + "多"))


def test_nothing_of_a_person_is_in_a_repr() -> None:
    assert repr(PEOPLE["zhaxi"]) == "Person(resident)"


@pytest.mark.parametrize("shape", [(400, 300), (300, 400), (126, 102), (60, 50), (2000, 100)])
def test_ok__a_portrait_is_the_middle_of_the_picture_at_the_chips_size(shape: tuple[int, int]) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    image[shape[0] // 2 - 8 : shape[0] // 2 + 8, shape[1] // 2 - 8 : shape[1] // 2 + 8] = 255
    portrait = photo.decode(chip_portrait(image))
    assert portrait is not None and portrait.image.shape == (126, 102, 3)
    assert portrait.image[63, 51].min() > 200 and portrait.image[0, 0].max() < 60


def test_ok__a_busy_picture_still_fits_the_chip() -> None:
    noise = np.random.default_rng(7).integers(0, 256, (252, 204, 3), dtype=np.uint8)
    assert len(chip_portrait(cv2.GaussianBlur(noise, (5, 5), 0).astype(np.uint8))) < 5000


@pytest.mark.parametrize("shape", [(0, 0, 3), (10, 10), (10, 10, 4)])
def test_fail__a_portrait_of_no_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="picture"):
        chip_portrait(np.zeros(shape, np.uint8))


def test_the_filler_passes_for_a_closed_portrait() -> None:
    assert len(WLT_FILLER) == 1024 and photo.recognise(WLT_FILLER) is photo.Format.WLT
