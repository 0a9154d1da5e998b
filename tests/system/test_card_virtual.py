"""The virtual card against a reader that is a socket of the test, and its pcscd with nobody else's in the way."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from system.simulate import pcscd as pcscd_module
from system.simulate.card import MODULE, MODULE_COMMAND, OTHER, READABLE, Content, Fault, FaultKind, NoReader, VirtualCard
from system.simulate.pcscd import Pcscd, PcscdRefused, pcscd
from tests.pcsc import two_free_ports

CONTENT = Content(bytes(range(256)), b"P" * 300)
HELD = b"\x01\x00\x01\x2c" + CONTENT.record + CONTENT.portrait


class Reader:
    """The reader's end of the line, as vpcd speaks it."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        self.line.settimeout(2)

    def tell(self, message: bytes) -> None:
        self.line.sendall(len(message).to_bytes(2) + message)

    def hear(self) -> bytes:
        return self._exactly(int.from_bytes(self._exactly(2)))

    def ask(self, message: bytes) -> bytes:
        self.tell(message)
        return self.hear()

    def page(self, number: int) -> bytes:
        return self.ask(bytes((0xFF, 0xB0, number, 0, 0)))

    def _exactly(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            piece = self.line.recv(size - len(got))
            if not piece:
                raise EOFError
            got += piece
        return got


@contextmanager
def lying(fault: str = "") -> Iterator[tuple[Reader, VirtualCard]]:
    """Put a card down on a reader of the test."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        card = VirtualCard(CONTENT, port=server.getsockname()[1], fault=Fault.parse(fault) if fault else None)
        with card.down():
            line, _ = server.accept()
            with line:
                yield Reader(line), card


def test_ok__it_answers_reset_pages_and_module_number() -> None:
    with lying() as (reader, _):
        for control in (b"\x01", b"\x02"):
            reader.tell(control)
        assert reader.ask(b"\x04") == READABLE and READABLE[13:15] == b"\x90\x00"
        assert b"".join(reader.page(number)[:-2] for number in range(3)) == HELD
        assert reader.page(3) == b"\x6a\x82"
        assert reader.ask(MODULE_COMMAND) == MODULE + b"\x90\x00"
        assert reader.ask(b"\x00\xa4\x00\x00\x02\x60\x02") == b"\x6d\x00"


def test_ok__lifting_closes_the_line_and_it_can_be_put_down_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        card = VirtualCard(CONTENT, port=server.getsockname()[1])
        for _ in range(2):
            card.put_down()
            assert card.is_down
            with server.accept()[0] as line:
                card.lift()
                assert not card.is_down
                with pytest.raises(EOFError):
                    Reader(line).hear()
        card.lift()  # of a card that does not lie there: nothing


def test_fail__it_cannot_be_put_down_twice() -> None:
    with lying() as (_, card), pytest.raises(RuntimeError, match="already"):
        card.put_down()


def test_fail__without_a_reader_it_says_so() -> None:
    with pytest.raises(NoReader, match="Is pcscd running"):
        VirtualCard(CONTENT, port=two_free_ports()).put_down()


def test_a_page_cut_short_and_the_others_whole() -> None:
    with lying("truncated-page:1") as (reader, _):
        assert [len(reader.page(number)) - 2 for number in range(3)] == [256, 128, 48]


def test_a_corrupted_page_and_the_others_whole() -> None:
    with lying("corrupted-page:1") as (reader, _):
        assert reader.page(0)[:-2] == HELD[:256]
        assert all(a != b for a, b in zip(reader.page(1)[:-2], HELD[256:512], strict=True))


def test_lifted_after_a_page() -> None:
    with lying("lifted-after-page:1") as (reader, _):
        reader.page(0)
        reader.page(1)
        with pytest.raises(EOFError):
            reader.hear()


def test_lifted_after_some_milliseconds_while_nobody_asks() -> None:
    with lying("lifted-at:50") as (reader, _):
        assert reader.ask(b"\x04") == READABLE
        with pytest.raises(EOFError):
            reader.hear()


def test_silent_at_a_page_but_still_there() -> None:
    with lying("silent-at-page:1") as (reader, card):
        reader.page(0)
        reader.tell(b"\xff\xb0\x01\x00\x00")
        assert reader.ask(b"\x04") == READABLE  # what comes next is the answer to this, not to the page
        assert card.is_down


def test_another_card_has_another_answer_to_reset_and_no_pages() -> None:
    with lying("unknown-card") as (reader, _):
        assert reader.ask(b"\x04") == OTHER and OTHER[13:15] != b"\x90\x00"
        assert reader.page(0) == b"\x6d\x00"


def test_an_unknown_flag_and_a_closed_portrait_lie_in_the_content() -> None:
    with lying("unknown-flag") as (reader, _):
        assert reader.page(0)[:-2] + reader.page(1)[:-2] == HELD[:252] + b"Z\x00" + HELD[254:512]
    with lying("wlt-portrait") as (reader, _):
        assert reader.page(0)[2:4] == b"\x04\x00"


def test_faults_are_read_as_typed() -> None:
    assert Fault.parse("lifted-at:600") == Fault(FaultKind.LIFTED_AT, 600)
    assert Fault.parse("unknown-card") == Fault(FaultKind.UNKNOWN_CARD)
    for wrong in ("", "burnt", "lifted-at:soon"):
        with pytest.raises(ValueError):
            Fault.parse(wrong)


def test_nothing_of_the_content_is_in_a_repr() -> None:
    assert repr(CONTENT) == "Content()"


@pytest.mark.pcsc
@pytest.mark.root
@pytest.mark.usefixtures("pcscd_can_run")
class TestPcscd:
    """One pcscd a machine."""

    def test_ok__it_starts_dies_starts_again_and_leaves_nothing(self, tmp_path: Path) -> None:
        with pcscd(tmp_path, two_free_ports(), wait_s=100) as service:
            assert service.pid is not None
            service.kill()
            assert service.pid is None and Path("/run/pcscd/pcscd.comm").exists()
            service.start()
            first = service.pid
            service.start()  # runs already: nothing
            assert service.pid == first
        assert service.pid is None and not Path("/run/pcscd/pcscd.comm").exists()

    def test_ok__two_users_wait_for_one_another(self, tmp_path: Path) -> None:
        second_got_it = threading.Event()

        def second_user() -> None:
            with pcscd(tmp_path / "second", two_free_ports(), wait_s=100):
                second_got_it.set()

        with pcscd(tmp_path / "first", two_free_ports(), wait_s=100):
            with pytest.raises(PcscdRefused, match="has held the virtual reader"), pcscd(tmp_path, two_free_ports(), wait_s=0.1):
                pass
            waiting = threading.Thread(target=second_user)
            waiting.start()
            assert not second_got_it.is_set()
        assert second_got_it.wait(100)
        waiting.join(10)

    def test_ok__what_a_killed_user_left_is_cleared_away(self, tmp_path: Path) -> None:
        program = (
            "import os, pathlib, sys\nfrom system.simulate.pcscd import pcscd\n"
            "with pcscd(pathlib.Path(sys.argv[1]), int(sys.argv[2]), wait_s=100) as service:\n"
            "    print(service.pid, flush=True)\n    sys.stdin.read()\n"
        )
        port = two_free_ports()
        command = [sys.executable, "-c", program, str(tmp_path / "killed"), str(port)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
            assert user.stdout is not None
            left = int(next(line for line in user.stdout if line.strip().isdigit()))
            user.kill()
        assert pcscd_module._started(left)
        with pcscd(tmp_path / "next", port, wait_s=100) as service:
            assert service.pid not in (None, left)
            assert not pcscd_module._started(left)

    def test_fail__a_pcscd_that_is_not_ours_is_left_alone(self, tmp_path: Path) -> None:
        with pcscd(tmp_path, two_free_ports(), wait_s=100) as service:
            ours = service.pid
            with pytest.raises(PcscdRefused, match=rf"another pcscd runs on this machine \(process {ours}\)"):
                Pcscd(tmp_path / "other", two_free_ports()).start()
            assert service.pid == ours

    def test_fail__a_port_in_use_is_named(self, tmp_path: Path) -> None:
        with (
            socket.create_server(("0.0.0.0", 0)) as taken,
            pytest.raises(PcscdRefused, match=str(taken.getsockname()[1])),
            pcscd(tmp_path, taken.getsockname()[1], wait_s=100),
        ):
            pass
