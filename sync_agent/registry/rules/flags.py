"""What makes somebody abnormal, and who may say that it is over (S50-S52, domain.md 12.3)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Final

from sync_agent.registry.rules.personnel import FOUR_DB, MANUAL, TRAINING_CENTRE
from sync_agent.registry.tables import AbnormalCode, LibraryStatus

REGISTRY: Final = "registry"
"""Who raises what the registry finds out by itself."""

STAFF: Final = "staff:"
"""So the name of a member of staff begins where one acts."""

CONNECTORS: Final = frozenset({FOUR_DB, TRAINING_CENTRE})
"""Who reports flags and that they are over."""


class CannotClear(Exception):
    """Somebody who may not, or nothing to clear. Code FLG-01: nothing was changed."""

    code = "FLG-01"


def may_clear(code: AbnormalCode, raised_by: str, by: str) -> bool:
    """Say who may clear: several employers only the training centre (S51), all else staff (S52) or whoever raised it.

    Retraining is reported by the training centre too.

    Args:
        code: of the flag.
        raised_by: who raised it.
        by: a connector's name, or `staff:` and a name.
    """
    match code:
        case AbnormalCode.MULTI_EMPLOYER:
            return by == TRAINING_CENTRE
        case AbnormalCode.RETRAIN_DUE:
            return by == TRAINING_CENTRE or by.startswith(STAFF)
        case _:
            return by.startswith(STAFF) or (by in CONNECTORS and by == raised_by)


def is_employer(source: str, status: LibraryStatus) -> bool:
    """Say whether an employment counts for S51.

    What an enterprise only typed in does not, until the person stood there in person: else anybody could have another's people
    flagged by adding them.
    """
    return status is not LibraryStatus.LEFT and (source != MANUAL or status is LibraryStatus.IN_LIBRARY)


def employers_to_flag(employers: Collection[str]) -> tuple[str, ...]:
    """S51: return where somebody is to be flagged who works for these: at each, or nowhere where it is one."""
    return tuple(sorted(set(employers))) if len(set(employers)) > 1 else ()


def year_before(on: date) -> date:
    """12.3: return the last day on which data would be a year old; after 28 February of a common year comes 1 March."""
    try:
        return on.replace(year=on.year - 1)
    except ValueError:
        return on.replace(year=on.year - 1, day=28)
