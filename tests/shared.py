"""Material beside the checkout that is no part of the product: a test that needs it is skipped where it is absent."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

_SHARED: Final = Path(__file__).parents[2] / "shared"


def beside(name: str) -> Path:
    """Return where a file or folder of it is, or would be."""
    return _SHARED / name


def shared(name: str) -> Path:
    """Return a file or folder of it, or skip the test that asks."""
    path = beside(name)
    if not path.exists():
        pytest.skip(f"needs shared/{name} beside the checkout")
    return path
