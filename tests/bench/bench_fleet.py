"""A simulated fleet at a real broker, agent and PostgreSQL: how long until the receipt, and how fast the centre catches up.

The echo is a message of a record's size that comes back through the same broker, over the same kind of connection, into the same
process and in the same seconds as the receipts: what the load itself costs stands in both.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Final

from sync_agent.contract import topics
from system.services.broker import Mosquitto
from system.simulate.fleet import Fleet, percentile
from system.simulate.fleet_kiosk import FullJitter, Pace
from system.simulate.fleet_roll import TENANT
from system.simulate.fleet_work import steady
from system.simulate.mqtt import Connection, Door
from tests.bench.result import Result
from tests.bench.stand import Letters, Rows, Stand
from tests.observer import OBSERVER

KIOSKS: Final = 300
"""So many that at half the peak a kiosk has about two records a second: receipts to one are gathered for a fifth of a second."""
SECONDS: Final = 8.0
EACH: Final = 20
ECHO_S: Final = 0.05
"""Between two echoes."""
ROUNDS: Final = 3
WITHIN_S: Final = 120.0
PACE: Final = Pace(wait=FullJitter(scale=0.5), resend_s=20.0)
HASTY: Final = Pace(wait=FullJitter(scale=0.5), resend_s=1.0)


def benchmarks() -> Iterator[Result]:
    """Yield the rates and delays."""
    peaks, backlogs, receipts, echoes = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="renzheng-") as folder, Stand(Path(folder), KIOSKS) as stand:
        letters = Letters(stand.members, 2 + EACH)
        first, queued = letters.mail(1, 2), letters.mail(3, 2 + EACH)
        for _ in range(ROUNDS):
            url = stand.registry()
            with stand.broker() as broker:
                taken = stand.drain([stand.agent(url, broker.port)], "record", url, broker.port, first, queued)
            peaks.append(taken.rate)
            receipt, echo = asyncio.run(_live(stand, taken.rate / 2))
            receipts.append(receipt)
            echoes.append(echo)
            backlogs.append(asyncio.run(_catch_up(stand)))
    yield Result.of("fleet: record to receipt at half peak, p99", receipts, "ms")
    yield Result.of("fleet: broker echo meanwhile, p99", echoes, "ms")
    more = [receipt - echo for receipt, echo in zip(receipts, echoes, strict=True)]
    yield Result.of("fleet: receipt later than echo, p99", more, "ms", goal="<=150", peer="an echo through the same broker")
    yield Result.of("fleet: backlog after an outage, records a second", backlogs, "/s")
    ratios = [backlog / peak for backlog, peak in zip(backlogs, peaks, strict=True)]
    yield Result.of("fleet: catching up to the live rate", ratios, "x", goal=">=3", peer="the most it takes singly")


async def _live(stand: Stand, rate: float) -> tuple[float, float]:
    """Return the p99 of receipt and echo, milliseconds, while records come about at `rate` a second."""
    url = stand.registry()
    with stand.broker() as broker:
        agent = stand.agent(url, broker.port)
        agent.start(lambda: True)
        await _warm(stand, broker)
        fleet = Fleet(stand.members, broker.host, broker.port, PACE)
        moments = list(steady(rate, SECONDS, random.Random(1)))
        for kiosk in fleet.kiosks:
            kiosk.prepare(2 * len(moments) // len(fleet.kiosks))
        async with fleet:
            await fleet.until(lambda kiosk: kiosk.is_reconciled, WITHIN_S)
            waits: list[float] = []
            echoing = asyncio.create_task(_echo(stand, broker, waits))
            await fleet.play(moments)
            echoing.cancel()
            await fleet.settled(WITHIN_S)
        agent.stop(within_s=20.0)
    taken = [
        1000 * (record.received_at - record.sent_at)
        for kiosk in fleet.kiosks
        for record in kiosk.written.values()
        if record.received_at is not None and record.sent_at is not None
    ]
    return percentile(sorted(taken), 0.99), percentile(sorted(waits), 0.99)


async def _warm(stand: Stand, broker: Mosquitto) -> None:
    """Return when the agent hears every shard: each kiosk has had a receipt."""
    async with Fleet(stand.members, broker.host, broker.port, HASTY) as fleet:
        for kiosk in fleet.kiosks:
            kiosk.happen()
        await fleet.settled(WITHIN_S)


async def _echo(stand: Stand, broker: Mosquitto, waits: list[float]) -> None:
    """Send a message to ourselves again and again and note how long each took, milliseconds, until cancelled."""
    context = ssl.create_default_context(cafile=stand.keys / "ca.crt")
    context.load_cert_chain(stand.observer.certificate, stand.observer.key)
    back: asyncio.Queue[bytes] = asyncio.Queue()
    door = Door(broker.host, broker.port, context)
    connection = await Connection.open(door, OBSERVER, lambda _topic, payload: back.put_nowait(payload), clean=True)
    topic = topics.down(TENANT, OBSERVER, topics.Down.RECEIPT)
    try:
        await connection.subscribe(topic)
        while True:
            begun = monotonic()
            connection.publish(topic, bytes(1200))
            await back.get()
            waits.append(1000 * (monotonic() - begun))
            await asyncio.sleep(ECHO_S)
    finally:
        connection.close()


async def _catch_up(stand: Stand) -> float:
    """Return how many records a second come in when every kiosk has a backlog and connects."""
    url = stand.registry()
    with stand.broker() as broker:
        agent = stand.agent(url, broker.port)
        agent.start(lambda: True)
        await _warm(stand, broker)
        fleet = Fleet(stand.members, broker.host, broker.port, PACE)
        for kiosk in fleet.kiosks:
            for _ in range(EACH):
                kiosk.happen()
        with Rows(url, "record") as rows:
            begun = monotonic()
            async with fleet:
                await asyncio.to_thread(rows.wait, KIOSKS + KIOSKS * EACH)
            seconds = monotonic() - begun
        agent.stop(within_s=20.0)
    return KIOSKS * EACH / seconds
