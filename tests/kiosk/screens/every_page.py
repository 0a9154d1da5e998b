"""Every page in every state that issue 2 has, with the longest values that settings and records allow. Invented people only."""

from __future__ import annotations

from collections.abc import Iterator

from kiosk.answers import not_passed
from kiosk.cards import reader
from kiosk.face.result import LivenessCause, QualityCause
from kiosk.screens.pages import (
    GOOD_HINT,
    TAKE_BACK,
    Attract,
    Consent,
    Face,
    Outline,
    OutOfService,
    Page,
    PresentCard,
    Prompt,
    Result,
    Sign,
    StillThere,
    Text,
    Touch,
    Way,
    Word,
    Working,
)
from kiosk.screens.qr import squares
from kiosk.uplink.faults import OutboxFault
from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Comparison, Liveness, Outcome

WHO = Text("result.who", {"name": "阿*卜杜拉·买买提", "number": "540102********0010"})
NUMBER = "lhasa-hall-03-000012-7fa3"
LINKS = ("link-certificate", "link-clock", "link-own-certificate", "link-revoked", "link-refused", "link-unanswered")
BANNERS = tuple(
    Text(f"banner.{key}", {"n": "1234", "code": "LINK-05"}) for key in ("offline", "queue", "reader", "camera", "face", *LINKS)
)
FAULTS: list[type[reader.CardFault]] = [reader.CardFault, *reader.CardFault.__subclasses__()]
CARD_FAULTS = tuple(kind.message for kind in FAULTS)
BOX_FAULTS = tuple(kind.message.removeprefix("outbox.") for kind in OutboxFault.__subclasses__())
OUT = ("reader", "camera", "face", "storage", "starting", "uplink", "fault")
OUT_OF_STORAGE = ("read-only", "damaged", "out-of-reach", "newer")
SLIP = squares("https://check.example.org/slip/#" + "RENZHENG" * 57)
"""As large as a real one."""
TRIES = {"n": "2"}
POINTS = ((0.44, 0.42), (0.56, 0.42), (0.5, 0.5), (0.45, 0.6), (0.55, 0.6))
OUTLINE = Outline(0.38, 0.3, 0.62, 0.68, POINTS, is_good=True)
LAST = (Outcome.MATCH, Outcome.TO_CONFIRM)
"""Outcomes after which there is no other try."""


COMPARISON = Comparison(
    outcome=Outcome.NOT_LIVE,
    distance=0.2,
    accept_at=0.4,
    review_at=0.5,
    pack="dlib",
    pack_sha256="0" * 64,
    liveness=Liveness.FAILED,
    frames=5,
)


def pages() -> Iterator[tuple[str, Page]]:
    """Yield every page with a name for the test."""
    yield from _plain()
    for banner in BANNERS:
        yield f"attract with {banner.key}", Attract(banner=banner)
    yield "consent with banner", Consent(True, False, "处" * 60, "9" * 60, banner=BANNERS[0])


def _plain() -> Iterator[tuple[str, Page]]:
    yield "attract", Attract()
    for compare in (False, True):
        for keep_photo in (False, True):
            yield f"consent {compare} {keep_photo}", Consent(compare, keep_photo, "某市住房和城乡建设局", "0891-6320000")
    yield "consent with the longest names", Consent(False, False, "处" * 60, "9" * 60)
    yield "card place", PresentCard(Text("card.place"))
    yield "card reading", PresentCard(Text("card.reading"), reading=True)
    yield "card back", PresentCard(Text(TAKE_BACK))
    for key in CARD_FAULTS:
        yield f"card again after {key}", PresentCard(Text("card.again"), fault=Text(key))
    for hint in (GOOD_HINT, *(f"face.hint.{cause}" for cause in QualityCause)):
        yield hint, Face(Text(hint), 0.5)
    yield from _faces()
    for key in ("comparing", "sending"):
        yield f"working {key}", Working(Text(f"working.{key}"))
    yield from _results()
    yield "still there", StillThere(20)
    for key in OUT:
        yield f"out of service {key}", OutOfService(Text(f"out.{key}"), "CARD-01", "kiosk-of-a-long-name-03")
    for key in OUT_OF_STORAGE:
        yield f"out of service storage {key}", OutOfService(Text(f"out.storage-{key}"), "BOX-04", "kiosk-of-a-long-name-03")
    yield "out of service without a code", OutOfService(Text("out.starting"), "", "kiosk-03")


def _faces() -> Iterator[tuple[str, Page]]:
    """A face that turns as asked, that fills the picture and goes beyond it, and whoever cannot turn."""
    offers = (Touch.LEAVE, Touch.GENTLE, Touch.HELP)
    near = Outline(-0.1, -0.2, 1.1, 1.2, POINTS)
    for way in Way:
        for left in (1.0, 0.5, 0.0):
            page = Face(Text(f"face.ask.{way}"), 0.5, Prompt(way, left), OUTLINE, offers=offers)
            yield f"face asked {way} {left:g} left", page
    yield "face not alone while asked", Face(Text("face.hint.two-faces"), 0.5, Prompt(Way.LEFT, 0.7), offers=offers)
    yield "face good, offering the gentle way", Face(Text(GOOD_HINT), 0.6, outline=OUTLINE, offers=offers)
    yield "face too near", Face(Text("face.hint.too-near"), 0, outline=near, offers=offers)
    yield "face gently", Face(Text(GOOD_HINT), 0.6, outline=OUTLINE, note=Text("face.gentle"))


def _results() -> Iterator[tuple[str, Page]]:
    done = {
        "verified": frozenset(Word),
        "received": frozenset({Word.RECEIVED}),
        "kept": frozenset[Word](),
        "waiting": frozenset[Word](),
        "rejected": frozenset[Word](),
        "review": frozenset({Word.RECEIVED}),
        "to-confirm": frozenset({Word.RECEIVED}),
    }
    for (key, words), sign in zip(done.items(), [*Sign, Sign.CLOCK, Sign.PERSON], strict=True):
        head, advice = Text(f"result.{key}.headline"), Text(f"result.{key}.advice", {"id": NUMBER})
        yield f"result {key}", Result(sign, head, advice, WHO, words, NUMBER)
    for code in Code:
        page = Result(
            Sign.CROSS, Text("result.refused.headline"), Text(f"result.refused.{code}"), WHO, frozenset({Word.RECEIVED}), NUMBER
        )
        yield f"refused {code}", page
    every = (Touch.AGAIN, Touch.OTHER_WAY, Touch.HELP, Touch.LEAVE)
    for outcome in set(Outcome) - set(LAST):
        for offers in ((Touch.AGAIN, Touch.OTHER_WAY), every[:3], every):
            head, advice = Text(f"result.{outcome}.headline"), Text(f"result.{outcome}.advice", TRIES)
            yield f"not passed {outcome} {len(offers)}", Result(Sign.CROSS, head, advice, offers=offers)
    for cause in LivenessCause:
        comparison = COMPARISON.model_copy(update={"quality": cause})
        yield f"not passed not-live {cause}", not_passed(comparison, 2)
    for key in ("face.unavailable", "camera.gone"):
        yield f"{key}", Result(Sign.PERSON, Text(key), Text("result.manual.advice"))
    for key in (*CARD_FAULTS, *(f"outbox.{fault}" for fault in BOX_FAULTS), "identity.not-enrolled", "fault.headline"):
        yield f"fault {key}", Result(Sign.WARNING, Text(key), Text("fault.advice", {"code": "KIOSK-01"}))
    for key, words in done.items():
        head, advice = Text(f"result.{key}.headline"), Text(f"result.{key}.advice", {"id": NUMBER})
        yield f"result {key} with slip", Result(Sign.CLOCK, head, advice, WHO, words, NUMBER, slip=SLIP)
    for code in Code:
        head, advice = Text("result.refused.headline"), Text(f"result.refused.{code}")
        yield f"refused {code} with slip", Result(Sign.CROSS, head, advice, WHO, frozenset(), NUMBER, slip=SLIP)
    yield (
        "help with slip",
        Result(Sign.PERSON, Text("help.headline"), Text("help.advice", {"id": NUMBER}), number=NUMBER, slip=SLIP),
    )
    yield "help", Result(Sign.PERSON, Text("help.headline"), Text("help.advice", {"id": NUMBER}), number=NUMBER)
