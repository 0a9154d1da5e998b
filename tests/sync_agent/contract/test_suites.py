"""What is signed here, any library of JOSE reads, and the other way round."""

from __future__ import annotations

import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from sync_agent.contract.suites import INTL_1

KEY = OKPKey.generate_key("Ed25519")
PUBLIC = OKPKey.import_key(KEY.as_dict(private=False))
PAYLOAD = '{"name": "扎西"}'.encode()


def test_another_library_signs_the_same_bytes_and_reads_ours() -> None:
    message = INTL_1.sign(PAYLOAD, KEY, "rz-test+jws")
    header = {"alg": "Ed25519", "kid": KEY.thumbprint(), "typ": "rz-test+jws"}
    theirs = jws.serialize_compact(header, PAYLOAD, KEY, algorithms=["Ed25519"]).encode()
    assert message == theirs
    assert jws.deserialize_compact(message.decode(), PUBLIC, algorithms=["Ed25519"]).payload == PAYLOAD
    assert INTL_1.verify(theirs, PUBLIC, "rz-test+jws") == PAYLOAD


def test_a_public_key_signs_nothing() -> None:
    with pytest.raises(ValueError, match="not a private"):
        INTL_1.sign(PAYLOAD, PUBLIC, "rz-test+jws")
