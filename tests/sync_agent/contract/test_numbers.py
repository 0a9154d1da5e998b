"""Check characters, against numbers worked out by hand and by published rules."""

from __future__ import annotations

import pytest

from sync_agent.contract import numbers


@pytest.mark.parametrize(
    "number",
    [
        "540102198803150011",
        "540202195512010029",
        "810000199002280037",
        "830000200101010015",
        "54010219900307000X",
        "540102200001011001",
        "954524198801010023",
    ],
)
def test_ok__the_check_character_of_an_identity_number(number: str) -> None:
    assert numbers.is_identity_number(number)
    assert numbers.check_character(number[:17]) == number[17]


def test_fail__any_one_wrong_digit_changes_the_check_character() -> None:
    body = "54010219880315001"
    for place in range(17):
        for digit in set("0123456789") - {body[place]}:
            assert numbers.check_character(body[:place] + digit + body[place + 1 :]) != "1"


@pytest.mark.parametrize(
    "text", ["", "54010219880315001", "5401021988031500111", "54010219880315001x", "５４０１０２１９８８０３１５００１１"]
)
def test_fail__what_is_no_identity_number(text: str) -> None:
    assert not numbers.is_identity_number(text)


@pytest.mark.parametrize("number", ["KAZ110090123105", "NPL540188010103"])
def test_ok__the_check_digit_of_a_former_foreign_number(number: str) -> None:
    assert numbers.is_former_foreign_number(number)
    assert numbers.icao_check_digit(number[:14]) == number[14]


def test_ok__the_check_digit_of_the_icao_specimen_passport() -> None:
    assert numbers.icao_check_digit("690806") == "1"  # birth date of ICAO 9303-11's worked example


@pytest.mark.parametrize("text", ["", "KAZ11009012310", "kaz110090123105", "KAZ1100901231055"])
def test_fail__what_is_no_former_foreign_number(text: str) -> None:
    assert not numbers.is_former_foreign_number(text)
