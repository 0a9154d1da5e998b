"""A whole installation under one folder: broker, sync agent, kiosk, virtual reader, film. For the demo and for end-to-end tests.

Nothing of it is in the product: it starts the product's own commands, puts cards down, changes the film in front of the camera,
and stops and starts the services, as people and cables would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from sqlalchemy import Engine, create_engine, text

import models
from system.services.broker import Mosquitto
from system.services.process import HOST, Process, free_port
from system.simulate.card import MODULE_COMMAND, Content, Fault, VirtualCard
from system.simulate.film import make_films, portrait_of
from system.simulate.pcscd import Pcscd, pcscd
from system.simulate.people import PEOPLE, chip_portrait, text_record
from system.simulate.pilot import Pilot

TENANT: Final = "xz"
SITE: Final = "site-ls-01"
DEVICE: Final = "kiosk-ls-01"
READY_S: Final = 60.0
NO_LINK: Final = ("banner.offline", "banner.link-")
"""How the messages begin that say why a kiosk is not connected."""
WEIGHTS: Final = Path(models.__file__).parent / "dlib" / "weights"

KIOSK_TOML: Final = """\
state_dir = {state!r}

[notice]
controller = "示例建筑工地项目部"
contact = "0891-0000000"

[reader.pages]
module_command = {module!r}

[camera]
kind = "replay"
film = {film!r}

[face]
packs = {packs!r}
challenge_turns = {challenge_turns}

[screen]
fullscreen = false
pilot_socket = {pilot!r}

[visit]
idle_s = 60.0
receipt_s = 10.0

[uplink]
resend_s = 3.0
retry_max_s = 5.0
telemetry_s = 2.0

[outbox]
min_free_mb = 5
"""

AGENT_TOML: Final = """\
state_dir = {state!r}
tenant = {tenant!r}

[broker]
host = "{host}"
port = {broker_port}

[web]
port = {web_port}

{database}
"""


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything of one installation lies."""

    root: Path

    @property
    def agent(self) -> Path:
        """State of the sync agent."""
        return self.root / "agent"

    @property
    def kiosk(self) -> Path:
        """State of the kiosk."""
        return self.root / "kiosk"

    @property
    def agent_toml(self) -> Path:
        """Settings of the sync agent."""
        return self.root / "sync-agent.toml"

    @property
    def kiosk_toml(self) -> Path:
        """Settings of the kiosk."""
        return self.root / "kiosk.toml"

    @property
    def film(self) -> Path:
        """The film in front of the camera: a link."""
        return self.root / "film.avi"

    @property
    def pilot(self) -> Path:
        """Where the kiosk takes remote touches."""
        return self.root / "pilot.sock"

    @property
    def packs(self) -> Path:
        """The kiosk's folder of model packs."""
        return self.root / "packs"

    @property
    def weights(self) -> Path:
        """The files of the pack in force as the kiosk sees them: links."""
        return self.packs / "dlib" / "weights"

    @property
    def ports(self) -> Path:
        """Which ports are used, for `simulate` in another terminal."""
        return self.root / "ports.json"


def change_film(places: Places, films: Path, name: str) -> None:
    """Put another film in front of the camera, at once.

    Raises:
        FileNotFoundError: there is no such film; the text names those there are.
    """
    film = films / f"{name}.avi"
    if not film.exists():
        raise FileNotFoundError(f"no film {name!r}; there are: {', '.join(sorted(f.stem for f in films.glob('*.avi')))}")
    link = places.film.with_suffix(".new")
    link.unlink(missing_ok=True)
    link.symlink_to(film.absolute())
    link.replace(places.film)


def card_of(person: str, portrait: str, port: int, fault: Fault | None = None) -> VirtualCard:
    """Return somebody's card.

    Args:
        person: key in `PEOPLE`.
        portrait: whose likeness the chip holds: "right" or "impostor".
        port: where the virtual reader waits.
        fault: what goes wrong with it.
    """
    content = Content(text_record(PEOPLE[person]), chip_portrait(portrait_of(portrait)))
    return VirtualCard(content, port=port, fault=fault)


class CommandFailed(Exception):
    """One of the product's own commands did not do its work; the text has its last words."""


class World:
    """One installation, running."""

    def __init__(
        self,
        places: Places,
        films: Path,
        *,
        database_url: str = "",
        window: bool = False,
        challenge_turns: int = 2,
        make_broker: type[Mosquitto] = Mosquitto,
    ) -> None:
        self.places = places
        self.films = films
        self.broker_port, self.web_port, self.vpcd_port = free_port(), free_port(), _two_free_ports()
        self._database_url = database_url
        self._window = window
        self._challenge_turns = challenge_turns
        self._make_broker = make_broker
        self._stack = ExitStack()
        self.reader: Pcscd
        self.broker: Mosquitto
        self.agent: Process
        self.kiosk: Process

    def __enter__(self) -> World:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def page(self) -> str:
        """Address of the staff page."""
        return f"http://{HOST}:{self.web_port}/"

    @contextmanager
    def pilot(self) -> Iterator[Pilot]:
        """Take the kiosk's remote touches."""
        with Pilot(self.places.pilot) as pilot:
            yield pilot

    def registry(self) -> Engine:
        """Return the registry's database, to look at."""
        return create_engine(self._database_url or f"sqlite:///{self.places.agent / 'registry.db'}")

    def rows(self, query: str, **values: object) -> list[dict[str, Any]]:
        """Ask the registry something."""
        engine = self.registry()
        with engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(text(query), values).mappings()]
        engine.dispose()
        return rows

    def sync_agent(self, *words: str, given: str = "") -> str:
        """Run a `sync-agent` command and return what it prints."""
        return _run("sync_agent", [*words, "--settings", str(self.places.agent_toml)], given)

    def kiosk_command(self, *words: str, given: str = "") -> str:
        """Run a `kiosk` command and return what it prints."""
        return _run("kiosk", [*words, "--settings", str(self.places.kiosk_toml)], given)

    def start_broker(self) -> None:
        """Start the broker, or start it again."""
        self.broker.start()

    def start_agent(self) -> None:
        """Start the sync agent, or start it again; return when its page answers."""
        self.agent.start(self._page_answers, within_s=READY_S)

    def start_kiosk(self) -> None:
        """Start the kiosk, or start it again; return when it is at rest and connected."""
        self.kiosk.start(self._kiosk_rests, within_s=READY_S)

    def wait_until_connected(self) -> None:
        """Return when kiosk and sync agent are both connected to the broker, as after a restart of it.

        Raises:
            TimeoutError: one is not.
        """
        wait_until(lambda: self._kiosk_rests() and self._agent_is_connected(), "kiosk and sync agent connecting", READY_S)

    @contextmanager
    def spoilt_weights(self) -> Iterator[None]:
        """Let one of the model's files be another than it should be, for the block."""
        link = self.places.weights / "embedder.onnx"
        right = link.resolve()
        link.unlink()
        link.write_bytes(right.read_bytes()[:-1] + b"?")
        yield
        link.unlink()
        link.symlink_to(right)

    def _start(self, stack: ExitStack) -> None:
        places = self.places
        places.root.mkdir(parents=True, exist_ok=True)
        self._write_settings()
        make_films(self.films)
        change_film(places, self.films, "nobody")
        self.reader = stack.enter_context(pcscd(places.root, self.vpcd_port))
        self.sync_agent("device", "init")
        self._enrol()
        self.sync_agent("import", "people", str(self._roster()), "--site", SITE)
        keys = places.agent / "keys"
        self.broker = self._make_broker(
            places.root / "mosquitto",
            ca=keys / "ca.crt",
            certificate=keys / "broker.crt",
            key=keys / "broker.key",
            revoked=keys / "ca.crl",
            port=self.broker_port,
        )
        self.start_broker()
        stack.callback(self.broker.stop)
        self.agent = self._process("sync-agent", "sync_agent", "serve", places.agent_toml)
        self.start_agent()
        stack.callback(self.agent.stop)
        self.kiosk = self._process("kiosk", "kiosk", "start", places.kiosk_toml)
        self.start_kiosk()
        stack.callback(self.kiosk.stop, 15.0)
        self.wait_until_connected()

    def _write_settings(self) -> None:
        places = self.places
        database = f'[database]\nurl = "{self._database_url}"' if self._database_url else ""
        places.agent_toml.write_text(
            AGENT_TOML.format(
                state=str(places.agent.absolute()),
                tenant=TENANT,
                database=database,
                host=HOST,
                broker_port=self.broker_port,
                web_port=self.web_port,
            )
        )
        places.kiosk_toml.write_text(
            KIOSK_TOML.format(
                state=str(places.kiosk.absolute()),
                module=MODULE_COMMAND.hex(),
                film=str(places.film.absolute()),
                packs=str(places.packs.absolute()),
                challenge_turns=self._challenge_turns,
                pilot=str(places.pilot.absolute()),
            )
        )
        places.weights.mkdir(parents=True)
        for file in WEIGHTS.iterdir():
            (places.weights / file.name).symlink_to(file)
        places.ports.write_text(json.dumps({"vpcd": self.vpcd_port, "web": self.web_port, "broker": self.broker_port}))

    def _enrol(self) -> None:
        """The device asks, the operator approves, the device takes the answer."""
        request = self.kiosk_command("enrol", "request", DEVICE, SITE, "--serial", "SIMULATED-01")
        self.kiosk_command("enrol", "answer", given=self.sync_agent("device", "approve", given=request))

    def _roster(self) -> Path:
        """The workers expected at the site: a list as a firm hands it in."""
        path = self.places.root / "roster.csv"
        path.write_text("name,number\n" + "".join(f"{PEOPLE[p].name},{PEOPLE[p].number}\n" for p in ("zhaxi", "deji", "wang")))
        return path

    def _process(self, name: str, package: str, command: str, settings: Path) -> Process:
        env = dict(os.environ)
        if not self._window:
            env["SDL_VIDEODRIVER"] = "dummy"
        words: list[str | Path] = [sys.executable, "-m", package, command, "--settings", settings]
        return Process(name, words, self.places.root / f"{name}.log", env=env)

    def _page_answers(self) -> bool:
        try:
            return httpx.get(self.page + "healthz", timeout=1.0).is_success
        except httpx.HTTPError:
            return False

    def _agent_is_connected(self) -> bool:
        """Say what the sync agent last logged of its connection."""
        lines = (self.places.root / "sync-agent.log").read_text(encoding="utf-8").splitlines()
        told = (word for line in reversed(lines) for word in ("broker.connected", "broker.lost") if word in line)
        return next(told, "") == "broker.connected"

    def _kiosk_rests(self) -> bool:
        try:
            with self.pilot() as pilot:
                seen = pilot.page()
                return seen.page == "Attract" and not any(text.startswith(NO_LINK) for text in seen.texts)
        except OSError:
            return False


def wait_until(true: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
    """Wait for something to become true.

    Raises:
        TimeoutError: it did not.
    """
    until = time.monotonic() + within_s
    while not true():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not happen within {within_s:g} s")
        time.sleep(0.05)


def _run(package: str, words: list[str], given: str) -> str:
    done = subprocess.run([sys.executable, "-m", package, *words], input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandFailed(f"{package} {' '.join(words[:2])} ended with {done.returncode}: {done.stderr.strip()[-800:]}")
    return done.stdout


def _two_free_ports() -> int:
    """Return a port that is free together with the next one: the virtual reader has two slots."""
    while True:
        port = free_port()
        if port < 60_000:
            return port
