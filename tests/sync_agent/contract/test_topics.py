"""The topic tree: what is written is read back, and nothing else is heard."""

from __future__ import annotations

import pytest

from sync_agent.contract.topics import BadTopic, DeviceId, Down, Heard, Tenant, Up, down, every_up, heard, shard, up

TENANT, DEVICE = Tenant("xz"), DeviceId("kiosk-01")


@pytest.mark.parametrize("what", list(Up))
def test_what_a_device_says_is_heard_as_said(what: Up) -> None:
    assert heard(up(TENANT, DEVICE, what)) == Heard(TENANT, DEVICE, what)


def test_the_shard_is_fixed_for_ever() -> None:
    assert [shard(DeviceId(f"kiosk-0{n}")) for n in range(1, 4)] == [45, 2, 59]


def test_the_tree_has_the_agreed_form() -> None:
    assert up(TENANT, DEVICE, Up.RECORD) == "rz/1/xz/up/45/kiosk-01/rec"
    assert down(TENANT, DEVICE, Down.RECEIPT) == "rz/1/xz/dn/kiosk-01/rcpt"
    assert every_up(TENANT) == "rz/1/xz/up/+/+/#"


@pytest.mark.parametrize(
    "topic",
    [
        "rz/1/xz/up/46/kiosk-01/rec",
        "rz/2/xz/up/45/kiosk-01/rec",
        "rz/1/xz/up/45/kiosk-01/rec/more",
        "rz/1/xz/up/45/Kiosk-01/rec",
        "rz/1/xz/dn/kiosk-01/rcpt",
        "",
    ],
)
def test_other_topics_are_not_heard(topic: str) -> None:
    with pytest.raises(BadTopic):
        heard(topic)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a/b", "a+", "#", "ä", "x" * 64])
def test_names_that_would_break_the_tree_are_refused(name: str) -> None:
    with pytest.raises(BadTopic):
        up(TENANT, DeviceId(name), Up.RECORD)
