"""The worker with its real process: decisions through a camera, crashes, missing models, and what is left after forgetting."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing.context import SpawnProcess
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from kiosk.cameras.base import Camera, CameraGone, Frame
from kiosk.cameras.kinds import open_camera
from kiosk.cards.document import Portrait
from kiosk.clock import SystemClock
from kiosk.face import worker as worker_module
from kiosk.face.recogniser import Recogniser
from kiosk.face.result import FaceFault, Glimpse, QualityCause
from kiosk.face.verify import verify
from kiosk.face.worker import FaceWorker
from kiosk.settings import CameraSettings, FaceSettings
from models.load import Pack
from models.shelf import Shelf
from sync_agent.contract.kinds import Comparison, Condition, Outcome, PartState
from system.simulate.film import still_of
from tests.kiosk.face.conftest import Chip, frames
from tests.kiosk.face.test_recogniser import embedder, no_numbers, resnet_like

CLOCK = SystemClock()
Image = NDArray[np.uint8]


@asynccontextmanager
async def working(settings: FaceSettings) -> AsyncIterator[FaceWorker]:
    worker = FaceWorker(settings, CLOCK)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


@pytest.fixture
async def worker(pack: Pack) -> AsyncIterator[FaceWorker]:
    async with working(FaceSettings()) as started:
        assert started.health.state is PartState.WELL
        yield started


@asynccontextmanager
async def showing(film: Path) -> AsyncIterator[Camera]:
    camera = open_camera(CameraSettings(kind="replay", film=film), CLOCK)
    await camera.open()
    try:
        yield camera
    finally:
        await camera.close()


async def compared(
    worker: FaceWorker, film: Path, portrait: Portrait | None, *, deadline_s: float = 15.0, told: list[float] | None = None
) -> Comparison:
    async with showing(film) as camera:
        return await verify(
            worker,
            camera,
            portrait,
            settings=FaceSettings(deadline_s=deadline_s, challenge_turns=0),
            clock=CLOCK,
            on_step=lambda step: (told if told is not None else []).append(step.progress),
        )


async def until(true: Callable[[], object], within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


def frame(number: int, image: Image) -> Frame:
    return Frame(number, 0.0, image, image)


def process_of(worker: FaceWorker) -> int:
    process = worker._process
    assert process is not None
    assert process.pid is not None
    return process.pid


async def test_right_person_matches_and_impostor_does_not(worker: FaceWorker, films: Path, chip: Chip) -> None:
    told: list[float] = []
    right = await compared(worker, films / "right.avi", chip("right"), told=told)
    assert right.outcome is Outcome.MATCH
    assert right.distance is not None
    assert right.distance <= 0.40
    assert told[-1] == 1.0
    await worker.forget()
    impostor = await compared(worker, films / "impostor.avi", chip("right"))
    assert impostor.outcome is Outcome.NO_MATCH
    assert impostor.distance is not None
    assert impostor.distance > 0.50


@pytest.mark.parametrize(
    ("film", "cause"),
    [("nobody", "no-face"), ("two-people", "two-faces"), ("far", "too-far"), ("dark", "too-dark"), ("blurred", "blurred")],
)
async def test_a_film_of_no_use_ends_at_the_deadline_with_its_cause(
    worker: FaceWorker, films: Path, chip: Chip, film: str, cause: str
) -> None:
    comparison = await compared(worker, films / f"{film}.avi", chip("right"), deadline_s=3.0)
    assert (comparison.outcome, comparison.quality) == (Outcome.POOR_QUALITY, cause)


async def test_a_portrait_that_is_absent_or_shows_no_face_is_no_reference(worker: FaceWorker, films: Path) -> None:
    blank = Portrait(np.full((126, 102, 3), 90, dtype=np.uint8), "jpeg")
    assert (await compared(worker, films / "right.avi", None)).outcome is Outcome.NO_REFERENCE
    comparison = await compared(worker, films / "right.avi", blank)
    assert (comparison.outcome, comparison.quality) == (Outcome.NO_REFERENCE, "no-face")


async def test_a_camera_that_goes_in_the_middle_ends_the_comparison(
    worker: FaceWorker, films: Path, chip: Chip, tmp_path: Path
) -> None:
    film = tmp_path / "film.avi"
    shutil.copy(films / "nobody.avi", film)
    async with showing(film) as camera:
        looking = asyncio.ensure_future(
            verify(worker, camera, chip("right"), settings=FaceSettings(), clock=CLOCK, on_step=lambda step: went(step.glimpse))
        )

        def went(glimpse: Glimpse | None) -> None:
            if glimpse is not None:  # the control: frames were judged until then
                film.unlink(missing_ok=True)

        with pytest.raises(CameraGone, match="No such file"):
            await looking


async def test_only_the_newest_frame_is_judged(worker: FaceWorker) -> None:
    still = still_of("nobody")
    for number in range(1, 51):
        worker.offer(frame(number, still))
    judged = [await worker.glimpse(5.0), await worker.glimpse(5.0)]
    assert [glimpse and glimpse.frame for glimpse in judged] == [1, 50]
    assert await worker.glimpse(0.1) is None
    worker.offer(frame(51, still))  # the control: one that nothing overtakes is judged
    following = await worker.glimpse(5.0)
    assert following is not None
    assert following.frame == 51


async def test_offering_frames_and_waiting_does_not_hold_up_the_event_loop(worker: FaceWorker, chip: Chip, films: Path) -> None:
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(time.monotonic())
            await asyncio.sleep(0.005)

    beating = asyncio.ensure_future(beat())
    await compared(worker, films / "right.avi", chip("right"))
    await worker.forget()
    beating.cancel()
    gaps = np.diff(beats)
    assert len(gaps) > 10
    assert np.percentile(gaps, 95) < 0.033  # a frame of the screen


async def test_a_killed_worker_is_a_fault_and_then_works_again(worker: FaceWorker, films: Path, chip: Chip) -> None:
    await worker.refer(chip("right"))
    os.kill(process_of(worker), signal.SIGKILL)
    with pytest.raises(FaceFault, match="FACE-01"):
        while True:
            worker.offer(frame(1, still_of("right")))
            await worker.glimpse(1.0)
    assert (worker.health.state, worker.health.code) == (PartState.FAILED, "FACE-01")
    with pytest.raises(FaceFault, match="FACE-01"):
        await compared(worker, films / "right.avi", chip("right"))
    await worker.forget()  # must not fail while the worker is down
    await until(lambda: worker.health.state is PartState.WELL)
    assert (await compared(worker, films / "right.avi", chip("right"))).outcome is Outcome.MATCH


async def test_a_worker_that_crashes_again_and_again_stays_down(worker: FaceWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "RESTARTS", 1)
    monkeypatch.setattr(worker_module, "RESTART_WAIT_S", 0.01)
    os.kill(process_of(worker), signal.SIGKILL)
    await until(lambda: worker.health.state is PartState.FAILED)
    await until(lambda: worker.health.state is PartState.WELL)  # the control: once is mended
    os.kill(process_of(worker), signal.SIGKILL)
    running = worker._running
    assert running is not None
    await asyncio.wait_for(running, 10)
    with pytest.raises(FaceFault, match="crashed 2 times within 600 s"):
        _ = worker.pack


async def test_a_worker_that_cannot_be_started_is_a_fault_and_is_tried_again(
    worker: FaceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No memory for a process: the control is the same worker once there is some again."""
    monkeypatch.setattr(worker_module, "RESTARTS", 30)
    monkeypatch.setattr(worker_module, "RESTART_WAIT_S", 1e-9)
    with monkeypatch.context() as short:
        refused: list[SpawnProcess] = []

        def refuse(process: SpawnProcess) -> None:
            refused.append(process)
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

        short.setattr(SpawnProcess, "start", refuse)
        os.kill(process_of(worker), signal.SIGKILL)
        await until(lambda: len(refused) >= 2)
        with pytest.raises(FaceFault, match="FACE-01: the face worker cannot be started"):
            _ = worker.pack
    await until(lambda: worker.health.state is PartState.WELL)


async def test_a_worker_that_hangs_is_ended_and_started_again(worker: FaceWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "STUCK_S", 0.5)
    first = process_of(worker)
    os.kill(first, signal.SIGSTOP)
    worker.offer(frame(1, still_of("right")))
    await until(lambda: worker.health.state is PartState.FAILED)
    await until(lambda: worker.health.state is PartState.WELL)
    assert process_of(worker) != first


@pytest.mark.parametrize("damage", ["missing", "changed"])
async def test_a_model_file_that_is_missing_or_changed_is_face_02(pack: Pack, tmp_path: Path, damage: str) -> None:
    shutil.copytree(pack.folder, tmp_path / "dlib" / "weights")
    settings = FaceSettings(packs=tmp_path)
    async with working(settings) as well:  # the control: the untouched copy works
        assert well.health.state is PartState.WELL
    path = tmp_path / "dlib" / "weights" / "embedder.onnx"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
    async with working(settings) as worker:
        assert (worker.health.state, worker.health.code) == (PartState.FAILED, "FACE-02")
        with pytest.raises(FaceFault, match=r"FACE-02: model file .*embedder\.onnx.*python -m models build dlib"):
            await worker.refer(Portrait(still_of("right"), "jpeg"))
        with pytest.raises(FaceFault, match="FACE-02"):
            await worker.glimpse(1.0)
        worker.offer(frame(1, still_of("right")))
        await worker.forget()


async def test_packs_that_do_not_exist_are_face_02(tmp_path: Path) -> None:
    async with working(FaceSettings(packs=tmp_path / "nowhere")) as worker:
        assert (worker.health.state, worker.health.code) == (PartState.FAILED, "FACE-02")


async def test_forgetting_leaves_neither_frame_nor_portrait_nor_vector_in_either_process(
    worker: FaceWorker, pack: Pack, chip: Chip, films: Path
) -> None:
    portrait, shots = chip("right"), frames(films / "right.avi", 6)
    vector = Recogniser(pack, threads=2).reference(portrait.image, Condition.CHIP)
    assert not isinstance(vector, QualityCause)
    needles = {"vector": vector[:16].tobytes(), "frame": shots[-1][230].tobytes()}
    await worker.refer(portrait)
    for number, shot in enumerate(shots, 1):
        worker.offer(frame(number, shot))
        assert await worker.glimpse(5.0) is not None
    child = process_of(worker)
    assert all(count > 0 for count in found_in_memory(child, needles).values())  # the control: it can be found
    assert np.any(worker._memory)
    await worker.forget()
    assert not np.any(worker._memory)
    assert found_in_memory(child, needles) == {"vector": 0, "frame": 0}
    assert process_of(worker) == child


async def test_a_worker_that_cannot_be_made_to_forget_is_ended(
    worker: FaceWorker, chip: Chip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "FORGET_S", 0.3)
    await worker.refer(chip("right"))
    first = process_of(worker)
    os.kill(first, signal.SIGSTOP)
    await worker.forget()
    await until(lambda: worker.health.state is PartState.FAILED)
    stat = Path(f"/proc/{first}/stat")
    await until(lambda: not stat.exists() or stat.read_text().split()[2] == "Z")


async def test_answers_of_an_earlier_visit_are_dropped(worker: FaceWorker) -> None:
    worker.offer(frame(1, still_of("right")))
    worker.offer(frame(2, still_of("right")))
    await worker.forget()
    assert await worker.glimpse(0.2) is None
    worker.offer(frame(3, still_of("right")))
    glimpse = await worker.glimpse(5.0)
    assert glimpse is not None
    assert glimpse.frame == 3


async def test_a_picture_of_another_form_is_refused_where_it_enters(worker: FaceWorker) -> None:
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((3000, 2000, 3), np.uint8)):
        with pytest.raises(ValueError, match="a picture is"):
            worker.offer(frame(1, wrong))


async def test_the_worker_ends_with_the_kiosk_and_has_a_lower_priority(pack: Pack) -> None:
    async with working(FaceSettings()) as worker:
        child = process_of(worker)
        assert os.getpriority(os.PRIO_PROCESS, child) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    assert not Path(f"/proc/{child}").exists()
    assert (worker.health.state, worker.health.code) == (PartState.ABSENT, "FACE-01")


def found_in_memory(pid: int, needles: dict[str, bytes]) -> dict[str, int]:
    """How often each needle lies in the memory of a process."""
    found = dict.fromkeys(needles, 0)
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *rest = line.split()
            if "r" not in rights or rest[-1] in ("[vvar]", "[vsyscall]"):
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            memory.seek(start)
            try:
                held = memory.read(end - start)
            except OSError:
                continue
            for name, needle in needles.items():
                found[name] += held.count(needle)
    return found


async def test_the_other_person_of_a_chain_is_held_against_every_frame_and_forgotten_with_the_first(
    worker: FaceWorker, chip: Chip
) -> None:
    assert await worker.refer(chip("impostor"), Condition.CHIP, other=chip("right")) is None
    worker.offer(frame(1, still_of("right")))
    glimpse = await worker.glimpse(5.0)
    assert glimpse is not None
    assert glimpse.distance is not None
    assert glimpse.other is not None
    assert glimpse.other < glimpse.distance  # it is the other one who stands there
    await worker.refer(chip("impostor"))
    worker.offer(frame(2, still_of("right")))
    again = await worker.glimpse(5.0)
    assert again is not None
    assert again.distance == pytest.approx(glimpse.distance, abs=0.02)
    assert again.other is None


async def test_another_person_without_a_face_in_the_portrait_is_left_out_and_the_first_is_compared(
    worker: FaceWorker, chip: Chip
) -> None:
    blank = Portrait(np.full((126, 102, 3), 128, dtype=np.uint8), "grey")
    assert await worker.refer(chip("right"), Condition.CHIP, other=blank) is None
    worker.offer(frame(1, still_of("right")))
    glimpse = await worker.glimpse(5.0)
    assert glimpse is not None
    assert glimpse.distance is not None
    assert glimpse.other is None


async def test_a_portrait_larger_than_the_shared_memory_is_reduced_and_taken(worker: FaceWorker) -> None:
    large = Portrait(np.asarray(cv2.resize(still_of("right"), (3200, 2400)), dtype=np.uint8), "large")
    assert large.image.nbytes > worker_module.SLOT_BYTES
    assert await worker.refer(large, Condition.DOCUMENT) is None
    worker.offer(frame(1, still_of("right")))
    glimpse = await worker.glimpse(5.0)
    assert glimpse is not None
    assert glimpse.distance is not None
    assert glimpse.distance < 0.2


async def test_a_model_that_gives_no_numbers_is_face_06_and_no_score(
    pack: Pack, tmp_path: Path, chip: Chip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph is well formed and passes its trial at the start; only a face makes it fail."""
    for data, code in ((resnet_like(), ""), (no_numbers(), "FACE-06")):  # the first is the control
        folder = tmp_path / (code or "sound")
        folder.mkdir()
        broken = embedder(data)(pack, folder)
        monkeypatch.setattr(Shelf, "in_force", lambda _, given=broken: given)
        async with working(FaceSettings()) as worker:
            assert worker.health.state is PartState.WELL
            if not code:
                assert await worker.refer(chip("right")) is None
                continue
            with pytest.raises(FaceFault, match=r"FACE-06: .*no numbers.*models verify"):
                await worker.refer(chip("right"))
            assert (worker.health.state, worker.health.code) == (PartState.FAILED, "FACE-06")


async def test_a_calibration_that_cannot_be_used_leaves_the_packs_thresholds_and_says_so(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "calibration").write_bytes(b"not one")
    async with working(FaceSettings(calibration=tmp_path / "calibration")) as worker:
        assert (worker.health.state, worker.health.code) == (PartState.WELL, "FACE-05")
        assert worker.calibration is None


async def test_the_worker_takes_no_more_memory_than_a_small_board_has_to_spare(worker: FaceWorker, chip: Chip) -> None:
    await worker.refer(chip("right"))
    for number in range(1, 8):
        worker.offer(frame(number, still_of("right")))
        assert await worker.glimpse(5.0) is not None
    lines = Path(f"/proc/{process_of(worker)}/status").read_text().splitlines()
    peak_kb = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    assert 50_000 < peak_kb < 250_000


@pytest.mark.parametrize("threads", [0, 5])
def test_the_number_of_threads_is_bounded(threads: int) -> None:
    assert FaceSettings(threads=4).threads == 4  # the control
    with pytest.raises(ValidationError):
        FaceSettings(threads=threads)
