"""A real server on this machine that gives out one file, well or badly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast


@dataclass
class Mirror:
    """What the server does, changed while it runs, and what it was asked.

    Attributes:
        data: what it gives for every path.
        ranges: whether it knows ranges.
        cut_after: bytes after which it ends every answer; None gives all.
        stated: length it states; None is the truth, -1 states none.
        status: answers with this instead.
        shift: where a part begins, beside where it was asked to.
        moved: path it sends every other path to.
        stalls: whether it says nothing any more after the headers.
        asked: path and Range header of each request.
    """

    data: bytes
    ranges: bool = True
    cut_after: int | None = None
    stated: int | None = None
    status: int | None = None
    shift: int = 0
    moved: str | None = None
    stalls: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def reset(self) -> None:
        """Behave well from now on, and forget what was asked."""
        self.ranges, self.cut_after, self.stated, self.status = True, None, None, None
        self.shift, self.moved, self.stalls = 0, None, False
        self.asked.clear()


class _Server(ThreadingHTTPServer):
    mirror: Mirror


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        mirror = cast(_Server, self.server).mirror
        asked = self.headers.get("Range")
        mirror.asked.append((self.path, asked))
        if mirror.status is not None:
            self.send_error(mirror.status)
            return
        if mirror.moved is not None and self.path != mirror.moved:
            self.send_response(302)
            self.send_header("Location", mirror.moved)
            self.end_headers()
            return
        start = 0
        if asked is not None and mirror.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-")) + mirror.shift
            if start >= len(mirror.data):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(mirror.data) - 1}/{len(mirror.data)}")
        else:
            self.send_response(200)
        body = mirror.data[start:]
        if mirror.stated != -1:
            self.send_header("Content-Length", str(len(body) if mirror.stated is None else mirror.stated))
        self.end_headers()
        self.wfile.write(body[: mirror.cut_after])
        if mirror.stalls:
            mirror.over.wait(30)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(data: bytes) -> Iterator[Mirror]:
    """Serve for as long as the block runs."""
    with _Server(("127.0.0.1", 0), _Answer) as server:
        server.mirror = mirror = Mirror(data, address=f"http://127.0.0.1:{server.server_port}/packs")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield mirror
        finally:
            mirror.over.set()
            server.shutdown()
            thread.join()
