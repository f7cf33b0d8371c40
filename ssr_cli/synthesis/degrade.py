"""What the sensor, the camera's processing and the file format add after the optics.

Whole batches, each picture with numbers of its own, on any device. The camera's sharpening is kept as truth beside the
picture: blur that was sharpened afterwards looks like less blur with halos, and must not be undone twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.physics.sharpening import bells, log_gain, sharpen, soften
from ssr_cli.synthesis.jpeg import jpeg
from ssr_cli.synthesis.origins import Origin, column, mask

#: Lowest quality of a JPEG; of one that a camera wrote; of an edited photo's, as small ones on the web are.
_QUALITY, _CAMERA_QUALITY, _EDITED_QUALITY = 70, 80, 20
#: Share of photos with little noise; of cameras'; of edited ones, which scans of old prints and films are, too.
_QUIET, _CAMERA_QUIET, _EDITED_QUIET = 0.88, 0.92, 0.5
#: Most noise, encoded units; of edited photos. How soft it is, sigma in px, where it is not rough; theirs.
_NOISE, _EDITED_NOISE = 15 / 255, 25 / 255
_NOISE_SOFT, _EDITED_NOISE_SOFT = (0.35, 0.9), (0.35, 1.3)
#: Share of edited photos that were enlarged before, by how much; how many of these had been made smaller by leaving
#: pixels out, which gives edges stairs.
_ENLARGED, _ENLARGED_BY, _STAIRS = 0.15, (1.3, 2.2), 0.5
#: Share of cameras' sharpening that is as strong as their blur asks for; the rest knows nothing of it.
_MATCHED = 0.8
#: Share of photos that nobody processed, by the noise they show, but whose pixels a camera or a program had sharpened
#: before that noise came. By networks that never saw any, such photos end 0.7 dB below interpolation.
_REDUCED_CRISP = 0.08
#: Largest transfer of such a camera, true photo to photo, at any frequency; strongest mask.
_PEAK, _STRONGEST = (1.05, 1.35), 3.0


@dataclass(frozen=True)
class Shot:
    """Pictures as a camera saved them.

    Attributes:
        lr: (B, 3, h, w), multiples of 1/255.
        gain: (B, 2), log gain of the camera's sharpening at `sharpening.GAIN_AT`, 0 where there was none.
        noise: (B,), standard deviation of the noise before it was sharpened and compressed, encoded units.
    """

    lr: Tensor
    gain: Tensor
    noise: Tensor


def add_noise(rgb: Tensor, gaussian: float, poisson: float, rng: np.random.Generator) -> Tensor:
    """Poisson-Gaussian noise on encoded values.

    Args:
        rgb: (3, h, w), 0..1.
        gaussian: standard deviation at black.
        poisson: variance added per unit of value.
        rng: source of the noise.

    Returns:
        (3, h, w), not clipped.
    """
    normal = torch.from_numpy(rng.standard_normal(rgb.shape, dtype=np.float32))
    return rgb + normal * (gaussian**2 + poisson * rgb.clamp(0, 1)).sqrt()


def _grain(clean: Tensor, origins: npt.NDArray[np.int_], rng: np.random.Generator) -> Tensor:
    """Poisson-Gaussian noise (B, 3, h, w), mostly little; of processed photos some of it grey, half of it smoothed.

    Most of cameras' photos have the least, as RealSR and DRealSR do: 0.4 to 0.7/255 in the median. But many of them,
    too, have much: where those had less, nets took the grain of photos from the web for detail.
    Smooth or rough, noise must tell nothing of sharpening: a net that reads it there is wrong on every camera that
    denoises. Edited photos have the most, up to a film's that was scanned and compressed: a net that knows only half
    as much makes worms of it. Seldom of a colour: by that one could tell that no camera processed them (`source`).
    """
    b = len(clean)
    processed = origins != Origin.REDUCED
    camera, edited = origins == Origin.CAMERA, origins == Origin.EDITED
    most = np.where(edited, _EDITED_NOISE, _NOISE)
    little, much = np.abs(rng.normal(0, 3.0, b)) / 255 * np.where(camera, 0.3, 1.0), rng.uniform(0, most)
    quiet = rng.random(b) < np.select([camera, edited], [_CAMERA_QUIET, _EDITED_QUIET], _QUIET)
    spread = np.where(quiet, little * np.where(processed, 0.7, 1.0), much * np.where(camera, 0.7, 1.0))
    gaussian = np.where(rng.random(b) < 0.85, np.minimum(spread, most), 0.0)
    poisson = np.where(rng.random(b) < 0.35, rng.uniform(0, 2.5e-4, b), 0.0) * np.where(camera, 0.2, 1.0)
    grey = processed & (rng.random(b) < np.where(edited, 0.85, 0.6))
    smooth = processed & (rng.random(b) < 0.6)
    softest = np.where(edited, rng.uniform(*_EDITED_NOISE_SOFT, b), rng.uniform(*_NOISE_SOFT, b))
    sigmas = column(softest, clean)
    normal = torch.from_numpy(rng.standard_normal(tuple(clean.shape), dtype=np.float32)).to(clean.device)
    normal = torch.where(mask(grey, clean), normal[:, :1], normal)
    soft = soften(normal, sigmas) / bells(sigmas).square().sum(1).view(-1, 1, 1, 1)  # of unit variance again
    normal = torch.where(mask(smooth, clean), soft, normal)
    variance = column(gaussian**2, clean).view(-1, 1, 1, 1) + column(poisson, clean).view(-1, 1, 1, 1) * clean
    return normal * variance.clamp_min(0).sqrt()


def _enlarged(rgb: Tensor, hit: npt.NDArray[np.bool_], rng: np.random.Generator) -> Tensor:
    """Those of (B, 3, h, w) made smaller and enlarged to what they were, as many small pictures on the web are.

    Made smaller with and without the filter that this needs, enlarged by bicubic or bilinear interpolation.
    """
    out = rgb.clone()
    for i in np.flatnonzero(hit):
        by = rng.uniform(*_ENLARGED_BY)
        size = [max(2, round(n / by)) for n in rgb.shape[-2:]]
        filtered = rng.random() >= _STAIRS
        small = F.interpolate(rgb[i][None], size=size, mode="bilinear", antialias=filtered)
        mode = "bicubic" if rng.random() < 0.6 else "bilinear"
        out[i] = F.interpolate(small, size=rgb.shape[-2:], mode=mode)[0]
    return out


def _compressed(
    rgb: Tensor, share: npt.NDArray[np.floating], least: npt.NDArray[np.int_], rng: np.random.Generator
) -> Tensor:
    """JPEG of quality `least` (B,) to 100 on every picture with its own probability (B,), half with halved chroma."""
    hit = np.flatnonzero(rng.random(len(rgb)) < share)
    halved = torch.from_numpy(rng.random(len(hit)) < 0.5).to(rgb.device)
    quality = column(rng.integers(least[hit], 101).astype(np.float64), rgb)
    index = torch.from_numpy(hit).to(rgb.device)
    return rgb.index_copy(0, index, jpeg(rgb.index_select(0, index), quality, halved))


def answering(
    blur: npt.NDArray[np.floating], mask: npt.NDArray[np.floating], peak: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Amounts of unsharp masking that make blur and sharpening together pass `peak` at most, at some frequency.

    Of a Gaussian blur of sigma b and a mask of sigma m, `exp(-2 (pi f b)^2) (1 + amount (1 - exp(-2 (pi f m)^2)))`.

    Args:
        blur: (B,), sigma b, LR pixels.
        mask: (B,), sigma m, LR pixels.
        peak: (B,), at least 1.

    Returns:
        (B,), 0 to 3.
    """
    square = 2 * np.square(np.pi * np.linspace(0.02, 0.45, 44))[None]
    reached = (peak[:, None] * np.exp(square * np.square(blur)[:, None]) - 1) / -np.expm1(
        -square * np.square(mask)[:, None]
    )
    amounts: npt.NDArray[np.float64] = np.minimum(reached.min(1), _STRONGEST)
    return amounts


def shoot(
    clean: Tensor, origins: npt.NDArray[np.int_], rng: np.random.Generator, blur: npt.NDArray[np.floating] | None = None
) -> Shot:
    """A random mild mix: most photos fairly clean, most of the processed ones sharpened, half JPEG, some twice.

    Noise comes before the sharpening or is spared by it; some of what was processed is softened, which is not told: it
    is blur like other blur. Of photos that nobody processed all blur is told, or kernels would learn to be too narrow.
    Cameras sharpen as their own optics ask for: from true photos to photos RealSR and DRealSR pass at most 1.0 to 1.25,
    whatever their blur (nine of ten), though blur and mask by themselves differ by more.

    Args:
        clean: (B, 3, h, w), encoded, 0..1, what the optics gave.
        origins: (B,), see `Origin`.
        rng: source of all choices.
        blur: (B,), sigma in LR pixels where each picture is sharpest, if cameras are to sharpen accordingly.

    Returns:
        The photos, and what sharpening did to each.
    """
    b = len(clean)
    camera, edited = origins == Origin.CAMERA, origins == Origin.EDITED
    grain = _grain(clean, origins, rng)
    before = mask(rng.random(b) < 0.4, clean)
    crisp = rng.random(b) < np.select([camera, edited], [0.92, 0.6], _REDUCED_CRISP)
    soft = ~crisp & (rng.random(b) < np.where(origins == Origin.REDUCED, 0.0, 0.2))
    twice = camera & crisp & (rng.random(b) < 0.2)
    # Software sharpens pictures that are sharp already less, and finer.
    as_cameras = camera | ((origins == Origin.REDUCED) & (rng.random(b) < 0.5))
    drawn = np.where(as_cameras, rng.uniform(0.3, 1.6, b), rng.uniform(0.1, 1.0, b))
    masks = np.where(as_cameras, rng.uniform(0.7, 2.6, b), rng.uniform(0.4, 1.1, b))
    if blur is not None:
        matched = camera & (rng.random(b) < _MATCHED)
        drawn = np.where(matched, answering(blur, masks, rng.uniform(*_PEAK, b)), drawn)
        twice &= ~matched
    amounts = column(np.where(crisp, drawn, 0.0), clean)
    again = column(np.where(twice, rng.uniform(0.1, 0.8, b), 0.0), clean)
    sigmas = column(masks, clean)
    sigmas_again = column(rng.uniform(0.6, 2.0, b), clean)
    enlarged = _enlarged(clean, edited & (rng.random(b) < _ENLARGED), rng)
    seen = torch.where(before, enlarged + grain, enlarged)
    seen = torch.where(mask(soft, clean), soften(seen, column(rng.uniform(0.3, 0.6, b), clean)), seen)
    seen = sharpen(sharpen(seen, sigmas, amounts), sigmas_again, again)
    seen = torch.where(before, seen, seen + grain)
    seen = (seen.clamp(0, 1) * 255).round() / 255
    once, more = (np.select([camera, edited], shares, last) for *shares, last in ((0.65, 0.75, 0.1), (0.15, 0.2, 0.0)))
    least = np.select([camera, edited], [_CAMERA_QUALITY, _EDITED_QUALITY], _QUALITY)
    seen = _compressed(_compressed(seen, once, least, rng), more, least, rng)
    return Shot(seen, log_gain(sigmas, amounts) + log_gain(sigmas_again, again), grain.std((1, 2, 3)))
