from __future__ import annotations

import fcntl
import hashlib
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from models import fetch as module
from models.fetch import TRIES, NotFetched, copy, fetch
from models.load import Pack
from models.spec import AddressSource
from tests.models.mirror import Mirror, serving

DATA = random.Random(1).randbytes(300_000)
NAME = "published.onnx"


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(DATA) as served:
        yield served


@pytest.fixture
def wanted(pack: Pack, tmp_path: Path) -> Pack:
    """A pack with one published file, its detector, in an empty folder."""
    source = AddressSource(url="https://example.org/nowhere", file=NAME, sha256=hashlib.sha256(DATA).hexdigest(), bytes=len(DATA))
    return sourced(replace(pack, folder=tmp_path / "weights"), source)


def sourced(pack: Pack, source: AddressSource) -> Pack:
    weights = pack.spec.detector.weights.model_copy(update={"source": source, "sha256": source.sha256})
    return replace(
        pack, spec=pack.spec.model_copy(update={"detector": pack.spec.detector.model_copy(update={"weights": weights})})
    )


def source_of(pack: Pack) -> AddressSource:
    source = pack.spec.detector.weights.source
    assert isinstance(source, AddressSource)
    return source


def there(pack: Pack) -> dict[str, int]:
    """What lies in the folder of weights, with its length."""
    return {path.name: path.stat().st_size for path in pack.folder.iterdir()}


WHOLE = {"detector.onnx": len(DATA)}


def test_a_file_comes_from_a_mirror_by_its_published_name_and_only_once(wanted: Pack, mirror: Mirror) -> None:
    assert fetch(wanted, mirror.address) == [wanted.folder / "detector.onnx"]
    assert wanted.read(wanted.spec.detector.weights) == DATA
    assert there(wanted) == WHOLE
    assert mirror.asked == [(f"/packs/{NAME}", None)]
    assert fetch(wanted, mirror.address + "/") == []
    assert len(mirror.asked) == 1


def test_a_file_comes_from_its_own_address_also_when_it_has_moved(wanted: Pack, mirror: Mirror) -> None:
    mirror.moved = "/elsewhere"
    fetch(sourced(wanted, source_of(wanted).model_copy(update={"url": mirror.address + "/here"})))
    assert there(wanted) == WHOLE
    assert [path for path, _ in mirror.asked] == ["/packs/here", "/elsewhere"]


def test_a_wrong_file_in_place_is_fetched_again(wanted: Pack, mirror: Mirror) -> None:
    wanted.folder.mkdir()
    (wanted.folder / "detector.onnx").write_bytes(DATA[:-1] + b"?")
    assert len(fetch(wanted, mirror.address)) == 1
    assert wanted.read(wanted.spec.detector.weights) == DATA


@pytest.mark.parametrize("stated", [None, -1])
def test_a_connection_that_is_cut_again_and_again_is_gone_on_with(wanted: Pack, mirror: Mirror, stated: int | None) -> None:
    mirror.cut_after, mirror.stated = 100_000, stated
    fetch(wanted, mirror.address)
    assert wanted.read(wanted.spec.detector.weights) == DATA
    assert [asked for _, asked in mirror.asked] == [None, "bytes=100000-", "bytes=200000-"]


def test_what_came_before_a_server_fell_silent_is_kept_and_gone_on_with_the_next_time(wanted: Pack, mirror: Mirror) -> None:
    fetch_part(wanted, mirror, 100_000)
    assert there(wanted) == {"detector.onnx.part": 100_000}
    fetch(wanted, mirror.address)
    assert mirror.asked == [(f"/packs/{NAME}", "bytes=100000-")]
    assert wanted.read(wanted.spec.detector.weights) == DATA
    assert there(wanted) == WHOLE


def fetch_part(wanted: Pack, mirror: Mirror, length: int) -> None:
    """Fetch from a server that gives the beginning and then nothing, so that only the beginning comes."""
    mirror.cut_after, mirror.ranges = length, False
    with pytest.raises(NotFetched, match=rf"{length} of 300000 bytes are kept; try again"):
        fetch(wanted, mirror.address)
    mirror.reset()


def test_a_cut_that_never_ends_ends_after_some_tries_and_keeps_what_came(wanted: Pack, mirror: Mirror) -> None:
    mirror.cut_after = 1000
    with pytest.raises(NotFetched, match="cut off"):
        fetch(wanted, mirror.address)
    assert there(wanted) == {"detector.onnx.part": 1000 * TRIES}


@pytest.mark.parametrize("server", ["without ranges", "with another range"])
def test_a_server_that_gives_no_rest_gives_all_from_the_start(wanted: Pack, mirror: Mirror, server: str) -> None:
    fetch_part(wanted, mirror, 100_000)
    if server == "without ranges":
        mirror.ranges = False
    else:
        mirror.shift = 5
    fetch(wanted, mirror.address)
    assert wanted.read(wanted.spec.detector.weights) == DATA
    assert mirror.asked[0][1] == "bytes=100000-"


@pytest.mark.parametrize("length", [len(DATA), len(DATA) + 7])
def test_a_part_that_holds_something_else_is_removed(wanted: Pack, mirror: Mirror, length: int) -> None:
    wanted.folder.mkdir()
    (wanted.folder / "detector.onnx.part").write_bytes(bytes(length))
    if length == len(DATA):
        with pytest.raises(NotFetched, match="another file"):
            fetch(wanted, mirror.address)
        assert there(wanted) == {}
    fetch(wanted, mirror.address)
    assert there(wanted) == WHOLE


def test_a_rest_that_fits_no_beginning_is_found_out(wanted: Pack, mirror: Mirror) -> None:
    wanted.folder.mkdir()
    (wanted.folder / "detector.onnx.part").write_bytes(bytes(1000))
    with pytest.raises(NotFetched, match="another file"):
        fetch(wanted, mirror.address)
    assert there(wanted) == {}


@pytest.mark.parametrize(
    ("data", "stated", "said"),
    [
        (DATA[:-1] + b"?", None, "sha256"),
        (DATA + b"?", None, "300001 bytes, the pack names 300000"),
        (DATA + b"?" * 100_000, -1, "longer than the 300000 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\n", None, "43 bytes, the pack names 300000"),
    ],
)
def test_another_file_is_refused_and_nothing_of_it_stays(
    wanted: Pack, mirror: Mirror, data: bytes, stated: int | None, said: str
) -> None:
    mirror.data, mirror.stated = data, stated
    with pytest.raises(NotFetched, match=said):
        fetch(wanted, mirror.address)
    assert all(length == 0 for length in there(wanted).values())
    mirror.data, mirror.stated = DATA, None
    fetch(wanted, mirror.address)  # the control
    assert there(wanted) == WHOLE


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_what_the_server_answers_instead_is_said(wanted: Pack, mirror: Mirror, status: int) -> None:
    mirror.status = status
    with pytest.raises(NotFetched, match=f"the server answered {status}"):
        fetch(wanted, mirror.address)
    mirror.reset()
    fetch(wanted, mirror.address)
    assert there(wanted) == WHOLE


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "127.0.0.1:1", "ftp://127.0.0.1", "http://[", "file:///etc"])
def test_an_address_where_nobody_is_or_that_is_none_is_said(wanted: Pack, mirror: Mirror, address: str) -> None:
    with pytest.raises(NotFetched, match="cannot be fetched"):
        fetch(wanted, address)


def test_a_server_that_says_nothing_more_is_left(wanted: Pack, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", httpx.Timeout(0.1))
    mirror.stalls, mirror.cut_after, mirror.ranges = True, 1000, False
    with pytest.raises(NotFetched, match="1000 of 300000 bytes are kept"):
        fetch(wanted, mirror.address)


def test_two_at_once_do_not_write_into_the_same_file(wanted: Pack, mirror: Mirror) -> None:
    wanted.folder.mkdir()
    with (wanted.folder / "detector.onnx.part").open("ab") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        with pytest.raises(NotFetched, match="by another process"):
            fetch(wanted, mirror.address)
    fetch(wanted, mirror.address)
    assert there(wanted) == WHOLE


def test_without_room_nothing_is_begun(wanted: Pack, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "ROOM_BYTES", 2**60)
        with pytest.raises(NotFetched, match="Make room"):
            fetch(wanted, mirror.address)
        assert mirror.asked == []
    fetch(wanted, mirror.address)
    assert there(wanted) == WHOLE


@pytest.mark.root
def test_a_disk_that_fills_up_meanwhile_gets_its_room_back(
    wanted: Pack, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", small], check=True)
    try:
        ballast = small / "ballast"
        ballast.write_bytes(bytes(200_000))
        monkeypatch.setattr(module, "ROOM_BYTES", -(2**30))  # as if the room had gone after it was looked for
        on_small = replace(wanted, folder=small / "weights")
        with pytest.raises(NotFetched, match="the disk was full"):
            fetch(on_small, mirror.address)
        assert there(on_small) == {"detector.onnx.part": 0}
        ballast.unlink()
        fetch(on_small, mirror.address)
        assert there(on_small) == WHOLE
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_a_folder_that_cannot_be_written_is_said(wanted: Pack, mirror: Mirror) -> None:
    wanted.folder.write_text("a file where the folder should be")
    with pytest.raises(NotFetched, match="weights"):
        fetch(wanted, mirror.address)


def test_a_file_comes_from_a_stick_without_any_network(wanted: Pack, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    with pytest.raises(NotFetched, match=rf"{NAME}.*No such file"):
        copy(wanted, stick)
    (stick / NAME).write_bytes(DATA[:-1] + b"?")
    with pytest.raises(NotFetched, match="another file"):
        copy(wanted, stick)
    assert there(wanted) == {}
    (stick / NAME).write_bytes(DATA * 2)
    with pytest.raises(NotFetched, match="longer"):
        copy(wanted, stick)
    (stick / NAME).write_bytes(DATA)
    wanted.folder.joinpath("detector.onnx.part").write_bytes(b"left over")
    assert copy(wanted, stick) == [wanted.folder / "detector.onnx"]
    assert there(wanted) == WHOLE
    shutil.rmtree(stick)
    assert copy(wanted, stick) == []
