"""The model of a disk behind the power cuts: what it lets a cut take, and what not."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from tests.system.power_cut import NotRecorded, Said, Step, cuts, record

PROGRAM = """
import os, sys
folder, *synced = sys.argv[1:]
file = os.open(f"{folder}/note", os.O_CREAT | os.O_WRONLY, 0o600)
os.pwrite(file, b"a" * 3000, 0)
if "file" in synced:
    os.fsync(file)
if "folder" in synced:
    os.fsync(os.open(folder, os.O_RDONLY))
os.write(1, b"kept")
os.pwrite(file, b"b" * 3000, 3000)
"""


def written(state_dir: Path, *synced: str) -> list[Step]:
    folder = state_dir / "folder"
    folder.mkdir()
    return record([sys.executable, "-c", PROGRAM, folder, *synced], folder, state_dir / "trace")


def kept_in_every_state(steps: list[Step]) -> bool:
    """Whether what was promised is there after every cut that followed the promise."""
    after = [cut for cut in cuts(steps, random.Random(1), tries=20) if cut.said]
    assert after, "the promise was heard"
    return all(cut.files.get("note", b"").startswith(b"a" * 3000) for cut in after)


@pytest.mark.parametrize(
    ("synced", "is_kept"), [((), False), (("file",), False), (("folder",), False), (("file", "folder"), True)]
)
def test_only_what_was_synced_with_its_name_is_certain(state_dir: Path, synced: tuple[str, ...], is_kept: bool) -> None:
    assert kept_in_every_state(written(state_dir, *synced)) is is_kept


def test_what_was_not_synced_may_be_there_whole_not_at_all_or_torn(state_dir: Path) -> None:
    steps = written(state_dir, "file", "folder")
    sizes = {len(cut.files["note"]) for cut in cuts(steps, random.Random(1), at=[len(steps)], tries=200)}
    assert {3000, 6000} < sizes
    assert any(size % 512 for size in sizes - {3000, 6000}), "torn within a sector"


def test_the_program_s_words_are_heard_at_their_step(state_dir: Path) -> None:
    assert [step for step in written(state_dir) if isinstance(step, Said)] == [Said("kept")]


def test_a_call_that_the_model_does_not_know_is_not_passed_over(state_dir: Path) -> None:
    program = "import os, sys; os.write(os.open(sys.argv[1] + '/note', os.O_CREAT | os.O_WRONLY), b'x')"
    with pytest.raises(NotRecorded):
        record([sys.executable, "-c", program, state_dir], state_dir, state_dir.with_suffix(".trace"))
    state_dir.with_suffix(".trace").unlink()
