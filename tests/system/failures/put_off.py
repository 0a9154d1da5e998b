"""The `sync-agent` command that puts off the first records it hears, and is killed when it hears the next.

``python -m tests.system.failures.put_off rashly|properly ARGUMENTS...``, the last as for `sync-agent`. Rashly, it acknowledges
what it has not committed: the agent that the product must not be.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from itertools import count

from sync_agent.contract.topics import Up
from sync_agent.ingest.clerk import Checked
from sync_agent.ingest.inbox import Letter
from sync_agent.ingest.stream import Ingest

PUT_OFF = "put off"
"""What it prints when the first records are put off."""

if __name__ == "__main__":
    how, *arguments = sys.argv[1:]
    records, hold = count(1), vars(Ingest)["_hold"]

    def put_off(self: Ingest, batch: Sequence[Letter], checked: Sequence[Checked]) -> None:
        if not any(letter.topic.endswith(f"/{Up.RECORD}") for letter in batch):
            hold(self, batch, checked)
            return
        if how == "rashly":
            self._sessions.acknowledge(batch)
        if next(records) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        print(PUT_OFF, flush=True)

    setattr(Ingest, "_hold", put_off)  # noqa: B010  # a private part of it, from outside
    from sync_agent.__main__ import app

    app(arguments)
