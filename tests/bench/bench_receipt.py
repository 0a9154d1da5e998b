"""How long from the card on the reader to the centre's receipt on the screen, step by step, with everything real on loopback.

Steps are taken from the time stamps of the kiosk's and the sync agent's own logs. The peer of the wire's part is an echo through
the same broker: publish and hear one message of the same size, in the same run.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sync_agent.contract import topics
from sync_agent.contract.topics import DeviceId, Tenant
from system.simulate.pcscd import PcscdRefused
from system.simulate.pilot import Pilot
from system.simulate.world import TENANT, Places, World, card_of, change_film, prepare_films
from tests.bench.result import Result
from tests.certificates import Issued
from tests.mqtt import Speaker

VISITS: Final = 7
FILMS: Final = Path(__file__).parents[2] / ".cache" / "films"
STEPS: Final = (
    "card down to seen",
    "seen to read",
    "agreed to decided and recorded",
    "recorded to applied at the centre",
    "applied to receipt taken",
    "receipt taken to shown",
)


def benchmarks() -> Iterator[Result]:
    """Yield each step, their sum, and the wire's part against an echo."""
    with tempfile.TemporaryDirectory(prefix="renzheng-") as folder:
        try:
            with World(Places(Path(folder)), prepare_films(FILMS)) as world, world.pilot() as pilot:
                visits = [_visit(world, pilot) for _ in range(VISITS)]
                echoes = _echoes(world)
        except PcscdRefused as refused:
            yield Result.missing("receipt: card down to receipt shown", "ms", str(refused))
            return
    for step, name in enumerate(STEPS):
        yield Result.of(f"receipt: {name}", [visit[step] for visit in visits], "ms")
    yield Result.of("receipt: sum, without the visitor's own time", [sum(visit) for visit in visits], "ms")
    wire = [visit[3] + visit[4] for visit in visits]
    ratios = [there_and_back / echo for there_and_back, echo in zip(wire, echoes, strict=True)]
    yield Result.of("receipt: recorded to receipt", ratios, "x", peer="an echo through the same broker")


def _visit(world: World, pilot: Pilot) -> list[float]:
    """Return the milliseconds of each step of one visit."""
    pilot.wait("Attract", timeout_s=30)
    change_film(world.places, world.films, "right")
    card = card_of("zhaxi", "right", world.vpcd_port)
    begun = _now()
    with card.down():
        pilot.wait("Consent", timeout_s=30)
        read = _now()
        pilot.press("tick-compare")
        pilot.press("agree")
        agreed = _now()
        pilot.wait("Result", lit="effective", timeout_s=30)
        shown = _now()
        pilot.press("done")
    seen = _last(world, "kiosk", "visit.begun")
    recorded = _last(world, "kiosk", "record.written")
    applied = _last(world, "sync-agent", "record.applied")
    taken = _last(world, "kiosk", "receipt.taken")
    return [seen - begun, read - seen, recorded - agreed, applied - recorded, taken - applied, shown - taken]


def _echoes(world: World) -> list[float]:
    """Return the milliseconds of one message of a record's size through the broker and back, as often as there were visits."""
    keys = world.places.agent / "keys"
    own = Issued(keys / "sync-agent.crt", keys / "sync-agent.key")
    world.agent.stop()  # its session has the name that the echo uses
    topic = topics.down(Tenant(TENANT), DeviceId("sync-agent"), topics.Down.RECEIPT)  # the one it may both write and read
    rounds = []
    with Speaker(world.broker, keys / "ca.crt", own, client_id="sync-agent") as speaker:
        speaker.subscribe(topic)
        for _ in range(VISITS):
            begun = time.perf_counter()
            speaker.send(topic, bytes(2500))
            speaker.hear()
            rounds.append(1000 * (time.perf_counter() - begun))
    return rounds


def _now() -> float:
    return 1000 * datetime.now(UTC).timestamp()


def _last(world: World, program: str, event: str) -> float:
    """Return when a program last logged an event, milliseconds since 1970."""
    lines = (world.places.root / f"{program}.log").read_text(encoding="utf-8").splitlines()
    found = [line for line in map(_parsed, lines) if line.get("event") == event]
    return 1000 * datetime.fromisoformat(found[-1]["timestamp"]).timestamp()


def _parsed(line: str) -> dict[str, str]:
    try:
        parsed: dict[str, str] = json.loads(line)
    except ValueError:
        return {}
    return parsed
