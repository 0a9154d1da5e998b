"""What sealing a personal part costs: a JWE of its own for every record, as it is, against a key agreed once for each device.

Speed is not the reason for the choice: with an agreed key the kiosk could read back what it sealed, and so could a thief.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc.jwk import OKPKey

from sync_agent.contract.suites import INTL_1
from system.simulate.fleet_work import worker
from tests.bench.result import Result

TIMES: Final = 500
ROUNDS: Final = 5
NONCE: Final = 12


def benchmarks() -> Iterator[Result]:
    """Yield the costs of one record, sealing and opening."""
    part = worker(1).model_dump_json().encode()
    key = OKPKey.generate_key("X25519")
    sealed = INTL_1.seal(part, key)
    agreed = AESGCM(_agreed())
    nonce = os.urandom(NONCE)
    closed = agreed.encrypt(nonce, part, b"")
    once = "AES-256-GCM under a key agreed once for the device"
    seal, open_ = _us(lambda: INTL_1.seal(part, key)), _us(lambda: INTL_1.open(sealed, key))
    yield Result.of("seal: seal a record, JWE of its own", seal, "us")
    yield Result.of("seal: open a record, JWE of its own", open_, "us")
    yield Result.of("seal: seal a record, agreed key", _us(lambda: agreed.encrypt(os.urandom(NONCE), part, b"")), "us", peer=once)
    yield Result.of("seal: open a record, agreed key", _us(lambda: agreed.decrypt(nonce, closed, b"")), "us", peer=once)


def _agreed() -> bytes:
    """Return a key as a device and the registry would agree on it."""
    shared = X25519PrivateKey.generate().exchange(X25519PrivateKey.generate().public_key())
    return HKDF(SHA256(), 32, None, b"agreed").derive(shared)


def _us(work: Callable[[], object]) -> list[float]:
    """Return the processor time of one run of `work`, microseconds, round by round."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(TIMES):
            work()
        rounds.append(1e6 * (time.process_time() - begun) / TIMES)
    return rounds
