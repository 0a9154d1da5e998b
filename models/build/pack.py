"""Makes a pack's weights from the package they are published in: checked before, checked after, written whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from models.build import detector, network, predictor, resnet
from models.build.stream import NotDlib
from models.files import write_whole
from models.load import BadPack, Pack
from models.spec import OwnPointsSpec, PackageSource, WeightsSpec


def _detector(data: bytes) -> bytes:
    return detector.convert(network.read(data))


def _landmarks(data: bytes) -> bytes:
    return predictor.convert(predictor.read(data))


def _embedder(data: bytes) -> bytes:
    return resnet.convert(network.read(data))


CONVERTERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "mmod": _detector,
    "dlib-5": _landmarks,
    "dlib-resnet": _embedder,
}
"""What makes each kind of part."""


def build(pack: Pack) -> list[Path]:
    """Make the weights that are missing or wrong; return the files made, none where all were right.

    Raises:
        BadPack: the source is absent or another than the pack names, or the result is.
    """
    spec = pack.spec
    parts = [
        (part.kind, part.weights, part.weights.source)
        for part in (spec.detector, spec.landmarks, spec.embedder)
        if not isinstance(part, OwnPointsSpec) and isinstance(part.weights.source, PackageSource)
    ]
    return [_make(pack, *part) for part in parts if not pack.has(part[1])]


def source_path(package: PackageSource) -> Path:
    """Return where the published file lies that weights are made from.

    Raises:
        BadPack: the package is not installed.
    """
    try:
        # The package's own module is not imported: it needs a setuptools that is being withdrawn.
        installed = distribution(package.package)
    except PackageNotFoundError as err:
        wanted = f"{package.package} {package.version}"
        raise BadPack(f"Python package {wanted} is not installed; install the extra 'models'") from err
    return Path(str(installed.locate_file(f"{package.package}/models/{package.file}")))


def source(package: PackageSource) -> bytes:
    """Return the published file that weights are made from, checked.

    Raises:
        BadPack: the package or the file is absent, or the file is another.
    """
    wanted = f"{package.package} {package.version}"
    try:
        data = source_path(package).read_bytes()
    except OSError as err:
        raise BadPack(f"{package.file!r} of {wanted} cannot be read: {err.strerror}; install the package again") from err
    if hashlib.sha256(data).hexdigest() != package.sha256:
        raise BadPack(f"{package.file!r} is not the file of {wanted} that the pack names; install the package again")
    return data


def _make(pack: Pack, kind: str, weights: WeightsSpec, package: PackageSource) -> Path:
    try:
        made = CONVERTERS[kind](source(package))
    except NotDlib as err:
        raise BadPack(f"{package.file!r} cannot be converted: {err}") from err
    found = hashlib.sha256(made).hexdigest()
    if found != weights.sha256:
        raise BadPack(
            f"{weights.file!r} came out with sha256 {found}, the pack names {weights.sha256}; build it with the locked packages"
        )
    path = pack.folder / weights.file
    write_whole(path, made)
    return path
