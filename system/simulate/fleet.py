"""A fleet of simulated kiosks in one process, and its own account of what was signed, sent and receipted.

For tests ("is every record there exactly once?"), for benchmarks, and for planning: `python -m system.simulate.fleet --help`.
"""

from __future__ import annotations

import asyncio
import random
import resource
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Annotated, Self

import typer

from sync_agent import service, settings
from sync_agent.contract import logs
from system.simulate.fleet_kiosk import FullJitter, Kiosk, Pace
from system.simulate.fleet_roll import Member, enrol
from system.simulate.fleet_work import shift_start, steady


@dataclass(frozen=True, slots=True)
class Held:
    """A record as a registry holds it."""

    device: str
    epoch: str
    seq: int
    digest: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A registry compared with what a fleet signed; all empty is as it must be.

    Attributes:
        lost: signed, and not held.
        doubled: held more than once.
        strange: held, and never signed like that.
    """

    lost: frozenset[Held]
    doubled: frozenset[Held]
    strange: frozenset[Held]

    @property
    def is_exactly_once(self) -> bool:
        """Whether every signed record is held exactly once, and nothing else is."""
        return not (self.lost or self.doubled or self.strange)


class Fleet:
    """The kiosks, connected while the ``async with`` block runs.

    Attributes:
        kiosks: one for each member, in their order.
    """

    def __init__(self, members: Sequence[Member], host: str, port: int, pace: Pace | None = None, *, seed: int = 0) -> None:
        """Make a fleet; nobody connects yet.

        Args:
            members: who is in it.
            host: of the broker; its certificate must name it.
            port: of the broker.
            pace: how the kiosks behave.
            seed: of every random choice.
        """
        self._changed = asyncio.Event()
        chance = random.Random(seed)
        self.kiosks = [
            Kiosk(member, host, port, pace or Pace(), random.Random(chance.random()), self._changed.set) for member in members
        ]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        allow_files(4 * len(self.kiosks) + 256)
        self._tasks = [asyncio.create_task(kiosk.run()) for kiosk in self.kiosks]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, true: Callable[[Kiosk], bool], within_s: float) -> None:
        """Return when something is true of every kiosk.

        Raises:
            TimeoutError: it is not; the text says of how many.
        """
        try:
            async with asyncio.timeout(within_s):
                for kiosk in self.kiosks:
                    while not true(kiosk):
                        self._changed.clear()
                        await self._changed.wait()
        except TimeoutError:
            open_ones = sum(not true(kiosk) for kiosk in self.kiosks)
            raise TimeoutError(f"after {within_s:g} s it is not yet so for {open_ones} of {len(self.kiosks)} kiosks") from None

    async def connected(self, within_s: float) -> None:
        """Return when every kiosk is connected."""
        await self.until(lambda kiosk: kiosk.is_connected, within_s)

    async def settled(self, within_s: float) -> None:
        """Return when every record has its receipt."""
        await self.until(lambda kiosk: not kiosk.waiting, within_s)

    async def play(self, moments: Iterable[float], seed: int = 0) -> None:
        """Let something happen at one kiosk or another at each of the moments, seconds from now."""
        chance, begun = random.Random(seed), monotonic()
        for moment in moments:
            await asyncio.sleep(max(0.0, begun + moment - monotonic()))
            chance.choice(self.kiosks).happen()

    def cut(self) -> None:
        """End every connection at once, as a line to the broker that fails; each kiosk has a record to send when it is back."""
        for kiosk in self.kiosks:
            kiosk.cut()
            kiosk.happen()

    def compare(self, held: Iterable[Held]) -> Verdict:
        """Say whether a registry holds exactly what the fleet signed."""
        signed = {
            Held(kiosk.member.device, kiosk.epoch, record.seq, record.digest)
            for kiosk in self.kiosks
            for record in kiosk.written.values()
        }
        counted = Counter(held)
        return Verdict(
            frozenset(signed - counted.keys()),
            frozenset(record for record, times in counted.items() if times > 1),
            frozenset(counted.keys() - signed),
        )

    def table(self) -> str:
        """Return what the fleet knows of itself, as lines for people."""
        records = [record for kiosk in self.kiosks for record in kiosk.written.values()]
        waits = sorted(1000 * (r.received_at - r.sent_at) for r in records if r.received_at is not None and r.sent_at is not None)
        per_second = Counter(int(at) for kiosk in self.kiosks for at in kiosk.connected_at)
        lines = [
            ("kiosks", len(self.kiosks)),
            ("connected now", sum(kiosk.is_connected for kiosk in self.kiosks)),
            ("times connected", sum(len(kiosk.connected_at) for kiosk in self.kiosks)),
            ("most connects in a second", max(per_second.values(), default=0)),
            ("records signed", len(records)),
            ("records sent, each time counted", sum(record.sent for record in records)),
            ("records with receipt", sum(record.received_at is not None for record in records)),
            ("records with the rules' answer", sum(record.ruling is not None for record in records)),
            ("messages refused", sum(len(kiosk.rejections) for kiosk in self.kiosks)),
            ("receipts not to be believed", sum(kiosk.forged for kiosk in self.kiosks)),
            ("first sent to receipt, p50, ms", round(percentile(waits, 0.50), 1)),
            ("first sent to receipt, p99, ms", round(percentile(waits, 0.99), 1)),
        ]
        return "\n".join(f"{name:<34} {value:>12}" for name, value in lines)


def percentile(ordered: Sequence[float], part: float) -> float:
    """Return the value below which `part` of an ascending sequence lies; 0 of an empty one."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def allow_files(count: int) -> None:
    """Let this process, and those it starts, open so many files, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


class Pattern(StrEnum):
    """How records come about."""

    STEADY = "steady"
    SHIFT_START = "shift-start"
    BACKLOG = "backlog"
    STORM = "storm"


def main(
    settings_file: Annotated[
        Path, typer.Option("--settings", "-s", help="Settings of the sync agent that shall know the fleet.")
    ],
    folder: Annotated[Path, typer.Option(help="Where the devices' keys are kept from one run to the next.")],
    kiosks: Annotated[int, typer.Option("--kiosks", "-n", min=1, max=10_000, help="How many.")] = 50,
    pattern: Annotated[Pattern, typer.Option(help="How records come about.")] = Pattern.STEADY,
    rate: Annotated[float, typer.Option(help="Records a second of the whole fleet; at the top of a shift's start.")] = 10.0,
    seconds: Annotated[float, typer.Option(help="How long records come about.")] = 30.0,
    backlog: Annotated[
        int, typer.Option(help="Records that each kiosk holds before it connects, for the pattern backlog.")
    ] = 100,
    batch: Annotated[int, typer.Option(min=1, max=20, help="Most records in one message.")] = 20,
    retry_max_s: Annotated[float, typer.Option(help="Longest wait before a try to connect, seconds.")] = 300.0,
    patience_s: Annotated[float, typer.Option(help="How long to wait for connections, and for the last receipts.")] = 120.0,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
) -> None:
    """Have a simulated fleet work with a running broker and sync agent, and print what became of its records.

    Meant for a test installation: its devices are enrolled with that sync agent and stay so.
    Ends with 1 when a record has no receipt.
    """
    logs.set_up("fleet")
    with service.office(settings.load(settings_file)) as at:
        members = enrol(at, folder, kiosks)
        broker = at.settings.broker
    pace = Pace(wait=FullJitter(longest_s=retry_max_s), batch=batch)
    chance = random.Random(seed)
    shape = shift_start if pattern is Pattern.SHIFT_START else steady
    moments = list(shape(rate, seconds, chance)) if pattern in (Pattern.STEADY, Pattern.SHIFT_START) else []

    async def work() -> bool:
        fleet = Fleet(members, broker.device_host or broker.host, broker.port, pace, seed=seed)
        if pattern is Pattern.BACKLOG:
            for kiosk in fleet.kiosks:
                for _ in range(backlog):
                    kiosk.happen()
        begun = monotonic()
        async with fleet:
            try:
                await fleet.connected(patience_s)
                if pattern is Pattern.STORM:
                    fleet.cut()
                    await fleet.connected(patience_s)
                await fleet.play(moments)
                await fleet.settled(patience_s)
            except TimeoutError as late:
                typer.echo(f"fleet: {late}", err=True)
            typer.echo(fleet.table())
            typer.echo(f"{'seconds, all together':<34} {monotonic() - begun:>12.1f}")
            return all(not kiosk.waiting for kiosk in fleet.kiosks)

    raise typer.Exit(0 if asyncio.run(work()) else 1)


if __name__ == "__main__":
    typer.run(main)
