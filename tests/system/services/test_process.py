"""A program beside ours starts when it is ready and leaves nothing behind."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from system.services.process import Process, ServiceFailed, free_port, is_listening

PATIENT = "import signal, sys; print('up', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
WITH_CHILD = (
    "import signal, subprocess\n"
    "child = subprocess.Popen(['sleep', '1000'])\n"
    "print('child', child.pid, flush=True)\n"
    "signal.pause()"
)


def program(text: str, folder: Path, **more: str) -> Process:
    return Process("the program", [sys.executable, "-c", text], folder / "program.log", env={**os.environ, **more})


def has_said(process: Process, word: str) -> bool:
    return word in process.log_file.read_text()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def patient(state_dir: Path) -> Iterator[Process]:
    process = program(PATIENT, state_dir)
    process.start(lambda: has_said(process, "up"))
    yield process
    process.stop()


def test_start_returns_when_the_program_is_ready_and_stop_when_it_is_gone(patient: Process) -> None:
    pid = patient.pid
    assert patient.is_running
    assert is_alive(pid)
    patient.stop()
    assert not patient.is_running
    assert not is_alive(pid)
    assert patient.wait(0) == -signal.SIGTERM


def test_it_may_be_started_again_and_its_log_goes_on(patient: Process) -> None:
    patient.stop()
    patient.start(lambda: patient.log_file.read_text().count("up") == 2)
    assert patient.is_running


def test_it_is_not_started_twice_at_once(patient: Process) -> None:
    with pytest.raises(ServiceFailed, match="runs already"):
        patient.start(lambda: True)
    assert patient.is_running


def test_one_that_was_killed_is_not_running_and_cannot_be_signalled(patient: Process) -> None:
    patient.kill()
    assert not patient.is_running
    assert patient.wait(0) == -signal.SIGKILL
    with pytest.raises(ServiceFailed, match="is not running"):
        patient.signal(signal.SIGHUP)


def test_one_that_ends_early_is_a_failure_with_its_last_words(state_dir: Path) -> None:
    process = program("import sys; sys.exit('no such card')", state_dir)
    with pytest.raises(ServiceFailed, match=r"ended with code 1 before it was ready(.|\n)*no such card"):
        process.start(lambda: False)


def test_one_that_is_never_ready_is_a_failure_and_is_stopped(state_dir: Path) -> None:
    process = program(PATIENT, state_dir)
    with pytest.raises(ServiceFailed, match=r"not ready within 0\.3 s"):
        process.start(lambda: False, within_s=0.3)
    assert not process.is_running


def test_a_program_that_does_not_exist_is_a_failure(state_dir: Path) -> None:
    with pytest.raises(ServiceFailed, match="before it was ready"):
        Process("nothing", [state_dir / "nothing"], state_dir / "n.log").start(lambda: False)


def test_one_that_will_not_end_is_ended(state_dir: Path) -> None:
    process = program(STUBBORN, state_dir)
    process.start(lambda: has_said(process, "up"))
    process.stop(within_s=0.2)
    assert process.wait(0) == -signal.SIGKILL


@pytest.mark.parametrize("end", [Process.stop, Process.kill])
def test_what_it_had_started_ends_with_it(state_dir: Path, end: object) -> None:
    process = program(WITH_CHILD, state_dir)
    process.start(lambda: has_said(process, "child"))
    child = int(process.log_file.read_text().split()[1])
    assert is_alive(child)
    assert callable(end)
    end(process)
    assert ended(child)


def test_it_ends_when_whoever_started_it_is_killed(state_dir: Path) -> None:
    starter = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from system.services.process import Process\n"
        "process = Process('sleeper', ['sh', '-c', 'echo up; exec sleep 1000'], Path(sys.argv[1]) / 'sleeper.log')\n"
        "process.start(lambda: 'up' in process.log_file.read_text())\n"
        "Path(sys.argv[1], 'pid').write_text(str(process.pid))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", starter, str(state_dir)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert ended(int((state_dir / "pid").read_text()))


def ended(pid: int) -> bool:
    """Whether a process that is not our child ends within five seconds."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 5.0)[0])
    finally:
        os.close(handle)


def test_it_is_not_started_from_a_thread_whose_end_would_end_it(state_dir: Path) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            program(PATIENT, state_dir).start(lambda: True)
        except ServiceFailed as err:
            caught.append(err)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


def test_a_free_port_is_free_and_a_taken_one_is_seen() -> None:
    port = free_port()
    assert not is_listening(port)
    with socket.create_server(("127.0.0.1", port)):
        assert is_listening(port)
