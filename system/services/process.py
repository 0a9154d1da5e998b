"""One program beside ours: started when it is ready, stopped without a trace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog

log = structlog.get_logger(__name__)

HOST: Final = "127.0.0.1"
"""The only address that the programs beside ours are bound to."""

_LOOK_S: Final = 0.02
"""Between two looks at whether a program is ready."""


class ServiceFailed(Exception):
    """A program beside ours did not start, or is not running. The text says which, why, and where its log lies."""

    code = "SYS-01"


def free_port() -> int:
    """Return a TCP port that nothing uses on loopback at this moment."""
    with socket.create_server((HOST, 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Tell whether something takes connections on a TCP port of loopback."""
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def run_as(user: str | None, command: Sequence[str | Path], *more: str) -> list[str]:
    """Return a command line that runs `command` as another system user.

    Args:
        user: who; only root may ask for another. Absent is whoever asks.
        command: program and arguments.
        more: further options of setpriv.
    """
    become = [] if user is None else [f"--reuid={user}", f"--regid={user}", "--init-groups"]
    return ["setpriv", *become, *more, "--", *map(str, command)]


class Process:
    """A program in a session of its own that writes into a log file.

    It gets `stop_signal` when the thread that started it ends, even by SIGKILL, so nothing is left behind; therefore it is
    started from the main thread only.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log_file: Path,
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Describe the program; nothing runs yet.

        Args:
            name: what to call it in messages.
            command: program and arguments.
            log_file: takes standard output and error of every start, one after the other.
            env: the whole environment; absent is ours.
            user: system user to run as; only root may ask for another. Absent is ours.
            stop_signal: what asks it to end.
        """
        self.name = name
        self.log_file = log_file
        self._env = env
        self._stop_signal = stop_signal
        self._popen: subprocess.Popen[bytes] | None = None
        self._command = run_as(user, command, f"--pdeathsig={stop_signal.name}")

    @property
    def is_running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the running program.

        Raises:
            ServiceFailed: it is not running.
        """
        return self._running().pid

    def start(self, is_ready: Callable[[], bool], within_s: float = 10.0) -> None:
        """Start the program and return when it is ready.

        Args:
            is_ready: asked again and again until it says yes.
            within_s: how long that may take.

        Raises:
            ServiceFailed: it runs already, cannot be run, ended early or was not ready in time; then it is stopped.
        """
        if threading.current_thread() is not threading.main_thread():
            raise ServiceFailed(f"{self.name} was started from a thread whose end would end it. Start it from the main thread.")
        if self.is_running:
            raise ServiceFailed(f"{self.name} runs already (process {self.pid}).")
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        with self.log_file.open("ab") as output:
            self._popen = subprocess.Popen(
                self._command,
                env=None if self._env is None else dict(self._env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while not is_ready():
            with suppress(subprocess.TimeoutExpired):
                code = self._popen.wait(_LOOK_S)
                raise ServiceFailed(f"{self.name} ended with code {code} before it was ready.{self._words()}")
            if time.monotonic() - begun > within_s:
                self.stop()
                raise ServiceFailed(f"{self.name} was not ready within {within_s:g} s.{self._words()}")
        log.info("service.started", name=self.name, pid=self._popen.pid, ms=round(1000 * (time.monotonic() - begun)))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program.

        Raises:
            ServiceFailed: it is not running.
        """
        self._running().send_signal(number)

    def wait(self, within_s: float) -> int:
        """Return the exit code of a program that ends by itself, negative for a signal.

        Raises:
            ServiceFailed: it still runs after `within_s`, or never ran.
        """
        if self._popen is None:
            raise ServiceFailed(f"{self.name} was not started.")
        try:
            return self._popen.wait(within_s)
        except subprocess.TimeoutExpired:
            raise ServiceFailed(f"{self.name} did not end within {within_s:g} s.{self._words()}") from None

    def kill(self) -> None:
        """End the program and whatever it had started as a power cut would: at once, without a word."""
        if self._popen is not None:
            self._sweep()
            self._popen.wait()

    def stop(self, within_s: float = 5.0) -> None:
        """Ask the program to end, end it when it does not, and end whatever it had started. One that never ran is let be."""
        if self._popen is None:
            return
        if self.is_running:
            self._popen.send_signal(self._stop_signal)
            try:
                self._popen.wait(within_s)
            except subprocess.TimeoutExpired:
                log.warning("service.had_to_be_killed", name=self.name, within_s=within_s)
                self.kill()
        self._sweep()

    def _sweep(self) -> None:
        if self._popen is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._popen is None or self._popen.poll() is not None:
            raise ServiceFailed(f"{self.name} is not running.{self._words()}")
        return self._popen

    def _words(self, lines: int = 12) -> str:
        """The last lines of the log, to stand below a message."""
        try:
            last = self.log_file.read_text(errors="replace").splitlines()[-lines:]
        except OSError:
            return ""
        return "".join(f"\n  {line}" for line in [f"Last words in {str(self.log_file)!r}:", *last])


class Service:
    """Something made of a `Process`, for use in a ``with`` block: started on entry, stopped on leaving."""

    def start(self) -> None:
        """Start, and return when it is ready."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop, and leave nothing running."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
