"""The stand on which ingest is measured: PostgreSQL that syncs to disk, a broker whose queue is filled beforehand, one taker.

A round: a new database and a new broker; the taker is started so that its session exists, and stopped; the fleet's records are
published, which the broker keeps; the taker is started again and its rows are counted while it works off the queue.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import psycopg
from pydantic import SecretStr

from sync_agent import service
from sync_agent.contract import envelope, topics
from sync_agent.fleet.authority import Files
from sync_agent.registry.database import Database
from sync_agent.registry.migrations import migrate
from sync_agent.registry.protect import vault_at
from sync_agent.settings import BrokerSettings, DatabaseSettings, Settings
from system.services.broker import Mosquitto
from system.services.database import Postgres
from system.services.process import Process
from system.simulate.fleet_kiosk import Kiosk, Pace
from system.simulate.fleet_roll import TENANT, Member, Roll
from system.simulate.mqtt import Connection, Door
from tests.observer import Observed, certify

ROLL: Final = Path(__file__).parents[2] / ".cache" / "fleet"
WITHIN_S: Final = 120.0
LOOK_S: Final = 0.02
"""Between two counts of the rows."""

AGENT_TOML: Final = """\
state_dir = "{state}"
tenant = "{tenant}"

[broker]
port = {port}

[database]
url = "{url}"
"""


@dataclass(frozen=True, slots=True)
class Mail:
    """What one device publishes: messages in order, with the sequences they hold."""

    member: Member
    messages: tuple[bytes, ...]
    records: int


@dataclass(frozen=True, slots=True)
class Drain:
    """How takers worked off the queue.

    Attributes:
        rows: all that were in the queue.
        seconds: from the first connection to the last commit.
        cpu_s: the takers' processor time meanwhile.
    """

    rows: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    @property
    def cpu_us(self) -> float:
        """Processor time a row, microseconds."""
        return 1e6 * self.cpu_s / self.rows


class Letters:
    """Records of a fleet, signed beforehand."""

    def __init__(self, members: Sequence[Member], each: int) -> None:
        """Sign `each` records for every member."""
        self.members = members
        self._kiosks = [Kiosk(member, "", 0, Pace(), random.Random(0), lambda: None) for member in members]
        for kiosk in self._kiosks:
            for _ in range(each):
                kiosk.happen()

    def mail(self, first: int, last: int, batch: int = 1) -> list[Mail]:
        """Return the records with the sequences `first` to `last` of every device, `batch` in a message."""
        found = []
        for kiosk in self._kiosks:
            records = [kiosk.written[seq] for seq in range(first, last + 1)]
            packs = [records[start : start + batch] for start in range(0, len(records), batch)]
            key = kiosk.member.signing_key
            messages = (p[0].message if len(p) == 1 else envelope.batch([r.payload for r in p], key) for p in packs)
            found.append(Mail(kiosk.member, tuple(messages), len(records)))
        return found

    def messages(self) -> list[tuple[Member, bytes]]:
        """Return every record's message by itself."""
        return [(kiosk.member, record.message) for kiosk in self._kiosks for record in kiosk.written.values()]


class Stand:
    """PostgreSQL and the keys of one fleet, for the block.

    Attributes:
        observer: certificate of who may hear every device at its brokers.
    """

    def __init__(self, folder: Path, members: int) -> None:
        folder.chmod(0o711)  # PostgreSQL is another user and must pass
        self.folder = folder
        self.roll = Roll(ROLL)
        self.members = self.roll.members(members)
        self.roll.lay(folder / "agent")
        self.keys = folder / "agent" / "keys"
        self.observer = certify(self.keys, folder)
        self.postgres = Postgres(folder / "postgres")
        self._count = count()

    def __enter__(self) -> Stand:
        self.postgres.start()
        with self.database(self.postgres.new_database("template")) as database:
            migrate(database.engine)
            self.roll.enter(database, self.members)
        return self

    def __exit__(self, *_: object) -> None:
        self.postgres.stop()

    @contextmanager
    def database(self, url: str) -> Iterator[Database]:
        """Open a registry for the block."""
        database = Database(url, vault_at(self.keys / service.DATA_KEY))
        try:
            yield database
        finally:
            database.close()

    def registry(self) -> str:
        """Return the address of a new registry that knows the fleet and holds no record."""
        name = f"round_{next(self._count)}"
        with psycopg.connect(plain(self.postgres.url()), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template")
        return self.postgres.url(name)

    @contextmanager
    def broker(self) -> Iterator[Mosquitto]:
        """Run a broker that remembers nothing."""
        files = Files(self.keys)
        broker = Observed(
            self.folder / f"mosquitto-{next(self._count)}",
            ca=files.ca,
            certificate=files.broker_certificate,
            key=files.broker_key,
            revoked=files.revoked,
        )
        with broker:
            yield broker

    def settings(self, url: str, port: int) -> Settings:
        """Return a sync agent's settings."""
        return Settings(
            state_dir=self.folder / "agent",
            tenant=TENANT,
            broker=BrokerSettings(port=port),
            database=DatabaseSettings(url=SecretStr(url)),
        )

    def agent(self, url: str, port: int) -> Process:
        """Return a sync agent that only takes records, as a process, not started."""
        number = next(self._count)
        path = self.folder / f"sync-agent-{number}.toml"
        path.write_text(AGENT_TOML.format(state=self.folder / "agent", tenant=TENANT, port=port, url=url))
        command: list[str | Path] = [sys.executable, "-m", "sync_agent", "ingest", "--settings", path]
        return Process("sync agent", command, self.folder / f"sync-agent-{number}.log")

    def drain(
        self, takers: Sequence[Process], table: str, url: str, port: int, first: Sequence[Mail], queued: Sequence[Mail]
    ) -> Drain:
        """Fill the takers' queue while they are away, start them, and watch them work the queue off.

        Args:
            takers: not started.
            table: where their rows are counted.
            url: of their database.
            port: of the broker.
            first: what they take before, so that their sessions exist.
            queued: what they are measured on.
        """
        with Rows(url, table) as rows:
            for taker in takers:
                taker.start(lambda: True)
            deadline = monotonic() + WITHIN_S
            while rows.count() < sum(mail.records for mail in first):  # whoever has not subscribed yet hears nothing
                if monotonic() > deadline or not all(taker.is_running for taker in takers):
                    raise TimeoutError(f"{takers[0].name} takes nothing; {takers[0].log_file.read_text()[-2000:]}")
                fill(first, port)
            for taker in takers:
                taker.stop(within_s=20.0)
            before = rows.count()
            fill(queued, port)
            whole = before + sum(mail.records for mail in queued)
            for taker in takers:
                taker.start(lambda: True)
            try:
                return rows.watch(before, whole, [taker.pid for taker in takers], port)
            finally:
                for taker in takers:
                    taker.stop(within_s=20.0)


class Rows:
    """Counts the rows of a table."""

    def __init__(self, url: str, table: str) -> None:
        self._connection = psycopg.connect(plain(url), autocommit=True)
        self._query = f"SELECT count(*) FROM {table}"

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def count(self) -> int:
        """Return how many there are."""
        row = self._connection.execute(self._query.encode()).fetchone()
        return int(row[0]) if row else 0

    def wait(self, whole: int) -> None:
        """Return when there are so many."""
        self._until(lambda number: number >= whole)

    def watch(self, before: int, whole: int, pids: Sequence[int], port: int) -> Drain:
        """Return how fast the rows came, from the takers' first connection to the broker until there are `whole`.

        Not from the first row: a taker that checks everything before it writes anything would be taken for a quick one.
        """
        deadline = monotonic() + WITHIN_S
        while not is_in_use(port) and monotonic() < deadline:
            sleep(LOOK_S / 4)
        begun, cpu = monotonic(), sum(map(cpu_s, pids))
        self._until(lambda number: number >= whole)
        return Drain(whole - before, monotonic() - begun, sum(map(cpu_s, pids)) - cpu)

    def _until(self, enough: Callable[[int], bool]) -> int:
        deadline = monotonic() + WITHIN_S
        while not enough(number := self.count()):
            if monotonic() > deadline:
                raise TimeoutError(f"after {WITHIN_S:g} s there are {number} rows")
            sleep(LOOK_S)
        return number


def fill(mails: Sequence[Mail], port: int) -> None:
    """Publish everything, each device over its own connection; return when the broker has acknowledged all of it."""

    async def deliver(mail: Mail) -> None:
        member = mail.member
        connection = await Connection.open(
            Door("127.0.0.1", port, member.context()), member.device, lambda _t, _m: None, clean=True
        )
        topic = topics.up(member.tenant, member.device, topics.Up.RECORD)
        for start in range(0, len(mail.messages), 20):
            await asyncio.gather(*(connection.publish(topic, message) for message in mail.messages[start : start + 20]))
        connection.close()

    async def all_of_them() -> None:
        await asyncio.gather(*(deliver(mail) for mail in mails))

    asyncio.run(all_of_them())


def is_in_use(port: int) -> bool:
    """Whether somebody is connected to a TCP port of this machine (proc(5), net/tcp; state 01 is established)."""
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(fields[2].endswith(f":{port:04X}") and fields[3] == "01" for fields in lines)


def cpu_s(pid: int) -> float:
    """Return the processor time of a process and of those of its children that live, seconds."""
    total = 0.0
    for one in [pid, *children(pid)]:
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, and theirs."""
    own = [int(word) for task in Path(f"/proc/{pid}/task").iterdir() for word in (task / "children").read_text().split()]
    return own + [grandchild for child in own for grandchild in children(child)]


def plain(url: str) -> str:
    """Return SQLAlchemy's address as PostgreSQL's own."""
    return url.replace("+psycopg", "")
