"""How long from the card on the reader to the centre's ruling on the screen, step by step, with everything real on loopback.

Steps end where the kiosk's own log, or the pilot at the screen, says so. The centre judges a record while its receipt is under
way. What the visitor takes (reading the page of consent, ticking, agreeing) is in none of them, and nobody is asked to turn their
head. The peer of the wire's part is an echo through the same broker: publish and hear one message of a record's size, in the same
run.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

from sync_agent.contract import topics
from sync_agent.contract.topics import Tenant
from system.simulate.pcscd import PcscdRefused
from system.simulate.pilot import Pilot, PilotRefused
from system.simulate.world import TENANT, Places, World, card_of, change_film
from tests.bench.result import Result
from tests.mqtt import Speaker
from tests.observer import OBSERVER, Observed, certify

VISITS: Final = 7
FILMS: Final = Path(__file__).parents[2] / ".cache" / "films"
WITHIN_S: Final = 30.0
POLL_S: Final = 0.4
"""pcscd looks for a card this often (PCSCLITE_STATUS_POLL_RATE)."""
QUIET_S: Final = 0.1
"""After this long everything on the wire has been acknowledged, delayed acknowledgements (40 ms) as well."""
STEPS: Final = (
    "card down to seen",
    "seen to read",
    "agreed to decided and recorded",
    "recorded to sent",
    "sent to receipt taken",
    "receipt taken to ruling shown",
)
WIRE: Final = STEPS.index("sent to receipt taken")


def benchmarks() -> Iterator[Result]:
    """Yield each step, their sum, and the wire's part against an echo."""
    with tempfile.TemporaryDirectory(prefix="renzheng-") as folder:
        try:
            with World(Places(Path(folder)), FILMS, challenge_turns=0, make_broker=Observed) as world, world.pilot() as pilot:
                _visit(world, pilot, 0)  # warm
                visits = [_visit(world, pilot, POLL_S * number / VISITS) for number in range(VISITS)]
                echoes = _echoes(world)
        except PcscdRefused as refused:
            yield Result.missing("receipt: sum, without the visitor's own time", "ms", str(refused))
            return
    for step, name in enumerate(STEPS):
        yield Result.of(f"receipt: {name}", [visit[step] for visit in visits], "ms")
    yield Result.of("receipt: sum, without the visitor's own time", [sum(visit) for visit in visits], "ms")
    yield Result.of("receipt: an echo through the broker", echoes, "ms")
    ratios = [visit[WIRE] / median(echoes) for visit in visits]
    yield Result.of("receipt: sent to receipt taken", ratios, "x", peer="an echo through the same broker")


def _visit(world: World, pilot: Pilot, after_s: float) -> list[float]:
    """Return the milliseconds of each step of one visit.

    Args:
        world: the installation.
        pilot: the visitor's hand.
        after_s: when the card is put down, counted from the end of the last visit. That end is a look of pcscd's, so without a
            wait that differs from visit to visit every card would come just after one and wait for the next, unlike visitors.

    Raises:
        RuntimeError: a step ended before it began, or the visit did not end with a record in effect.
    """
    pilot.wait("Attract", timeout_s=WITHIN_S)
    change_film(world.places, world.films, "right")
    time.sleep(after_s)
    card = card_of("zhaxi", "right", world.vpcd_port)
    down = _now()
    with card.down():
        pilot.wait("Consent", timeout_s=WITHIN_S)
        read = _now()
        pilot.press("tick-compare")
        pilot.press("agree")  # returns when the finger is on the glass
        agreed = _now()
        try:
            pilot.wait("Result", lit="effective", timeout_s=WITHIN_S)
        except PilotRefused as refused:
            raise RuntimeError(f"a visit went another way; {_Log(world).tail()}") from refused
        shown = _now()
        pilot.press("done")
    kiosk = _Log(world)
    seen = kiosk.last(lambda line: line["event"] == "visit.begun")
    recorded = kiosk.last(lambda line: line["event"] == "record.written" and line["kind"] == "verification")
    seq = recorded["seq"]
    sent = kiosk.last(lambda line: line["event"] == "record.sent" and line["seq"] == seq)
    taken = kiosk.first(lambda line: line["event"] == "receipt.taken" and line["upto"] >= seq)
    ends = [down, _at(seen), read, agreed, _at(recorded), _at(sent), _at(taken), shown]
    steps = [end - begin for begin, end in pairwise(ends)]
    if min(steps) < 0:
        raise RuntimeError(f"a step ended before it began: {steps}")
    del steps[STEPS.index("agreed to decided and recorded")]  # the visitor's own time stands before it
    return steps


def _echoes(world: World) -> list[float]:
    """Return the milliseconds of one message of a record's size through the broker and back, as often as there were visits."""
    keys = world.places.agent / "keys"
    own = certify(keys, world.places.root)
    [record] = world.rows("SELECT length(message) AS size FROM record WHERE kind = 'verification' ORDER BY seq DESC LIMIT 1")
    world.agent.stop()  # the broker has nothing else to do
    topic = topics.down(Tenant(TENANT), OBSERVER, topics.Down.RECEIPT)
    with Speaker(world.broker, keys / "ca.crt", own, client_id=OBSERVER) as speaker:
        speaker.subscribe(topic)
        return [_echo_ms(speaker, topic, bytes(record["size"])) for _ in range(VISITS + 1)][1:]


def _echo_ms(speaker: Speaker, topic: str, message: bytes) -> float:
    time.sleep(QUIET_S)
    begun = time.perf_counter()
    speaker.send(topic, message)
    speaker.hear()
    return 1000 * (time.perf_counter() - begun)


class _Log:
    """What the kiosk has logged so far."""

    def __init__(self, world: World) -> None:
        lines = (world.places.root / "kiosk.log").read_text(encoding="utf-8").splitlines()
        self._events = [event for event in map(_parsed, lines) if "event" in event]

    def first(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        return next(filter(wanted, self._events))

    def last(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        return next(filter(wanted, reversed(self._events)))

    def tail(self) -> str:
        """Return the latest events."""
        return "; ".join(" ".join(f"{key}={value}" for key, value in event.items()) for event in self._events[-20:])


def _parsed(line: str) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _at(event: dict[str, Any]) -> float:
    """Return when an event was logged, milliseconds since 1970."""
    return 1000 * datetime.fromisoformat(event["timestamp"]).timestamp()


def _now() -> float:
    return 1000 * datetime.now(UTC).timestamp()
