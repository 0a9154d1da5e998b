"""The page protocol, spoken to a card that is a function."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.cards.pages import PageTable, module_number, read_chip
from kiosk.cards.reader import CardFault, DamagedCard, UnknownCard
from tests.kiosk.cards.vectors import VECTORS

RECORD = VECTORS["A"].record
ATR = bytes.fromhex("3B8F8001804F0CA000000306079000000000007F")
MODULE = bytes.fromhex("05000300E3AF340187D61200B168DE3A")
TABLE = PageTable(module_command=bytes.fromhex("FF12FF0000"))


def card(photo: bytes, *, header: bytes | None = None, padded: bool = False) -> Callable[[bytes], bytes]:
    """Return a card that holds the record and `photo`; the last page is as short as the data, or padded to 256 bytes."""
    held = (b"\x01\x00" + len(photo).to_bytes(2) if header is None else header) + RECORD + photo

    def transmit(command: bytes) -> bytes:
        if command == TABLE.module_command:
            return MODULE + b"\x90\x00"
        assert command[:2] == b"\xff\xb0" and command[3:] == b"\0\0"
        page = held[command[2] * 256 :][:256]
        return (page.ljust(256, b"\0") if padded else page) + b"\x90\x00" if page else b"\x6a\x82"

    return transmit


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("size", [0, 1, 251, 252, 253, 508, 1024, 4096])
def test_ok__the_length_fields_say_how_many_pages_there_are(size: int, padded: bool) -> None:
    photo = bytes(range(256)) * 16
    chip = read_chip(card(photo[:size], padded=padded), ATR, TABLE)
    assert chip.record == RECORD
    assert chip.photo == photo[:size]
    assert chip.module == "05.03-20230115-001234567-987654321"


def test_ok__a_reader_without_a_module_command_names_no_module() -> None:
    assert read_chip(card(b""), ATR, PageTable()).module == ""


def test_ok__another_vendors_class_instruction_and_page_size_are_a_table() -> None:
    table = PageTable(cla=0x80, ins=0xC0, page_bytes=128, mark=b"\x3b", mark_at=0)
    held = b"\x01\x00\x00\x05" + RECORD + b"photo"
    chip = read_chip(
        lambda command: held[command[2] * 128 :][:128] + b"\x90\x00" if command[:2] == b"\x80\xc0" else b"", ATR, table
    )
    assert chip.photo == b"photo"


def test_fail__a_table_whose_portrait_needs_more_pages_than_there_are_numbers() -> None:
    with pytest.raises(ValueError, match="256 pages"):
        PageTable(page_bytes=32)


@pytest.mark.parametrize("atr", [b"", b"\x3b\x00", bytes(20), ATR[:14]])
def test_fail__a_card_without_the_mark_is_unknown_and_nothing_is_sent_to_it(atr: bytes) -> None:
    def untouched(command: bytes) -> bytes:
        raise AssertionError("a command was sent")

    with pytest.raises(UnknownCard):
        read_chip(untouched, atr, TABLE)


@pytest.mark.parametrize("word", ["6d00", "6e00"])
def test_fail__a_reader_that_knows_no_pages_makes_the_card_unknown(word: str) -> None:
    with pytest.raises(UnknownCard, match=word):
        read_chip(lambda _: bytes.fromhex(word), ATR, TABLE)


@pytest.mark.parametrize("answer", [b"", b"\x90", b"\x90\x00", b"\x01\x00\x04\x90\x00", b"\x6f\x00", b"\x6a\x82"])
def test_fail__a_first_page_that_is_none_is_damage(answer: bytes) -> None:
    with pytest.raises(DamagedCard):
        read_chip(lambda _: answer, ATR, TABLE)


@pytest.mark.parametrize("header", ["00ff0010", "02000010", "01004001", "0100ffff", "00000000"])
def test_fail__length_fields_that_cannot_be_are_damage(header: str) -> None:
    with pytest.raises(DamagedCard, match="length fields"):
        read_chip(card(bytes(16), header=bytes.fromhex(header)), ATR, TABLE)


@pytest.mark.parametrize("page", range(5))
def test_fail__a_page_cut_short_is_damage(page: int) -> None:
    whole = card(bytes(1000))
    with pytest.raises(DamagedCard):
        read_chip(lambda command: whole(command)[64:] if command[2] == page else whole(command), ATR, TABLE)


def test_fail__a_module_number_of_another_length_is_damage() -> None:
    with pytest.raises(DamagedCard):
        module_number(MODULE[:15])


def test_nothing_personal_is_in_a_repr() -> None:
    assert repr(read_chip(card(b"photo"), ATR, PageTable())) == "Chip(module='')"


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=70))
def test_noise_raises_nothing_but_card_faults(answers: list[bytes]) -> None:
    with contextlib.suppress(CardFault):
        read_chip(lambda command: answers[command[2] % len(answers)] + b"\x90\x00", ATR, PageTable())
