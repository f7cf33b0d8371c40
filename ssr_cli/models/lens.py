"""What a whole photo tells each place: the thin-lens fit, the consensus of its kernels, what the camera did to it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssr_cli.models.blocks import ramp

#: Share of the places that are as sharp as the photo gets.
_SHARPEST = 0.05
#: Focus candidates in disparity: dense inside the scene, sparse outside (blur that only grows or falls with depth).
_FOCUS = torch.cat(
    [torch.tensor([-8.0, -3.0, -1.5, -0.8]), torch.linspace(-0.4, 1.4, 37), torch.tensor([1.8, 2.5, 4, 9])]
)
#: Cells a side of the photo that slow errors of depth are told for, and as how many sigma one hears of others.
_CELLS, _HEARS = 12, 2.0
#: Slopes |alpha|, HR px per unit of disparity, from which blur begins to tell of distance, and from which it does.
_TELLS = (1.0, 2.0)
#: The most that a single place says its disparity is amiss by.
_MOST = 0.3


@dataclass(frozen=True)
class PhotoPrior:
    """Statements about whole photos.

    Attributes:
        alpha: (B,) HR px per unit of disparity.
        beta: (B,) HR px; `radius = |alpha d + beta|`.
        residual_px: (B,) weighted mean absolute residual, HR px.
        code: (B, P) confidence-weighted mean kernel code.
        radius_px: (B,) confidence-weighted mean radius, HR px.
        gain: (B, 2) log gain of the camera's sharpening at 0.1 and 0.3 cycles per LR pixel.
        sharpest_px: (B,) blur radius that a twentieth of the places is below, HR px.
        widest_px: (B,) largest blur radius, HR px.
        processed: (B,) probability 0..1 that these are a camera's pixels, which it processed; told, not fitted.
        light: (B,) share of linear light that the blur happened in, see `physics.light`.
        grain: (B,) standard deviation of the photos' own noise, encoded units; measured (`physics.noise`), not fitted.
        amiss: (B, N, N) for coarse cells of the photo, how much larger disparity would be if radii were right.
    """

    alpha: Tensor
    beta: Tensor
    residual_px: Tensor
    code: Tensor
    radius_px: Tensor
    gain: Tensor
    sharpest_px: Tensor
    widest_px: Tensor
    processed: Tensor
    light: Tensor
    grain: Tensor
    amiss: Tensor

    def amiss_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """By how much disparity is amiss at rows (h,) and columns (w,), each 0..1 of the photo, (B, 1, h, w)."""
        with torch.autocast(self.amiss.device.type, enabled=False):
            down, across = (_between(places, self.amiss.shape[-1]) for places in (rows, columns))
            return (down @ self.amiss @ across.mT)[:, None]

    def radius_of(self, disparity: Tensor) -> Tensor:
        """Blur radius (B, 1, h, w) in HR px the lens predicts for disparities (B, 1, h, w)."""
        return (self.alpha.view(-1, 1, 1, 1) * disparity + self.beta.view(-1, 1, 1, 1)).abs()


def _scaled_fit(distance: Tensor, radius: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Slope (B, F) of `radius ~ a |d - focus|` for every candidate, and the weighted absolute residual (B, F).

    As products of matrices, by which every candidate's distances (B, F, N) are gone through once each.
    """
    w = weight[..., None]
    slope = distance @ (w * radius[..., None]) / (distance.square() @ w).clamp_min(1e-9)
    residual = (radius[:, None] - slope * distance).abs_() @ w / w.sum(1, keepdim=True)
    return slope[..., 0], residual[..., 0]


def middles(pixels: slice, count: int, device: torch.device | str = "cpu") -> Tensor:
    """Where the middles of some of `count` pixels in a row are, (n,) in 0..1, in float32."""
    return (torch.arange(pixels.start, pixels.stop, pixels.step or 1, device=device) + 0.5) / count


def crossings(rows: Tensor, columns: Tensor) -> Tensor:
    """Row and column of every place where rows (h,) and columns (w,) meet, (2, h w)."""
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).flatten(1)


def _between(places: Tensor, cells: int) -> Tensor:
    """Weights (n, cells) of linear interpolation between the middles of cells at places (n,) in 0..1."""
    middle = (places * cells - 0.5).clamp(0, cells - 1)
    return (1 - (middle[:, None] - torch.arange(cells).to(places)).abs()).clamp_min(0)


def _slow_errors(missing: Tensor, trust: Tensor, places: Tensor) -> Tensor:
    """Means (B, N, N), around every cell of the photo, of what is missing (B, n) at places (B, 2, n) in 0..1.

    By products of matrices, whose sums are the same each time on every kind of device.
    """
    cells = torch.arange(_CELLS).to(places)
    rows, columns = ((places * _CELLS).floor().clamp(0, _CELLS - 1)[..., None] == cells).to(missing).unbind(1)
    hears = torch.exp(-0.5 * ((cells[:, None] - cells) / _HEARS).square())
    sums, counts = (hears @ ((rows * value[..., None]).mT @ columns) @ hears for value in (trust * missing, trust))
    return sums / counts.clamp_min(1e-9)


def consensus(values: Tensor, trust: Tensor) -> Tensor:
    """What places agree on: the mean (B, C) of values (B, C, N), each counted by its trust (B, N) > 0."""
    return (values * trust[:, None]).sum(-1) / trust.sum(-1, keepdim=True)


def fit_prior(
    disparity: Tensor,
    radius_px: Tensor,
    confidence_px: Tensor,
    code: Tensor,
    gain: Tensor,
    gain_trust: Tensor,
    processed: Tensor,
    grain: Tensor,
    places: Tensor | None = None,
    light: tuple[Tensor, Tensor] | None = None,
) -> PhotoPrior:
    """Fit `radius = |alpha d + beta|` to whole photos by a robust search over the focus.

    Circle of confusion is linear in inverse depth (thin lens), so for a known focus one slope is left, in closed form;
    three reweightings make it insensitive to places that do not obey. Only N samples per photo are needed.

    Args:
        disparity: (B, N).
        radius_px: (B, N) blur radii, HR px.
        confidence_px: (B, N) their expected errors, HR px, > 0.
        code: (B, P, N) kernel codes.
        gain: (B, 2, N) log gains of the camera's sharpening.
        gain_trust: (B, N) how much each place counts for them, > 0.
        processed: (B,) see `PhotoPrior`.
        grain: (B,) see `PhotoPrior`.
        places: (B, 2, N) row and column of every sample, 0..1 of the photo; None where nothing is asked of `amiss`.
        light: (B, 1, N) shares of linear light and (B, N) how much each place counts for them, > 0; None for linear.

    Returns:
        The prior, detached.
    """
    # In training this is asked under autocast, whose products would have three digits.
    with torch.no_grad(), torch.autocast(disparity.device.type, enabled=False):
        d, r = disparity.float(), radius_px.float()
        trust = 1.0 / (confidence_px.float() + 0.1).square()
        weight = trust
        distance = (d[:, None] - _FOCUS.to(d)[None, :, None]).abs()  # (B, F, N)
        for _ in range(3):
            slope, residual = _scaled_fit(distance, r, weight)
            best = residual.argmin(1, keepdim=True)
            a, focus = slope.gather(1, best), _FOCUS.to(d)[best]
            error = (r - a * (d - focus).abs()).abs()
            weight = trust / (1 + (error / 0.75).square())
        total = trust.sum(1, keepdim=True)
        amiss = d.new_zeros(len(d), _CELLS, _CELLS)
        if places is not None:
            signed = a * (d - focus)
            missing = (r - signed.abs()) * signed.sign() / a.clamp_min(_TELLS[0])
            amiss = ramp(a, _TELLS)[..., None] * _slow_errors(missing.clamp(-_MOST, _MOST), trust, places)
        return PhotoPrior(
            alpha=a[:, 0],
            beta=-(a * focus)[:, 0],
            residual_px=(trust * error).sum(1) / total[:, 0],
            code=consensus(code.float(), trust),
            radius_px=(r * trust).sum(1) / total[:, 0],
            gain=consensus(gain.float(), gain_trust.float()),
            sharpest_px=r.quantile(_SHARPEST, 1),
            widest_px=r.amax(1),
            processed=processed.to(d),
            light=torch.ones_like(a[:, 0]) if light is None else consensus(*light)[:, 0].float().clamp(0, 1),
            grain=grain.to(d),
            amiss=amiss,
        )
