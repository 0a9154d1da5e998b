"""From a visit to a proof in the pocket: the code on the screen, read by a camera's decoder, is checked as anybody would."""

from __future__ import annotations

import asyncio
import base64
import gc
import threading
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from joserfc.jwk import OKPKey

from kiosk import desk
from kiosk.clock import SystemClock
from kiosk.screens.pages import Result, Sign, Squares, Text, Touch
from kiosk.screens.qr import squares
from kiosk.screens.stage import Stage
from kiosk.screens.words import Language
from kiosk.settings import SlipSettings, VisitSettings
from kiosk.waiting import HelpWanted, beside
from sync_agent.contract import slip
from sync_agent.contract.kinds import Case, Cause, Consent, Method, Outcome, Verification
from sync_agent.contract.slip import NotProven, Standing, Verdict
from tests.kiosk.parts import FACTS, NOTICE, NOW, Hall, attested, hall
from tests.kiosk.screens.conftest import StillClock
from tests.planted import found_in

AGENT = OKPKey.generate_key("Ed25519")
ADDRESS = "https://check.example.org/slip/"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    stage = Stage(monotonic=StillClock())
    stage.open()
    yield stage
    stage.close()


async def visit(at: Hall, *, asks_help: bool = False) -> Result:
    """File a verification, or ask for help, and return the page on which that visit ends."""

    async def visiting() -> None:
        async with at.desk.visit():
            if asks_help:
                raise HelpWanted
            at.reader.put()
            document = await at.reader.read()
            consent = Consent(notice=NOTICE.version, compare=False, keep_photo=False, at=NOW)
            facts = Verification(site="site-1", card=FACTS, consent=consent, method=Method.MANUAL, outcome=Outcome.TO_CONFIRM)
            await at.desk.answer(await at.desk.record(facts, document.holder), document, Outcome.TO_CONFIRM)

    async with asyncio.timeout(5), beside(visiting()) as running:
        page = await at.window.until(Result)
        at.window.touch(Touch.DONE)
        await running
    assert isinstance(page, Result)
    return page


def scanned(stage: Stage, page: Result, picture: Path, language: Language = Language.CHINESE) -> str:
    """Show a page on the real window and return what a camera's decoder reads from its picture; "" where it reads nothing."""
    stage._speak(language)
    stage.show(page)
    stage.save(str(picture))
    image = cv2.imread(str(picture))
    assert image is not None
    return cv2.QRCodeDetectorAruco().detectAndDecode(image)[0]


@pytest.mark.parametrize("language", [Language.CHINESE, Language.ENGLISH])
@pytest.mark.parametrize("address", ["", ADDRESS])
async def test_the_code_on_the_screen_proves_the_visit(stage: Stage, tmp_path: Path, address: str, language: Language) -> None:
    with hall(tmp_path, agent_key=AGENT, slip=SlipSettings(url=address)) as at:
        page = await visit(at)
        text = scanned(stage, page, tmp_path / "screen.png", language)
        row = next(iter(at.outbox.listing()))
    assert text.startswith(f"{address}#" if address else slip.PREFIX)
    proof = slip.check(text, slip.read_published(slip.published([AGENT])), SystemClock().now())
    assert (proof.device, proof.site) == ("kiosk-01", "site-1")
    assert (proof.entry.kind, proof.entry.outcome, proof.entry.standing) == ("verification", Outcome.TO_CONFIRM, Standing.KEPT)
    assert proof.entry.at == row[2].replace(microsecond=0)
    assert found_in(text) == []


async def test_fail__with_one_square_of_its_text_changed_it_proves_nothing(stage: Stage, tmp_path: Path) -> None:
    with hall(tmp_path, agent_key=AGENT) as at:
        page = await visit(at)
    text = scanned(stage, page, tmp_path / "screen.png")
    slip.check(text, [AGENT], SystemClock().now())
    forged = text[:-40] + ("A" if text[-40] != "A" else "B") + text[-39:]
    scan = scanned(stage, replace(page, slip=squares(forged)), tmp_path / "forged.png")
    assert scan == forged
    with pytest.raises(NotProven) as why:
        slip.check(scan, [AGENT], SystemClock().now())
    assert why.value.verdict is Verdict.FORGED


async def test_help_has_its_slip_too(stage: Stage, tmp_path: Path) -> None:
    with hall(tmp_path, agent_key=AGENT) as at:
        page = await visit(at, asks_help=True)
    entry = slip.check(scanned(stage, page, tmp_path / "screen.png"), [AGENT], SystemClock().now()).entry
    assert (entry.kind, entry.outcome, entry.standing) == ("case", None, Standing.KEPT)


@pytest.mark.parametrize("asks_help", [False, True])
async def test_without_attestation_the_page_is_as_it_was(stage: Stage, tmp_path: Path, asks_help: bool) -> None:
    with hall(tmp_path) as at:
        page = await visit(at, asks_help=asks_help)
    assert page.slip is None
    assert scanned(stage, page, tmp_path / "screen.png") == ""


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    with hall(tmp_path, agent_key=AGENT, slip=SlipSettings(show=False)) as at:
        assert (await visit(at)).slip is None


@pytest.mark.parametrize("attestation", ["not base64", base64.b64encode(b"nor a word").decode(), "another device's"])
async def test_fail__what_would_prove_nothing_is_not_given(tmp_path: Path, attestation: str) -> None:
    """An attestation that does not fit this key, as between the two halves of a renewal: no code rather than a bad one."""
    if attestation.startswith("another"):
        attestation = attested(OKPKey.generate_key("Ed25519"), AGENT, SystemClock().now())
    with hall(tmp_path, agent_key=AGENT) as at:
        filed = await at.desk.record(Case(site="site-1", step="card", cause=Cause.HELP))
        assert at.pen.slip(filed, None, Standing.KEPT, "")
        at.pen._identity = replace(at.identity, attestation=attestation)
        assert at.pen.slip(filed, None, Standing.KEPT, "") is None
        assert (await visit(at)).slip is None


async def test_it_stays_long_enough_to_be_scanned(tmp_path: Path) -> None:
    """The result without a code goes by itself at once, the one with it waits."""
    for agent_key, goes in ((None, True), (AGENT, False)):
        with hall(tmp_path / str(goes), visit=VisitSettings(result_s=0.01, slip_s=60), agent_key=agent_key) as at:
            async with beside(at.desk._open_case()) as visiting:
                await at.window.until(Result)
                await asyncio.wait({visiting}, timeout=0.3)
                assert visiting.done() is goes


async def test_the_loop_goes_on_while_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def watched(text: str) -> Squares:
        threads.append(threading.current_thread())
        return squares(text)

    monkeypatch.setattr(desk, "squares", watched)
    with hall(tmp_path, agent_key=AGENT) as at:
        await visit(at)
    assert threads and threading.main_thread() not in threads


def holds_code(root: object) -> bool:
    """Whether a code can be reached from an object."""
    seen: set[int] = set()
    todo = [root]
    while todo:
        each = todo.pop()
        if isinstance(each, Squares):
            return True
        if id(each) not in seen and not isinstance(
            each, type | types.ModuleType | types.FunctionType | types.BuiltinFunctionType
        ):
            seen.add(id(each))
            todo.extend(gc.get_referents(each))
    return False


def test_the_wipe_clears_it(stage: Stage, tmp_path: Path) -> None:
    page = Result(Sign.TICK, Text("result.match.headline"), Text("result.verified.advice"), slip=squares("RZ1:" + "ABCD" * 100))
    assert scanned(stage, page, tmp_path / "before.png")
    assert holds_code(stage)
    stage.wipe()
    assert not holds_code(stage)
    stage.save(str(tmp_path / "after.png"))
    after = cv2.imread(str(tmp_path / "after.png"))
    assert after is not None and (after == after[0, 0]).all()
