"""Identity numbers, for both sides: the check characters that a mistyped or forged number does not have."""

from __future__ import annotations

import re
from typing import Final

_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS: Final = "10X98765432"
_ICAO_WEIGHTS: Final = (7, 3, 1)

_USCC_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS: Final = tuple(3**place % 31 for place in range(17))

_IDENTITY_NUMBER: Final = re.compile(r"[0-9]{17}[0-9X]")
_FORMER_FOREIGN_NUMBER: Final = re.compile(r"[A-Z]{3}[0-9]{12}")


def is_identity_number(text: str) -> bool:
    """Say whether `text` has the form of an 18-character identity number, its check character aside."""
    return _IDENTITY_NUMBER.fullmatch(text) is not None


def is_former_foreign_number(text: str) -> bool:
    """Say whether `text` has the form of the 15-character number on foreign residents' cards before December 2023."""
    return _FORMER_FOREIGN_NUMBER.fullmatch(text) is not None


def check_character(body: str) -> str:
    """Return the 18th character for the first 17 digits of an identity number (GB 11643; ISO 7064 MOD 11-2).

    Args:
        body: 17 digits.
    """
    return _CHECKS[sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True)) % 11]


def icao_check_digit(body: str) -> str:
    """Return the check digit over digits and capital letters, weights 7-3-1 (ICAO 9303-3, 4.9).

    Args:
        body: ``0-9`` and ``A-Z`` only; letters count 10 to 35.
    """
    return str(sum(int(character, 36) * _ICAO_WEIGHTS[place % 3] for place, character in enumerate(body)) % 10)


def is_uscc(text: str) -> bool:
    """Say whether `text` is a unified social credit code, its check character included (GB 32100-2015)."""
    if len(text) != 18 or not set(text) <= set(_USCC_ALPHABET):
        return False
    return text[17] == uscc_check(text[:17])


def uscc_check(body: str) -> str:
    """Return the 18th character of a unified social credit code (GB 32100-2015, weights 3^(i-1) mod 31).

    Args:
        body: the first 17 characters, of the code's alphabet.
    """
    total = sum(_USCC_ALPHABET.index(character) * weight for character, weight in zip(body, _USCC_WEIGHTS, strict=True))
    return _USCC_ALPHABET[-total % 31]
