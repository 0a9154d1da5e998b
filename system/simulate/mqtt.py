"""A small MQTT 3.1.1 client on the event loop, so cheap that thousands of connections over TLS fit into one process.

QoS 0 and 1 only, as the product uses them (OASIS MQTT 3.1.1). An `asyncio` transport keeps a buffer of 256 KiB for each TLS
connection, and paho three sockets; here a connection is one non-blocking socket and what has not been sent yet.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

CONNECT: Final = 0x10
CONNACK: Final = 0x20
PUBLISH: Final = 0x30
PUBACK: Final = 0x40
SUBSCRIBE: Final = 0x82
SUBACK: Final = 0x90
PINGREQ: Final = 0xC0
DISCONNECT: Final = 0xE0

_CHUNK: Final = 65536


class NotLetIn(ConnectionError):
    """The broker answered and did not let the client in, or hung up instead of answering."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for a client that is lost: QoS 1, retained."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Door:
    """Where the broker is and how to prove oneself there."""

    host: str
    port: int
    context: ssl.SSLContext


def packet(kind: int, body: bytes) -> bytes:
    """Return an MQTT control packet: first byte, length (section 2.2.3), body."""
    length, size = bytearray(), len(body)
    while True:
        size, seven = divmod(size, 128)
        length.append(seven | (0x80 if size else 0))
        if not size:
            return bytes([kind]) + length + body


def split(data: bytearray) -> list[tuple[int, bytes]]:
    """Take every whole packet off the front of `data`; return first byte and body of each.

    Raises:
        ValueError: a length of more than four bytes (section 2.2.3).
    """
    found, start, end = [], 0, len(data)
    while start + 1 < end:
        size, place, factor = 0, start + 1, 1
        while place < end and data[place] & 0x80:
            size, place, factor = size + (data[place] & 0x7F) * factor, place + 1, factor * 128
        if place - start > 4:
            raise ValueError("not an MQTT packet")
        if place >= end:
            break
        size += data[place] * factor
        after = place + 1 + size
        if after > end:
            break
        found.append((data[start], bytes(data[place + 1 : after])))
        start = after
    del data[:start]
    return found


class Connection:
    """One connection. Everything runs in the event loop; use `open`.

    Attributes:
        session_present: whether the broker still knew the session.
    """

    def __init__(self, tls: ssl.SSLSocket, on_message: Callable[[str, bytes], None], keepalive_s: int) -> None:
        self._tls = tls
        self._on_message = on_message
        self._keepalive_s = keepalive_s
        self._loop = asyncio.get_running_loop()
        self._in = bytearray()
        self._out = bytearray()
        self._writes = False
        self._number = 0
        self._awaited: dict[int, asyncio.Future[None]] = {}
        self._admitted: asyncio.Future[None] = self._loop.create_future()
        self._beat: asyncio.TimerHandle | None = None
        self.session_present = False
        self.ended = asyncio.Event()
        self._loop.add_reader(tls, self._readable)

    @classmethod
    async def open(
        cls,
        door: Door,
        client_id: str,
        on_message: Callable[[str, bytes], None],
        *,
        clean: bool = False,
        will: Will | None = None,
        keepalive_s: int = 60,
        within_s: float = 30.0,
    ) -> Connection:
        """Connect and return when the broker has let the client in.

        Args:
            door: where and as whom.
            client_id: name of the session.
            on_message: given topic and payload of every message; it is acknowledged when the call returns.
            clean: whether the broker forgets the session.
            will: what to say when the connection is lost.
            keepalive_s: the broker gives up a client that is silent for one and a half times this long.
            within_s: deadline of TCP, TLS and MQTT together.

        Raises:
            OSError: not reachable, not trusted, or not let in (`NotLetIn`).
            TimeoutError: no answer in time.
        """
        async with asyncio.timeout(within_s):
            connection = cls(await _handshaken(door), on_message, keepalive_s)
            try:
                connection._send(packet(CONNECT, _greeting(client_id, clean=clean, will=will, keepalive_s=keepalive_s)))
                await connection._admitted
            except BaseException:
                connection.abort()
                raise
        connection._beat = connection._loop.call_later(keepalive_s / 2, connection._ping)
        return connection

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> asyncio.Future[None]:
        """Send a message; the future is done when the broker has acknowledged it, cancelled when the connection ends before."""
        done: asyncio.Future[None] = self._loop.create_future()
        number = self._next(done) if qos else b""
        if not qos:
            done.set_result(None)
        self._send(packet(PUBLISH | qos << 1 | retain, _text(topic) + number + payload))
        return done

    async def subscribe(self, topic: str) -> None:
        """Ask for a topic; return when the broker has answered.

        Raises:
            NotLetIn: the connection ended instead.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        self._send(packet(SUBSCRIBE, self._next(done) + _text(topic) + b"\x01"))
        await asyncio.wait([done])
        if done.cancelled():
            raise NotLetIn("the broker hung up")

    def close(self) -> None:
        """Take leave: no will is said."""
        if not self.ended.is_set():
            self._send(packet(DISCONNECT, b""))
        self.abort()

    def abort(self) -> None:
        """End the connection as a pulled cable would."""
        if self.ended.is_set():
            return
        self.ended.set()
        self._loop.remove_reader(self._tls)
        if self._writes:
            self._loop.remove_writer(self._tls)
        if self._beat is not None:
            self._beat.cancel()
        self._tls.close()
        if not self._admitted.done():
            self._admitted.set_exception(NotLetIn("the broker hung up"))
        for waiting in self._awaited.values():
            waiting.cancel()
        self._awaited.clear()

    def _next(self, done: asyncio.Future[None]) -> bytes:
        self._number = self._number % 0xFFFF + 1
        self._awaited[self._number] = done
        if self.ended.is_set():
            done.cancel()
        return struct.pack("!H", self._number)

    def _ping(self) -> None:
        self._send(packet(PINGREQ, b""))
        self._beat = self._loop.call_later(self._keepalive_s / 2, self._ping)

    def _send(self, data: bytes) -> None:
        self._out += data
        if not self._writes and not self.ended.is_set():
            self._writable()

    def _writable(self) -> None:
        wants = False
        try:
            while self._out:
                del self._out[: self._tls.send(self._out[:_CHUNK])]
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            wants = True
        except OSError:
            self.abort()
            return
        if wants != self._writes:
            self._writes = wants
            if wants:
                self._loop.add_writer(self._tls, self._writable)
            else:
                self._loop.remove_writer(self._tls)

    def _readable(self) -> None:
        is_over = False
        try:
            while data := self._tls.recv(_CHUNK):
                self._in += data
            is_over = True
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            is_over = True
        for kind, body in split(self._in):
            self._take(kind, body)
        if is_over:
            self.abort()

    def _take(self, kind: int, body: bytes) -> None:
        if kind & 0xF0 == PUBLISH:
            size = int.from_bytes(body[:2]) + 2
            qos = kind >> 1 & 3
            self._on_message(body[2:size].decode(), body[size + 2 :] if qos else body[size:])
            if qos and not self.ended.is_set():
                self._send(packet(PUBACK, body[size : size + 2]))
        elif kind in (PUBACK, SUBACK):
            done = self._awaited.pop(int.from_bytes(body[:2]), None)
            if done is not None and not done.done():
                done.set_result(None)
        elif kind == CONNACK and not self._admitted.done():
            self.session_present = bool(body[0] & 1)
            if body[1]:
                self._admitted.set_exception(NotLetIn(f"the broker refused with code {body[1]}"))
            else:
                self._admitted.set_result(None)


async def _handshaken(door: Door) -> ssl.SSLSocket:
    """Connect by TCP and TLS."""
    loop = asyncio.get_running_loop()
    plain = socket.socket(socket.AF_INET)
    plain.setblocking(False)
    try:
        await loop.sock_connect(plain, (door.host, door.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = door.context.wrap_socket(plain, do_handshake_on_connect=False, server_hostname=door.host)
    except BaseException:
        plain.close()
        raise
    try:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await _ready(tls, loop.add_reader, loop.remove_reader)
            except ssl.SSLWantWriteError:
                await _ready(tls, loop.add_writer, loop.remove_writer)
            else:
                return tls
    except BaseException:
        tls.close()
        raise


async def _ready(
    tls: ssl.SSLSocket, watch: Callable[[ssl.SSLSocket, Callable[[], None]], None], leave: Callable[[ssl.SSLSocket], bool]
) -> None:
    """Wait until a socket can be read or written."""
    ready = asyncio.Event()
    watch(tls, ready.set)
    try:
        await ready.wait()
    finally:
        leave(tls)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("!H", len(encoded)) + encoded


def _greeting(client_id: str, *, clean: bool, will: Will | None, keepalive_s: int) -> bytes:
    """Return the body of CONNECT (section 3.1)."""
    flags = (0x02 if clean else 0) | (0x2C if will else 0)
    last = struct.pack("!H", len(will.payload)) + will.payload if will else b""
    return (
        b"\x00\x04MQTT\x04"
        + struct.pack("!BH", flags, keepalive_s)
        + _text(client_id)
        + (_text(will.topic) + last if will else b"")
    )
