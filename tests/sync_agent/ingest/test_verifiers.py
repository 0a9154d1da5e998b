"""Signatures checked in processes beside the agent: the same findings, and none lost with a process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from joserfc.jwk import OKPKey

from sync_agent.contract.codes import Fault
from sync_agent.contract.suites import INTL_1
from sync_agent.ingest.check import Bad, Claim, Entry
from sync_agent.ingest.verifiers import PIECE, Found, Verifiers
from tests.sync_agent.ingest.centre import DEVICE, HOLDER, TENANT, Centre


@pytest.fixture
def claims(small_centre: Centre) -> list[Claim]:
    """More than one piece of messages, every seventh of them corrupted."""
    key = small_centre.device_key
    x = str(key.as_dict(private=False)["x"])
    messages = [signed.message for signed in small_centre.chain(PIECE * 2 + 5)]
    return [
        Claim(TENANT, DEVICE, key.thumbprint(), x, message[:-9] + b"AAAAAAAAA" if number % 7 == 0 else message)
        for number, message in enumerate(messages)
    ]


@pytest.fixture
def two() -> Iterator[Verifiers]:
    """Two running processes."""
    verifiers = Verifiers(2)
    verifiers.start()
    yield verifiers
    verifiers.stop()


def shown(found: list[Found]) -> list[int | Fault]:
    return [one.seq if isinstance(one, Entry) else one.fault for (one,) in found]


def expected(claims: list[Claim]) -> list[int | Fault]:
    return [Fault.BAD_SIGNATURE if number % 7 == 0 else number + 1 for number in range(len(claims))]


def test_processes_find_what_this_one_finds_in_the_same_order(two: Verifiers, claims: list[Claim]) -> None:
    here = Verifiers(0).verify(claims)
    assert shown(here) == expected(claims)
    assert two.verify(claims) == here
    assert two.verify([]) == []


def test_a_batch_is_verified_though_every_process_is_killed(two: Verifiers, claims: list[Claim]) -> None:
    killed = two.pids
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert shown(two.verify(claims)) == expected(claims)
    assert set(two.pids).isdisjoint(killed)
    assert shown(two.verify(claims)) == expected(claims), "and the next one, too"


def test_several_threads_share_the_processes(two: Verifiers, claims: list[Claim]) -> None:
    answers: list[list[int | Fault]] = []
    threads = [threading.Thread(target=lambda: answers.append(shown(two.verify(claims)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [expected(claims)] * 3


def test_the_processes_end_with_the_agent(claims: list[Claim]) -> None:
    verifiers = Verifiers(1)
    verifiers.start()
    (pid,) = verifiers.pids
    verifiers.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_no_verifier_survives_is_set_aside_alone(two: Verifiers, claims: list[Claim]) -> None:
    deadly = Claim(TENANT, DEVICE, "kid", "x", _Deadly(INTL_1.sign(b"{}", _key(), "rz-record+jws")))
    found = two.verify([*claims[:3], deadly, *claims[3:6]])
    assert [type(one) for (one,) in found] == [Bad, Entry, Entry, Bad, Entry, Entry, Entry]
    (bad,) = found[3]
    assert isinstance(bad, Bad)
    assert (bad.fault, bad.device) == (Fault.INTERNAL, None)


def test_a_verifier_that_fails_says_where_and_not_at_what(capfd: pytest.CaptureFixture[str], claims: list[Claim]) -> None:
    verifiers = Verifiers(1)
    verifiers.start()
    found = verifiers.verify([Claim(TENANT, DEVICE, "kid", "x", _Unfit(b"")), claims[1]])
    verifiers.stop()
    assert [type(one) for (one,) in found] == [Bad, Entry]
    said = capfd.readouterr().err
    assert "verifier.failed" in said
    assert "ValueError" in said
    assert HOLDER.number not in said


class _Unfit(bytes):
    """A message whose arrival raises what names a person."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return int, (f"{HOLDER.number} of {HOLDER.name}",)


class _Deadly(bytes):
    """A message whose arrival kills the process that takes it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (9,)


def _key() -> OKPKey:
    return OKPKey.generate_key("Ed25519")
