"""Makes a pack's weights from what they are published in: checked before, checked after, written whole or not at all."""

from __future__ import annotations

import bz2
import hashlib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from models.build import detector, network, predictor, resnet
from models.build.stream import NotDlib
from models.files import write_whole
from models.load import BadPack, Pack
from models.spec import AddressSource, OwnPointsSpec, PackageSource, WeightsSpec


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

UNPACKED_BYTES: Final = 256 * 2**20
"""No published network is as large; whatever unpacks to more is refused."""


def build(pack: Pack) -> list[Path]:
    """Make the weights that are missing or wrong, but for those that are fetched as they are; return the files made.

    Raises:
        BadPack: a source is absent or another than the pack names, or the result is.
    """
    spec = pack.spec
    made = []
    for part in (spec.detector, spec.landmarks, spec.embedder, spec.liveness.passive):
        if part is None or isinstance(part, OwnPointsSpec) or pack.has(part.weights):
            continue
        match part.weights.source:
            case PackageSource() as package:
                made.append(_make(pack, part.kind, part.weights, source(package)))
            case AddressSource() as address if address.sha256 != part.weights.sha256:
                made.append(_make(pack, part.kind, part.weights, _fetched(pack, address)))
            case AddressSource():
                pass  # `fetch` brings it
    return made


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


def _fetched(pack: Pack, address: AddressSource) -> bytes:
    remedy = f"Get it with: python -m models fetch {pack.spec.name}"
    try:
        data = (pack.folder / address.file).read_bytes()
    except OSError as err:
        raise BadPack(f"{address.file!r}, from which weights are made, cannot be read: {err.strerror}. {remedy}") from err
    if hashlib.sha256(data).hexdigest() != address.sha256:
        raise BadPack(f"{address.file!r} is not the file that the pack names. {remedy}")
    return data


def _make(pack: Pack, kind: str, weights: WeightsSpec, data: bytes) -> Path:
    file = weights.source.file
    made = data
    if weights.source.sha256 != weights.sha256:
        if kind not in CONVERTERS:
            raise BadPack(f"{file!r} cannot be converted: parts of kind {kind!r} are used as they are published")
        try:
            made = CONVERTERS[kind](_unpacked(data) if file.endswith(".bz2") else data)
        except NotDlib as err:
            raise BadPack(f"{file!r} cannot be converted: {err}") from err
    found = hashlib.sha256(made).hexdigest()
    if found != weights.sha256:
        raise BadPack(
            f"{weights.file!r} came out with sha256 {found}, the pack names {weights.sha256}; build it with the locked packages"
        )
    path = pack.folder / weights.file
    write_whole(path, made)
    return path


def _unpacked(data: bytes) -> bytes:
    unpacker = bz2.BZ2Decompressor()
    try:
        whole = unpacker.decompress(data, UNPACKED_BYTES)
    except (OSError, EOFError) as err:
        raise NotDlib(f"not bzip2 ({err})") from err
    if not unpacker.eof:
        raise NotDlib(f"cut short, or more than {UNPACKED_BYTES} bytes unpacked")
    return whole
