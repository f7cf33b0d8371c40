"""PSNR, SSIM, rank correlation, edge error and LPIPS against formulas and plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from ssr_cli.errors import WeightsError
from ssr_cli.evaluation.lpips import SHORTEST_SIDE, Lpips
from ssr_cli.evaluation.metrics import align_affine, depth_edges, edge_error, luma, psnr_y, spearman, ssim_y

# ---------------------------------------------------------------- luma and PSNR


def test_luma_of_the_primaries_is_the_standards() -> None:
    colours = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]).float()
    seen = luma(colours.T[:, None])[0]
    torch.testing.assert_close(seen, torch.tensor([16, 235, 81.481, 144.553, 40.966], dtype=torch.float64))


def test_psnr_of_a_constant_offset() -> None:
    photo = torch.rand(3, 9, 7, generator=torch.Generator().manual_seed(0)) * 0.9
    assert psnr_y(photo, photo + 0.1) == pytest.approx(20 * math.log10(255 / 21.9), abs=1e-4)


def test_psnr_of_equal_photos_is_infinite() -> None:
    assert psnr_y(torch.full((3, 2, 2), 0.3), torch.full((3, 2, 2), 0.3)) == math.inf


def test_psnr_counts_the_border() -> None:
    photo = torch.zeros(3, 10, 10)
    spot = photo.clone()
    spot[:, 0, 0] = 1  # 219 of luma on one pixel of a hundred
    assert psnr_y(photo, spot) == pytest.approx(10 * math.log10(255**2 * 100 / 219**2))


@pytest.mark.parametrize("metric", [psnr_y, ssim_y, spearman, edge_error])
def test_unequal_shapes_are_refused(metric: Callable[[Tensor, Tensor], float]) -> None:
    with pytest.raises(ValueError, match="different shapes"):
        metric(torch.zeros(3, 12, 12), torch.zeros(3, 12, 13))


def test_grey_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match="needs"):
        psnr_y(torch.zeros(1, 12, 12), torch.zeros(1, 12, 12))


# ---------------------------------------------------------------- SSIM


def _ssim_by_loop(a: Tensor, b: Tensor) -> float:
    """Follow the definition, window by window, on luma (H, W)."""
    window = [[math.exp(-((i - 5) ** 2 + (j - 5) ** 2) / (2 * 1.5**2)) for j in range(11)] for i in range(11)]
    total = sum(map(sum, window))
    weights = torch.tensor(window, dtype=torch.float64) / total
    found = []
    for top in range(a.shape[0] - 10):
        for left in range(a.shape[1] - 10):
            x, y = a[top : top + 11, left : left + 11], b[top : top + 11, left : left + 11]
            mx, my = float((weights * x).sum()), float((weights * y).sum())
            vx, vy = float((weights * (x - mx) ** 2).sum()), float((weights * (y - my) ** 2).sum())
            cov = float((weights * (x - mx) * (y - my)).sum())
            c1, c2 = 6.5025, 58.5225
            found.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return sum(found) / len(found)


def test_ssim_equals_the_plain_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    a = torch.rand(3, 16, 19, generator=generator)
    b = (0.7 * a + 0.3 * torch.rand(3, 16, 19, generator=generator)).float()
    assert ssim_y(a, b) == pytest.approx(_ssim_by_loop(luma(a), luma(b)), abs=1e-10)


def test_ssim_of_equal_photos_is_one() -> None:
    photo = torch.rand(3, 20, 11, generator=torch.Generator().manual_seed(2))
    assert ssim_y(photo, photo) == pytest.approx(1.0, abs=1e-12)


def test_ssim_of_two_flat_photos_is_the_brightness_term() -> None:
    x, y, c1 = 16 + 219 * 0.25, 16 + 219 * 0.5, 6.5025
    seen = ssim_y(torch.full((3, 12, 12), 0.25), torch.full((3, 12, 12), 0.5))
    assert seen == pytest.approx((2 * x * y + c1) / (x * x + y * y + c1), abs=1e-6)


def test_ssim_needs_a_whole_window() -> None:
    with pytest.raises(ValueError, match="at least 11"):
        ssim_y(torch.zeros(3, 10, 40), torch.zeros(3, 10, 40))


# ---------------------------------------------------------------- Spearman


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [1, 8, 27, 64], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 0.8),  # 1 - 6 * 4 / (5 * 24)
        ([1, 1, 2], [1, 2, 3], math.sqrt(3) / 2),  # ranks 0.5 0.5 2 against 0 1 2
        ([1, 1, 2, 2], [1, 2, 1, 2], 0.0),
    ],
)
def test_spearman_of_small_cases(a: list[float], b: list[float], expected: float) -> None:
    assert spearman(torch.tensor(a).float(), torch.tensor(b).float()) == pytest.approx(expected, abs=1e-12)


def test_spearman_leaves_unknown_places_out() -> None:
    a = torch.tensor([[1.0, 2.0, math.nan], [3.0, 0.0, 4.0]])
    b = torch.tensor([[1.0, 2.0, 9.0], [3.0, math.inf, 4.0]])
    assert spearman(a, b) == pytest.approx(1.0)


def test_spearman_of_a_constant_is_not_a_number() -> None:
    assert math.isnan(spearman(torch.ones(5), torch.arange(5.0)))
    assert math.isnan(spearman(torch.tensor([1.0]), torch.tensor([2.0])))


_pairs_of_values = st.lists(st.tuples(st.integers(-6, 6), st.integers(-6, 6)), min_size=2, max_size=30)


@given(_pairs_of_values)
@settings(max_examples=60, deadline=None)
def test_spearman_sees_only_order(pairs: list[tuple[int, int]]) -> None:
    a, b = torch.tensor(pairs, dtype=torch.float64).T
    seen = spearman(a, b)
    if math.isnan(seen):
        assert a.unique().numel() == 1 or b.unique().numel() == 1
        return
    assert -1.0 <= seen <= 1.0
    assert spearman(b, a) == pytest.approx(seen, abs=1e-12)
    assert spearman(a**3 + 2, b) == pytest.approx(seen, abs=1e-12)
    assert spearman(-a, b) == pytest.approx(-seen, abs=1e-12)
    assert spearman(a, a) == pytest.approx(1.0)


# ---------------------------------------------------------------- edges of depth


def test_edge_error_of_a_perfect_depth_up_to_scale_and_shift_is_zero() -> None:
    truth = torch.rand(8, 9, generator=torch.Generator().manual_seed(3))
    assert edge_error(5 - 3 * truth, truth) == pytest.approx(0.0, abs=1e-5)


def test_edge_error_of_a_constant_depth_is_one() -> None:
    truth = torch.rand(8, 9, generator=torch.Generator().manual_seed(4))
    assert edge_error(torch.full((8, 9), 0.4), truth) == pytest.approx(1.0)


def _cliff(column: int) -> Tensor:
    """0 left of the column, 1 from it on: (16, 16)."""
    depth = torch.zeros(16, 16)
    depth[:, column:] = 1
    return depth


def test_edge_error_of_a_displaced_step() -> None:
    """Step at column 8, drawn at 9 of 16; within 2 px of it lie columns 5 to 10."""
    scale = (7 / 16 - 8 / 16 * 7 / 16) / (7 / 16 - (7 / 16) ** 2)  # covariance / variance
    low = 8 / 16 - scale * 7 / 16
    high = low + scale
    expected = (3 * low + (1 - low) + 2 * (1 - high)) / (6 * 0.5)
    assert edge_error(_cliff(9), _cliff(8)) == pytest.approx(expected, abs=1e-6)


def test_edge_error_grows_with_blur_and_displacement() -> None:
    truth = _cliff(8)

    def blurred(reach: int) -> Tensor:
        padded = F.pad(truth[None, None], (reach,) * 4, mode="replicate")
        return F.avg_pool2d(padded, 2 * reach + 1, 1)[0, 0]

    errors = [edge_error(depth, truth) for depth in (truth, blurred(1), blurred(2), blurred(4), torch.ones(16, 16))]
    assert errors == sorted(errors) and errors[0] == pytest.approx(0.0, abs=1e-12) and errors[-1] == pytest.approx(1.0)
    assert edge_error(_cliff(9), truth) < edge_error(_cliff(10), truth)


def test_depth_edges_are_the_neighbourhood_of_steps() -> None:
    assert depth_edges(_cliff(8))[0].nonzero().flatten().tolist() == [5, 6, 7, 8, 9, 10]
    assert not bool(depth_edges(torch.linspace(0, 1, 32)[:, None].expand(32, 32)).any())


def test_edge_error_ignores_unknown_places() -> None:
    truth = torch.rand(8, 8, generator=torch.Generator().manual_seed(5))
    holed = truth.clone()
    holed[2:4, 2:4] = math.nan
    assert edge_error(2 * truth, holed) == pytest.approx(0.0, abs=1e-5)
    assert math.isnan(edge_error(truth, torch.zeros(8, 8)))


def test_align_affine_finds_scale_and_shift() -> None:
    depth = torch.tensor([[0.0, 1.0], [2.0, 5.0]])
    torch.testing.assert_close(align_affine(depth, 3 * depth - 1).float(), 3 * depth - 1)


# ---------------------------------------------------------------- LPIPS

# Channels in and squeezed; each expansion gives four times the squeezed.
_FIRE_PLAN = {3: (64, 16), 4: (128, 16), 6: (128, 32), 7: (256, 32)}
_FIRE_PLAN |= {9: (256, 48), 10: (384, 48), 11: (384, 64), 12: (512, 64)}


def _random_weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(6)
    state: dict[str, Tensor] = {}

    def convolution(name: str, out: int, channels: int, k: int) -> None:
        spread = math.sqrt(2 / (channels * k * k))
        state[f"net.features.{name}.weight"] = torch.randn(out, channels, k, k, generator=generator) * spread
        state[f"net.features.{name}.bias"] = torch.randn(out, generator=generator) * 0.1

    convolution("0", 64, 3, 3)
    for i, (channels, squeezed) in _FIRE_PLAN.items():
        convolution(f"{i}.squeeze", squeezed, channels, 1)
        convolution(f"{i}.expand1x1", 4 * squeezed, squeezed, 1)
        convolution(f"{i}.expand3x3", 4 * squeezed, squeezed, 3)
    for i, channels in enumerate((64, 128, 256, 384, 384, 512, 512)):
        state[f"lins.{i}"] = torch.rand(1, channels, 1, 1, generator=generator)
    state["mean"] = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    state["std"] = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    return state


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return _random_weights()


@pytest.fixture(scope="module")
def lpips(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Lpips:
    path = tmp_path_factory.mktemp("lpips") / "lpips.safetensors"
    save_file(weights, path)
    return Lpips(path)


def _two_photos(count: int = 2, height: int = 40, width: int = 33) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    a = torch.rand(count, 3, height, width, generator=generator)
    return a, (a + 0.2 * torch.randn(a.shape, generator=generator)).clamp(0, 1)


def _pooled(x: Tensor) -> Tensor:
    """3x3 maximum, stride 2, last window cut short: as slices over a padded copy."""
    height, width = (math.ceil((n - 3) / 2) + 1 for n in x.shape[-2:])
    x = F.pad(x, (0, 2 * width + 1 - x.shape[-1], 0, 2 * height + 1 - x.shape[-2]), value=-math.inf)
    parts = [x[..., i : i + 2 * height - 1 : 2, j : j + 2 * width - 1 : 2] for i in range(3) for j in range(3)]
    return torch.stack(parts).amax(0)


def _plain_lpips(state: dict[str, Tensor], a: Tensor, b: Tensor) -> list[float]:
    """Compute the same figure, written out with functions and loops over places, in float64."""
    state = {name: tensor.double() for name, tensor in state.items()}

    def convolve(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight, bias = state[f"net.features.{name}.weight"], state[f"net.features.{name}.bias"]
        return F.conv2d(x, weight, bias, stride, padding=(weight.shape[-1] // 2) if stride == 1 else 0).clamp_min(0)

    def taps(x: Tensor) -> list[Tensor]:
        x = convolve("0", (x.double() - state["mean"]) / state["std"], stride=2)
        found = [x]
        for i in range(2, 13):
            if i in _FIRE_PLAN:
                x = convolve(f"{i}.squeeze", x)
                x = torch.cat([convolve(f"{i}.expand1x1", x), convolve(f"{i}.expand3x3", x)], 1)
            else:
                x = _pooled(x)
            if i in (4, 7, 9, 10, 11, 12):
                found.append(x)
        return found

    figures = []
    for one, two in zip(a, b, strict=True):
        total = 0.0
        for tap, (f, g) in enumerate(zip(taps(one[None]), taps(two[None]), strict=True)):
            height, width = f.shape[-2:]
            for y in range(height):
                for x in range(width):
                    u, v = f[0, :, y, x], g[0, :, y, x]
                    u, v = u / u.norm().clamp_min(1e-10), v / v.norm().clamp_min(1e-10)
                    total += float((state[f"lins.{tap}"].flatten() * (u - v) ** 2).sum()) / (height * width)
        figures.append(total)
    return figures


def test_lpips_equals_the_plain_loop(lpips: Lpips, weights: dict[str, Tensor]) -> None:
    a, b = _two_photos()
    expected = _plain_lpips(weights, a, b)
    assert min(expected) > 0.01  # the comparison is not one of zeros
    assert lpips(a, b).tolist() == pytest.approx(expected, rel=1e-4)


def test_lpips_of_equal_photos_is_zero_and_sides_may_be_swapped(lpips: Lpips) -> None:
    a, b = _two_photos()
    assert lpips(a, a).tolist() == [0.0, 0.0]
    assert torch.equal(lpips(a, b), lpips(b, a))


def test_lpips_gives_the_gradient_to_the_photo_and_to_nothing_else(lpips: Lpips) -> None:
    a, b = _two_photos(1, 24, 24)
    a.requires_grad_()
    lpips(a, b).sum().backward()
    assert a.grad is not None and bool(torch.isfinite(a.grad).all()) and float(a.grad.abs().max()) > 0
    assert all(p.grad is None and not p.requires_grad for p in lpips.parameters())
    direction = a.grad / a.grad.norm()
    step = 1e-2
    with torch.no_grad():
        rise = (lpips(a + step * direction, b) - lpips(a - step * direction, b)) / (2 * step)
    assert float(rise) == pytest.approx(float(a.grad.norm()), rel=0.05)


def test_lpips_gradient_is_finite_where_every_feature_is_off(weights: dict[str, Tensor], tmp_path: Path) -> None:
    dead = dict(weights) | {"net.features.0.bias": torch.full((64,), -1e6)}
    save_file(dead, tmp_path / "dead.safetensors")
    a, b = _two_photos(1, 24, 24)
    a.requires_grad_()
    Lpips(tmp_path / "dead.safetensors")(a, b).sum().backward()
    assert a.grad is not None and bool(torch.isfinite(a.grad).all())


def test_lpips_survives_bfloat16_autocast(lpips: Lpips) -> None:
    a, b = _two_photos()
    a.requires_grad_()
    exact = lpips(a, b)
    with torch.autocast("cpu", torch.bfloat16):
        rough = lpips(a, b)
    rough.sum().backward()
    assert rough.dtype == torch.float32
    assert a.grad is not None and bool(torch.isfinite(a.grad).all())
    assert rough.tolist() == pytest.approx(exact.tolist(), rel=0.05)


def test_lpips_refuses_what_it_cannot_compare(lpips: Lpips) -> None:
    with pytest.raises(ValueError, match="equal shapes"):
        lpips(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 31))
    short = torch.zeros(1, 3, SHORTEST_SIDE - 1, 64)
    with pytest.raises(ValueError, match=f"at least {SHORTEST_SIDE}"):
        lpips(short, short)
    shortest = torch.zeros(1, 3, SHORTEST_SIDE, SHORTEST_SIDE)
    assert float(lpips(shortest, shortest)) == 0.0


def test_unusable_lpips_weights_are_named(weights: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="absent"):
        Lpips(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_text("not weights")
    with pytest.raises(WeightsError, match="text"):
        Lpips(tmp_path / "text.safetensors")
    save_file({k: v for k, v in weights.items() if k != "lins.3"}, tmp_path / "lacking.safetensors")
    with pytest.raises(WeightsError, match="lacking"):
        Lpips(tmp_path / "lacking.safetensors")
