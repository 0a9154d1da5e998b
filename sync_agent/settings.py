"""Every option of the sync agent: typed, bounded, with its unit. Unknown keys are refused."""

from __future__ import annotations

import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

Name = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
Host = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:-]+$")]
Port = Annotated[int, Field(ge=1, le=65_535)]


class BadSettings(Exception):
    """The settings file cannot be used; the text names each key and what would do. Code SET-01."""

    code = "SET-01"


class Group(BaseModel):
    """A group of options."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(Group):
    """Where the registry lives."""

    url: SecretStr | None = Field(
        None,
        description="postgresql+psycopg://USER:PASSWORD@HOST:PORT/NAME, or sqlite:///FILE; absent is SQLite "
        "below the state folder, which serves one hall. Holds a password: keep the settings file at mode 0600.",
    )
    pool: Annotated[int, Field(ge=1, le=50)] = Field(5, description="Connections kept open to PostgreSQL.")
    busy_s: Annotated[float, Field(gt=0, le=60)] = Field(5.0, description="How long SQLite waits for another writer, seconds.")

    @field_validator("url")
    @classmethod
    def _is_served(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("must begin with sqlite:/// or postgresql+psycopg://")
        return url


class BrokerSettings(Group):
    """The MQTT broker."""

    host: Host = Field("127.0.0.1", description="Where the sync agent finds the broker.")
    port: Port = Field(8883, description="TCP port, TLS with client certificates.")
    mqtt: Literal["3.1.1", "5"] = Field("3.1.1", description="Version of MQTT that the sync agent speaks to it.")
    reload: Path | None = Field(
        None,
        description="The broker's pid file, where it runs on this machine: it is told (SIGHUP) to read revocation list and "
        "access rules again when they have changed. Absent: whoever runs the broker does that, at least once a day.",
    )
    device_host: Host | None = Field(None, description="Name or address that devices are told; absent is `host`.")
    names: tuple[Host, ...] = Field(
        (), max_length=20, description="Further names and addresses in the broker's certificate, beside localhost and 127.0.0.1."
    )


class FleetSettings(Group):
    """The devices."""

    certificate_days: Annotated[int, Field(ge=1, le=825)] = Field(90, description="Life of a device's certificate, days.")
    record_key_days: Annotated[int, Field(ge=30, le=3650)] | None = Field(
        None, description="A device whose record key is older replaces it, days; absent: only when asked (`device rotate`)."
    )
    revocation_list_days: Annotated[int, Field(ge=2, le=90)] = Field(
        30, description="Life of the revocation list, days. Past it the broker lets nobody in; it is made new every day."
    )
    silent_after_s: Annotated[int, Field(ge=60, le=86_400)] = Field(
        900,
        description="A connected device that has said nothing for this long is shown as silent, seconds. Three telemetry beats.",
    )
    queue_late_s: Annotated[int, Field(ge=10, le=86_400)] = Field(
        600, description="A connected device whose oldest record waits longer than this is shown as not well, seconds."
    )
    quarantine_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        90, description="What was no record is deleted so long after it came last, days; of what explains a gap only the bytes."
    )


class DoorSettings(Group):
    """The enrolment door: where new devices ask to be let in, and known ones for their next certificate."""

    host: Host = Field("127.0.0.1", description="Address to listen on.")
    port: Port | None = Field(None, description="TCP port, TLS. Absent: no door; devices are enrolled by file.")
    url: Annotated[str, Field(pattern=r"^(https://[A-Za-z0-9.:\[\]-]+)?$", max_length=253)] = Field(
        "",
        description="Address that devices are told, https://NAME:PORT; empty is made of `host` and `port`. A name or address "
        "in it must be one of `broker.names`.",
    )
    invitation_days: Annotated[int, Field(ge=1, le=90)] = Field(7, description="Life of a one-time code, days.")
    tries_per_minute: Annotated[int, Field(ge=1, le=10_000)] = Field(
        30, description="Requests that the door answers to one network address in a minute."
    )

    @property
    def address(self) -> str:
        """What devices are told; "" where there is no door."""
        if self.port is None:
            return ""
        return self.url or f"https://{self.host}:{self.port}"


class RuleSettings(Group):
    """What the registry's rules leave to the operator."""

    review_h: Annotated[int, Field(ge=1, le=720)] = Field(
        72, description="Within so many hours a person decides a review case (P16)."
    )
    zone: str = Field(
        "Asia/Shanghai", description="Time zone whose calendar day decides about age and expiry, and of the staff page."
    )

    chain_gap_s: Annotated[int, Field(ge=10, le=600)] = Field(
        60, description="Longest time between the legal representative's verification and the agent's, seconds (S32)."
    )
    chain_total_s: Annotated[int, Field(ge=30, le=3600)] = Field(
        300, description="Longest time that both together may take, from the begin of the chain, seconds (S32)."
    )

    @field_validator("zone")
    @classmethod
    def _is_known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as err:
            raise ValueError("must be a zone of the tz database, for instance Asia/Shanghai") from err
        return zone


class DocumentSettings(Group):
    """The documents that enterprises hand in."""

    scanner: Annotated[tuple[str, ...], Field(max_length=20)] = Field(
        (),
        description="Virus check: a program with its arguments. It reads a document on standard input and ends with 0 where that "
        'is clean, 1 where it is infected, for instance ["clamdscan", "--no-summary", "-"]. Empty: none; each document says so.',
    )
    scan_s: Annotated[float, Field(gt=0, le=600)] = Field(
        30.0, description="The check of one document may take so long, seconds."
    )


class WebSettings(Group):
    """The staff page."""

    host: Host = Field("127.0.0.1", description="Address to serve on. Loopback only, until staff can sign in (issue 7).")
    port: Port = Field(8080, description="TCP port.")
    refresh_s: Annotated[float, Field(ge=0.05, le=60)] = Field(1.0, description="The page is at most this far behind, seconds.")

    @field_validator("host")
    @classmethod
    def _is_loopback(cls, host: str) -> str:
        try:
            is_loopback = host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            is_loopback = False
        if not is_loopback:
            raise ValueError("must be loopback (127.0.0.1, ::1 or localhost): the page has no sign-in yet (issue 7)")
        return host


class Settings(Group):
    """All options of one sync agent."""

    state_dir: Path = Field(description="Everything the sync agent keeps: keys, and the database where that is SQLite.")
    tenant: Name = Field(description="Operator of the devices; a level of every topic.")
    verifiers: Annotated[int, Field(ge=0, le=64)] = Field(
        0, description="Processes that check signatures beside the main one; 0 checks in it. More than one hall: one a core."
    )
    database: DatabaseSettings = DatabaseSettings()
    broker: BrokerSettings = BrokerSettings()
    fleet: FleetSettings = FleetSettings()
    rules: RuleSettings = RuleSettings()
    documents: DocumentSettings = DocumentSettings()
    web: WebSettings = WebSettings()
    door: DoorSettings = DoorSettings()

    @property
    def database_url(self) -> str:
        """Address of the database for SQLAlchemy; may hold a password, so it is not for logs."""
        url = self.database.url
        return url.get_secret_value() if url is not None else f"sqlite:///{self.state_dir.absolute() / 'registry.db'}"

    @property
    def keys_dir(self) -> Path:
        """The device CA, its certificates and the sync agent's own keys."""
        return self.state_dir / "keys"


def load(path: Path) -> Settings:
    """Read a settings file (TOML).

    Raises:
        BadSettings: unreadable, not TOML, unknown keys or values out of bounds; names the key, the value and what would do.
    """
    try:
        return Settings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as err:
        raise BadSettings(f"cannot read settings {str(path)!r}: {err.strerror}") from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise BadSettings(f"settings {str(path)!r} are not TOML: {err}") from err
    except ValidationError as err:
        lines = [f"  {'.'.join(map(str, e['loc']))}{_shown(e['loc'], e['input'])}: {e['msg']}" for e in err.errors()]
        raise BadSettings(f"settings {str(path)!r} cannot be used:\n" + "\n".join(lines)) from None


def _shown(place: tuple[int | str, ...], value: object) -> str:
    """Return the bad value for the message; what stands under ``database`` may be a password."""
    return "" if place[:1] == ("database",) else f" = {value!r}"
