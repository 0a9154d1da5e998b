"""Records carried by hand: opened by the registry alone, whole or noticed, in bounded memory."""

from __future__ import annotations

import io

import pytest
from joserfc.jwk import OKPKey

from sync_agent.contract import carried
from sync_agent.contract.carried import Carried, NotCarried
from sync_agent.contract.topics import DeviceId, Tenant

SOURCE = (Tenant("xz"), DeviceId("kiosk-01"))
MESSAGES = [f"message-{number}.".encode() + b"x" * 100_000 for number in range(5)]


@pytest.fixture(scope="module")
def key() -> OKPKey:
    return OKPKey.generate_key("X25519")


def lines(key: OKPKey, messages: list[bytes]) -> list[bytes]:
    return list(carried.write(SOURCE, messages, OKPKey.import_key(key.as_dict(private=False))))


def read(parts: list[bytes], *keys: OKPKey) -> list[Carried]:
    return list(carried.read(io.BytesIO(b"".join(parts)), keys))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_ok__what_was_written_is_read_back_in_order(key: OKPKey, count: int) -> None:
    assert read(lines(key, MESSAGES[:count]), key) == [Carried(*SOURCE, message) for message in MESSAGES[:count]]


def test_ok__a_file_of_many_records_is_in_bounded_pieces(key: OKPKey) -> None:
    written = lines(key, MESSAGES)
    assert len(written) == 1 + 3
    assert max(map(len, written)) < carried.LINE_BYTES


def test_ok__a_rotated_key_still_opens_beside_the_new_one(key: OKPKey) -> None:
    newer = OKPKey.generate_key("X25519")
    assert [one.message for one in read(lines(key, MESSAGES[:1]), newer, key)] == MESSAGES[:1]


def test_fail__another_key_opens_nothing_and_nothing_lies_open(key: OKPKey) -> None:
    written = lines(key, MESSAGES)
    assert b"message-0" not in b"".join(written)
    with pytest.raises(NotCarried, match="does not open"):
        read(written, OKPKey.generate_key("X25519"))


@pytest.mark.parametrize("without", [1, 2, 3])
def test_fail__a_missing_piece_is_noticed(key: OKPKey, without: int) -> None:
    written = lines(key, MESSAGES)
    with pytest.raises(NotCarried):
        read(written[:without] + written[without + 1 :], key)
    assert len(read(written, key)) == 5


def test_fail__a_file_cut_off_gives_what_is_whole_and_then_says_so(key: OKPKey) -> None:
    cut = b"".join(lines(key, MESSAGES))[:-40]
    got = []
    with pytest.raises(NotCarried, match="cut off"):
        for one in carried.read(io.BytesIO(cut), [key]):
            got.append(one.message)
    assert got == MESSAGES[:4]


def test_fail__pieces_of_two_files_do_not_mix(key: OKPKey) -> None:
    one, other = lines(key, MESSAGES), lines(key, MESSAGES)
    with pytest.raises(NotCarried, match="another file"):
        read([*one[:2], *other[2:]], key)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"rz-carried/2\n", carried.MAGIC, carried.MAGIC + b"\xff\xfe\n"])
def test_fail__something_else_is_no_such_file(key: OKPKey, content: bytes) -> None:
    with pytest.raises(NotCarried):
        read([content], key)
