from __future__ import annotations

import pytest

from models.build import predictor
from models.build.pack import source
from models.build.stream import NotDlib
from models.load import Pack
from tests.models.packs import five_points, published


@pytest.fixture(scope="module")
def data(pack: Pack) -> bytes:
    return source(published(pack, "landmarks"))


def test_the_predictor_is_read_to_its_last_byte_and_always_written_alike(pack: Pack, data: bytes) -> None:
    read = predictor.read(data)
    assert read.mean.shape == (5, 2)
    assert read.leaves.shape == (15, 500, 16, 5, 2)
    assert predictor.convert(read) == pack.read(five_points(pack).weights)


@pytest.mark.parametrize("damage", ["cut", "longer", "other version"])
def test_a_damaged_predictor_is_refused(data: bytes, damage: str) -> None:
    damaged = {"cut": data[:-2], "longer": data + b"\x01\x00", "other version": b"\x01\x09" + data[2:]}[damage]
    with pytest.raises(NotDlib):
        predictor.read(damaged)
