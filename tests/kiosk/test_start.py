"""One start for all processes: `run` has no network, what ends is started again, what keeps ending is given up."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from kiosk import start
from kiosk.start import GaveUp


@pytest.mark.root
async def test_what_runs_confined_sees_no_network_card() -> None:
    words = await start._confinement()
    assert words, "root may always make a network namespace"
    cards = await asyncio.create_subprocess_exec(*words, "cat", "/proc/net/dev", stdout=asyncio.subprocess.PIPE)
    confined, _ = await cards.communicate()
    assert [line.split(":")[0].strip() for line in confined.decode().splitlines()[2:]] == ["lo"]
    route = await asyncio.create_subprocess_exec(*words, "cat", "/proc/net/route", stdout=asyncio.subprocess.PIPE)
    routes, _ = await route.communicate()
    assert len(routes.decode().splitlines()) <= 1, "there is nowhere to go"


async def test_a_process_that_keeps_ending_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "PAUSE_S", 0.0)
    trace = tmp_path / "trace"
    script = f"open({str(trace)!r}, 'a').write('x')"
    with pytest.raises(GaveUp):
        await start._keep("part", [sys.executable, "-c", script])
    assert trace.read_text() == "x" * start.RESTARTS


async def test_a_process_is_ended_with_its_keeper(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = f"import os, time, pathlib; pathlib.Path({str(ready)!r}).write_text(str(os.getpid())); time.sleep(60)"
    keeping = asyncio.ensure_future(start._keep("part", [sys.executable, "-c", script]))
    async with asyncio.timeout(10):
        while not ready.exists() or not ready.read_text():
            await asyncio.wait([keeping], timeout=0.02)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert not Path(f"/proc/{ready.read_text()}").exists()
