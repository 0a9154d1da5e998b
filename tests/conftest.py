"""What every test may use is in the plugins named here; nothing else is set globally."""

from __future__ import annotations

import hypothesis
import pytest

pytest_plugins = ["tests.planted", "tests.folders", "tests.services", "tests.pcsc"]

hypothesis.settings.register_profile("renzheng", deadline=None, derandomize=True)
hypothesis.settings.load_profile("renzheng")


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one worker, so that a module sets up once, and those of the one pcscd in one, too."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group("pcsc" if item.get_closest_marker("pcsc") else item.nodeid.split("::")[0]))
