"""Kernel consistency: a sample is pulled to what re-blurs to the photo, only as far as the photo's noise allows.

The residual is judged in encoded light, where noise is roughly uniform, and corrected in the light that the blur
happened in, where it adds: linear light, unless SVKR says otherwise. At every place it is shrunk by the part that noise
explains (a local discrepancy principle): where its local root mean square is below SVKR's noise level nothing is
touched, above it just the excess is corrected.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.models.blocks import mean_around, ramp, upscale_bicubic
from ssr_cli.physics.kernels import KernelDictionary
from ssr_cli.physics.light import decoded, encoded
from ssr_cli.physics.operators import SpatiallyVariantBlur, reduced_basis
from ssr_cli.physics.projection import chebyshev
from ssr_cli.physics.spectra import luma_of

#: Components of the dictionary used here; leading ones carry all but a sixth of the worst kernel's blur.
RANK = 16
#: LR pixels that kernels lose on every side for corrections, and the blur radius, HR px, below which they lose at most
#: a fiftieth of themselves by that.
_CUT, _NARROW_PX = 1, 6.5
_WINDOW = 7
#: Noise levels up to which, and from which no more, a place is corrected again; how often, by how many iterations down
#: to which eigenvalue: what is known so well is not spoiled by following it into its finest detail.
_FINE, _COARSE = 0.3 / 255, 0.4 / 255
_AGAIN, _AGAIN_STEPS, _AGAIN_LOW = 8, 5, 0.02
#: Grain from which, and from which on wholly, a photo is corrected again too, and how often: one correction leaves wide
#: kernels up to a sixth more than the noise, these end within a tenth of it, and nearer to the truth.
_NOISY, _NOISY_AGAIN = (2 / 255, 3 / 255), 2
#: How far beyond 0..1, in linear light, a value was that is not touched again; of those between, the less the further.
#: A sharp border would decide by the last digit, and tiles would differ from the whole by 4/255.
_CUT_OFF = 0.01
#: Iterations of the first guess; restorers are trained with so many.
_GUESS_STEPS = 3
#: Local root mean square beyond the noise that is worth another correction: an eight-bit file hides less.
_WORTH = 0.4 / 255


@dataclass(frozen=True)
class ConsistencyConfig:
    """Numbers of the projection that belong to a checkpoint, chosen on held-out scenes.

    `level` and `grain` were last moved (from 0.25 and 0.7) by the bench's rendered defocus, where that gained 0.02 dB.

    Where `y = A x` holds it pays to correct far below what SVKR cannot explain; where a camera processed the photo, or
    it is grainy, it does not, and all that is unexplained is left alone.

    Attributes:
        level: share of SVKR's noise level that is left alone where the model holds.
        sharpened: log gain at 0.3 cycles per LR pixel at which the share begins to rise, and at which it is 1.
        processed: the same of the probability that a camera processed the photo.
        grainy: the same of the photo's grain, standard deviation in encoded units.
        grain: share of the grain that is left alone in any case.
    """

    level: float = 0.2
    sharpened: tuple[float, float] = (0.2, 0.5)
    processed: tuple[float, float] = (0.5, 0.9)
    grainy: tuple[float, float] = (2.5 / 255, 4.5 / 255)
    grain: float = 1.0


def _share(doubt: Tensor, config: ConsistencyConfig) -> Tensor:
    """What is left alone of SVKR's noise level (B, 1, 1, 1), by the doubt (B,) about `y = A x`."""
    return (config.level + (1 - config.level) * doubt).view(-1, 1, 1, 1)


def guess_level(unexplained: Tensor, processed: Tensor, config: ConsistencyConfig) -> Tensor:
    """The noise level below which the first guess corrects nothing; restorers are trained with it.

    Args:
        unexplained: (B, 1, h, w) SVKR's noise level, encoded units.
        processed: (B,) probability that a camera processed the photo.
        config: see there.

    Returns:
        (B, 1, h, w), encoded units.
    """
    return _share(ramp(processed, config.processed), config) * unexplained


def left_alone(
    unexplained: Tensor, gain: Tensor, processed: Tensor, grain: Tensor, config: ConsistencyConfig
) -> Tensor:
    """The noise level below which nothing is corrected.

    Args:
        unexplained: (B, 1, h, w) SVKR's noise level, encoded units.
        gain: (B, 2) log gains of the camera's sharpening.
        processed: (B,) probability that a camera processed the photo.
        grain: (B,) standard deviation of the photos' own noise, encoded units.
        config: see there.

    Returns:
        (B, 1, h, w), encoded units.
    """
    doubt = torch.maximum(ramp(gain[:, 1], config.sharpened), ramp(grain, config.grainy))
    doubt = torch.maximum(doubt, ramp(processed, config.processed))
    return torch.maximum(_share(doubt, config) * unexplained, config.grain * grain.view(-1, 1, 1, 1))


@dataclass(frozen=True)
class Projected:
    """A projected sample, and how well it explained the photo before; see `residual` for how well it does now.

    Attributes:
        image: (B, 3, H, W) encoded, 0..1.
        before: (B, 3, h, w) residual `y - enc(A dec(x))` of the sample, encoded units.
    """

    image: Tensor
    before: Tensor


@lru_cache(maxsize=4)
def _basis(dictionary: KernelDictionary, cut: int = 0) -> tuple[Tensor, Tensor]:
    """The reduced basis of a dictionary whose atoms lose `cut` LR pixels on every side, found once."""
    border = cut * dictionary.scale
    atoms = F.pad(dictionary.atoms, (-border,) * 4)
    return reduced_basis(atoms / atoms.sum((1, 2), keepdim=True), RANK)


def colours_told(processed: float, config: ConsistencyConfig) -> bool:
    """Whether a photo says something of the detail of colours: a camera's file has half of its places for them."""
    return processed < config.processed[1]


def all_narrow(widest_px: Tensor) -> bool:
    """Whether no kernel of photos is wide, by their largest blur radii (B,), HR px."""
    return float(widest_px.max()) < _NARROW_PX


def field_operator(
    weights: Tensor, dictionary: KernelDictionary, precision: torch.dtype | None = None, narrow: bool = False
) -> SpatiallyVariantBlur:
    """A of a field, on the reduced basis.

    Corrections are computed with factors of `precision` (with 16 bits they are off by some thousandths of themselves,
    and take half the time where the device multiplies them by itself), and where no kernel is wide without the
    outermost pixels of all kernels, which saves half of the multiplications.

    Args:
        weights: (B, L, h, w).
        dictionary: the atoms.
        precision: of factors.
        narrow: whether no kernel of the whole photo is wide; a tile must not say it for itself, as it would differ from
            the others by it.
    """
    rough = None
    if narrow or precision not in (None, torch.float32):
        rough = _on_basis(weights, _basis(dictionary, _CUT if narrow else 0), dictionary.scale, precision)
    return _on_basis(weights, _basis(dictionary), dictionary.scale, rough=rough)


def _on_basis(
    weights: Tensor,
    basis: tuple[Tensor, Tensor],
    scale: int,
    precision: torch.dtype | None = None,
    rough: SpatiallyVariantBlur | None = None,
) -> SpatiallyVariantBlur:
    """A of a field (B, L, h, w) on some components and the map to them."""
    components, mapping = basis
    b, _, h, w = weights.shape
    coefficients = weights.float().flatten(2).mT @ mapping.to(weights.device)
    return SpatiallyVariantBlur(components, coefficients.view(b, h, w, -1).permute(0, 3, 1, 2), scale, precision, rough)


def _levels(residual: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squares (B, 1, h, w) that were found and that noise explains, over 7 x 7 places."""
    found, allowed = residual.square().mean(1, keepdim=True), noise.square()
    return mean_around(found, _WINDOW), mean_around(allowed, _WINDOW)


def _beyond_noise(found: Tensor, allowed: Tensor) -> Tensor:
    """The share 0..1 of what was found that noise does not explain, by mean squares (B, 1, h, w)."""
    return (1 - (allowed / found.clamp_min(1e-12)).sqrt()).clamp_min(0.0)


def excess(residual: Tensor, noise: Tensor) -> Tensor:
    """The share 0..1 of the residual that noise does not explain.

    Args:
        residual: (B, 3, h, w), encoded units.
        noise: (B, 1, h, w), standard deviation expected, encoded units.

    Returns:
        (B, 1, h, w): `max(0, 1 - noise / rms)` with both averaged (in energy) over 7 x 7 places.
    """
    return _beyond_noise(*_levels(residual, noise))


def project(
    x: Tensor,
    y: Tensor,
    operator: SpatiallyVariantBlur,
    noise: Tensor,
    steps: int = 4,
    grain: Tensor | None = None,
    colours: bool = True,
    light: Tensor | None = None,
) -> Projected:
    """Pull a sample onto the photo, among the pictures whose values lie in 0..1.

    Light is clipped on both sides. A photo's value of 0 or 255 only says that there was no more or no less light, so a
    residual that points back from there is none. And a correction that leaves 0..1 is cut off: what it lacks then is
    left to its neighbours when a place is corrected again, for pixels that were cut off far stay as they are.

    Measured on rendered scenes and photos under known kernels: from interpolation, 50.9-63 dB with 8 bits; with noise
    of 5/255 the residual ends at 0.92-1.09 of it.

    Args:
        x: (B, 3, H, W) encoded sample.
        y: (B, 3, h, w) encoded photo.
        operator: A of the photo's kernels.
        noise: (B, 1, h, w) standard deviation of what the kernels leave unexplained, encoded units.
        steps: Chebyshev iterations of the first correction.
        grain: (B,) standard deviation of the photos' own noise, encoded units; None for hardly any.
        colours: whether detail of colours is corrected the first time; else that of luma alone, in a third of the time.
        light: (B,) share of linear light that the blur happened in, see `physics.light`; None for linear.

    Returns:
        The projected sample, and the residual of the one that was given.
    """
    linear = decoded(x.clamp(0, 1), light)
    shown = _shown(operator, linear, light)
    before = y - shown
    fine = 1 - ramp(noise, (_FINE, _COARSE))
    noisy = torch.zeros_like(fine) if grain is None else ramp(grain, _NOISY).view(-1, 1, 1, 1)
    again = torch.ones_like(fine)
    found, allowed = _levels(before, noise)
    free: Tensor | None = None
    for turn in range(1 + _AGAIN):
        share = _beyond_noise(found, allowed)
        if not bool(share.any()):
            break
        target = again * share * (decoded(y, light) - decoded(shown, light))
        if turn:
            raw = linear + chebyshev(operator, target, _AGAIN_STEPS, _AGAIN_LOW, free=free)
        else:
            raw = linear + chebyshev(operator, target if colours else luma_of(target)[:, None], steps)
        linear = raw.clamp(0, 1)
        noisy = noisy if turn < _NOISY_AGAIN else torch.zeros_like(noisy)
        if turn == _AGAIN or not bool((fine + noisy).any()):
            break  # what is left need not be looked at
        shown = _shown(operator, linear, light)
        found, allowed = _levels(y - shown, noise)
        beyond = found.sqrt() - allowed.sqrt()
        # By the place: a tile stops where the whole photo goes on for the sake of other places.
        again = fine + noisy * ramp(beyond, (0.0, _WORTH))
        if float((again * beyond).max()) < _WORTH:
            break
        inside = 1 - ((raw - linear).abs() / _CUT_OFF).clamp(0, 1)
        free = inside if free is None else free * inside
    return Projected(encoded(linear, light).clamp_(0, 1), before)


def residual(x: Tensor, y: Tensor, operator: SpatiallyVariantBlur, light: Tensor | None = None) -> Tensor:
    """What a sample (B, 3, H, W) leaves unexplained of a photo, `y - enc(A dec(x))`, (B, 3, h, w), encoded units."""
    return y - _shown(operator, decoded(x.clamp(0, 1), light), light)


def _shown(operator: SpatiallyVariantBlur, linear: Tensor, light: Tensor | None) -> Tensor:
    """What a sample shows under the kernels, encoded, clipped as photos are: reduced operators leave 0..1 a little."""
    return encoded(operator.forward(linear).clamp(0, 1), light)


def first_guess(y: Tensor, operator: SpatiallyVariantBlur, noise: Tensor, light: Tensor | None = None) -> Tensor:
    """What the kernels alone make of a photo's luma: interpolated, then pulled onto it.

    Detail of colours hardly differs from that of luma: undone in all three channels, in three times the time, restorers
    make the same of it within 0.005 dB.

    Args:
        y: (B, 3, h, w) encoded photo, as it was before the camera sharpened it.
        operator: A of the photo's kernels.
        noise: (B, 1, h, w) standard deviation that is left alone, encoded units.
        light: see `project`.

    Returns:
        (B, 1, H, W) encoded luma, 0..1.
    """
    y = luma_of(y)[:, None]
    linear = decoded(upscale_bicubic(y, operator.scale).clamp(0, 1), light)
    seen = operator.forward(linear)
    target = (decoded(y, light) - seen) * excess(y - encoded(seen, light), noise)
    correction = chebyshev(operator, target, _GUESS_STEPS)
    return encoded((linear + correction).clamp(0, 1), light).clamp(0, 1)
