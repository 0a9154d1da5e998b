"""`./system/demo`: a site manager verifies workers at a real kiosk, driven from outside; every claim is checked.

Nothing is scripted inside the product. This program puts the card down and lifts it, changes the film in front of the camera,
touches the screen, stops the broker and starts it again, and then looks at what came out: registry, receipts, pages, screenshots.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import httpx
import structlog
import typer

from sync_agent.contract.kinds import Comparison, Liveness, LivenessCheck, Outcome, Verification
from system.services.process import ServiceFailed
from system.simulate.card import Fault, NoReader
from system.simulate.film import SCENES
from system.simulate.pcscd import PcscdRefused
from system.simulate.pilot import Pilot, PilotRefused, Seen
from system.simulate.visitor import be_the_person
from system.simulate.world import DEVICE, CommandFailed, Places, World, card_of, change_film, wait_until

ROOT: Final = Path(__file__).parent.parent
STATE: Final = ROOT / ".state" / "demo"
FILMS: Final = ROOT / ".cache" / "films"
PLACES: Final = Places(STATE)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help="Show the main job end to end on this machine.")
simulate = typer.Typer(no_args_is_help=True, help="Act on a demo that was left up with --stay.")
app.add_typer(simulate, name="simulate")


class Missing(Exception):
    """Something that the demo promises did not come out."""


class Demo:
    """The story, step by step, with its checks."""

    def __init__(self, world: World, pilot: Pilot) -> None:
        self.world = world
        self.pilot = pilot
        self._shots = 0

    def right_person(self) -> None:
        """The right person: turns as asked; verified, recorded, received, accepted, effective."""
        with self._visit("zhaxi", film="right"):
            self._agree()
            self._wait("Face", text="face.hint.good", shot="face")
            self._turn_as_asked()
            self._wait("Result", text="result.verified.headline", lit="effective", shot="verified")
        row = self._record(1)
        self._check(row["standing"] == "accepted" and row["effective_from"] is not None, "the record is accepted and effective")
        self._check(LivenessCheck.CHALLENGE in self._compared().checks, "the record says that the head was turned as asked")
        people = self.world.rows("SELECT status FROM personnel WHERE status = 'in-library'")
        self._check(len(people) == 1, "the person is in the personnel library")
        self._check(self._page_shows(DEVICE), "the staff page shows the device")
        self._check(self._page_shows(row["id"]), "the staff page shows the record")
        self._check("540102********0011" in self._page() and "540102198803150011" not in self._page(), "numbers are masked there")

    def wrong_person(self) -> None:
        """The wrong person with somebody else's card: not passed, tries left, then a review case."""
        with self._visit("deji", film="impostor"):
            self._agree()
            for left in (2, 1):
                self._wait("Result", text="result.no-match.headline", shot=f"not-passed-{left}-left")
                self.pilot.press("again")
                self._wait("Face")
            self._wait("Result", text="result.review.advice", shot="review")
        row = self._record(2)
        self._check(row["standing"] == "in-review", "the failed match is recorded and in review")
        self._check(self._compared().liveness is Liveness.NOT_RUN, "who does not match is not asked to turn")
        cases = self.world.rows("SELECT * FROM review_case")
        self._check(
            len(cases) == 1 and f"{cases[0]['id']:06d}" == row["case_number"], "a review case is open under the number shown"
        )

    def photograph(self) -> None:
        """A photograph of the right person is held up: it matches and cannot turn its head, and a person decides."""
        with self._visit("deji", film="right"):
            self._agree()
            self._wait("Result", text="result.not-live.too-late", shot="photograph")
            self.pilot.press("other-way")
            self._wait("Result", text="result.review.advice")
        row = self._record(3)
        compared = self._compared()
        self._check(
            (compared.outcome, compared.liveness) == (Outcome.NOT_LIVE, Liveness.FAILED), "the record says that nobody was there"
        )
        self._check(row["standing"] == "in-review", "no machine refuses it: it is in review")

    def broker_down(self) -> None:
        """The right person while the broker is down: M-70, and later the record exactly once."""
        self.world.broker.stop()
        self._wait("Attract", text="banner.offline", shot="offline")
        with self._visit("wang", film="right"):
            self._agree()
            self._turn_as_asked()
            self._wait("Result", text="result.kept.advice", shot="kept")
        self._check(self._outbox_states()[-1] == "waiting", "the record waits in the outbox")
        self._check(len(self._verifications()) == 3, "the centre does not have it")
        self.world.start_broker()
        wait_until(lambda: len(self._verifications()) == 4, "the record reaching the centre", 60.0)
        wait_until(lambda: self._outbox_states()[-1] == "answered", "the receipt coming back", 60.0)
        row = self._record(4)
        self._check(row["standing"] == "accepted", "the record is accepted")
        same = self.world.rows("SELECT * FROM record WHERE epoch = :epoch AND seq = :seq", epoch=row["epoch"], seq=row["seq"])
        self._check(len(same) == 1, "it is there exactly once")

    def _agree(self) -> None:
        self._wait("Consent", shot="consent")
        self.pilot.press("tick-compare")
        self.pilot.press("agree")

    @contextmanager
    def _visit(self, person: str, *, film: str) -> Iterator[None]:
        """Somebody comes, puts a card down, and takes it away at the end."""
        self._wait("Attract")
        change_film(self.world.places, self.world.films, film)
        card = card_of(person, "right", self.world.vpcd_port)
        with card.down():
            yield
            self.pilot.press("done")
        self._wait("Attract")

    def _wait(self, page: str, *, text: str = "", lit: str = "", shot: str = "") -> Seen:
        seen = self.pilot.wait(page, text=text, lit=lit, timeout_s=40.0)
        if shot:
            self._shoot(shot)
        return seen

    def _turn_as_asked(self) -> None:
        shots = self._shots
        be_the_person(
            self.world.places,
            self.world.films,
            self.pilot,
            asked=lambda _: self._shoot("asked-to-turn") if self._shots == shots else None,
        )

    def _shoot(self, name: str) -> None:
        self._shots += 1
        self.pilot.shot(self.world.places.root / "shots" / f"{self._shots:02d}-{name}.png")

    def _compared(self) -> Comparison:
        """Return the last comparison of the last verification."""
        rows = self.world.rows(
            "SELECT v.facts FROM verification v JOIN record r ON r.id = v.record_id ORDER BY r.seq DESC LIMIT 1"
        )
        return Verification.model_validate_json(rows[0]["facts"]).comparisons[-1]

    def _verifications(self) -> list[dict[str, object]]:
        return self.world.rows("SELECT * FROM record WHERE kind = 'verification' ORDER BY seq")

    def _record(self, position: int) -> dict[str, object]:
        rows = self._verifications()
        self._check(len(rows) == position, f"the registry holds {position} verification(s)")
        return rows[-1]

    def _outbox_states(self) -> list[str]:
        lines = self.world.kiosk_command("outbox").splitlines()
        return [line.split()[4] for line in lines if " verification " in line]

    def _page(self) -> str:
        return httpx.get(self.world.page).text

    def _page_shows(self, text: object) -> bool:
        wait_until(lambda: str(text) in self._page(), f"{text} on the staff page")
        return True

    def _check(self, holds: bool, what: str) -> None:
        if not holds:
            raise Missing(what)
        typer.echo(f"   ok  {what}")


@app.callback(invoke_without_command=True)
def demo(
    context: typer.Context,
    window: Annotated[bool, typer.Option(help="Show the kiosk in a window.")] = False,
    stay: Annotated[bool, typer.Option(help="Leave everything up afterwards.")] = False,
) -> None:
    """Four visits: the right person, the wrong one, a photograph, and the right one while the broker is down."""
    if context.invoked_subcommand is not None:
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(STATE, ignore_errors=True)
    (STATE / "shots").mkdir(parents=True)
    began = time.monotonic()
    typer.echo("Starting broker, sync agent, virtual reader and kiosk ...")
    with World(PLACES, FILMS, window=window) as world, world.pilot() as pilot:
        typer.echo(f"Up after {time.monotonic() - began:.1f} s. Staff page: {world.page}")
        story = Demo(world, pilot)
        for step in (story.right_person, story.wrong_person, story.photograph, story.broker_down):
            typer.echo(f"-- {(step.__doc__ or '').splitlines()[0]}")
            step()
        typer.echo(world.kiosk_command("outbox").rstrip())
        typer.echo(f"All of it came out. Screenshots: {(STATE / 'shots').relative_to(ROOT)}")
        if stay:
            _stay(world)


def _stay(world: World) -> None:
    """Leave everything up until interrupted."""
    typer.echo(f"Everything stays up. Staff page: {world.page}")
    typer.echo("In another terminal: ./system/demo simulate film right; ./system/demo simulate card zhaxi --hold 30")
    typer.echo("and touch the window, or: ./system/demo simulate touch tick-compare; ./system/demo simulate touch agree")
    typer.echo("and ./system/demo simulate person, who turns as asked")
    typer.echo("Ctrl-C ends it.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        typer.echo("Stopping ...")


def _ports() -> dict[str, int]:
    try:
        ports: dict[str, int] = json.loads(PLACES.ports.read_text())
    except OSError:
        typer.echo("No demo is up. Start one with ./system/demo --stay", err=True)
        raise typer.Exit(1) from None
    return ports


@simulate.command()
def card(
    person: Annotated[str, typer.Argument(help="Whose card: zhaxi, deji, wang ...")],
    hold: Annotated[float, typer.Option(help="Seconds until it is lifted.")] = 30.0,
    portrait: Annotated[str, typer.Option(help="Whose likeness the chip holds: right or impostor.")] = "right",
    fault: Annotated[str, typer.Option(help="What goes wrong, for instance lifted-at:5 or unknown-card.")] = "",
) -> None:
    """Put a card down, hold it, lift it."""
    with card_of(person, portrait, _ports()["vpcd"], Fault.parse(fault) if fault else None).down():
        time.sleep(hold)


@simulate.command()
def person() -> None:
    """Be the right person until the comparison is over: turn as asked."""
    change_film(PLACES, FILMS, "right")
    with Pilot(PLACES.pilot) as pilot:
        be_the_person(PLACES, FILMS, pilot)


@simulate.command()
def film(name: Annotated[str, typer.Argument(help=", ".join(SCENES))]) -> None:
    """Change the film in front of the camera."""
    change_film(PLACES, FILMS, name)


@simulate.command()
def touch(
    name: Annotated[str, typer.Argument(help="What to touch, for instance tick-compare, agree, gentle, again, done.")],
) -> None:
    """Touch something on the kiosk's screen."""
    with Pilot(PLACES.pilot) as pilot:
        typer.echo(pilot.press(name))


@simulate.command()
def shot(path: Annotated[Path, typer.Argument(help="PNG to write.")]) -> None:
    """Take a picture of the kiosk's screen."""
    with Pilot(PLACES.pilot) as pilot:
        pilot.shot(path.absolute())


def main() -> None:
    """Run, and end with 1 and a sentence when something is missing."""
    try:
        app()
    except (Missing, PilotRefused, TimeoutError) as err:
        typer.echo(f"MISSING: {err}. Logs: {STATE.relative_to(ROOT)}", err=True)
        sys.exit(1)
    except (ServiceFailed, PcscdRefused, CommandFailed) as err:
        typer.echo(f"The demo could not start: {err}. Logs: {STATE.relative_to(ROOT)}", err=True)
        sys.exit(1)
    except (NoReader, ConnectionError, FileNotFoundError) as err:
        typer.echo(f"No demo is up, or it cannot do that: {err}. Start one with ./system/demo --stay", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
