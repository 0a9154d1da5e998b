"""A PostgreSQL of our own, from Debian's package: a cluster in one folder, on loopback, no trace in the system's."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path
from signal import SIGINT
from typing import Final

import psycopg
from psycopg import sql

from system.services.process import HOST, Process, Service, ServiceFailed, free_port, run_as

_DEBIAN: Final = Path("/usr/lib/postgresql")
_ROLE: Final = "renzheng"


class Postgres(Service):
    """The database server of tests, and of a demo that asks for it.

    Attributes:
        port: its TCP port, the same after every restart.
    """

    def __init__(self, folder: Path, *, port: int | None = None, is_durable: bool = True) -> None:
        """Describe the server; nothing is written or runs yet.

        Args:
            folder: everything it writes goes here. Root's server runs as user ``postgres``, who must be able to reach the folder.
            port: TCP port; absent takes a free one.
            is_durable: false does without syncing to disk, for tests that lose no power.
        """
        self.port = port or free_port()
        self._folder = folder.absolute()
        self._data = self._folder / "data"
        self._is_durable = is_durable
        self._user = "postgres" if os.geteuid() == 0 else None
        self._password = self._kept_password() or secrets.token_urlsafe(16)
        settings = {
            "port": str(self.port),
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "fsync": "on" if is_durable else "off",
            "timezone": "UTC",
        }
        self._process = Process(
            "PostgreSQL",
            [_programs() / "postgres", "-D", self._data, *(f"--{name}={value}" for name, value in settings.items())],
            self._folder / "postgres.log",
            user=self._user,
            stop_signal=SIGINT,  # its word for: end the connections, save, stop
        )

    @property
    def log_file(self) -> Path:
        """What the server said."""
        return self._process.log_file

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database for SQLAlchemy, with its password."""
        return f"postgresql+psycopg://{_ROLE}:{self._password}@{HOST}:{self.port}/{database}"

    def start(self) -> None:
        """Make the cluster when there is none, start it, and return when it answers.

        Raises:
            ServiceFailed: it did not start, or the cluster could not be made.
        """
        if not self._data.exists():
            self._initialise()
        self._process.start(self._answers, within_s=30.0)

    def stop(self) -> None:
        """Stop cleanly, ending the connections there are."""
        self._process.stop(within_s=20.0)

    def kill(self) -> None:
        """Stop as a crash would; what was committed is there after the next start."""
        self._process.kill()

    def new_database(self, name: str) -> str:
        """Make an empty database, in place of an older one of that name, and return its `url`."""
        with self._connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def _kept_password(self) -> str | None:
        try:
            return (self._folder / "password").read_text()
        except FileNotFoundError:
            return None

    def _initialise(self) -> None:
        """Make the cluster; the role's password lies beside it for the next start."""
        self._folder.mkdir(parents=True, exist_ok=True)
        secret = self._folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self._password)
        if self._user is not None:
            for path in (self._folder, secret):
                shutil.chown(path, self._user, self._user)
        layout = ["--pgdata", str(self._data), "--username", _ROLE, "--encoding", "UTF8", "--locale", "C.UTF-8"]
        access = ["--auth", "scram-sha-256", "--pwfile", str(secret)]
        made = subprocess.run(
            run_as(self._user, [_programs() / "initdb", *layout, *access, "--no-sync"]),
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
        )
        if made.returncode != 0:
            raise ServiceFailed(
                f"A PostgreSQL cluster could not be made in {str(self._data)!r}: {made.stderr.strip()[-400:]}. "
                f"User {self._user or 'of this process'!r} must be able to reach that folder."
            )

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host=HOST, port=self.port, user=_ROLE, password=self._password, dbname="postgres", connect_timeout=2, autocommit=True
        )

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True


def _programs() -> Path:
    """Return the folder of the newest PostgreSQL that Debian has installed.

    Raises:
        ServiceFailed: there is none.
    """
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda program: int(program.parents[1].name))
    if not found:
        raise ServiceFailed(f"There is no PostgreSQL under {str(_DEBIAN)!r}. ./system/test installs it.")
    return found[-1].parent
