"""Invented people and what stands on their cards: nobody of them exists, their numbers have valid check characters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sync_agent.contract.kinds import CardKind

PORTRAIT_PX: Final = (102, 126)
"""Width and height of the portrait in a resident card's chip."""

WLT_FILLER: Final = b"WL" + bytes(1022)
"""Stands for a portrait in the closed format: the right size and start, no image."""

_QUALITY: Final = 50


@dataclass(frozen=True, slots=True)
class Person:
    """What the chip of somebody's card says. Dates are YYYYMMDD or ``长期``, codes as on the chip."""

    kind: CardKind
    name: str
    sex: str
    birth: str
    number: str
    valid_from: str
    valid_until: str
    latin_name: str = ""
    ethnic_group: str = ""
    nationality: str = ""
    address: str = ""
    issuer: str = ""
    permit: str = ""
    issues: str = ""
    version: str = ""
    renewals: str = ""

    def __repr__(self) -> str:
        return f"Person({self.kind})"


PEOPLE: Final[Mapping[str, Person]] = MappingProxyType(
    {
        "zhaxi": Person(
            CardKind.RESIDENT,
            name="扎西顿珠",
            sex="1",
            ethnic_group="04",
            birth="19880315",
            address="西藏自治区拉萨市城关区测试路1号",
            number="540102198803150011",
            issuer="拉萨市公安局城关分局",
            valid_from="20200601",
            valid_until="20400601",
        ),
        "deji": Person(
            CardKind.RESIDENT,
            name="德吉卓玛",
            sex="2",
            ethnic_group="04",
            birth="19551201",
            address="西藏自治区日喀则市桑珠孜区示例村2组",
            number="540202195512010029",
            issuer="日喀则市公安局桑珠孜分局",
            valid_from="20150101",
            valid_until="长期",
        ),
        "losang": Person(  # as long as the name field is
            CardKind.RESIDENT,
            name="阿旺·洛桑次仁·测试·贡布扎西",
            sex="1",
            ethnic_group="04",
            birth="19791120",
            address="西藏自治区那曲市色尼区样例镇测试村8号",
            number="540602197911200031",
            issuer="那曲市公安局色尼分局",
            valid_from="20180901",
            valid_until="20380901",
        ),
        "wang": Person(
            CardKind.RESIDENT,
            name="王示例",
            sex="2",
            ethnic_group="01",
            birth="19930708",
            address="四川省成都市武侯区样例大道66号3单元1201室",
            number="51010719930708006X",
            issuer="成都市公安局武侯分局",
            valid_from="20210310",
            valid_until="20410310",
        ),
        "li-rare": Person(  # a given name beyond the basic plane: two code units on the chip
            CardKind.RESIDENT,
            name="李\U0002cc56测",
            sex="1",
            ethnic_group="01",
            birth="19850520",
            address="陕西省西安市雁塔区示例街5号",
            number="610113198505200014",
            issuer="西安市公安局雁塔分局",
            valid_from="20190505",
            valid_until="20390505",
        ),
        "tashi-expired": Person(
            CardKind.RESIDENT,
            name="扎西样例",
            sex="1",
            ethnic_group="04",
            birth="19820214",
            address="西藏自治区山南市乃东区示例路12号",
            number="540502198202140055",
            issuer="山南市公安局乃东分局",
            valid_from="20050801",
            valid_until="20250801",
        ),
        "chen": Person(
            CardKind.HKMT_RESIDENCE,
            name="陈测试",
            sex="1",
            birth="19900228",
            address="西藏自治区拉萨市堆龙德庆区样例街3号",
            number="810000199002280037",
            issuer="拉萨市公安局堆龙德庆分局",
            valid_from="20240101",
            valid_until="20290101",
            permit="H12345678",
            issues="01",
        ),
        "karma-2017": Person(
            CardKind.FOREIGN_PR_2017,
            name="测卡玛",
            latin_name="TESTA, KARMA EXAMPLE",
            sex="2",
            birth="19880101",
            number="NPL540188010103",
            nationality="NPL",
            issuer="5401",
            valid_from="20180101",
            valid_until="20280101",
            version="01",
        ),
        "karma-2023": Person(
            CardKind.FOREIGN_PR_2023,
            name="测卡玛",
            latin_name="TESTA, KARMA EXAMPLE LONGMIDDLENAME FAMILY",
            sex="2",
            birth="19880101",
            number="954524198801010023",
            nationality="NPL",
            valid_from="20240101",
            valid_until="20340101",
            renewals="01",
        ),
    }
)


def text_record(person: Person) -> bytes:
    """Write the 256-byte text record of a person's card, field after field."""
    p = person
    dates = f"{_field(p.valid_from, 8)}{_field(p.valid_until, 8)}"
    match p.kind:
        case CardKind.RESIDENT | CardKind.HKMT_RESIDENCE:
            person_part = (
                f"{_field(p.name, 15)}{p.sex}{_field(p.ethnic_group, 2)}{p.birth}{_field(p.address, 35)}{_field(p.number, 18)}"
            )
            end = f"{_field(p.permit, 9)}{_field(p.issues, 2)}"
            flag = "J" if p.kind is CardKind.HKMT_RESIDENCE else ""
            text = f"{person_part}{_field(p.issuer, 15)}{dates}{_field(end, 14)}{flag}"
        case CardKind.FOREIGN_PR_2017:
            person_part = f"{_field(p.latin_name, 60)}{p.sex}{_field(p.number, 15)}{_field(p.nationality, 3)}{_field(p.name, 15)}"
            text = f"{person_part}{dates}{p.birth}{_field(p.version, 2)}{_field(p.issuer, 4)}I"
        case CardKind.FOREIGN_PR_2023:
            latin = _field(p.latin_name, 46)
            person_part = f"{_field(p.name, 15)}{p.sex}{_field(p.renewals, 2)}{p.birth}{latin[:35]}{_field(p.number, 18)}"
            text = f"{person_part}{_field('', 15)}{dates}{latin[35:]}{_field(p.nationality, 3)}Y"
    return _field(text, 128).encode("utf-16-le")


def chip_portrait(image: NDArray[np.uint8]) -> bytes:
    """Make of a picture what a chip would hold: the middle at 102:126, 102 x 126 pixels, JPEG of quality 50.

    Args:
        image: (height, width, 3) uint8, BGR.

    Raises:
        ValueError: the picture is empty or of another shape.
    """
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"a portrait is made of a (height, width, 3) picture, not of {image.shape}")
    height, width = image.shape[:2]
    wide, high = PORTRAIT_PX
    scale = min(width / wide, height / high)
    cut_wide, cut_high = max(1, round(wide * scale)), max(1, round(high * scale))
    left, top = (width - cut_wide) // 2, (height - cut_high) // 2
    small = cv2.resize(image[top : top + cut_high, left : left + cut_wide], PORTRAIT_PX, interpolation=cv2.INTER_AREA)
    done, stored = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ValueError("the portrait could not be written as JPEG")
    return stored.tobytes()


def _field(text: str, units: int) -> str:
    """Return `text` padded to `units` code units of UTF-16.

    Raises:
        ValueError: it is longer.
    """
    spare = units - len(text.encode("utf-16-le")) // 2
    if spare < 0:
        raise ValueError(f"a field of {units} code units cannot hold {units - spare}")
    return text + " " * spare
