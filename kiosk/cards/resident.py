"""The text record of the resident card family: 256 bytes, four layouts, told apart by the flag at byte 248.

Pure functions. Layouts after GA/T 490 (resident ID card; residence permit for Hong Kong, Macao and Taiwan residents) and the
foreign permanent resident cards of 2017 and 2023. What does not agree is a finding; what cannot be read is a `CardFault`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from pydantic import ValidationError

from kiosk.cards.reader import DamagedCard, UnknownCard
from sync_agent.contract import numbers
from sync_agent.contract.kinds import CardFacts, CardHolder, CardKind, Finding, Provenance

RECORD_BYTES: Final = 256
_FLAG: Final = slice(248, 250)
_NO_EXPIRY: Final = "长期"
_SEXES: Final = frozenset("0129")  # GB/T 2261.1: unknown, male, female, not stated
_DATE: Final = re.compile(r"[0-9]{8}")
_LONE_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_PRIVATE_USE: Final = re.compile(r"[\ue000-\uf8ff\U000f0000-\U0010fffd]")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text record says and what in it does not agree. The holder is personal."""

    holder: CardHolder
    facts: CardFacts

    def __repr__(self) -> str:
        return f"Reading({self.facts.kind})"


@dataclass(frozen=True, slots=True)
class _Scheme:
    """How a card number is made.

    Attributes:
        has_form: whether a text can be such a number, its check character aside.
        check: the check character for all the others.
        birth: where the birth date stands in the number.
        sex_at: place of the digit that is odd for men and even for women; None where no digit says so.
    """

    has_form: Callable[[str], bool]
    check: Callable[[str], str]
    birth: slice
    sex_at: int | None


_EIGHTEEN: Final = _Scheme(numbers.is_identity_number, numbers.check_character, slice(6, 14), 16)
_FIFTEEN: Final = _Scheme(numbers.is_former_foreign_number, numbers.icao_check_digit, slice(7, 13), None)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where each field stands, as (offset, length) in bytes; several parts are joined before they are stripped."""

    kind: CardKind
    scheme: _Scheme
    number: tuple[int, int]
    sex: tuple[int, int]
    birth: tuple[int, int]
    valid_from: tuple[int, int]
    valid_until: tuple[int, int]
    name: tuple[int, int]
    latin_name: tuple[tuple[int, int], ...] = ()
    ethnic_group: tuple[int, int] | None = None
    nationality: tuple[int, int] | None = None
    address: tuple[int, int] | None = None
    issuer: tuple[int, int] | None = None


_LAYOUTS: Final = {
    " ": _Layout(
        CardKind.RESIDENT,
        _EIGHTEEN,
        name=(0, 30),
        sex=(30, 2),
        ethnic_group=(32, 4),
        birth=(36, 16),
        address=(52, 70),
        number=(122, 36),
        issuer=(158, 30),
        valid_from=(188, 16),
        valid_until=(204, 16),
    ),
    "J": _Layout(
        CardKind.HKMT_RESIDENCE,
        _EIGHTEEN,
        name=(0, 30),
        sex=(30, 2),
        birth=(36, 16),
        address=(52, 70),
        number=(122, 36),
        issuer=(158, 30),
        valid_from=(188, 16),
        valid_until=(204, 16),
    ),
    "I": _Layout(
        CardKind.FOREIGN_PR_2017,
        _FIFTEEN,
        latin_name=((0, 120),),
        sex=(120, 2),
        number=(122, 30),
        nationality=(152, 6),
        name=(158, 30),
        valid_from=(188, 16),
        valid_until=(204, 16),
        birth=(220, 16),
        issuer=(240, 8),
    ),
    "Y": _Layout(
        CardKind.FOREIGN_PR_2023,
        _EIGHTEEN,
        name=(0, 30),
        sex=(30, 2),
        birth=(36, 16),
        latin_name=((52, 70), (220, 22)),
        number=(122, 36),
        valid_from=(188, 16),
        valid_until=(204, 16),
        nationality=(242, 6),
    ),
}


def parse(record: bytes, *, reader_module: str, today: date) -> Reading:
    """Read a text record.

    Args:
        record: 256 bytes, UTF-16LE, as the chip holds them.
        reader_module: number of the security module that read it, for audits.
        today: the date at the kiosk's place, to judge validity by; the last day counts as valid.

    Raises:
        UnknownCard: the flag names no layout of the family.
        DamagedCard: too short or long, or a field holds what cannot stand there.
    """
    if len(record) != RECORD_BYTES:
        raise DamagedCard(f"The text record has {len(record)} bytes instead of {RECORD_BYTES}")
    flag = record[_FLAG].decode("utf-16-le", "surrogatepass")
    layout = _LAYOUTS.get(flag)
    if layout is None:
        raise UnknownCard(f"The record's type flag is U+{ord(flag):04X}, which is none of the resident family")

    name, latin_name = _text(record, layout.name), _text(record, *layout.latin_name)
    address, issuer = _text(record, layout.address), _text(record, layout.issuer)
    number, sex = _text(record, layout.number), _text(record, layout.sex)
    birth, valid_from = _day(record, layout.birth, "birth date"), _day(record, layout.valid_from, "start of validity")
    valid_until = None if _text(record, layout.valid_until) == _NO_EXPIRY else _day(record, layout.valid_until, "end of validity")

    if not (name or latin_name):
        raise DamagedCard("The record holds no name")
    if not layout.scheme.has_form(number):
        raise DamagedCard("The record holds no card number where it should stand")
    if sex not in _SEXES:
        raise DamagedCard("The sex code is none of GB/T 2261.1")
    if valid_until is not None and valid_until < valid_from:
        raise DamagedCard("The card's validity ends before it starts")

    try:
        holder = CardHolder(
            name=_plain(name or latin_name),
            latin_name=_plain(latin_name),
            number=number,
            sex=sex,
            ethnic_group=_code(record, layout.ethnic_group, r"[0-9]{2}", "ethnic group"),
            nationality=_code(record, layout.nationality, r"[A-Z]{3}", "nationality"),
            birth=birth,
            address=_plain(address),
            issuer=_plain(issuer),
            valid_from=valid_from,
            valid_until=valid_until,
        )
        facts = CardFacts(
            kind=layout.kind,
            provenance=Provenance.SAM_VERIFIED,
            reader_module=reader_module,
            findings=tuple(_findings(layout.scheme, holder, name + latin_name + address + issuer, today)),
        )
    except ValidationError as err:
        keys = ", ".join(".".join(map(str, line["loc"])) for line in err.errors())
        raise DamagedCard(f"The record holds what no card can: {keys}") from None
    return Reading(holder, facts)


def _findings(scheme: _Scheme, holder: CardHolder, texts: str, today: date) -> Iterator[Finding]:
    """Yield what does not agree on the card, in the order of `Finding`; `texts` are its names, of people and places, as read."""
    number = holder.number
    if number[-1] != scheme.check(number[:-1]):
        yield Finding.NUMBER_CHECK
    if not holder.birth.isoformat().replace("-", "").endswith(number[scheme.birth]):
        yield Finding.BIRTH_DIFFERS
    if scheme.sex_at is not None and holder.sex in "12" and int(number[scheme.sex_at]) % 2 != int(holder.sex) % 2:
        yield Finding.SEX_DIFFERS
    if holder.valid_until is not None and holder.valid_until < today:
        yield Finding.EXPIRED
    if holder.valid_from > today:
        yield Finding.NOT_YET_VALID
    if _LONE_SURROGATE.search(texts) or _PRIVATE_USE.search(texts):
        yield Finding.RARE_NAME


def _text(record: bytes, *spans: tuple[int, int] | None) -> str:
    """Return the text at `spans`, joined and without its padding; surrogates without a partner stay in it.

    Raises:
        DamagedCard: it holds control characters.
    """
    raw = b"".join(record[span[0] : span[0] + span[1]] for span in spans if span is not None)
    text = raw.decode("utf-16-le", "surrogatepass").rstrip(" \0")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise DamagedCard("A text field holds control characters")
    return text


def _plain(text: str) -> str:
    """Return `text` so that it can leave the kiosk: a surrogate without a partner, which UTF-8 cannot carry, as its escape.

    Nothing is lost by it: no card text holds a backslash.
    """
    return _LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _day(record: bytes, span: tuple[int, int], what: str) -> date:
    """Return the date at `span`, eight digits.

    Raises:
        DamagedCard: no eight digits, or no day of the calendar.
    """
    text = _text(record, span)
    try:
        if _DATE.fullmatch(text):
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        pass
    raise DamagedCard(f"The {what} is not a date")


def _code(record: bytes, span: tuple[int, int] | None, form: str, what: str) -> str:
    """Return the code at `span`, known or not; empty where the layout has none.

    Raises:
        DamagedCard: it does not have the form of such a code.
    """
    code = _text(record, span)
    if span is not None and not re.fullmatch(form, code):
        raise DamagedCard(f"The {what} is not a code of the form {form}")
    return code
