from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from sync_agent.contract.masking import masked_number
from sync_agent.settings import Settings
from sync_agent.web import app as web
from system.simulate.people import PEOPLE
from tests.planted import found_in
from tests.sync_agent.web.conftest import Clock, Server, serving
from tests.sync_agent.world import World, holder, verification

WEB = Path(web.__file__).parent


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as client:
        yield client


def test_nobody_is_named_in_the_page_or_in_its_events(client: httpx.Client, world: World) -> None:
    for who in PEOPLE:
        world.expect(who)
        world.happens(verification(), holder(who))
    html = client.get("/").text
    heard = ""
    with client.stream("GET", "/events") as answer:
        for line in answer.iter_lines():
            heard += line
            if "</table>" in line:
                break
    for told in (html, heard):
        assert found_in(told) == []
        assert all(masked_number(person.number) in told for person in PEOPLE.values())


def test_a_page_that_named_somebody_would_be_noticed() -> None:
    assert found_in(f"<td>{PEOPLE['wang'].number}</td>") == ["number of wang"]


@pytest.mark.parametrize("path", ["/", "/assets/style.css", "/healthz", "/nowhere"])
def test_every_answer_forbids_asking_others_and_guessing(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_a_browser_keeps_assets_and_nothing_else(client: httpx.Client) -> None:
    assert client.get("/").headers["Cache-Control"] == "no-store"
    assert client.get("/assets/style.css").headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(("host", "status"), [("localhost", 200), ("127.0.0.1:8080", 200), ("evil.example", 400)])
def test_a_name_that_was_pointed_here_is_not_answered(client: httpx.Client, host: str, status: int) -> None:
    assert client.get("/", headers={"Host": host}).status_code == status


def test_health_is_that_of_the_database(client: httpx.Client, world: World) -> None:
    assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (200, {"status": "ok"})
    world.database.engine.dispose()
    path = Path(str(world.database.engine.url.database))
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    try:
        answer = client.get("/healthz")
    finally:
        path.rmdir()
        path.with_suffix(".away").rename(path)
    assert (answer.status_code, answer.json()["status"]) == (503, "failed")


def test_the_page_opens_while_the_database_does_not_answer(client: httpx.Client, world: World) -> None:
    assert "数据库没有应答" not in client.get("/").text
    with world.database.write() as session:
        session.execute(text("ALTER TABLE device RENAME TO gone"))
    answer = client.get("/")
    assert answer.status_code == 200
    assert "数据库没有应答" in answer.text


def test_an_unknown_language_is_refused(client: httpx.Client) -> None:
    assert client.get("/?lang=xx").status_code == 422
    assert '<html lang="en">' in client.get("/?lang=en").text


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_no_page_is_served_that_asks_others_for_its_scripts(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_no_template_or_asset_of_ours_names_another_address() -> None:
    ours = [*WEB.glob("templates/*"), *WEB.glob("assets/*.css"), WEB / "assets/page.js", *WEB.glob("assets/*.svg")]
    assert len(ours) > 5
    for path in ours:
        addresses = set(re.findall(r"(?:https?:)?//[a-z][\w.-]+", path.read_text())) - {"http://www.w3.org"}
        assert addresses == set(), path.name


def luminance(colour: str) -> float:
    full = colour if len(colour) == 7 else "#" + "".join(c * 2 for c in colour[1:])
    channels = [int(full[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_text_can_be_told_from_what_it_stands_on(scheme: int) -> None:
    block = re.findall(r":root \{(.*?)\}", (WEB / "assets/style.css").read_text(), re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", block))
    pairs = [(ink, ground) for ink in ("ink", "quiet", "action", "good", "wait", "bad") for ground in ("page", "sheet", "soft")]
    pairs += [(tone, f"{tone}-soft") for tone in ("good", "wait", "bad")]
    pairs += [("quiet", f"{tone}-soft") for tone in ("good", "wait", "bad")]
    for ink, ground in pairs:
        light, dark = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_the_server_ends_at_once_and_open_pages_are_told(world: World, settings: Settings, clock: Clock) -> None:
    ended: list[str] = []

    def listen() -> None:
        try:
            with httpx.stream("GET", f"{running.url}/events", timeout=10) as answer:
                for _ in answer.iter_lines():
                    listening.set()
            ended.append("cleanly")
        except httpx.HTTPError as failure:
            ended.append(type(failure).__name__)

    listening = threading.Event()
    with serving(world, settings, clock) as running:
        thread = threading.Thread(target=listen)
        thread.start()
        assert listening.wait(10)
        begun = time.monotonic()
    thread.join(10)
    assert (ended, time.monotonic() - begun < 2) == (["cleanly"], True)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("htmx-2.0.11.min.js", "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"),
        ("htmx-ext-sse-2.2.4.min.js", "98a46496de0c3605fbffdce9167ba427bdd9553184f83f149c261891a92c0136"),
    ],
)
def test_what_was_vendored_is_unchanged(name: str, digest: str) -> None:
    assert hashlib.sha256((WEB / "assets" / name).read_bytes()).hexdigest() == digest
