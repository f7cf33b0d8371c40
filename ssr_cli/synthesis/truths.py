"""What counts as true of a camera's photo: as soft, as crisp and as grainy as cameras make them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ssr_cli.physics.sharpening import sharpen, soften
from ssr_cli.synthesis.origins import Origin, column, mask

#: Sigma in pixels that changes nothing.
_SHARP = 1e-3
#: Grain of cameras' true photos over the noise of the photo, which the same sensor took at the same speed; what there
#: is in any case, and the most, encoded units; by which sigmas it is softened, px. Without it a flow learns that a wall
#: is smooth; where the photo says nothing of it, that every wall is grainy, and the grain becomes a weave.
_TRUE_GRAIN, _LEAST_GRAIN, _MOST_GRAIN, _GRAIN_SOFT = (0.7, 2.0), 0.1 / 255, 1.6 / 255, (0.3, 0.8)
#: How soft cameras' true photos are, sigma in px; by how much they were sharpened, with which masks, px.
_FOCUS, _CRISPED, _CRISPING = (0.55, 1.0), (-0.1, 0.5), (1.5, 3.0)
#: Share of other crops whose truth is softer, too: of photos that nobody processed, of edited ones.
_SOFTER = (0.05, 0.2)
#: Share of crops that are out of focus in the true photo as well, and how soft these are: a third of the patches of
#: RealSR's and DRealSR's true photos are smooth, of sharp crops chosen for training an eighth.
_BEHIND, _BEHIND_FOCUS = 0.2, (1.0, 2.5)
#: What their denoising takes for noise, encoded units: of detail within 0.8 px; half of it within 1.6 px.
_CORE, _FINE, _FINER = (0.2 / 255, 1.6 / 255), 0.8, 1.6


def as_focused(
    hr: Tensor, clean: Tensor, origins: npt.NDArray[np.int_], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """The sharp pictures as sharp as such photos are, and what the optics gave made softer by as much.

    Photos out of cameras, pixel for pixel, are softer than those that were made smaller: between 0.15 and 0.45 cycles
    per pixel like a Gaussian of 0.85 px (measured: true photos of RealSR and DRealSR against the training photos). A
    net that learns from reduced photos alone makes of the former what they never were. But no Gaussian made them: what
    is weak and fine was taken for noise, edges were kept and sharpened (the steepest gradients over 9 px are 2.2 to 2.7
    times those of the photo softened by 2 px; after a Gaussian alone 2.1, in photos made smaller 3.9). A flow that
    learns from soft edges under grain draws just these. Denoising is the sharp pictures' alone: the other camera,
    further away, saw the scene and not its photo. For their grain see `with_grain`.

    Args:
        hr: (B, 3, h s, w s), encoded.
        clean: (B, 3, h, w), encoded.
        origins: (B,), see `Origin`.
        rng: source of all choices.

    Returns:
        Both.
    """
    camera = origins == Origin.CAMERA
    b = len(hr)
    behind = rng.random(b) < _BEHIND
    focus = np.where(behind, rng.uniform(*_BEHIND_FOCUS, b), rng.uniform(*_FOCUS, b))
    softer = rng.random(b) < np.where(origins == Origin.REDUCED, *_SOFTER)
    sigma = np.select([camera, softer], [focus, rng.uniform(0.3, 0.9, b)], _SHARP)
    touched = np.flatnonzero(camera | (sigma > _SHARP))  # the others stay as they are: that is quicker
    if not len(touched):
        return hr, clean
    index = torch.from_numpy(touched).to(hr.device)
    sharp, seen = hr.index_select(0, index), clean.index_select(0, index)
    sigmas = column(sigma[touched], hr)
    crisped = column(np.where(camera, rng.uniform(*_CRISPED, b), 0.0)[touched], hr)
    masks = column(rng.uniform(*_CRISPING, b)[touched], hr)
    core = column(np.where(camera, rng.uniform(*_CORE, b), 0.0)[touched], hr)
    ratio = clean.shape[-1] / hr.shape[-1]
    seen = sharpen(soften(seen, sigmas * ratio), masks * ratio, crisped)
    truth = sharpen(_denoised(soften(sharp, sigmas), core), masks, crisped)
    return hr.index_copy(0, index, truth.clamp(0, 1)), clean.index_copy(0, index, seen)


def _denoised(rgb: Tensor, core: Tensor) -> Tensor:
    """Without the detail (B, 3, H, W) that a camera takes for noise, of amplitudes up to about `core` (B,)."""

    def kept(detail: Tensor, least: Tensor) -> Tensor:
        energy = detail.square()
        return detail * energy / (energy + least.square().view(-1, 1, 1, 1) + 1e-12)

    fine, finer = (soften(rgb, torch.full_like(core, sigma)) for sigma in (_FINE, _FINER))
    return finer + kept(fine - finer, core / 2) + kept(rgb - fine, core)


def with_grain(hr: Tensor, origins: npt.NDArray[np.int_], noise: Tensor, rng: np.random.Generator) -> Tensor:
    """True photos with what the sensor left in cameras', three quarters of it grey; the others as they are.

    Args:
        hr: (B, 3, H, W), encoded.
        origins: (B,), see `Origin`.
        noise: (B,) standard deviation of the photos' noise, see `Shot`.
        rng: source of all choices.
    """
    b = len(hr)
    camera = mask(origins == Origin.CAMERA, hr)
    sigma = (noise * column(rng.uniform(*_TRUE_GRAIN, b), hr) + _LEAST_GRAIN).clamp_max(_MOST_GRAIN)
    grey, colour = (rng.standard_normal((b, n, *hr.shape[-2:]), dtype=np.float32) for n in (1, 3))
    normal = torch.from_numpy(0.75**0.5 * grey + 0.25**0.5 * colour).to(hr.device)
    grain = sigma.view(-1, 1, 1, 1) * soften(normal, column(rng.uniform(*_GRAIN_SOFT, b), hr))
    return torch.where(camera, (hr + grain).clamp(0, 1), hr)
