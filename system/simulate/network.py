"""The line between kiosk and broker, made bad on purpose: a TCP proxy that delays, throttles, holds and cuts; a lossy veth pair.

Delay and bandwidth are the proxy's work, since many kernels lack netem; loss and a line that dies without a word need real
packets, so they are nftables rules in a network namespace.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from system.services.process import HOST, Process, ServiceFailed

_CHUNK: Final = 4096
_CLONE_NEWNET: Final = 0x4000_0000
T = TypeVar("T")
_HERE, _THERE = "10.213.77.1", "10.213.77.2"


class Proxy:
    """Passes TCP connections on to the first of some addresses that takes them, as badly as it is told.

    Attributes:
        port: where it listens.
        delay_s: added each way, so that a round trip takes twice as long more.
        bytes_per_s: most that one direction of one connection carries; None is no limit.
        passed: bytes that went from clients to the servers.
        connections: how many were made.
    """

    def __init__(self, targets: Sequence[tuple[str, int]], listener: socket.socket | None = None) -> None:
        """Describe the proxy; it runs within a ``with`` block.

        Args:
            targets: addresses and ports, tried in order for every connection.
            listener: a listening socket, for instance of a namespace; absent takes a free port on loopback.
        """
        self._targets = list(targets)
        self._listener = listener or socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.delay_s = 0.0
        self.bytes_per_s: float | None = None
        self.passed = 0
        self.connections = 0
        self._cut_at: int | None = None
        self._loop = asyncio.new_event_loop()
        self._flows: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._was_cut = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._ask(asyncio.start_server(self._serve, sock=self._listener)).result()
        return self

    def __exit__(self, *_: object) -> None:
        self._ask(self._end()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def hold(self) -> None:
        """Let nothing pass any more, and say so to nobody: a line that is half open. New connections hang, too."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def release(self) -> None:
        """Let everything pass that was held, and what comes."""
        self._loop.call_soon_threadsafe(self._open.set)

    def cut(self) -> None:
        """Reset every connection."""
        self._ask(self._cut()).result()

    def cut_after(self, count: int) -> None:
        """Reset every connection when so many more bytes have gone to the server: within a message that is longer."""
        self._was_cut.clear()
        self._cut_at = self.passed + count

    def wait_until_cut(self, within_s: float) -> bool:
        """Return whether what `cut_after` announced has happened in time."""
        return self._was_cut.wait(within_s)

    # The proxy's own thread.

    async def _serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            server, on = await self._connect()
        except OSError:
            back.transport.abort()
            return
        ways = (self._flow(client, on, is_up=True), self._flow(server, back, is_up=False))
        tasks = {asyncio.create_task(way) for way in ways}
        self._flows |= tasks
        was_cut = True
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            was_cut = any(task.cancelled() for task in done)
        finally:
            for task in tasks:
                task.cancel()
            self._flows -= tasks
            for end in (on, back):
                # A cut is a reset, not a farewell: what was still under way is lost, as on a line that breaks.
                end.transport.abort() if was_cut else end.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for host, port in self._targets:
            with suppress(OSError):
                return await asyncio.open_connection(host, port)
        raise ConnectionRefusedError("no target takes connections")

    async def _flow(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_up: bool) -> None:
        """Carry one direction of one connection, until its end."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)
        sending = asyncio.create_task(self._send(under_way, sink, is_up=is_up))
        try:
            with suppress(ConnectionError):
                while data := await source.read(_CHUNK):
                    await under_way.put((self._loop.time() + self.delay_s, data))
            await under_way.put((self._loop.time() + self.delay_s, b""))
            await sending
        finally:
            sending.cancel()

    async def _send(self, under_way: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter, *, is_up: bool) -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - self._loop.time())
            await self._open.wait()
            if not data:
                return
            if is_up:
                data, is_last = self._counted(data)
            else:
                is_last = False
            with suppress(ConnectionError):
                sink.write(data)
                await sink.drain()
            if is_last:
                await self._cut()
                self._was_cut.set()
                return
            if self.bytes_per_s is not None:
                await asyncio.sleep(len(data) / self.bytes_per_s)

    def _counted(self, data: bytes) -> tuple[bytes, bool]:
        """Return what of it may pass, and whether the line is to be cut behind it."""
        is_last = self._cut_at is not None and self.passed + len(data) >= self._cut_at
        if self._cut_at is not None and is_last:
            data, self._cut_at = data[: self._cut_at - self.passed], None
        self.passed += len(data)
        return data, is_last

    async def _cut(self) -> None:
        for flow in self._flows:
            flow.cancel()

    async def _end(self) -> None:
        self._server.close()
        self._open.set()
        while self._flows:
            await self._cut()
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # the sockets close in the loop's next round
        await asyncio.sleep(0)

    def _ask(self, what: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(what, self._loop)


class NoNamespaces(Exception):
    """This machine lets us make no network namespace, or lacks the tools. The text says which."""


class LossyLine:
    """A pair of network cards with a namespace at the far end, where packets can be dropped.

    Attributes:
        host: address of the far end, as the near one reaches it.
    """

    host: Final = _THERE

    def __init__(self, space: Process) -> None:
        self._space = space

    def listen(self) -> socket.socket:
        """Return a listening socket at the far end; whoever accepts on it may stand anywhere."""
        made: list[socket.socket] = []

        def make() -> None:
            # A thread has a namespace of its own; the socket stays in the one it was made in.
            with Path(f"/proc/{self._space.pid}/ns/net").open() as space:
                if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), _CLONE_NEWNET) == 0:
                    made.append(socket.create_server((self.host, 0)))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not made:
            raise NoNamespaces("a thread could not enter the namespace (setns)")
        return made[0]

    def drop(self, percent: int) -> None:
        """Lose so many packets of a hundred from now on, each way; 100 is a line that died without a word."""
        self._inside("nft", "flush", "chain", "inet", "line", "coming")
        self._inside("nft", "flush", "chain", "inet", "line", "going")
        which = "" if percent >= 100 else f"numgen random mod 100 < {percent} "
        if percent > 0:
            for chain in ("coming", "going"):
                self._inside("nft", "add", "rule", "inet", "line", chain, f"{which}counter drop")

    def dropped(self) -> int:
        """Return how many packets were lost since `drop`."""
        return sum(
            int(count) for count in re.findall(r"counter packets (\d+)", self._inside("nft", "list", "table", "inet", "line"))
        )

    def _inside(self, *words: str) -> str:
        return _run("nsenter", f"--net=/proc/{self._space.pid}/ns/net", *words)


@contextmanager
def lossy_line(log_file: Path) -> Iterator[LossyLine]:
    """Lay a line for the block. It goes with whoever laid it, even by SIGKILL.

    Args:
        log_file: takes what the process that holds the namespace says.

    Raises:
        NoNamespaces: not root, no unshare, ip or nft, or a kernel or container that does not allow it.
    """
    missing = [tool for tool in ("unshare", "nsenter", "ip", "nft") if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        raise NoNamespaces(f"needs root and {', '.join(missing) or 'nothing more'}")
    # The namespace, and the pair of cards with it, lives as long as this process.
    space = Process("namespace", ["unshare", "--net", "--", "sleep", "infinity"], log_file)
    near, own = f"rz{os.getpid()}", Path("/proc/self/ns/net").readlink()
    try:
        space.start(lambda: Path(f"/proc/{space.pid}/ns/net").readlink() != own)
        line = LossyLine(space)
        _run("ip", "link", "add", near, "type", "veth", "peer", "name", "far", "netns", str(space.pid))
        _run("ip", "address", "add", f"{_HERE}/30", "dev", near)
        _run("ip", "link", "set", near, "up")
        line._inside("ip", "address", "add", f"{_THERE}/30", "dev", "far")
        line._inside("ip", "link", "set", "far", "up")
        line._inside("nft", "add", "table", "inet", "line")
        for chain, hook in (("coming", "input"), ("going", "output")):
            line._inside("nft", "add", "chain", "inet", "line", chain, f"{{ type filter hook {hook} priority 0; }}")
        yield line
    except ServiceFailed as err:
        raise NoNamespaces(str(err).splitlines()[0]) from err
    finally:
        space.stop()


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoNamespaces(f"{' '.join(words[:6])!r} ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return done.stdout
