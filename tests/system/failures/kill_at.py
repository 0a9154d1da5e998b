"""The `sync-agent` command with one function that ends it as a power switch would: before the n-th call, or behind it.

The function is made deadly in the judge's process, too: Python gives that one this module and this command line as well.
Whichever of the two calls it, both end.

``python -m tests.system.failures.kill_at before|behind MODULE:NAME N ARGUMENTS...``, the last as for `sync-agent`. The judge and
the verifiers are processes of their own, which begin by reading this file, too; the agent dies with them.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from itertools import count
from operator import attrgetter
from typing import Any


def deadly(function: Callable[..., Any], moment: str, when: int) -> Callable[..., Any]:
    """Return the function so that its n-th call ends the process."""
    calls = count(1)

    @functools.wraps(function)
    def last_deed(*args: Any, **named: Any) -> Any:
        is_last = next(calls) == when
        if is_last and moment == "before":
            switch_off()
        given = function(*args, **named)
        if is_last:
            switch_off()
        return given

    return last_deed


def switch_off() -> None:
    """End the agent and, if this is its judge, this process, too. The agent's judge ends with it by itself."""
    if (agent := multiprocessing.parent_process()) is not None and agent.pid is not None:
        os.kill(agent.pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ in ("__main__", "__mp_main__"):
    moment, place, when, *arguments = sys.argv[1:]
    module, _, path = place.partition(":")
    where, _, name = path.rpartition(".")
    holder = attrgetter(where)(import_module(module)) if where else import_module(module)
    setattr(holder, name, deadly(getattr(holder, name), moment, int(when)))
    if __name__ == "__main__":
        from sync_agent.__main__ import app

        app(arguments)
