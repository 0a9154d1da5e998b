"""Opens a model pack: what stands in its pack.toml, and its weights, each checked against its hash before anything uses it."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

HERE: Final = Path(__file__).parent

Fraction = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Pixels = Annotated[int, Field(ge=1, le=4096)]


class BadPack(Exception):
    """A pack or one of its files cannot be used: which, why, and what to do. Permanent until somebody mends it."""

    code: ClassVar[str] = "FACE-02"


class Table(BaseModel):
    """A table of pack.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WeightsSpec(Table):
    """One file of weights."""

    file: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Name within the folder of weights.")]
    sha256: Sha256
    source: Annotated[str, Field(description="File of the source package it is made from.")]
    source_sha256: Sha256


class DetectorSpec(Table):
    """How faces are found."""

    kind: Literal["mmod"]
    weights: WeightsSpec
    window_px: Pixels = Field(description="Size of the face the network looks for, pixels of its input.")
    stride: Pixels = Field(description="Pixels of the input from one place of the map of scores to the next.")
    offset: Pixels = Field(description="Pixel of the input that the first place of the map stands for.")
    nms_iou: Fraction = Field(description="Boxes that share more than this are one face.")
    threshold: float = Field(description="Score from which a place counts as a face.")
    step: Fraction = Field(description="Ratio of one reduced copy to the next.")
    smallest_input_px: Pixels = Field(description="Pictures narrower than this give no map.")


class LandmarksSpec(Table):
    """How points of a face are found."""

    kind: Literal["dlib-5"]
    weights: WeightsSpec


class AlignmentSpec(Table):
    """How the face is cut out."""

    kind: Literal["dlib-chip"]
    size_px: Pixels
    padding: Fraction = Field(description="Border around the face, as a fraction of its width.")


class EmbedderSpec(Table):
    """How a face becomes a vector."""

    kind: Literal["dlib-resnet"]
    weights: WeightsSpec


class BandSpec(Table):
    """Where a comparison passes, goes to a person, or fails; Euclidean distances, a larger one is less alike."""

    accept_at: Annotated[float, Field(gt=0, le=4, description="Up to here it is a match.")]
    review_at: Annotated[float, Field(gt=0, le=4, description="Up to here a person decides.")]
    frames: Annotated[int, Field(ge=1, le=30, description="Good frames a decision takes; their distances are averaged.")]


class ThresholdsSpec(Table):
    """One band for each kind of reference."""

    chip: BandSpec = Field(description="Portrait of a card chip, about 102 x 126 pixels.")


class PortraitSpec(Table):
    """How a chip portrait is prepared."""

    enlarge: Annotated[int, Field(ge=1, le=8, description="Factor; the detector needs faces larger than a chip holds.")]
    smallest_face: Fraction = Field(description="Narrowest face looked for, as a fraction of the portrait's width.")


class QualitySpec(Table):
    """From when on a frame is of use. Sizes are of the detector's box; light and sharpness of the cut-out."""

    smallest_face_px: Pixels = Field(description="A narrower face is too far.")
    largest_face: Fraction = Field(description="A wider face is too near; fraction of the picture's height.")
    off_centre: Fraction = Field(description="Largest distance of the face from the middle; fraction of width and height.")
    darkest: Annotated[float, Field(ge=0, le=255, description="A lower mean grey of the face is too dark.")]
    brightest: Annotated[float, Field(ge=0, le=255, description="A higher mean grey of the face is too bright.")]
    sharpness: Annotated[float, Field(ge=0, description="A lower sharpness is blurred; see kiosk.face.quality.")]
    turned: Fraction = Field(description="Largest shift of the nose to one side, as a fraction of the eyes' distance.")
    tilted_deg: Annotated[float, Field(ge=0, le=90, description="Largest tilt of the line of the eyes.")]
    second_face: Fraction = Field(description="A second face counts from this fraction of the first one's width.")


class SourceSpec(Table):
    """Where the weights come from."""

    package: str = Field(description="Python package they are published in.")
    version: str


class PackSpec(Table):
    """Everything that stands in a pack.toml."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    title: str
    licence: str
    use: Literal["attended", "unattended"]
    source: SourceSpec
    detector: DetectorSpec
    landmarks: LandmarksSpec
    alignment: AlignmentSpec
    embedder: EmbedderSpec
    thresholds: ThresholdsSpec
    portrait: PortraitSpec
    quality: QualitySpec

    @property
    def weights(self) -> tuple[WeightsSpec, ...]:
        """Every file of weights."""
        return self.detector.weights, self.landmarks.weights, self.embedder.weights


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
