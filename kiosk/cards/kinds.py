"""The table of reader kinds: which class stands behind a name in the settings."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from kiosk.cards.absent import AbsentReader
from kiosk.cards.pages import PageTable
from kiosk.cards.reader import CardReader
from kiosk.clock import Clock


class ReaderKind(StrEnum):
    """The kinds of reader a kiosk can have."""

    PCSC_PAGES = "pcsc-pages"
    ABSENT = "absent"


def open_reader(kind: ReaderKind, *, clock: Clock, name: str, read_deadline_s: float, pages: PageTable) -> CardReader:
    """Build the reader of a kind; nothing is opened before its `start`.

    Args:
        kind: which.
        clock: for the age of a fault and the validity of cards.
        name: part of the PC/SC reader's name; empty for any.
        read_deadline_s: a reading that takes longer counts as a stuck reader.
        pages: how the reader's vendor offers the pages.
    """
    match kind:
        case ReaderKind.PCSC_PAGES:
            from kiosk.cards.pcsc import PcscReader  # here, so that a kiosk without PC/SC runs without pyscard

            return PcscReader(clock=clock, name=name, read_deadline_s=read_deadline_s, pages=pages)
        case ReaderKind.ABSENT:
            return AbsentReader(clock)
        case _:
            assert_never(kind)
