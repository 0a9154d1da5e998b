"""What every test may use is in the plugins named here; nothing else is set globally."""

from __future__ import annotations

import hypothesis

pytest_plugins = ["tests.planted", "tests.folders", "tests.services", "tests.pcsc", "tests.workers"]

hypothesis.settings.register_profile("renzheng", deadline=None, derandomize=True)
hypothesis.settings.load_profile("renzheng")
