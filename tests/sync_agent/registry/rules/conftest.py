from __future__ import annotations

import pytest

from tests.sync_agent.registry.rules.firms import Firms
from tests.sync_agent.world import World


@pytest.fixture
def firms(world: World) -> Firms:
    """A registry to which the portal can let enterprises in."""
    return Firms(world)
