"""How likely a photo's local spectra are under a kernel: what a kernel destroys cannot be in the photo.

Power of a natural picture falls as `f^-beta` along every direction, with an amplitude of its own for every place and
direction (an edge here, grass there). Blur multiplies it by the squared transfer function of the local kernel, the
sensor folds it at its sampling frequency, the window smears it, noise adds a constant. So in each direction of each
patch only the *decay* with frequency is compared, whatever the content: a kernel that is too wide in a direction
predicts less fine detail there than the photo has, and no picture makes up for it. A kernel that is too narrow can be
excused by a soft scene: that side is hardly testable.

Likelihood of the periodogram: Whittle, Hypothesis Testing in Time Series Analysis, 1951.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from ssr_cli.physics import shapes
from ssr_cli.physics.kernels import optical_atoms

#: Side of a patch and distance of neighbouring ones, LR pixels.
PATCH, STRIDE = 16, 8
#: Directions that have an amplitude of their own.
_SECTORS = 6
#: Frequencies below this many periods a patch are left out: they belong to the window and the mean.
_LOWEST = 1.5
#: Amplitudes tried per patch and direction, relative to the mean power there.
_AMPLITUDES = (0.0, 0.05, 0.14, 0.37, 0.61, 1.0, 1.65, 2.7, 7.4)
#: Decays tried, and what is known of them beforehand: `weight (beta - mean)^2` per patch.
BETAS = (2.0, 2.4, 2.8, 3.2, 3.6)
_PRIOR_MEAN, _PRIOR_WEIGHT = 2.8, 1.0
#: Weights of the channels in the luma.
LUMA = (0.299, 0.587, 0.114)
#: A 2 x 2 matrix that maps kernels: rows (x, y), y up.
Map = tuple[tuple[float, float], tuple[float, float]]
IDENTITY: Map = ((1.0, 0.0), (0.0, 1.0))


def luma_of(rgb: Tensor) -> Tensor:
    """Luma (..., H, W) of pictures (..., 3, H, W), float32."""
    return (rgb.float() * rgb.new_tensor(LUMA, dtype=torch.float32)[:, None, None]).sum(-3)


def zoomed(factor: float) -> Map:
    """Kernels `factor` times as wide."""
    return (factor, 0.0), (0.0, factor)


def stretched(angle: float, ratio: float) -> Map:
    """Kernels `sqrt(ratio)` times as long along an angle (radians, counter-clockwise) and as much narrower across."""
    c, s, a, b = math.cos(angle), math.sin(angle), math.sqrt(ratio), 1 / math.sqrt(ratio)
    return (a * c * c + b * s * s, (a - b) * c * s), ((a - b) * c * s, a * s * s + b * c * c)


def after(second: Map, first: Map) -> Map:
    """One map of kernels after another."""
    (a, b), (c, d) = second
    (e, f), (g, h) = first
    return (a * e + b * g, a * f + b * h), (c * e + d * g, c * f + d * h)


#: By 90 degrees.
QUARTER_TURN: Map = ((0.0, -1.0), (1.0, 0.0))


@dataclass(frozen=True)
class Frequencies:
    """The frequencies of a patch.

    Attributes:
        y: (N, N), cycles per HR px, y up, of the HR grid a patch covers.
        x: likewise.
        kept: places of the LR frequencies that are compared, in the flattened (n, n) grid.
        sector: direction of each of them.
        scale: HR pixels per LR pixel.
    """

    y: Tensor
    x: Tensor
    kept: Tensor
    sector: Tensor
    scale: int
    _transfer: dict[Map, Tensor] = field(default_factory=dict)

    def fold(self, power: Tensor) -> Tensor:
        """(P, N N) on the HR grid to (P, F): folded by the sensor, smeared by the window, its mean gone."""
        n, s = PATCH, self.scale
        folded = power.reshape(-1, s, n, s, n).sum((1, 3))
        folded[:, 0, 0] = 0
        # a Hann window's squared transform is 1/4, 1, 1/4
        for axis in (1, 2):
            folded = (folded + 0.25 * (folded.roll(1, axis) + folded.roll(-1, axis))) / 1.5
        return folded.flatten(1)[:, self.kept]

    def transfer(self, change: Map = IDENTITY) -> Tensor:
        """Transfer functions (L, N N) of all atoms with their optical part mapped, the sensor's box as it is."""
        if change not in self._transfer:
            (a, b), (c, d) = change
            # a kernel moved by A has the spectrum of the old one at A^T f
            fx, fy = (a * self.x + c * self.y).flatten(), (b * self.x + d * self.y).flatten()
            axis = torch.arange(shapes.OPTICAL_SIZE, dtype=torch.float32) - shapes.OPTICAL_SIZE // 2
            across = torch.polar(torch.ones(1), -2 * math.pi * fx[:, None] * axis)
            down = torch.polar(torch.ones(1), 2 * math.pi * fy[:, None] * axis)
            spectrum = torch.einsum("lij,mj->lim", optical_atoms().to(torch.complex64), across)
            self._transfer[change] = torch.einsum("lim,mi->lm", spectrum, down).real * self.pixel()
        return self._transfer[change]

    def pixel(self) -> Tensor:
        """Transfer function (N N,) of the sensor's pixel."""

        def side(f: Tensor) -> Tensor:
            zero = f.abs() < 1e-9
            safe = torch.where(zero, torch.full_like(f, 0.1), f)
            return torch.where(
                zero, 1.0, torch.sin(math.pi * safe * self.scale) / self.scale / torch.sin(math.pi * safe)
            )

        return (side(self.y) * side(self.x)).flatten()


@lru_cache(maxsize=2)
def frequencies(scale: int) -> Frequencies:
    """The frequencies of patches at a scale."""
    f = torch.fft.fftfreq(PATCH * scale)
    y, x = torch.meshgrid(f, f, indexing="ij")
    bins = torch.fft.fftfreq(PATCH) * PATCH
    v, u = torch.meshgrid(bins, bins, indexing="ij")
    half = (u > 0) | ((u == 0) & (v > 0))
    whole = (v.abs() < PATCH / 2) & (u.abs() < PATCH / 2)
    kept = (half & whole & (torch.hypot(v, u) >= _LOWEST)).flatten().nonzero()[:, 0]
    angle = torch.atan2(-v, u).flatten()[kept].remainder(math.pi)
    return Frequencies(-y, x, kept, (angle / (math.pi / _SECTORS)).round().long() % _SECTORS, scale)


def window() -> Tensor:
    """The Hann window of a patch, (n, n), mean square 1."""
    side = torch.hann_window(PATCH, periodic=False)
    both = side[:, None] * side[None]
    return both / both.square().mean().sqrt()


def periodograms(rgb: Tensor, places: Tensor, scale: int) -> Tensor:
    """Power (P, F) of the luma of patches.

    Args:
        rgb: (3, h, w), encoded.
        places: (P, 2), row and column of each patch's corner.
        scale: HR pixels per LR pixel.
    """
    luma = luma_of(rgb)
    patches = luma.unfold(0, PATCH, 1).unfold(1, PATCH, 1)[places[:, 0], places[:, 1]]
    look = window()
    mean = (patches * look).sum((1, 2), keepdim=True) / look.sum()
    power = torch.fft.fft2((patches - mean) * look).abs().square() / PATCH**2
    compared: Tensor = power.flatten(1)[:, frequencies(scale).kept]
    return compared


def luma_noise(sigma: float) -> float:
    """Standard deviation of the luma's noise, for noise `sigma` in every channel."""
    return sigma * math.sqrt(sum(c * c for c in LUMA))


def log_likelihoods(power: Tensor, transfer: Tensor, sigma: float, scale: int, betas: tuple[float, ...]) -> Tensor:
    """Log-likelihood (B, P) of patches under their kernels for several decays, each direction's amplitude at its best.

    Args:
        power: (P, F), see `periodograms`.
        transfer: (P, N N), transfer function of each patch's kernel.
        sigma: noise of the luma, encoded units.
        scale: HR pixels per LR pixel.
        betas: decays.
    """
    grid = frequencies(scale)
    squared = (grid.y.square() + grid.x.square()).flatten().clamp_min((0.5 / (PATCH * scale)) ** 2)
    rows = []
    for beta in betas:
        signal = grid.fold(transfer.square() * squared ** (-beta / 2))
        rows.append(sum(_best(power[:, s], signal[:, s], sigma**2) for s in _sectors(scale)))
    return torch.stack([torch.as_tensor(row) for row in rows])


@lru_cache(maxsize=2)
def _sectors(scale: int) -> list[Tensor]:
    """Frequencies of every direction."""
    return [(frequencies(scale).sector == s).nonzero()[:, 0] for s in range(_SECTORS)]


def _best(power: Tensor, signal: Tensor, noise: float) -> Tensor:
    """Whittle's log-likelihood (P,) at the best amplitude of those tried."""
    shape = signal / signal.mean(1, keepdim=True).clamp_min(1e-30)
    tried = power.new_tensor(_AMPLITUDES)[:, None] * power.mean(1)
    expected = tried[..., None] * shape + noise
    return -(expected.log() + power / expected).sum(-1).min(0).values


def misfit(power: Tensor, likelihoods: Tensor) -> Tensor:
    """How far patches are from what explains them, (P,), nats per frequency: 0 to the point, 0.58 by chance alone.

    Half of natural patches are below 0.52 (the amplitudes fit some of what is chance), 0.95 below 0.75. Lines of one
    period, whose spectra do not fall steadily, are far above.

    Args:
        power: (P, F), see `periodograms`.
        likelihoods: (B, P) for the decays that were tried; the best counts.
    """
    perfect = -(power.clamp_min(1e-12).log() + 1).sum(1)
    return (perfect - likelihoods.max(0).values) / power.shape[1]


def score(likelihoods: Tensor) -> Tensor:
    """Mean log-likelihood of a patch for the photo's best decay, with what is known of decays: (B, P) to a number."""
    return _decays(likelihoods).max()


def _decays(likelihoods: Tensor) -> Tensor:
    """Mean log-likelihood (B,) of a patch for every decay, with what is known of decays."""
    betas = torch.tensor(BETAS)
    return likelihoods.mean(1) - _PRIOR_WEIGHT * (betas - _PRIOR_MEAN).square()


def advantage(ours: Tensor, theirs: Tensor) -> float:
    """How much likelier a patch is under one kernel field than under another, each with the photo's best decay for it.

    The mean leaves out the tenth of the patches that speaks loudest for each side: where a patch is not at all as
    assumed, its likelihoods may differ without bound.

    Args:
        ours: (B, P), see `log_likelihoods`.
        theirs: (B, P).

    Returns:
        Nats per patch.
    """
    first, second = (int(_decays(table).argmax()) for table in (ours, theirs))
    apart = (ours[first] - theirs[second]).sort().values
    cut = len(apart) // 10
    known = _PRIOR_WEIGHT * ((BETAS[second] - _PRIOR_MEAN) ** 2 - (BETAS[first] - _PRIOR_MEAN) ** 2)
    return float(apart[cut : len(apart) - cut].mean()) + known
