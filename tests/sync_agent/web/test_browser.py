from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, Request, expect
from sqlalchemy import text

from sync_agent.contract.kinds import Outcome, PartHealth, PartState
from sync_agent.contract.status import Birth, Link, State, Telemetry
from sync_agent.contract.topics import Up
from sync_agent.fleet import presence
from sync_agent.fleet.alarms import Gathered
from sync_agent.settings import Settings
from system.simulate.people import PEOPLE
from tests.planted import found_in
from tests.sync_agent.web.conftest import Clock, Server, serving
from tests.sync_agent.world import DEVICE, EPOCH, SITE, World, holder, verification

pytestmark = pytest.mark.browser

ZHAXI = PEOPLE["zhaxi"]


def says(world: World, clock: Clock, said: Birth | State | Telemetry) -> None:
    what = {Birth: Up.BIRTH, State: Up.STATE, Telemetry: Up.TELEMETRY}[type(said)]
    with world.database.write() as session:
        assert presence.take(session, DEVICE, what, said.model_dump_json().encode(), clock(), Gathered()) == said


def connects(world: World, clock: Clock) -> None:
    says(world, clock, Birth(boot=1, version="0.1.0", site=SITE, epoch=EPOCH, last_seq=0, last_digest=""))
    says(world, clock, State(boot=1, link=Link.ONLINE))


def test_a_record_appears_without_reload(page: Page, world: World) -> None:
    expect(page.locator("#records tbody tr")).to_have_count(0)
    page.evaluate("window.isSamePage = true")
    world.expect("zhaxi")
    world.happens(verification(), holder("zhaxi"))
    row = page.locator("#records tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("扎*顿珠")
    expect(row).to_contain_text("540102********0011")
    expect(row).to_contain_text("比对通过")
    assert [step.strip() for step in row.locator("li").all_inner_texts()] == ["已接收 12:00:00", "已通过", "已生效 12:00:00"]
    assert page.evaluate("window.isSamePage")


def test_a_failed_comparison_shows_its_case(page: Page, world: World) -> None:
    world.expect("zhaxi")
    applied = world.happens(verification(Outcome.NO_MATCH, distance=0.9), holder("zhaxi"))
    row = page.locator("#records tbody tr")
    expect(row).to_contain_text("比对不通过")
    expect(row).to_contain_text("待人工核验")
    expect(row).to_contain_text(f"受理编号 {applied.case_number}")


def test_a_device_that_goes_offline_shows(page: Page, world: World, clock: Clock) -> None:
    device = page.locator(f"#device-{DEVICE}")
    expect(device).to_contain_text("从未上线")
    connects(world, clock)
    expect(device).to_contain_text("在线")
    says(world, clock, State(boot=1, link=Link.OFFLINE))
    expect(device).to_contain_text("失联")
    expect(device).to_contain_text("连接已断开")
    expect(page.locator("[data-figure=unreachable]")).to_have_text("1")


def test_a_device_that_falls_silent_shows_though_nothing_arrives(page: Page, world: World, clock: Clock) -> None:
    connects(world, clock)
    device = page.locator(f"#device-{DEVICE}")
    expect(device).to_contain_text("在线")
    clock.goes(901)
    expect(device).to_contain_text("长时间没有消息")


def test_a_fault_and_a_queue_show(page: Page, world: World, clock: Clock) -> None:
    connects(world, clock)
    parts = {
        "reader": PartHealth(state=PartState.WELL, since=clock()),
        "camera": PartHealth(state=PartState.FAILED, code="CAM-01", since=clock()),
    }
    says(world, clock, Telemetry(at=clock(), queue=2, oldest_age_s=30, parts=parts))
    device = page.locator(f"#device-{DEVICE}")
    expect(device).to_contain_text("在线，有故障")
    expect(device).to_contain_text("摄像头异常")
    expect(page.locator("[data-figure=waiting]")).to_have_text("2")
    expect(page.locator(".answer")).to_have_text("还有 2 条在路上")


def test_a_lost_server_is_said_and_found_again(browser: Browser, world: World, settings: Settings, clock: Clock) -> None:
    context = browser.new_context()
    page = context.new_page()
    with serving(world, settings, clock) as first:
        page.goto(first.url)
        expect(page.locator("#link .is-live")).to_be_visible()
        port = int(first.url.rsplit(":", 1)[1])
    expect(page.locator("#link .is-lost")).to_be_visible()
    expect(page.locator("#as-of")).not_to_be_empty()
    world.happens(verification(), holder("zhaxi"))
    with serving(world, settings, clock, port):
        expect(page.locator("#link .is-live")).to_be_visible(timeout=10_000)
        expect(page.locator("#records tbody tr")).to_have_count(1)
    context.close()


def test_a_connection_that_dies_without_a_word_is_noticed(browser: Browser, server: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.clock.install()
    page.goto(server.url)
    expect(page.locator("#link .is-live")).to_be_visible()
    page.evaluate("document.getElementById('news')['htmx-internal-data'].sseEventSource.close()")
    page.clock.run_for(14_000)
    expect(page.locator("#link .is-live")).to_be_visible()
    page.clock.run_for(3_000)
    expect(page.locator("#link .is-lost")).to_be_visible()
    context.close()


def test_a_database_that_does_not_answer_is_said_and_what_was_read_stays(page: Page, world: World) -> None:
    world.expect("zhaxi")
    world.happens(verification(), holder("zhaxi"))
    expect(page.locator("#records tbody tr")).to_have_count(1)
    with world.database.write() as session:
        session.execute(text("ALTER TABLE device RENAME TO gone"))
    expect(page.locator("#trouble")).to_contain_text("数据库没有应答")
    expect(page.locator("#records tbody tr")).to_have_count(1)
    with world.database.write() as session:
        session.execute(text("ALTER TABLE gone RENAME TO device"))
    expect(page.locator("#trouble")).to_have_text("")


def test_the_browser_asks_nobody_else_and_finds_nothing_wrong(browser: Browser, server: Server, world: World) -> None:
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(_origin(request)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(server.url)
    page.wait_for_selector("#link[data-state=live]")
    world.expect("zhaxi")
    world.happens(verification(), holder("zhaxi"))
    page.wait_for_selector("#records tbody tr")
    context.close()
    assert (set(asked), complaints) == ({server.url}, [])


def _origin(request: Request) -> str:
    return "/".join(request.url.split("/")[:3])


def test_the_language_is_kept(page: Page) -> None:
    expect(page.locator("h1")).to_have_text("每一次核验都到齐了吗？")
    page.get_by_role("link", name="English").click()
    expect(page.locator("h1")).to_have_text("Is every check-in here?")
    page.goto("/")
    expect(page.locator("h1")).to_have_text("Is every check-in here?")
    page.wait_for_selector("#link[data-state=live]")
    expect(page.locator("h1")).to_have_text("Is every check-in here?")


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1600])
def test_nothing_is_wider_than_the_screen(page: Page, world: World, clock: Clock, width: int) -> None:
    world.expect("losang")
    world.happens(verification(Outcome.NO_MATCH, distance=0.9), holder("losang"))
    connects(world, clock)
    page.wait_for_selector("#records tbody tr")
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_name_that_is_markup_is_shown_as_it_is(page: Page, world: World) -> None:
    world.happens(verification(), holder("wang", name="<b>x</b>"))
    expect(page.locator("#records .who strong")).to_have_text("<******>")


def test_nobody_is_named_on_the_page(page: Page, world: World) -> None:
    for who in PEOPLE:
        world.happens(verification(), holder(who))
    expect(page.locator("#records tbody tr")).to_have_count(len(PEOPLE))
    assert found_in(page.content()) == []
