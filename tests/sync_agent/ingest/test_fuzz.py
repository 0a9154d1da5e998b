"""No bytes make an exception escape: the parser under atheris, and whole messages through the clerk under hypothesis."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_agent.contract import envelope
from sync_agent.contract.codes import Fault
from sync_agent.contract.suites import INTL_1
from tests.sync_agent.ingest.centre import CASE, HOLDER, MATCH, Centre

RUNS = 4000
ROOT = Path(__file__).parents[3]


def fuzz(corpus: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the target in a process of its own: atheris ends the one it runs in."""
    command = [sys.executable, "-m", "tests.fuzz.target", f"-runs={RUNS}", "-seed=7", f"-artifact_prefix={corpus}/", str(corpus)]
    around = os.environ | environment
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False, env=around)


@pytest.fixture
def corpus(tmp_path: Path, small_centre: Centre) -> Path:
    """Good messages of every form to begin with."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    signed = [small_centre.record(1, CASE), small_centre.record(2, MATCH, HOLDER)]
    payloads = [envelope.payload_of(one.message) for one in signed]
    digests = envelope.Manifest(digests=tuple(INTL_1.digest(payload) for payload in payloads)).model_dump_json().encode()
    seeds = [b"r" + signed[0].message, b"s" + payloads[0], b"s" + payloads[1], b"b" + b"\n".join(payloads)]
    for number, seed in enumerate([*seeds, b"m" + b"\n".join([digests, *payloads])]):
        (folder / f"seed-{number}").write_bytes(seed)
    return folder


@pytest.mark.slow
def test_no_exception_escapes_the_parser(corpus: Path) -> None:
    ended = fuzz(corpus)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert f"Done {RUNS}" in ended.stderr


@pytest.mark.slow
def test_an_exception_that_escapes_is_noticed(corpus: Path, tmp_path: Path) -> None:
    broken = tmp_path / "sitecustomize.py"
    broken.write_text("import base64\n\n\ndef broken(*_, **__):\n    raise ZeroDivisionError\n\n\nbase64.b64decode = broken\n")
    ended = fuzz(corpus, PYTHONPATH=str(tmp_path))
    assert ended.returncode != 0
    assert "ZeroDivisionError" in ended.stderr


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Return a message with some bytes of it other than they were."""
    message = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(message) - 1))
        message[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return bytes(message)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_comes_is_held_or_answered_with_its_reason(small_centre: Centre, data: st.DataObject) -> None:
    centre = small_centre  # one for all examples: what was held before comes again, or in another form
    good = centre.record(1)
    payload = envelope.payload_of(good.message)
    signed = data.draw(damaged(payload), label="payload")
    messages = [
        data.draw(st.binary(max_size=200)),
        data.draw(damaged(good.message)),
        INTL_1.sign(signed, centre.device_key, envelope.MEDIA_TYPE),
        envelope.batch([signed, data.draw(st.binary(max_size=50)).replace(b"\n", b"")], centre.device_key),
    ]
    for message in messages:
        before = len(centre.held())
        receipts = centre.take(message)
        assert receipts, "everything is answered"
        rejected = [rejection.fault for receipt in receipts for rejection in receipt.rejections]
        assert Fault.INTERNAL not in rejected
        assert rejected or len(centre.held()) >= before
    assert Fault.INTERNAL not in centre.faults()
    while centre.judge.work():
        pass
