"""What a whole photo tells each place: the thin-lens fit, the consensus of its kernels, what the camera did to it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: Share of the places that are as sharp as the photo gets.
_SHARPEST = 0.05
#: Focus candidates in disparity: dense inside the scene, sparse outside (blur that only grows or falls with depth).
_FOCUS = torch.cat(
    [torch.tensor([-8.0, -3.0, -1.5, -0.8]), torch.linspace(-0.4, 1.4, 37), torch.tensor([1.8, 2.5, 4, 9])]
)


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

    def radius_of(self, disparity: Tensor) -> Tensor:
        """Blur radius (B, 1, h, w) in HR px the lens predicts for disparities (B, 1, h, w)."""
        return (self.alpha.view(-1, 1, 1, 1) * disparity + self.beta.view(-1, 1, 1, 1)).abs()


def _scaled_fit(d: Tensor, radius: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Slope (B, F) of `radius ~ a |d - focus|` for every candidate, and the weighted absolute residual (B, F)."""
    distance = (d[:, None] - _FOCUS.to(d)[None, :, None]).abs()  # (B, F, N)
    w, r = weight[:, None], radius[:, None]
    slope = (w * r * distance).sum(-1) / (w * distance.square()).sum(-1).clamp_min(1e-9)
    residual = (w * (r - slope[..., None] * distance).abs()).sum(-1) / w.sum(-1)
    return slope, residual


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

    Returns:
        The prior, detached.
    """
    with torch.no_grad():
        d, r = disparity.float(), radius_px.float()
        trust = 1.0 / (confidence_px.float() + 0.1).square()
        weight = trust
        for _ in range(3):
            slope, residual = _scaled_fit(d, r, weight)
            best = residual.argmin(1, keepdim=True)
            a, focus = slope.gather(1, best), _FOCUS.to(d)[best]
            error = (r - a * (d - focus).abs()).abs()
            weight = trust / (1 + (error / 0.75).square())
        total = trust.sum(1, keepdim=True)
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
        )
