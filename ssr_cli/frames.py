"""The values that travel between the parts: frozen, with shape, range and units stated once, here.

Every tensor is float32 on the CPU unless it says otherwise. `h w` is the LR grid, `H W` the output grid, `L` the
number of atoms of the kernel dictionary. "Encoded" means sRGB-encoded values in 0..1, "linear" means linear light.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes:
        rgb: (3, h, w), encoded sRGB, float32 in 0..1; a result that is only to be written may be uint8 or uint16.
        metadata: what is written back with the result (see `image.reading.read_photo`).
    """

    rgb: Tensor
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.rgb.shape[-2])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.rgb.shape[-1])


@dataclass(frozen=True)
class PhotoStream:
    """A photo whose rows come one band after another, from the top, each once: it need not fit in memory.

    Attributes:
        height: rows of all bands.
        width: columns.
        bands: (3, b, W) or, with transparency, (4, b, W); encoded, float32 in 0..1, or uint8 or uint16; b may differ.
        metadata: as a photo's; its "alpha" only says that there is a fourth plane.
    """

    height: int
    width: int
    bands: Iterator[Tensor]
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DepthMap:
    """Relative inverse depth.

    Attributes:
        disparity: (h, w), relative inverse depth, 0 farthest .. 1 nearest; only its order and ratios mean anything.
    """

    disparity: Tensor


@dataclass(frozen=True)
class ThinLens:
    """Blur radius as a function of depth: `radius_px = |alpha * disparity + beta|` (circle of confusion, thin lens).

    Attributes:
        alpha: radius per unit of disparity, HR px.
        beta: radius at disparity 0, HR px (signed).
        residual_px: weighted mean absolute residual of the fit, HR px.
    """

    alpha: float
    beta: float
    residual_px: float

    @property
    def focus(self) -> float | None:
        """Disparity where the photo is sharpest, or None when blur does not depend on depth."""
        return None if abs(self.alpha) < 1e-6 else -self.beta / self.alpha


@dataclass(frozen=True)
class KernelField:
    """The local point-spread function at every LR pixel, as moments and as weights over the dictionary.

    Attributes:
        weights: (L, h, w), softmax weights over the dictionary's atoms, sum 1.
        covariance: (3, h, w), second moments (yy, xx, yx) of the optical kernel in HR px^2, the sensor's box removed.
        confidence_px: (h, w), expected absolute error of the blur radius, HR px.
        noise: (h, w), standard deviation of what the field leaves unexplained in the photo, encoded units.
        scale: HR pixels per LR pixel (4).
    """

    weights: Tensor
    covariance: Tensor
    confidence_px: Tensor
    noise: Tensor
    scale: int

    @property
    def radius_px(self) -> Tensor:
        """Blur radius (h, w) in HR px: that of the disk with the same mean second moment, `sqrt(2 (yy + xx))`."""
        return (2.0 * (self.covariance[0] + self.covariance[1])).clamp_min(0.0).sqrt()

    @property
    def sigma_px(self) -> Tensor:
        """Standard deviation (h, w) of the optical kernel in HR px, mean of the two axes."""
        return 0.5 * self.radius_px


@dataclass(frozen=True)
class Round:
    """State after one SVKR round.

    Attributes:
        field: the kernels.
        depth: refined.
        lens: fitted to both.
        sharpening: log gain of the camera's sharpening at 0.1 and 0.3 cycles per LR pixel, 0 for none.
        processed: probability that these are a camera's pixels, which it processed.
        light: share of linear light that the blur happened in, 0 for encoded values; see `physics.light`.
    """

    field: KernelField
    depth: DepthMap
    lens: ThinLens
    sharpening: tuple[float, float] = (0.0, 0.0)
    processed: float = 0.5
    light: float = 1.0


@dataclass(frozen=True)
class Analysis:
    """What SVKR found out about a photo.

    Attributes:
        depth_before: the depth estimator's own answer, on the LR grid.
        rounds: one entry per SVKR round, the last one is the result.
        fusion: (3, h, w) AMF's per-place weights for photo, depth and kernel, sum 1; None when only analysed.
    """

    depth_before: DepthMap
    rounds: tuple[Round, ...]
    fusion: Tensor | None = None

    @property
    def field(self) -> KernelField:
        """The kernel field of the last round."""
        return self.rounds[-1].field

    @property
    def depth(self) -> DepthMap:
        """The depth of the last round."""
        return self.rounds[-1].depth

    @property
    def lens(self) -> ThinLens:
        """The thin-lens fit of the last round."""
        return self.rounds[-1].lens


@dataclass(frozen=True)
class Findings:
    """What is known about a photo that was made larger.

    Attributes:
        analysis: kernels and depth it was made with.
        lr_psnr_before: LR-PSNR under the kernels before the projection, dB (None when consistency is off).
        lr_psnr_after: the same of the picture that is handed over.
        incidents: what went wrong on the way and was done another way, in sentences.
        views: "invented" (3, H, W) and "confidence" (1, H, W) where asked for, uint8, at four times the photo's size.
        invented_share: of the detail's energy, what the photo does not determine; None where not asked for.
    """

    analysis: Analysis
    lr_psnr_before: float | None
    lr_psnr_after: float | None
    incidents: tuple[str, ...] = ()
    views: dict[str, Tensor] = field(default_factory=dict)
    invented_share: float | None = None


@dataclass(frozen=True)
class Upscaled:
    """A finished photo with what is known about it.

    Attributes:
        photo: the result, `round(h * scale)` x `round(w * scale)`, with the input's metadata.
        analysis: kernels and depth it was made with.
        lr_psnr_before: LR-PSNR under the kernels before the projection, dB (None when consistency is off).
        lr_psnr_after: the same of the picture that is handed over.
        incidents: what went wrong on the way and was done another way, in sentences.
    """

    photo: Photo
    analysis: Analysis
    lr_psnr_before: float | None
    lr_psnr_after: float | None
    incidents: tuple[str, ...] = ()
