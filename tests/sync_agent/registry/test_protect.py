from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import StatementError

from sync_agent.contract.codes import Fault
from sync_agent.contract.kinds import Outcome
from sync_agent.registry.database import Database
from sync_agent.registry.protect import CannotUnseal, Vault, vault_at
from sync_agent.registry.tables import Person, Quarantine
from system.simulate.people import PEOPLE
from tests.sync_agent.conftest import DATA_KEY
from tests.sync_agent.world import NOW, World, holder, verification

ZHAXI = PEOPLE["zhaxi"]


def traces(raw: bytes, *secrets: str) -> Iterator[str]:
    """Yield each secret that stands in raw bytes, in any encoding a database might use."""
    for secret in secrets:
        if any(secret.encode(encoding) in raw for encoding in ("utf-8", "utf-16-le", "utf-16-be")):
            yield secret


@pytest.fixture
def written(sqlite_database: Database) -> bytes:
    """All files of a registry in which somebody was verified and a message was quarantined."""
    world = World(sqlite_database)
    world.expect("zhaxi")
    world.happens(verification(), holder("zhaxi"))
    world.happens(verification(Outcome.NO_MATCH, distance=0.9), holder("wang"))
    with sqlite_database.write() as session:
        session.add(
            Quarantine(
                topic="t",
                fault=Fault.NOT_A_RECORD,
                detail="",
                sha256="0",
                size=9,
                raw=ZHAXI.address.encode(),
                at=NOW,
                last_at=NOW,
            )
        )
    folder = Path(str(sqlite_database.engine.url.database)).parent
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


def test_nothing_personal_stands_in_the_database_file(written: bytes) -> None:
    wang = PEOPLE["wang"]
    personal = [ZHAXI.name, ZHAXI.number, ZHAXI.address, wang.name, wang.number, wang.address, ZHAXI.number[6:14]]
    assert list(traces(written, *personal)) == []


def test_what_is_not_personal_is_found_in_the_database_file(written: bytes) -> None:
    assert list(traces(written, "SAM-TEST-1", "kiosk-1")) == ["SAM-TEST-1", "kiosk-1"]


def test_a_person_is_found_by_number_and_read_back(database: Database) -> None:
    with database.write() as session:
        session.add(Person(number=ZHAXI.number, name=ZHAXI.name, created_at=NOW))
    with database.read() as session:
        found = session.scalars(select(Person).where(Person.has_number(ZHAXI.number))).one()
        assert (found.name, found.number) == (ZHAXI.name, ZHAXI.number)
        assert session.scalar(select(Person).where(Person.has_number(PEOPLE["wang"].number))) is None


def test_with_another_data_key_nothing_is_found_or_read(database: Database, database_url: str) -> None:
    with database.write() as session:
        session.add(Person(number=ZHAXI.number, name=ZHAXI.name, created_at=NOW))
    thief = Database(database_url, Vault(bytes(32)))
    with thief.read() as session:
        assert session.scalar(select(Person).where(Person.has_number(ZHAXI.number))) is None
        with pytest.raises(CannotUnseal, match=r"person\.n"):
            session.scalars(select(Person)).all()
    thief.close()


def test_two_rows_of_one_number_cannot_be(database: Database) -> None:
    with database.write() as session:
        session.add(Person(number=ZHAXI.number, name=ZHAXI.name, created_at=NOW))
    with pytest.raises(Exception, match=r"(?i)unique"), database.write() as session:
        session.add(Person(number=ZHAXI.number, name=ZHAXI.name, created_at=NOW))


def test_sealed_bytes_do_not_open_in_another_column(database: Database) -> None:
    with database.write() as session:
        session.add(Person(number=ZHAXI.number, name=ZHAXI.name, created_at=NOW))
    with database.write() as session:
        session.execute(text("UPDATE person SET name = number"))
    with database.read() as session, pytest.raises(CannotUnseal, match=r"person\.name"):
        session.scalars(select(Person)).all()


@pytest.mark.parametrize(
    "harm", [lambda b: b[:-1], lambda b: b[:20] + bytes([b[20] ^ 1]) + b[21:], lambda _: b"", lambda b: b[1:]]
)
def test_changed_bytes_do_not_open(harm: object) -> None:
    vault = Vault(DATA_KEY)
    sealed = vault.seal(b"secret of somebody", "a.b")
    assert vault.unseal(sealed, "a.b") == b"secret of somebody"
    assert callable(harm)
    with pytest.raises(CannotUnseal):
        vault.unseal(harm(sealed), "a.b")


def test_equal_secrets_are_sealed_differently_and_indexed_alike() -> None:
    vault = Vault(DATA_KEY)
    assert vault.seal(b"x", "a.b") != vault.seal(b"x", "a.b")
    assert vault.index("x") == vault.index("x") != vault.index("y")


def test_the_data_key_is_made_once_and_only_its_owner_can_read_it(state_dir: Path) -> None:
    path = state_dir / "keys" / "data.key"
    sealed = vault_at(path).seal(b"x", "a.b")
    assert vault_at(path).unseal(sealed, "a.b") == b"x"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_data_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(b"short")


def test_a_failed_statement_does_not_tell_what_it_was_given(database: Database) -> None:
    with pytest.raises(StatementError) as told, database.write() as session:
        naive = NOW.replace(tzinfo=None)
        session.add(Person(number=ZHAXI.number, name=ZHAXI.name, created_at=naive))
    assert ZHAXI.name not in str(told.value)
    assert ZHAXI.number not in str(told.value)
