"""How names and numbers are shown where the full value is not needed (P22): 旦*卓玛, 540102********0010."""

from __future__ import annotations


def masked_name(name: str) -> str:
    """Return a name with its second character hidden, or a single one hidden whole; longer parts keep their end."""
    match len(name):
        case 0:
            return ""
        case 1:
            return "*"
        case 2:
            return name[0] + "*"
        case _:
            return name[0] + "*" + name[2:] if len(name) <= 4 else name[0] + "*" * (len(name) - 2) + name[-1]


def masked_number(number: str) -> str:
    """Return an identity number with all but its first six and last four characters hidden; a short one hides more."""
    if len(number) < 14:
        return "*" * max(0, len(number) - 4) + number[-4:]
    return number[:6] + "*" * (len(number) - 10) + number[-4:]
