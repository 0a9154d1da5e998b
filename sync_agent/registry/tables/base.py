"""What all tables share: names of constraints, and column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, Enum, ForeignKey, Integer, MetaData, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.orm import DeclarativeBase

Json = JSON().with_variant(JSONB(), "postgresql")
"""A JSON value."""

Id = BigInteger().with_variant(Integer(), "sqlite")
"""A counted key; SQLite counts only plain INTEGER."""


def of_record() -> ForeignKey:
    """Return a foreign key into the ledger that must hold at commit: record and effects are written in any order."""
    return ForeignKey("record.id", deferrable=True, initially="DEFERRED")


class Utc(TypeDecorator[datetime]):
    """A zone-aware time, kept as UTC. SQLite has no zones: there it stands naive."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without zone; it could mean any moment of a day."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without zone cannot be stored")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return it zone-aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def words(kind: type[StrEnum]) -> Enum:
    """Return a text column type that holds the values of an enumeration; the enumeration may grow without a migration."""
    return Enum(kind, native_enum=False, length=32, values_callable=lambda words: [word.value for word in words])


class Base(DeclarativeBase):
    """Every table."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: Utc}

    def __repr__(self) -> str:
        """Name the table only: a row may be personal."""
        return f"{type(self).__name__}(...)"
