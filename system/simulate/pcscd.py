"""A real pcscd in the foreground with a virtual reader, one at a time on the machine.

pcscd's socket has a fixed place, so only one can run: a lock makes two users wait for one another, and a pcscd that is not ours
(the system's own) is never touched. For demo and tests only: the virtual reader listens on all interfaces, without any check.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import structlog

log = structlog.get_logger(__name__)

READER: Final = "Renzheng virtual"
"""Name of the reader; pcscd adds the slot, `` 00 00``."""

_DRIVER: Final = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
_RUN: Final = Path("/run/pcscd")
_SOCKET, _PID = _RUN / "pcscd.comm", _RUN / "pcscd.pid"
_LOCK: Final = Path("/run/renzheng-pcscd.lock")
_START_S: Final = 10.0
_STOP_S: Final = 5.0


class PcscdRefused(Exception):
    """The service cannot be run; the text says why and what to do."""


class Pcscd:
    """The service with its virtual reader. May be stopped, killed and started again, as a test or a demo wants."""

    def __init__(self, state_dir: Path, port: int) -> None:
        self.port = port
        self._config_dir = state_dir / "pcscd"
        self._log_path = state_dir / "pcscd.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process, or None while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            PcscdRefused: it cannot be started, or another one runs.
        """
        if self.pid is not None:
            return
        _make_way()
        _require_free(self.port)
        self._config_dir.mkdir(parents=True, exist_ok=True)
        (self._config_dir / "vpcd").write_text(
            f'FRIENDLYNAME "{READER}"\nDEVICENAME /dev/null:{self.port:#x}\nLIBPATH {_DRIVER}\nCHANNELID {self.port:#x}\n',
            encoding="ascii",
        )
        command = ["pcscd", "--foreground", "--config", str(self._config_dir.resolve()), *_no_polkit()]
        with self._log_path.open("ab") as log_file:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log_file, stderr=subprocess.STDOUT)
        until = time.monotonic() + _START_S
        while not _answers():
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(0.01)
                raise PcscdRefused(f"pcscd ended at once with code {code}; its words are in {str(self._log_path)!r}")
            if time.monotonic() > until:
                self.stop()
                raise PcscdRefused(f"pcscd gave no sign of life in {_START_S} s; its words are in {str(self._log_path)!r}")
        _remember(self._process.pid)
        log.info("pcscd.started", port=self.port)

    def stop(self) -> None:
        """End it cleanly; it takes its own files away."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would: its files stay behind."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextlib.contextmanager
def pcscd(state_dir: Path, port: int, *, wait_s: float = 300.0) -> Iterator[Pcscd]:
    """Run pcscd with a virtual reader for the block; the only user on this machine meanwhile.

    Args:
        state_dir: for its settings and its log.
        port: where a virtual card connects; the next port is taken too, for the reader's second slot.
        wait_s: how long to wait for another user of this module.

    Raises:
        PcscdRefused: it cannot be run here; the text says why and what to do.
    """
    if os.geteuid() != 0:
        raise PcscdRefused("pcscd with a virtual reader needs root (it owns /run/pcscd). Run this as root or through sudo")
    if not _DRIVER.exists():
        raise PcscdRefused(f"{str(_DRIVER)!r} is missing. Install it: apt-get install pcscd vsmartcard-vpcd")
    service = Pcscd(state_dir, port)
    with _only_user(wait_s):
        try:
            service.start()
            yield service
        finally:
            service.stop()


@contextlib.contextmanager
def _only_user(wait_s: float) -> Iterator[None]:
    """Hold the machine-wide lock, and clear away what a user left behind who was killed.

    Raises:
        PcscdRefused: somebody else has held it for too long.
    """
    with _LOCK.open("a+", encoding="ascii") as lock:
        until = time.monotonic() + wait_s
        while not _locked(lock):
            if time.monotonic() > until:
                raise PcscdRefused(
                    f"another demo or test has held the virtual reader for {wait_s} s ({str(_LOCK)!r}). Let it end first"
                )
            time.sleep(0.05)
        _end_orphan()
        yield


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remember(pid: int) -> None:
    """Note in the lock's file which pcscd is ours, with its start time, so that a killed user's can be told from the system's."""
    _LOCK.write_text(f"{pid} {_started(pid)}", encoding="ascii")


def _end_orphan() -> None:
    """End the pcscd of a user that was killed before it could."""
    match _LOCK.read_text(encoding="ascii").split():
        case [pid, started] if started and started == _started(int(pid)):
            os.kill(int(pid), signal.SIGKILL)
            until = time.monotonic() + _STOP_S
            while (_started(int(pid)) or _answers()) and time.monotonic() < until:  # its threads may outlive its first one
                time.sleep(0.01)


def _started(pid: int) -> str:
    """Return when a pcscd was started, in ticks since boot; "" when `pid` is none, or a dead one nobody has buried."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")
    except OSError:
        return ""
    state, *more = rest.split()
    return more[18] if name.endswith("(pcscd") and state != "Z" else ""  # fields 3 and 22 of proc(5)


def _make_way() -> None:
    """Take away what a killed pcscd left, without which a new one does not start.

    Raises:
        PcscdRefused: another one answers.
    """
    if _answers():
        who = _PID.read_text(encoding="ascii").strip(" \0\n") if _PID.exists() else ""
        raise PcscdRefused(
            f"another pcscd runs on this machine ({f'process {who}' if who else 'or systemd listens for it'}), "
            "and there can be only one. Stop it first: systemctl stop pcscd.socket pcscd.service"
        )
    _RUN.mkdir(exist_ok=True)
    _SOCKET.unlink(missing_ok=True)
    _PID.unlink(missing_ok=True)


def _answers() -> bool:
    """Say whether anybody listens at pcscd's place."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(str(_SOCKET))
        except OSError:
            return False
        return True


def _require_free(port: int) -> None:
    """Check both slots' ports, because vpcd does not say so when it cannot listen.

    Raises:
        PcscdRefused: something else listens there.
    """
    for slot in (port, port + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", slot))
            except OSError as err:
                raise PcscdRefused(
                    f"the virtual reader cannot listen on port {slot}: {err.strerror}. Choose another port"
                ) from err


def _no_polkit() -> list[str]:
    """Return the option that lets clients without a session in, where pcscd knows it (Debian 13 does, Debian 12 asks nobody)."""
    words = subprocess.run(["pcscd", "--help"], capture_output=True, check=False, text=True)
    return ["--disable-polkit"] if "--disable-polkit" in words.stdout + words.stderr else []
