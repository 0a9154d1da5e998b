"""What may stand in a pack.toml, field by field."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Pixels = Annotated[int, Field(ge=1, le=4096)]
Degrees = Annotated[float, Field(ge=0, le=90)]
Score = Annotated[float, Field(ge=-16, le=16)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]


class Table(BaseModel):
    """A table of pack.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PackageSource(Table):
    """A file within a Python package."""

    package: str
    version: str
    file: FileName
    sha256: Sha256


class AddressSource(Table):
    """A file at its publisher's address."""

    url: Annotated[str, Field(pattern=r"^https://\S+$")]
    file: FileName = Field(description="Its name on a mirror or a stick.")
    sha256: Sha256
    bytes: Annotated[int, Field(ge=1, le=2**31)]


class WeightsSpec(Table):
    """One file of weights. Where its hash is the source's own it is used as published, otherwise it is converted."""

    file: FileName = Field(description="Name within the folder of weights.")
    sha256: Sha256
    source: PackageSource | AddressSource

    @model_validator(mode="after")
    def _apart(self) -> WeightsSpec:
        if self.source.sha256 != self.sha256 and self.source.file == self.file:
            raise ValueError("what is converted needs another name than its source, which lies beside it")
        return self


class MmodSpec(Table):
    """dlib's mmod network: a window of fixed size slid over reduced copies of the picture."""

    kind: Literal["mmod"]
    weights: WeightsSpec
    window_px: Pixels = Field(description="Size of the face the network looks for, pixels of its input.")
    stride: Pixels = Field(description="Pixels of the input from one place of the map of scores to the next.")
    offset: Pixels = Field(description="Pixel of the input that the first place of the map stands for.")
    nms_iou: Fraction = Field(description="Boxes that share more than this are one face.")
    threshold: float = Field(description="Score from which a place counts as a face.")
    step: Fraction = Field(description="Ratio of one reduced copy to the next.")
    smallest_input_px: Pixels = Field(description="Pictures narrower than this give no map.")


class YunetSpec(Table):
    """OpenCV's YuNet: faces of many sizes and five points of each in one run."""

    kind: Literal["yunet"]
    weights: WeightsSpec
    face_px: Pixels = Field(description="The picture is reduced so that the smallest face looked for has this width.")
    nms_iou: Fraction = Field(description="Boxes that share more than this are one face.")
    threshold: Fraction = Field(description="Score from which it counts as a face.")


class Dlib5Spec(Table):
    """dlib's five-point shape predictor: corners of the eyes, base of the nose."""

    kind: Literal["dlib-5"]
    weights: WeightsSpec


class OwnPointsSpec(Table):
    """The five points the detector gives: eyes, tip of the nose, corners of the mouth."""

    kind: Literal["of-detector"]


class DlibChipSpec(Table):
    """dlib's cut-out, by the mean face of its five points."""

    kind: Literal["dlib-chip"]
    size_px: Pixels
    padding: Fraction = Field(description="Border around the face, as a fraction of its width.")


class ArcfaceChipSpec(Table):
    """The 112 x 112 pixel cut-out of ArcFace, SFace and most newer embedders, by eyes, nose tip and mouth corners."""

    kind: Literal["arcface-112"]


class DlibResnetSpec(Table):
    """A face ResNet of dlib's architecture: 128 numbers a face, compared as they are."""

    kind: Literal["dlib-resnet"]
    weights: WeightsSpec


class SfaceSpec(Table):
    """OpenCV's SFace: 128 numbers a face, of which only the direction counts."""

    kind: Literal["sface"]
    weights: WeightsSpec


class MinifasnetSpec(Table):
    """A passive liveness network of the MiniFASNet family: one cut-out in, three classes out, the middle one alive."""

    kind: Literal["minifasnet"]
    weights: WeightsSpec
    input_px: Pixels
    scale: Annotated[float, Field(ge=1, le=6, description="Width of the cut-out, in widths of the face.")]
    pass_at: Fraction = Field(description="Mean certainty over the frames from which it is alive.")


class PlanaritySpec(Table):
    """When the points of a turning head cannot be those of a plane."""

    residual_at: Annotated[float, Field(gt=0, le=1, description="Residual of the best affine fit, in distances of the eyes.")]


class LivenessSpec(Table):
    """What a challenge takes and what else is tested."""

    turn_deg: Degrees = Field(description="So far a head is to be turned.")
    straight_deg: Degrees = Field(description="Up to here it looks straight ahead.")
    identity_at: Score = Field(description="Largest Euclidean distance of a turned frame that is still the same person.")
    planarity: PlanaritySpec | None = None
    passive: MinifasnetSpec | None = None


class BandSpec(Table):
    """Where a comparison passes, goes to a person, or fails. The smaller the number, the more alike."""

    accept_at: Annotated[Score, Field(description="Up to here it is a match.")]
    accept_fmr: Annotated[float, Field(gt=0, lt=1, description="False-match rate that is to keep.")]
    review_at: Annotated[Score, Field(description="Up to here a person decides.")]
    review_fmr: Annotated[float, Field(gt=0, lt=1, description="False-match rate that is to keep.")]
    measured: bool = Field(True, description="Whether it was measured that they do; a record names the rate only then.")
    frames: Annotated[int, Field(ge=1, le=30, description="Good frames a decision takes; their distances are averaged.")]

    @model_validator(mode="after")
    def _in_order(self) -> BandSpec:
        if self.review_at < self.accept_at:
            raise ValueError("review_at lies below accept_at")
        return self


class ThresholdsSpec(Table):
    """One band for each kind of portrait, Euclidean distances. A site's calibration brings its own."""

    chip: BandSpec = Field(description="Portrait of a card chip, about 102 x 126 pixels.")
    document: BandSpec = Field(description="Portrait of a passport or the like, 300 pixels and more.")


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
    back_lit: Annotated[
        float,
        Field(
            ge=0, le=255, description="So much lighter its surroundings may be than the lightest tenth of a face, grey levels."
        ),
    ]
    sharpness: Annotated[float, Field(ge=0, description="A lower sharpness is blurred; see kiosk.face.quality.")]
    turned_deg: Degrees = Field(description="Largest turn of the head to one side.")
    tilted_deg: Degrees = Field(description="Largest tilt of the line of the eyes.")
    covered: Annotated[float, Field(ge=0, description="A part of the face with less is covered; see kiosk.face.quality.")]
    least_score: Score = Field(0.0, description="A face the detector is less sure of is covered, where its score tells that.")
    second_face: Fraction = Field(description="A second face counts from this fraction of the first one's width.")


class PackSpec(Table):
    """Everything that stands in a pack.toml."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    title: str
    licence: str
    use: Literal["attended", "unattended"]
    detector: Annotated[MmodSpec | YunetSpec, Field(discriminator="kind")]
    landmarks: Annotated[Dlib5Spec | OwnPointsSpec, Field(discriminator="kind")]
    alignment: Annotated[DlibChipSpec | ArcfaceChipSpec, Field(discriminator="kind")]
    embedder: Annotated[DlibResnetSpec | SfaceSpec, Field(discriminator="kind")]
    thresholds: ThresholdsSpec
    portrait: PortraitSpec
    quality: QualitySpec
    liveness: LivenessSpec

    @model_validator(mode="after")
    def _named_apart(self) -> PackSpec:
        names = [part.file for part in self.weights]
        if len(set(names)) < len(names):
            raise ValueError("two files of weights have the same name")
        return self

    @property
    def weights(self) -> tuple[WeightsSpec, ...]:
        """Every file of weights."""
        parts = (self.detector, self.landmarks, self.embedder, self.liveness.passive)
        return tuple(part.weights for part in parts if part is not None and not isinstance(part, OwnPointsSpec))
