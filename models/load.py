"""A model pack: what stands in its pack.toml, and its weights, each checked against its hash before anything uses it."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ValidationError

from models.spec import AddressSource, PackSpec, WeightsSpec


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
        remedy = f"{'Get' if _is_published(part) else 'Make'} it again with: python -m models "
        remedy += f"{'fetch' if _is_published(part) else 'build'} {self.spec.name}"
        try:
            data = path.read_bytes()
        except OSError as err:
            raise BadPack(f"model file {str(path)!r} cannot be read: {err.strerror}. {remedy}") from err
        found = hashlib.sha256(data).hexdigest()
        if found != part.sha256:
            raise BadPack(f"model file {str(path)!r} is not the one the pack names (sha256 {found[:12]}...). {remedy}")
        return data

    def has(self, part: WeightsSpec) -> bool:
        """Whether a file of weights is there and the one the pack names."""
        try:
            self.read(part)
        except BadPack:
            return False
        return True

    def verify(self) -> None:
        """Check every file of weights.

        Raises:
            BadPack: one of them cannot be used.
        """
        for part in self.spec.weights:
            self.read(part)


def load(folder: Path, weights: Path) -> Pack:
    """Open the pack in a folder. Its weights are checked when they are read.

    Args:
        folder: with the pack's pack.toml; named as the pack is.
        weights: folder of the weights.

    Raises:
        BadPack: there is none, or its pack.toml is not as it should be.
    """
    path = folder / "pack.toml"
    try:
        text = path.read_bytes()
        spec = PackSpec.model_validate(tomllib.loads(text.decode()))
    except OSError as err:
        raise BadPack(f"{str(path)!r} cannot be read ({err.strerror}). Put the pack's folder there again") from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise BadPack(f"{str(path)!r} is not TOML: {err}. Restore it from where the pack comes from") from err
    except ValidationError as err:
        lines = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in err.errors())
        raise BadPack(f"{str(path)!r} cannot be used: {lines}. Restore it from where the pack comes from") from None
    if spec.name != folder.name:
        raise BadPack(f"{str(path)!r} is of a pack {spec.name!r}; its folder must have that name")
    return Pack(spec, hashlib.sha256(text).hexdigest(), weights)


def _is_published(part: WeightsSpec) -> bool:
    """Whether the file is used as its publisher gives it, and has an address."""
    return isinstance(part.source, AddressSource) and part.source.sha256 == part.sha256
