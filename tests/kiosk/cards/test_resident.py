"""Text records of the resident family: vectors made by hand, everything that can be wrong with one, and noise."""

from __future__ import annotations

import contextlib
import zlib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.cards.reader import CardFault, DamagedCard, UnknownCard
from kiosk.cards.resident import Reading, parse
from sync_agent.contract.kinds import CardHolder, Finding, Provenance
from tests.kiosk.cards.vectors import VECTORS

TODAY = date(2026, 6, 1)


def read(record: bytes, today: date = TODAY) -> Reading:
    return parse(record, reader_module="05.03-1", today=today)


def with_text(letter: str, at: int, text: str) -> bytes:
    """Return vector `letter` with `text` written over it at byte `at`."""
    record, raw = VECTORS[letter].record, text.encode("utf-16-le", "surrogatepass")
    return record[:at] + raw + record[at + len(raw) :]


@pytest.mark.parametrize("letter", VECTORS)
def test_ok__each_layout_gives_every_field(letter: str) -> None:
    vector = VECTORS[letter]
    assert zlib.crc32(vector.record) == vector.crc
    reading = read(vector.record)
    assert reading.holder == vector.holder
    assert reading.facts.kind is vector.kind
    assert reading.facts.provenance is Provenance.SAM_VERIFIED
    assert reading.facts.reader_module == "05.03-1"
    assert reading.facts.findings == ()


def test_ok__the_last_day_of_validity_counts() -> None:
    assert read(VECTORS["A"].record, date(2040, 6, 1)).facts.findings == ()
    assert read(VECTORS["A"].record, date(2040, 6, 2)).facts.findings == (Finding.EXPIRED,)


def test_ok__a_card_is_not_valid_before_its_first_day() -> None:
    assert read(VECTORS["A"].record, date(2020, 6, 1)).facts.findings == ()
    assert read(VECTORS["A"].record, date(2020, 5, 31)).facts.findings == (Finding.NOT_YET_VALID,)


def test_ok__a_long_term_card_never_expires() -> None:
    assert read(VECTORS["B"].record, date(2200, 1, 1)).facts.findings == ()


@pytest.mark.parametrize(
    ("letter", "at", "text", "finding"),
    [
        ("A", 122 + 34, "2", Finding.NUMBER_CHECK),
        ("D", 122 + 28, "4", Finding.NUMBER_CHECK),
        ("A", 36, "19880316", Finding.BIRTH_DIFFERS),
        ("D", 220, "19880102", Finding.BIRTH_DIFFERS),
        ("E", 36, "19880102", Finding.BIRTH_DIFFERS),
        ("A", 30, "2", Finding.SEX_DIFFERS),
        ("A", 0, "\ue863", Finding.RARE_NAME),
    ],
)
def test_ok__what_does_not_agree_is_a_finding(letter: str, at: int, text: str, finding: Finding) -> None:
    assert read(with_text(letter, at, text)).facts.findings == (finding,)


def test_ok__a_sex_not_stated_contradicts_no_number() -> None:
    assert read(with_text("A", 30, "9")).facts.findings == ()


def test_ok__an_unpaired_surrogate_is_kept_and_flagged() -> None:
    reading = read(with_text("A", 0, "\ud800 "))
    assert reading.facts.findings == (Finding.RARE_NAME,)
    assert reading.holder.name == "\\ud800 顿珠"
    assert CardHolder.model_validate_json(reading.holder.model_dump_json().encode()) == reading.holder


def test_ok__a_character_beyond_the_basic_plane_is_kept_exactly() -> None:
    reading = read(with_text("A", 0, "李\U0002cc56测"))
    assert reading.holder.name == "李\U0002cc56测"
    assert reading.facts.findings == ()


def test_ok__a_space_at_the_joint_of_two_name_parts_belongs_to_the_name() -> None:
    latin = f"{'TESTA, ' + 'K' * 28:<35}{' EXAMPLE':<11}"
    record = with_text("E", 52, latin[:35])
    record = record[:220] + latin[35:].encode("utf-16-le") + record[242:]
    assert read(record).holder.latin_name == "TESTA, " + "K" * 28 + " EXAMPLE"


def test_ok__an_unknown_ethnic_group_is_kept() -> None:
    assert read(with_text("A", 32, "99")).holder.ethnic_group == "99"


def test_ok__nul_padding_is_padding() -> None:
    assert read(with_text("A", 8, "\0" * 11)).holder.name == "扎西顿珠"


@pytest.mark.parametrize("flag", ["Z", "K", "\0", "\ud800", "长"])
def test_fail__another_flag_is_an_unknown_card(flag: str) -> None:
    with pytest.raises(UnknownCard):
        read(with_text("A", 248, flag))


@pytest.mark.parametrize(
    ("letter", "at", "text"),
    [
        ("A", 0, " " * 15),
        ("A", 2, "\0"),
        ("A", 4, "\n"),
        ("A", 30, "3"),
        ("A", 30, " "),
        ("A", 32, " 4"),
        ("A", 36, "19880230"),
        ("A", 36, "1988031５"),
        ("A", 36, " " * 8),
        ("A", 122, " " * 18),
        ("A", 122 + 34, "x"),
        ("A", 188, "20410601"),
        ("A", 204, "长久"),
        ("D", 122, "123"),
        ("D", 152, "np1"),
        ("E", 242, "   "),
    ],
)
def test_fail__what_cannot_stand_there_is_a_damaged_card(letter: str, at: int, text: str) -> None:
    with pytest.raises(DamagedCard):
        read(with_text(letter, at, text))


@pytest.mark.parametrize("size", [0, 1, 255, 257, 1280])
def test_fail__a_record_of_another_length_is_a_damaged_card(size: int) -> None:
    with pytest.raises(DamagedCard):
        read((VECTORS["A"].record * 5)[:size])


def test_fail__a_name_of_nothing_but_broken_characters_does_not_fit_a_record() -> None:
    with pytest.raises(DamagedCard, match="name") as refused:
        read(with_text("A", 0, "\udc00" * 15))
    assert refused.value.__cause__ is None and "\\udc00" not in str(refused.value)


@pytest.mark.parametrize("letter", VECTORS)
def test_nothing_personal_is_in_a_repr(letter: str) -> None:
    holder = VECTORS[letter].holder
    shown = repr(read(VECTORS[letter].record))
    assert holder.name not in shown and holder.number not in shown


@given(st.binary(max_size=300))
def test_noise_raises_nothing_but_card_faults(noise: bytes) -> None:
    with contextlib.suppress(CardFault):
        read(noise)


@given(st.sampled_from(sorted(VECTORS)), st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=12))
def test_a_spoilt_record_is_read_or_refused_and_can_always_be_sent(letter: str, spoilt: list[tuple[int, int]]) -> None:
    record = bytearray(VECTORS[letter].record)
    for at, byte in spoilt:
        record[at] = byte
    with contextlib.suppress(CardFault):
        holder = read(bytes(record)).holder
        assert CardHolder.model_validate_json(holder.model_dump_json().encode()) == holder
