"""The page that checks slips, from a folder in a real Chromium without a network: it says what `slip.check` says."""

from __future__ import annotations

import hashlib
import random
from datetime import timedelta
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from sync_agent.check import publish, words
from sync_agent.check.words import Language
from sync_agent.contract import slip
from sync_agent.contract.kinds import Outcome
from sync_agent.contract.slip import Entry, NotProven, Verdict
from tests.sync_agent.check.slips import AGENT, AT, BAD, DEVICE, ENTRY, GOOD, NOW, RECORD, attested, written

pytestmark = pytest.mark.browser

ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the group that Ed25519 works in (RFC 8032, section 5.1)."""


def check(page: Page, text: str) -> None:
    page.locator("#text").fill(text)
    page.get_by_role("button", name="核对").click()


def verdicts(page: Page, texts: list[str]) -> list[str]:
    said: list[str] = page.evaluate("texts => texts.map(text => checkSlip(text, Date.now() / 1000).verdict)", texts)
    return said


def python_verdict(text: str) -> str:
    try:
        slip.check(text, [AGENT], NOW)
    except NotProven as why:
        return why.verdict
    return "good"


def test_a_good_slip_is_shown_with_all_it_says_in_both_languages(page: Page) -> None:
    expect(page.locator("#result")).to_be_hidden()
    check(page, GOOD)
    result = page.locator("#result")
    expect(result.get_by_role("heading")).to_have_text("凭证属实 This receipt is genuine")
    for text in (
        "gate-north-1",
        "东门 2 号",
        str(RECORD),
        "2026-11-23 16:30:05 (UTC+08:00)",
        "人证核验",
        "Identity verification",
    ):
        expect(result).to_contain_text(text)
    for text in ("人脸与证件一致", "Face and card match", "中心已通过并已生效", "Accepted by the centre and in effect"):
        expect(result).to_contain_text(text)


@pytest.mark.parametrize("bad", Verdict)
def test_fail__what_proves_nothing_shows_why_and_nothing_of_its_content(page: Page, bad: Verdict) -> None:
    check(page, GOOD)
    check(page, BAD[bad])
    result = page.locator("#result")
    for language in Language:
        expect(result.get_by_role("heading")).to_contain_text(words.load(language)["verdict"][bad])
        expect(result).to_contain_text(words.load(language)["meaning"][bad])
    expect(result).not_to_contain_text("gate-north-1")
    expect(result.locator("dl")).to_have_count(0)


def test_a_slip_in_the_address_is_checked_at_once(page: Page, address: str) -> None:
    page.goto(f"{address}#{GOOD.removeprefix(slip.PREFIX)}")
    expect(page.locator("#result")).to_have_attribute("data-verdict", "good")
    page.goto(f"{address}#{BAD[Verdict.FORGED].removeprefix(slip.PREFIX)}")
    expect(page.locator("#result")).to_have_attribute("data-verdict", "forged")


def test_the_result_is_told_to_who_does_not_see_it(page: Page) -> None:
    page.locator("#text").fill(GOOD)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_be_focused()
    expect(page.get_by_role("textbox", name="凭证内容")).to_be_visible()


def test_fail__no_byte_can_be_changed(page: Page) -> None:
    data = slip.write(ENTRY, attested(), DEVICE)
    texts = [slip.text(bytes([*data[:at], data[at] ^ 1, *data[at + 1 :]])) for at in range(len(data))]
    said = verdicts(page, [slip.text(data), *texts])
    assert said == ["good", *map(python_verdict, texts)]
    assert "good" not in said[1:]


def test_fail__a_signature_written_in_a_second_way(page: Page) -> None:
    """S + L passes a check that does not look whether S is below the order; the bytes are not those that were signed."""
    data = slip.write(ENTRY, attested(), DEVICE)
    other = (int.from_bytes(data[-32:], "little") + ORDER).to_bytes(32, "little")
    assert verdicts(page, [slip.text(data), slip.text(data[:-32] + other)]) == ["good", "forged"]


def test_page_and_command_say_the_same_of_anything(page: Page) -> None:
    """Random cuts, changes and texts, and every outcome and standing: one set of rules, written twice."""
    chance = random.Random(20261123)
    data = slip.write(ENTRY, attested(), DEVICE)
    texts = [
        GOOD,
        GOOD.lower(),
        f"https://check.example/#{GOOD[4:]}",
        f" {GOOD[:50]}\n{GOOD[50:]} ",
        GOOD + "A",
        GOOD[:-1],
        "",
        "#",
        "RZ1:",
    ]
    for _ in range(300):
        begin = chance.randrange(len(data))
        texts.append(slip.text(data[:begin] + chance.randbytes(chance.randrange(4)) + data[begin + chance.randrange(4) :]))
        texts.append(slip.PREFIX + "".join(chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567 =0#", k=chance.randrange(60))))
    for standing in slip.Standing:
        texts += [written(Entry(RECORD, AT, "case", outcome, standing)) for outcome in (*Outcome, None)]
    for moved in (-86401, -86400, 89 * 86400, 89 * 86400 + 1):
        texts.append(written(Entry(RECORD, AT + timedelta(seconds=moved), "case", None, slip.Standing.KEPT)))
    assert verdicts(page, texts) == list(map(python_verdict, texts))
    assert {python_verdict(text) for text in texts} >= {"good", "forged", "not-a-slip", "out-of-time"}


def test_fail__a_slip_from_the_future(page: Page) -> None:
    page.clock.set_fixed_time(AT - slip.AHEAD + timedelta(seconds=1))
    assert verdicts(page, [GOOD]) == ["good"]
    page.clock.set_fixed_time(AT - slip.AHEAD - timedelta(seconds=1))
    assert verdicts(page, [GOOD]) == ["out-of-time"]


def test_no_other_script_runs_in_it_and_it_can_ask_nobody(browser: Browser, address: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}#{GOOD[4:]}")
    page.evaluate("window.ran = []")
    page.evaluate(
        """() => { const s = document.createElement("script"); s.textContent = "ran.push(1)"; document.body.append(s); }"""
    )
    refused = page.evaluate("fetch('https://other.example/').then(() => 'sent', () => 'refused')")
    assert (page.evaluate("ran.length"), refused) == (0, "refused")
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
    context.close()


def test_markup_in_a_site_is_shown_as_it_is(page: Page) -> None:
    word = slip.attest(DEVICE, device="d", site="<b>x</b>", valid_from=AT, valid_until=AT + timedelta(days=1), agent_key=AGENT)
    check(page, written(attestation=word))
    expect(page.locator("#result")).to_contain_text("<b>x</b>")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen_or_too_small_to_touch(page: Page, width: int, scheme: Literal["light", "dark"]) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    check(page, GOOD)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert box is not None and box["height"] >= 44


@pytest.mark.parametrize("reads", [True, False])
def test_a_photo_is_read_where_the_browser_can(browser: Browser, address: str, tmp_path: Path, reads: bool) -> None:
    """Chromium on Linux has no detector of its own: at the browser's edge one stands in that says what a phone's would."""
    context = browser.new_context()
    page = context.new_page()
    if reads:
        page.add_init_script(
            f"""window.BarcodeDetector = class {{
              static async getSupportedFormats() {{ return ["qr_code"]; }}
              async detect(canvas) {{ return canvas.width === 40 ? [{{ rawValue: "{GOOD}" }}] : []; }}
            }};"""
        )
    page.clock.set_fixed_time(NOW)
    page.goto(address)
    button = page.get_by_role("button", name="选择照片")
    if reads:
        expect(button).to_be_visible()
        for size, picture in ((40, tmp_path / "code.png"), (30, tmp_path / "none.png")):
            cv2.imwrite(str(picture), np.zeros((size, size, 3), np.uint8))
        page.locator("#file").set_input_files(tmp_path / "none.png")
        expect(page.get_by_role("alert")).to_contain_text("没有找到二维码")
        page.locator("#file").set_input_files(tmp_path / "code.png")
        expect(page.locator("#result")).to_have_attribute("data-verdict", "good")
        expect(page.get_by_role("alert")).to_be_hidden()
    else:
        expect(page.get_by_role("button", name="核对")).to_be_visible()
        expect(button).to_be_hidden()
        expect(page.locator("#camera")).to_be_hidden()
    context.close()


@pytest.mark.parametrize("is_there", [True, False])
def test_the_camera_is_looked_through_until_a_code_comes_and_then_closed(browser: Browser, address: str, is_there: bool) -> None:
    """The camera is a canvas that is filmed; the detector at the browser's edge finds the code at its third look."""
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(
        f"""window.looks = 0;
        window.BarcodeDetector = class {{
          static async getSupportedFormats() {{ return ["qr_code"]; }}
          async detect() {{ window.looks += 1; return window.looks === 3 ? [{{ rawValue: "{GOOD}" }}] : []; }}
        }};
        navigator.mediaDevices.getUserMedia = async () => {{
          if (!{str(is_there).lower()}) throw new DOMException("none", "NotFoundError");
          const canvas = document.createElement("canvas");
          canvas.getContext("2d").fillRect(0, 0, 10, 10);
          window.stream = canvas.captureStream(10);
          return window.stream;
        }};"""
    )
    page.clock.set_fixed_time(NOW)
    page.goto(address)
    page.get_by_role("button", name="用摄像头扫码").click()
    if is_there:
        expect(page.locator("#result")).to_have_attribute("data-verdict", "good")
        assert page.evaluate("[looks, ...stream.getTracks().map(track => track.readyState)]") == [3, "ended"]
    else:
        expect(page.get_by_role("alert")).to_contain_text("摄像头打不开")
    expect(page.locator("#view")).to_be_hidden()
    context.close()


def test_the_library_is_the_published_one() -> None:
    """npm tweetnacl 1.0.3, nacl-fast.min.js, unchanged."""
    digest = hashlib.sha256((publish.PARTS / publish.LIBRARY).read_bytes()).hexdigest()
    assert digest == "3ec535c004aeeb225785d8e93fb33bf99f52e399bd7dfc01969b5629baea5131"
