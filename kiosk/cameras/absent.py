"""No camera: says so truthfully and opens nothing."""

from __future__ import annotations

from kiosk.cameras.base import CameraGone, Frame
from kiosk.clock import Clock
from sync_agent.contract.kinds import PartHealth, PartState


class AbsentCamera:
    """A kiosk that was set up without a camera; faces are then compared by a person."""

    def __init__(self, clock: Clock) -> None:
        self._health = PartHealth(state=PartState.ABSENT, code=CameraGone.code, since=clock.now())

    @property
    def health(self) -> PartHealth:
        """Absent."""
        return self._health

    async def open(self) -> None:
        """Refuse.

        Raises:
            CameraGone: always.
        """
        raise CameraGone("this kiosk is set up without a camera (setting camera.kind)")

    def newest(self) -> Frame | None:
        """Return None: it is never open."""
        return None

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""
