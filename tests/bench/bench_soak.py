"""Whether the sync agent's memory stays flat while records come in: how much it grows for every 100,000 of them.

A short look by default; a million is RENZHENG_SOAK_RECORDS=1000000 ./system/bench soak (half an hour: each is signed first).
Only from 200,000 on the growth is more than the noise of a process that has just begun, and has a goal.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.result import Result
from tests.bench.stand import Letters, Rows, Stand, children, fill

KIOSKS: Final = 50
LEG: Final = 2_500
"""Records between two looks at the memory."""
RECORDS: Final = int(os.environ.get("RENZHENG_SOAK_RECORDS", "20000"))
SETTLED: Final = 3
"""Legs after which caches are full and growth is counted."""
TRUSTED: Final = 200_000
"""So many records show a growth that is worth a goal."""


def benchmarks() -> Iterator[Result]:
    """Yield the memory at the end and its growth."""
    legs = max(SETTLED + 2, RECORDS // LEG)
    each = LEG // KIOSKS
    sizes: list[float] = []
    with tempfile.TemporaryDirectory(prefix="renzheng-") as folder, Stand(Path(folder), KIOSKS) as stand:
        url = stand.registry()
        with stand.broker() as broker, Rows(url, "record") as held:
            agent = stand.agent(url, broker.port)
            agent.start(lambda: True)
            try:
                for leg in range(legs):
                    mails = Letters(stand.members, each).mail(1, each, batch=20)
                    while held.count() == 0:  # whoever has not subscribed yet hears nothing
                        fill(mails, broker.port)
                    fill(mails, broker.port)
                    held.wait((leg + 1) * LEG)
                    sizes.append(sum(resident_mb(pid) for pid in [agent.pid, *children(agent.pid)]))
            finally:
                agent.stop(within_s=20.0)
    growth = slope(sizes[SETTLED:]) * 100_000 / LEG
    yield Result.of(f"soak: memory of the agent after {legs * LEG} records", [sizes[-1]], "MB")
    yield Result.of("soak: growth for every 100,000 records", [growth], "MB", goal="<=1" if RECORDS >= TRUSTED else "")


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def slope(values: list[float]) -> float:
    """Return how much the values rise from one to the next: the least-squares line through them."""
    middle_x, middle_y = (len(values) - 1) / 2, sum(values) / len(values)
    across = sum((x - middle_x) * (y - middle_y) for x, y in enumerate(values))
    return across / sum((x - middle_x) ** 2 for x in range(len(values)))
