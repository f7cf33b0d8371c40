"""NIQE: the moment fits find known distributions, and every way of harming a photo is seen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from ssr_cli.errors import InputError
from ssr_cli.evaluation.niqe import fit_asymmetric, fit_niqe, niqe, patch_features


def _draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_known_distributions_are_found() -> None:
    normal = torch.randn(1, 200_000, generator=_draws(0)) * 3
    alpha, left, right = fit_asymmetric(normal)
    assert float(alpha) == pytest.approx(2.0, abs=0.05)
    assert float(left) == pytest.approx(3 * 2**0.5, rel=0.03)  # scale of exp(-(x / scale)^2)
    assert float(right) == pytest.approx(float(left), rel=0.03)
    uniform = torch.rand(1, 200_000, generator=_draws(1)) - 0.5
    laplace = -torch.log(torch.rand(1, 200_000, generator=_draws(2)).clamp_min(1e-9)) * uniform.sign()
    alpha, left, right = fit_asymmetric(laplace)
    assert float(alpha) == pytest.approx(1.0, abs=0.05)
    skewed = torch.where(normal > 0, 2 * normal, normal)
    _, left, right = fit_asymmetric(skewed)
    assert float(right / left) == pytest.approx(2.0, rel=0.03)


def _photo(seed: int, size: int = 288) -> torch.Tensor:
    """A picture with a natural spectrum: random phases under 1 / f."""
    noise = torch.fft.rfft2(torch.randn(3, size, size, generator=_draws(seed)))
    f = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None])
    picture = torch.fft.irfft2(noise / (f + 1 / size))
    spread = picture.flatten(1).std(1)[:, None, None]
    return (0.5 + 0.18 * picture / spread).clamp(0, 1)


def test_harm_is_seen_in_proportion() -> None:
    model = fit_niqe([_photo(i) for i in range(8)])
    photo = _photo(99)
    clean = niqe(photo, model)

    def blurred(times: int) -> torch.Tensor:
        out = photo[None]
        for _ in range(times):
            out = F.avg_pool2d(F.pad(out, (1, 1, 1, 1), mode="replicate"), 3, 1)
        return out[0]

    noise = torch.randn(photo.shape, generator=_draws(5))
    assert clean < niqe(blurred(1), model) < niqe(blurred(4), model)
    assert clean < niqe((photo + 0.05 * noise).clamp(0, 1), model) < niqe((photo + 0.2 * noise).clamp(0, 1), model)
    blocky = photo.reshape(3, 36, 8, 36, 8).mean((2, 4)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    assert niqe(blocky, model) > 2 * clean


def test_flat_and_small_pictures() -> None:
    model = fit_niqe([_photo(i, 192) for i in range(4)])
    assert torch.tensor(niqe(torch.full((3, 100, 100), 0.5), model)).isfinite()
    features, sharpness = patch_features(_photo(0, 200))
    assert features.shape == (4, 36)
    assert sharpness.shape == (4,)
    with pytest.raises(InputError, match="too small"):
        niqe(torch.zeros(3, 95, 200), model)


def test_the_bundled_model_prefers_the_photo(tmp_path: Path) -> None:
    from ssr_cli.image.color import resize

    photo = _photo(3, 192)
    soft = resize(resize(photo, (48, 48)), (192, 192)).clamp(0, 1)
    assert niqe(photo) < niqe(soft)
