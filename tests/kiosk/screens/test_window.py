"""The window on a real X server: it opens, shows its page, and a real click on a button is a touch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

import pytest

pytestmark = pytest.mark.slow

KIOSK = """
import asyncio, sys, time
from kiosk.screens.pages import Attract
from kiosk.screens.stage import Stage

async def main():
    stage = Stage(monotonic=time.monotonic)
    stage.open()
    stage.show(Attract())
    running = asyncio.ensure_future(stage.run())
    while time.monotonic() <= stage.unlocks_at:
        await asyncio.sleep(max(0.01, stage.unlocks_at - time.monotonic()))
    button = next(c.rect for c in stage.scene if getattr(c, "touch", None) == "start")
    print(button.x + button.width // 2, button.y + button.height // 2, flush=True)
    print(await stage.touched(), flush=True)
    running.cancel()
    stage.close()

asyncio.run(main())
"""


@pytest.fixture
def display() -> Iterator[str]:
    """A screen of the kiosk's size."""
    if shutil.which("Xvfb") is None or shutil.which("xdotool") is None:
        pytest.skip("needs Xvfb and xdotool")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=(write,), stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as number:
        yield f":{number.readline().strip()}"
    server.terminate()
    server.wait(10)


def line(output: IO[str] | None) -> str:
    assert output is not None
    return next((said for said in output if not said.startswith(("{", "20"))), "")  # logs come between


def click(display: str, x: int, y: int) -> None:
    command = ["xdotool", "mousemove", str(x), str(y), "mousedown", "1", "sleep", "0.1", "mouseup", "1"]
    subprocess.run(command, env={**os.environ, "DISPLAY": display}, check=True)


def test_a_real_click_on_the_button_is_a_touch_and_one_beside_it_is_none(display: str) -> None:
    env = {**os.environ, "DISPLAY": display, "SDL_VIDEODRIVER": "x11"}
    kiosk = subprocess.Popen([sys.executable, "-c", KIOSK], env=env, stdout=subprocess.PIPE, text=True)
    try:
        x, y = (int(part) for part in line(kiosk.stdout).split())
        click(display, 5, 790)
        assert kiosk.poll() is None, "beside the button nothing happens"
        click(display, x, y)
        assert line(kiosk.stdout).strip() == "start"
        assert kiosk.wait(10) == 0
    finally:
        kiosk.kill()
        kiosk.wait()
        if kiosk.stdout is not None:
            kiosk.stdout.close()
