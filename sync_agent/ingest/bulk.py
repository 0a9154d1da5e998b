"""A TLS socket that reads ahead and writes in bulk: paho reads a message in three pieces and would send each packet by itself."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any, Final

RECORD: Final = 16_384
"""The most that one TLS record holds (RFC 8446, section 5.1), and thus that one read gives, bytes."""

AHEAD: Final = 4 * RECORD
"""Reading ahead ends with so many bytes or little more."""


class BulkSocket(ssl.SSLSocket):
    """A TLS socket, not blocking, that takes whatever is sent and sends it with `flush`.

    Whatever is read ahead the operating system does not show any more: ask `pending`.
    """

    _ahead = b""
    _at = 0
    _unsent: bytearray

    @property
    def has_unsent(self) -> bool:
        """Whether something waits for `flush`."""
        return bool(self._unsent)

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands as `ssl.SSLSocket` does, and close when it fails: paho then forgets the socket."""
        self._unsent = bytearray()
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Read as `ssl.SSLSocket` does, from what was read ahead."""
        if self._at == len(self._ahead):
            self._ahead, self._at = self._read_ahead(flags), 0
        piece = self._ahead[self._at : self._at + buflen]
        self._at += len(piece)
        return piece

    def pending(self) -> int:
        """Return how many bytes can be read without asking the operating system."""
        return len(self._ahead) - self._at + super().pending()

    def send(self, data: Any, flags: int = 0) -> int:
        """Take everything."""
        self._unsent += data
        return len(data)

    def flush(self) -> None:
        """Send what was taken, as far as it can be sent now.

        Raises:
            OSError: the connection is gone.
        """
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            while self._unsent:
                del self._unsent[: super().send(self._unsent)]

    def close(self) -> None:
        """Send what can be sent, and close."""
        with suppress(OSError, ValueError):
            self.flush()
        super().close()

    def _read_ahead(self, flags: int) -> bytes:
        """Read what there is; an end or a failure behind it shows at the next reading."""
        pieces: list[bytes] = []
        size = 0
        while size < AHEAD:
            try:
                piece = super().recv(RECORD, flags)
            except OSError:
                if not pieces:
                    raise
                break
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)
