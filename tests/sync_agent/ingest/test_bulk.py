"""The socket beneath paho: nothing leaves before `flush`, what came in one go is read without asking the system again."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from sync_agent.ingest.bulk import AHEAD, RECORD, BulkSocket
from tests.certificates import Authority, Issued

HOST = "127.0.0.1"
WITHIN_S = 10.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("bulk") / "ca")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Issued:
    return authority.issue("server", address=HOST)


@pytest.fixture
def ends(authority: Authority, server: Issued) -> Iterator[tuple[BulkSocket, ssl.SSLSocket]]:
    """Our end and the other, TLS between them; ours does not block."""
    theirs_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs_context.load_cert_chain(server.certificate, server.key)
    ours_context = ssl.create_default_context(cafile=str(authority.ca))
    ours_context.sslsocket_class = BulkSocket
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1))
        listener = stack.enter_context(socket.create_server((HOST, 0)))
        plain = stack.enter_context(socket.create_connection(listener.getsockname(), WITHIN_S))
        accepted = stack.enter_context(listener.accept()[0])
        other = pool.submit(theirs_context.wrap_socket, accepted, server_side=True)
        ours = stack.enter_context(ours_context.wrap_socket(plain, server_hostname=HOST))
        theirs = stack.enter_context(other.result(WITHIN_S))
        theirs.settimeout(WITHIN_S)
        ours.setblocking(False)
        assert isinstance(ours, BulkSocket)
        yield ours, theirs


def read(ours: BulkSocket, size: int) -> bytes:
    """Read exactly so much, as paho does: a piece at a time, waiting for the system where nothing was read ahead."""
    got = b""
    while len(got) < size:
        try:
            got += ours.recv(size - len(got))
        except ssl.SSLWantReadError:
            assert select.select([ours], [], [], WITHIN_S)[0]
    return got


def test_what_came_in_one_go_is_read_in_pieces_without_the_system(ends: tuple[BulkSocket, ssl.SSLSocket]) -> None:
    ours, theirs = ends
    theirs.sendall(b"abcdefgh")
    assert read(ours, 1) == b"a"
    assert ours.pending() == 7
    assert select.select([ours], [], [], 0)[0] == [], "the system shows nothing more; who waits on it alone waits for ever"
    assert [ours.recv(2), ours.recv(100)] == [b"bc", b"defgh"]
    with pytest.raises(ssl.SSLWantReadError):
        ours.recv(1)


def test_much_more_than_is_read_ahead_comes_whole_and_in_order(ends: tuple[BulkSocket, ssl.SSLSocket]) -> None:
    ours, theirs = ends
    content = bytes(range(256)) * (3 * AHEAD // 256)
    with ThreadPoolExecutor(1) as pool:
        saying = pool.submit(theirs.sendall, content)
        assert read(ours, len(content)) == content
        saying.result(WITHIN_S)


def test_nothing_leaves_before_flush_and_then_all_in_one_record(ends: tuple[BulkSocket, ssl.SSLSocket]) -> None:
    ours, theirs = ends
    for number in range(50):
        assert ours.send(b"%02d" % number) == 2
    assert ours.has_unsent
    theirs.settimeout(0)
    with pytest.raises(ssl.SSLWantReadError):
        theirs.recv(1)
    theirs.settimeout(WITHIN_S)
    ours.flush()
    assert not ours.has_unsent
    assert theirs.recv(RECORD) == b"".join(b"%02d" % number for number in range(50))


def test_what_the_system_does_not_take_yet_waits_and_is_not_doubled(ends: tuple[BulkSocket, ssl.SSLSocket]) -> None:
    ours, theirs = ends
    content = bytes(range(256)) * 65_536
    ours.send(content)
    ours.flush()
    assert ours.has_unsent, "the control: so much does not go at once"
    got = bytearray()
    while len(got) < len(content):
        got += theirs.recv(RECORD)
        ours.flush()
    assert bytes(got) == content
    assert not ours.has_unsent


def test_the_end_of_the_other_shows_after_what_it_said(ends: tuple[BulkSocket, ssl.SSLSocket]) -> None:
    ours, theirs = ends
    theirs.sendall(b"last")
    theirs.shutdown(socket.SHUT_WR)
    assert read(ours, 4) == b"last"
    assert select.select([ours], [], [], WITHIN_S)[0]
    assert ours.recv(1) == b""


def test_closing_sends_what_waits(ends: tuple[BulkSocket, ssl.SSLSocket]) -> None:
    ours, theirs = ends
    ours.send(b"goodbye")
    ours.close()
    assert theirs.recv(100) == b"goodbye"
