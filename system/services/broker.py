"""A Mosquitto of our own: TLS, one certificate a client, everything under one folder."""

from __future__ import annotations

import getpass
from pathlib import Path
from signal import SIGHUP

from system.mosquitto import Listener, access_rules, configuration
from system.services.process import HOST, Process, Service, free_port, is_listening


class Mosquitto(Service):
    """The broker of the demo and of tests, on loopback.

    Attributes:
        host: what clients connect to; the broker's certificate must name it.
        port: its TCP port, the same after every restart.
    """

    def __init__(self, folder: Path, *, ca: Path, certificate: Path, key: Path, revoked: Path, port: int | None = None) -> None:
        """Describe the broker; nothing is written or runs yet.

        Args:
            folder: everything it writes goes here: configuration, sessions, ``mosquitto.log``.
            ca: PEM of the authority whose clients are let in.
            certificate: PEM of the broker's own certificate.
            key: PEM of its private key.
            revoked: PEM revocation list of that authority.
            port: TCP port; absent takes a free one.
        """
        self.host = HOST
        self.port = port or free_port()
        self._folder = folder.absolute()
        self._listener = Listener(self.host, self.port, ca.absolute(), certificate.absolute(), key.absolute(), revoked.absolute())
        written = self._folder / "mosquitto.conf"
        self._process = Process("Mosquitto", ["/usr/sbin/mosquitto", "-c", written], self._folder / "mosquitto.log")

    @property
    def log_file(self) -> Path:
        """What the broker said."""
        return self._process.log_file

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        return self._process.pid

    def start(self) -> None:
        """Start with the sessions of the last clean stop; return when it takes connections.

        Raises:
            ServiceFailed: it did not start, for instance because a certificate cannot be read.
        """
        sessions = self._folder / "sessions"
        sessions.mkdir(parents=True, exist_ok=True)
        for name, content in self.files(sessions).items():
            path = self._folder / name
            path.write_text(content)
            path.chmod(0o600)  # newer releases refuse rules that others can read
        self._process.start(lambda: is_listening(self.port))

    def files(self, sessions: Path) -> dict[str, str]:
        """Return name and text of what is written for each start: configuration and access rules. A test may change them.

        Args:
            sessions: folder for what the broker keeps.
        """
        # It stays the user who started it: user `mosquitto` could not reach a state folder below a home.
        text = configuration(self._listener, folder=sessions, rules=self._folder / "access.conf", user=getpass.getuser())
        return {"access.conf": access_rules(), "mosquitto.conf": text}

    def stop(self) -> None:
        """Stop cleanly: sessions and what is queued in them are kept."""
        self._process.stop()

    def kill(self) -> None:
        """Stop as a crash or a power cut would: what was not yet saved is lost."""
        self._process.kill()

    def reload(self) -> None:
        """Make it read the access rules and the revocation list again."""
        self._process.signal(SIGHUP)
