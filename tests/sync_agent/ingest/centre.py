"""A centre for tests of ingest: a registry with a clerk and a judge, and one device that signs what it is told to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Final

import uuid_utils
from joserfc.jwk import OKPKey
from sqlalchemy import URL, func, select
from sqlalchemy.orm import Session

from sync_agent.contract import envelope, receipts, topics
from sync_agent.contract.codes import Fault
from sync_agent.contract.envelope import GENESIS, Place, Signed
from sync_agent.contract.kinds import (
    Attendance,
    CardFacts,
    CardHolder,
    CardKind,
    Case,
    Cause,
    Comparison,
    Consent,
    Direction,
    Liveness,
    Method,
    Outcome,
    PersonReference,
    Provenance,
    Verification,
)
from sync_agent.contract.parts import Facts, Part
from sync_agent.contract.receipts import Receipt
from sync_agent.contract.topics import DeviceId, Tenant, Up
from sync_agent.fleet import alarms
from sync_agent.ingest import leases
from sync_agent.ingest.answers import Office, Post
from sync_agent.ingest.clerk import Clerk
from sync_agent.ingest.court import OpenJudge
from sync_agent.ingest.inbox import Letter
from sync_agent.ingest.judge import Judge
from sync_agent.ingest.verifiers import Verifiers
from sync_agent.registry import roster
from sync_agent.registry.database import Database
from sync_agent.registry.protect import Vault
from sync_agent.registry.rules import RuleBook
from sync_agent.registry.tables import AlarmKind, Base, Device, DeviceKey, Quarantine, RecordRow
from sync_agent.settings import RuleSettings
from tests.sync_agent.conftest import DATA_KEY

NOW: Final = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
TENANT, DEVICE, SITE, EPOCH = Tenant("xz"), DeviceId("kiosk-01"), "site-1", "0123456789abcdef"
HOLDER: Final = CardHolder(
    name="扎西顿珠", number="540102198803150011", sex="1", birth=date(1988, 3, 15), valid_from=date(2020, 6, 1), valid_until=None
)
CASE: Final = Case(site=SITE, step="face", cause=Cause.HELP)
ENTERS: Final = Attendance(site=SITE, direction=Direction.ENTER, method=Method.FACE)
REFERENCE: Final = PersonReference(number=HOLDER.number)
MATCH: Final = Verification(
    site=SITE,
    card=CardFacts(kind=CardKind.RESIDENT, provenance=Provenance.SAM_VERIFIED, reader_module="module-1"),
    consent=Consent(notice="1", compare=True, keep_photo=False, at=NOW),
    method=Method.FACE,
    outcome=Outcome.MATCH,
    comparisons=(
        Comparison(
            outcome=Outcome.MATCH,
            distance=0.3,
            accept_at=0.4,
            review_at=0.5,
            pack="dlib",
            pack_sha256="0" * 64,
            liveness=Liveness.NOT_RUN,
            frames=5,
        ),
    ),
)
ALL_SHARDS: Final = frozenset(range(topics.SHARDS))


def everywhere(_session: Session, _shards: Iterable[int]) -> None:
    """Let everything pass: the fence of an agent that is alone."""


@contextmanager
def open_judge(url: URL, agent: str, registry_key: dict[str, str | list[str]]) -> Iterator[Judge]:
    """Open a judge of what an agent holds, on the registry of a centre."""
    database = Database(url.render_as_string(hide_password=False), Vault(DATA_KEY))
    office = Office(TENANT, lambda: OKPKey.generate_key("Ed25519"), lambda: datetime.now(UTC))
    keys = [OKPKey.import_key(registry_key)]
    try:
        yield Judge(
            database,
            RuleBook.of(RuleSettings()),
            office,
            lambda: keys,
            lambda session: leases.held(session, agent),
            lambda session, shards: leases.fence(session, agent, shards),
        )
    finally:
        database.close()


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **time: float) -> None:
        self.now += timedelta(**time)


@dataclass
class Centre:
    """A registry with clerk and judge, and one device that it knows."""

    database: Database
    clock: Clock = field(default_factory=Clock)
    device_key: OKPKey = field(default_factory=lambda: OKPKey.generate_key("Ed25519"))
    registry_key: OKPKey = field(default_factory=lambda: OKPKey.generate_key("X25519"))
    receipt_key: OKPKey = field(default_factory=lambda: OKPKey.generate_key("Ed25519"))

    def __post_init__(self) -> None:
        self.office = Office(TENANT, lambda: self.receipt_key, self.clock)
        self.clerk = Clerk(self.database, self.office, Verifiers(0), everywhere)
        self.judge = self.another_judge()
        with self.database.write() as session:
            roster.import_people(session, f"name,number\n{HOLDER.name},{HOLDER.number}\n", SITE, NOW)
            self.enrol(session, DEVICE, self.device_key)

    def another_judge(self, shards: frozenset[int] = ALL_SHARDS) -> Judge:
        book = RuleBook.of(RuleSettings())
        return Judge(self.database, book, self.office, lambda: [self.registry_key], lambda _: shards, everywhere)

    def judge_of(self, agent: str) -> OpenJudge:
        """Return what opens a judge of what an agent holds, in whatever process."""
        return partial(open_judge, self.database.engine.url, agent, self.registry_key.as_dict(private=True))

    def enrol(self, session: Session, device: DeviceId, key: OKPKey) -> None:
        session.add(Device(id=device, site_id=SITE, serial="", enrolled_at=NOW))
        session.flush()
        public = {name: str(value) for name, value in key.as_dict(private=False).items()}
        session.add(DeviceKey(kid=key.thumbprint(), device_id=device, public_key=public, valid_from=NOW))

    def record(
        self,
        seq: int,
        facts: Facts = CASE,
        personal: Part | None = None,
        *,
        prev: str = GENESIS,
        time: datetime | None = None,
        record_id: str | None = None,
        device: DeviceId = DEVICE,
        key: OKPKey | None = None,
        epoch: str = EPOCH,
        boot: int = 1,
        registry_key: OKPKey | None = None,
    ) -> Signed:
        return envelope.write(
            facts,
            personal,
            record_id=record_id or str(uuid_utils.uuid7()),
            source=(TENANT, device),
            time=time or self.clock(),
            place=Place(epoch, seq, prev),
            boot=boot,
            clock_age_s=None,
            signing_key=key or self.device_key,
            registry_key=registry_key or self.registry_key,
        )

    def chain(self, count: int, *, first: int = 1, prev: str = GENESIS) -> list[Signed]:
        """Return records that follow one another."""
        signed: list[Signed] = []
        for seq in range(first, first + count):
            signed.append(self.record(seq, prev=signed[-1].digest if signed else prev))
        return signed

    def letters(self, messages: Sequence[bytes], device: DeviceId = DEVICE, what: Up = Up.RECORD) -> list[Letter]:
        topic = topics.up(TENANT, device, what)
        return [Letter(1, number, 1, topic, message, self.clock()) for number, message in enumerate(messages)]

    def take(self, *messages: bytes, device: DeviceId = DEVICE, what: Up = Up.RECORD) -> list[Receipt]:
        """Have messages held."""
        return self.read(self.clerk.take(self.letters(messages, device, what)))

    def decide(self) -> list[Receipt]:
        """Have everything judged that is ripe."""
        said: list[Receipt] = []
        while posts := self.judge.work():
            said += self.read(posts)
        return said

    def read(self, posts: Iterable[Post]) -> list[Receipt]:
        return [
            receipts.read(payload, self.receipt_key, DeviceId(post.topic.split("/")[4]))
            for post in posts
            for payload in post.payloads
        ]

    def count(self, table: type[Base]) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    def faults(self) -> list[Fault]:
        with self.database.read() as session:
            return list(session.scalars(select(Quarantine.fault).order_by(Quarantine.id)))

    def held(self) -> list[int]:
        with self.database.read() as session:
            return list(session.scalars(select(RecordRow.seq).order_by(RecordRow.device_id, RecordRow.epoch, RecordRow.seq)))

    def alarms(self) -> dict[AlarmKind, int]:
        """Return how often each kind of alarm was met."""
        with self.database.read() as session:
            met: dict[AlarmKind, int] = {}
            for alarm in alarms.open_alarms(session):
                met[alarm.kind] = met.get(alarm.kind, 0) + alarm.times
            return met
