"""A pytest plugin: how the tests are shared out among xdist's workers."""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling


class ByFile(LoadFileScheduling):
    """A file's tests go to one worker, so that a module sets up once; those of the one pcscd all go to one, too."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "pcsc" if "mark.pcsc" in Path(self.config.rootpath, file).read_text(encoding="utf-8") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Take `ByFile` whatever `--dist` says."""
    return ByFile(config, log)
