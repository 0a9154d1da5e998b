"""A pytest plugin: the one real pcscd of this machine, with a virtual reader, for the tests of a module."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from system.simulate.pcscd import Pcscd, pcscd

DRIVER = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")


def two_free_ports() -> int:
    """Return a port that is free together with the one after it; the virtual reader has two slots."""
    for _ in range(100):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("0.0.0.0", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("0.0.0.0", port + 1))
            except (OSError, OverflowError):
                continue
            return port
    raise RuntimeError("no two free ports side by side in 100 tries")


@pytest.fixture(scope="session")
def pcscd_can_run() -> None:
    """Skip where pcscd with a virtual reader cannot run, saying why."""
    if os.geteuid() != 0:
        pytest.skip("pcscd with a virtual reader needs root")
    if shutil.which("pcscd") is None or not DRIVER.exists():
        pytest.skip("pcscd or its virtual reader is not installed (apt-get install pcscd vsmartcard-vpcd)")


@pytest.fixture(scope="module")
def reader_service(pcscd_can_run: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pcscd]:
    """A running pcscd. A module at a time, not a session, so that a test which runs the demo can have the machine's pcscd too."""
    with pcscd(tmp_path_factory.mktemp("pcscd"), two_free_ports(), wait_s=100) as service:
        yield service


@pytest.fixture
def running_service(reader_service: Pcscd) -> Iterator[Pcscd]:
    """The same, and running again for the next test whatever this one does to it."""
    reader_service.start()
    yield reader_service
    reader_service.start()
