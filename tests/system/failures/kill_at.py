"""The `sync-agent` command with one function that ends the process as a power switch would: before the n-th call, or behind it.

``python -m tests.system.failures.kill_at before|behind MODULE:NAME N ARGUMENTS...``, the last as for `sync-agent`.
"""

from __future__ import annotations

import functools
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
            os.kill(os.getpid(), signal.SIGKILL)
        given = function(*args, **named)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return given

    return last_deed


if __name__ == "__main__":
    moment, place, when, *arguments = sys.argv[1:]
    module, _, path = place.partition(":")
    where, _, name = path.rpartition(".")
    holder = attrgetter(where)(import_module(module)) if where else import_module(module)
    setattr(holder, name, deadly(getattr(holder, name), moment, int(when)))
    from sync_agent.__main__ import app

    app(arguments)
