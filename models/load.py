"""Opens a model pack: what stands in its pack.toml, and its weights, each checked against its hash before anything uses it."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from pydantic import ValidationError

from models.spec import PackSpec, WeightsSpec

HERE: Final = Path(__file__).parent


class BadPack(Exception):
    """A pack or one of its files cannot be used: which, why, and what to do. Permanent until somebody mends it."""

    code: ClassVar[str] = "FACE-02"


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack and where its weights lie.

    Attributes:
        spec: what stands in pack.toml.
        sha256: of pack.toml; names the pack's exact version, for it holds the hashes of all weights.
        folder: of the weights.
    """

    spec: PackSpec
    sha256: str
    folder: Path

    def read(self, part: WeightsSpec) -> bytes:
        """Return a file of weights after checking it. What was checked is what is used: it is read once.

        Raises:
            BadPack: missing, unreadable or another file than the pack names.
        """
        path = self.folder / part.file
        remedy = f"Make it again with: python -m models build {self.spec.name}"
        try:
            data = path.read_bytes()
        except OSError as err:
            raise BadPack(f"model file {str(path)!r} cannot be read: {err.strerror}. {remedy}") from err
        found = hashlib.sha256(data).hexdigest()
        if found != part.sha256:
            raise BadPack(f"model file {str(path)!r} is not the one the pack names (sha256 {found[:12]}...). {remedy}")
        return data

    def verify(self) -> None:
        """Check every file of weights.

        Raises:
            BadPack: one of them cannot be used.
        """
        for part in self.spec.weights:
            self.read(part)


def load(name: str, weights: Path | None = None) -> Pack:
    """Open a pack by its name. Its weights are checked when they are read.

    Args:
        name: folder below this one.
        weights: folder of the weights; None takes the one within the pack.

    Raises:
        BadPack: no such pack, or its pack.toml is not as it should be.
    """
    path = HERE / name / "pack.toml"
    try:
        text = path.read_bytes()
        spec = PackSpec.model_validate(tomllib.loads(text.decode()))
    except OSError as err:
        raise BadPack(f"model pack {name!r} has no readable pack.toml ({err.strerror}). Packs: {', '.join(names())}") from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise BadPack(f"{str(path)!r} is not TOML: {err}. Restore it from the release") from err
    except ValidationError as err:
        lines = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in err.errors())
        raise BadPack(f"{str(path)!r} cannot be used: {lines}. Restore it from the release") from None
    return Pack(spec, hashlib.sha256(text).hexdigest(), weights or path.parent / "weights")


def names() -> list[str]:
    """Return the names of the packs at hand."""
    return sorted(path.parent.name for path in HERE.glob("*/pack.toml"))
