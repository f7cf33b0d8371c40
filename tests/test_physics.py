"""Laws over all operators: adjointness, autograd, constants, tiles of fields, alignment, solvers."""

from __future__ import annotations

import gc
import math
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ssr_cli.physics import shapes
from ssr_cli.physics.kernels import default_dictionary, mix_covariance, moments, with_sensor_box
from ssr_cli.physics.noise import estimate_noise
from ssr_cli.physics.operators import SpatiallyVariantBlur, reduced_basis
from ssr_cli.physics.projection import chebyshev, conjugate_gradients

DICTIONARY = default_dictionary()


def _field(count: int, h: int, w: int, seed: int = 0, sharpness: float = 2.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(sharpness * torch.randn(1, count, h, w, generator=generator), 1).double()


def _full(h: int, w: int) -> SpatiallyVariantBlur:
    return SpatiallyVariantBlur(DICTIONARY.atoms.double(), _field(len(DICTIONARY.names), h, w), 4)


def _reduced(h: int, w: int) -> SpatiallyVariantBlur:
    components, mapping = reduced_basis(DICTIONARY.atoms.double(), 16)
    weights = torch.einsum("blhw,lr->brhw", _field(len(DICTIONARY.names), h, w), mapping)
    return SpatiallyVariantBlur(components, weights, 4)


def _single(h: int, w: int) -> SpatiallyVariantBlur:
    atom = with_sensor_box(shapes.stroke(9.0, 0.7)[None], 4).double()
    return SpatiallyVariantBlur(atom, torch.ones(1, 1, h, w).double(), 4)


def _scale_two(h: int, w: int) -> SpatiallyVariantBlur:
    atoms = with_sensor_box(torch.stack([shapes.disk(r, size=9) for r in (1.0, 2.5)]), 2).double()
    return SpatiallyVariantBlur(atoms, _field(2, h, w), 2)


OPERATORS = [_full, _reduced, _single, _scale_two]


@pytest.mark.parametrize("make", OPERATORS)
@pytest.mark.parametrize("size", [(9, 12), (4, 5)])
def test_adjoint(make, size) -> None:
    operator = make(*size)
    x = torch.randn(1, 3, size[0] * operator.scale, size[1] * operator.scale).double()
    r = torch.randn(1, 3, *size).double()
    left, right = (operator.forward(x) * r).sum(), (x * operator.adjoint(r)).sum()
    assert float(left) == pytest.approx(float(right), abs=1e-9)


@pytest.mark.parametrize("make", OPERATORS)
def test_autograd_gives_the_same_adjoint(make) -> None:
    operator = make(6, 7)
    x = torch.randn(1, 2, 6 * operator.scale, 7 * operator.scale).double().requires_grad_()
    r = torch.randn(1, 2, 6, 7).double()
    (gradient,) = torch.autograd.grad((operator.forward(x) * r).sum(), x)
    assert torch.allclose(gradient, operator.adjoint(r), atol=1e-12)


@pytest.mark.parametrize("make", OPERATORS)
def test_constants_map_to_constants(make) -> None:
    operator = make(6, 7)
    x = torch.full((1, 3, 6 * operator.scale, 7 * operator.scale), 0.37).double()
    assert torch.allclose(operator.forward(x), torch.full((1, 3, 6, 7), 0.37).double(), atol=1e-6)


@pytest.mark.parametrize("make", OPERATORS)
def test_tile_of_the_field_is_field_of_the_tile(make) -> None:
    operator = make(24, 26)
    s, reach = operator.scale, operator.reach
    x = torch.randn(1, 1, 24 * s, 26 * s).double()
    whole = operator.forward(x)
    part = SpatiallyVariantBlur.__new__(SpatiallyVariantBlur)
    there = operator.weights[..., 3:21, 2:23]
    part.__dict__.update(operator.__dict__, weights=there, _mixing=operator._mixing[:, :, 3:21, 2:23])
    tile = part.forward(x[..., 3 * s : 21 * s, 2 * s : 23 * s])
    inner = (..., slice(reach, -reach), slice(reach, -reach))
    assert torch.allclose(tile[inner], whole[..., 3:21, 2:23][inner], atol=1e-12)


@pytest.mark.parametrize("make", OPERATORS[:1])
def test_alignment_a_ramp_keeps_its_position(make) -> None:
    # Symmetric kernels leave a ramp alone, so LR pixel p must read the ramp's value at s p + (s - 1) / 2.
    operator = make(20, 20)
    ramp = torch.arange(80).double().expand(1, 1, 80, 80)
    seen = operator.forward(ramp)[0, 0, 10, 4:-4]
    expected = 4 * torch.arange(20).double()[4:-4] + 1.5
    assert torch.allclose(seen, expected, atol=0.02)


def test_a_kernel_that_cannot_be_centred_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be centred"):
        SpatiallyVariantBlur(torch.ones(1, 24, 24), torch.ones(1, 1, 4, 4), 4)


def test_atoms_are_kernels() -> None:
    atoms = DICTIONARY.atoms
    assert len(DICTIONARY.names) == len(atoms) == len(set(DICTIONARY.names))
    assert bool((atoms >= 0).all())
    assert torch.allclose(atoms.sum((1, 2)), torch.ones(len(atoms)), atol=1e-5)
    centre = torch.arange(28).float() - 13.5
    assert float((atoms.sum(1) @ centre).abs().max()) < 0.02
    assert float((atoms.sum(2) @ centre).abs().max()) < 0.02


@settings(deadline=None, max_examples=30)
@given(st.floats(0.8, 3.2), st.floats(0.3, 1.0), st.floats(0.0, math.pi))
def test_moments_of_a_gaussian(major: float, ratio: float, angle: float) -> None:
    minor = max(0.7, major * ratio)
    kernel = with_sensor_box(shapes.gaussian(major, minor, angle)[None], 4)
    yy, xx, yx = moments(kernel, 4)[:, 0].tolist()
    c, s = math.cos(angle), math.sin(angle)
    pixel = 1 / 12  # averaging over an HR pixel
    assert xx == pytest.approx(c * c * major**2 + s * s * minor**2 + pixel, abs=0.06)
    assert yy == pytest.approx(s * s * major**2 + c * c * minor**2 + pixel, abs=0.06)
    assert yx == pytest.approx(c * s * (major**2 - minor**2), abs=0.06)


def test_moments_of_a_mixture_are_the_mixture_of_moments() -> None:
    weights = _field(len(DICTIONARY.names), 2, 2).float()
    kernels = torch.einsum("lhw,lij->hwij", weights[0], DICTIONARY.atoms).reshape(4, 28, 28)
    mixed = mix_covariance(weights, DICTIONARY)[0].reshape(3, 4)
    assert torch.allclose(moments(kernels, 4), mixed, atol=2e-2)


def test_code_distance_grows_with_blur() -> None:
    kernels = with_sensor_box(torch.stack([shapes.gaussian(s, s) for s in (1.0, 1.3, 2.0, 3.5)]), 4)
    codes = DICTIONARY.code(kernels)
    distances = (codes - codes[0]).norm(dim=1)
    assert bool((distances[1:] > distances[:-1]).all())


def test_disk_has_half_its_radius_as_sigma() -> None:
    for radius in (3.0, 6.0, 10.0):
        yy, xx, _ = moments(with_sensor_box(shapes.disk(radius)[None], 4), 4)[:, 0].tolist()
        assert math.sqrt(yy) == pytest.approx(radius / 2, rel=0.03)
        assert math.sqrt(xx) == pytest.approx(radius / 2, rel=0.03)


def _dense(operator: SpatiallyVariantBlur, h: int, w: int) -> Tensor:
    n = h * w * operator.scale**2
    basis = torch.eye(n).double().reshape(n, 1, h * operator.scale, w * operator.scale)
    weights = operator.weights
    operator.weights = weights.expand(n, -1, -1, -1)
    matrix = operator.forward(basis).reshape(n, h * w).T
    operator.weights = weights
    return matrix


def test_conjugate_gradients_agree_with_a_direct_solution() -> None:
    operator = _full(4, 4)
    matrix = _dense(operator, 4, 4)
    r = torch.randn(1, 1, 4, 4).double()
    spread = torch.diag(1 / matrix.sum(0).clamp_min(0.25 / 16))
    damping = 0.02
    normal = matrix @ spread @ matrix.T
    assert float(torch.linalg.eigvalsh(normal).max()) <= 1.0001
    direct = spread @ matrix.T @ torch.linalg.solve(normal + damping * torch.eye(16).double(), r.flatten())
    found = conjugate_gradients(operator, r, 60, damping)
    assert torch.allclose(found.flatten(), direct, atol=1e-6)


def test_conjugate_gradients_stop_at_the_noise() -> None:
    operator = _single(8, 8)
    r = torch.randn(1, 1, 8, 8).double()
    left = r - operator.forward(conjugate_gradients(operator, r, 100, stop_rms=0.3))
    fully = r - operator.forward(conjugate_gradients(operator, r, 100))
    assert 0.1 < float(left.square().mean().sqrt()) <= 0.3
    assert float(fully.square().mean().sqrt()) < 0.1


def test_chebyshev_converges_to_the_same_correction() -> None:
    atom = with_sensor_box(shapes.gaussian(0.6, 0.6)[None], 4).double()
    operator = SpatiallyVariantBlur(atom, torch.ones(1, 1, 8, 8).double(), 4)
    r = torch.randn(1, 1, 8, 8).double()
    assert torch.allclose(chebyshev(operator, r, 60), conjugate_gradients(operator, r, 200), atol=1e-4)


@pytest.mark.parametrize("make", [_full, _single])
def test_chebyshev_lowers_the_residual_and_never_explodes(make) -> None:
    operator = make(10, 10)
    r = operator.forward(torch.rand(1, 1, 40, 40).double()) - 0.5
    for steps in (1, 4, 40):
        left = r - operator.forward(chebyshev(operator, r, steps))
        assert float(left.norm()) < float(r.norm())


@pytest.mark.parametrize("sigma", [1 / 255, 5 / 255, 15 / 255])
def test_noise_estimate(sigma: float) -> None:
    generator = torch.Generator().manual_seed(1)
    ramp = torch.linspace(0.2, 0.8, 128).expand(3, 128, 128)
    noisy = ramp + sigma * torch.randn(3, 128, 128, generator=generator)
    assert estimate_noise(noisy) == pytest.approx(sigma, rel=0.15)


def test_the_operator_of_a_part_is_a_part_of_the_operator() -> None:
    """With its rough version and what it keeps of it, but not with how often border pixels of the whole are seen."""
    fields = _field(len(DICTIONARY.names), 12, 10).float()
    whole = SpatiallyVariantBlur(DICTIONARY.atoms, fields, 4)
    whole = SpatiallyVariantBlur(DICTIONARY.atoms, fields, 4, rough=whole)
    box = (slice(2, 10), slice(4, 10))
    part, anew = whole.part(box), SpatiallyVariantBlur(DICTIONARY.atoms, fields[(..., *box)], 4)
    x = torch.rand(1, 3, 32, 24)
    assert float(whole.coverage.sum()) > float(part.coverage.sum())
    for mine in (part, part.rough):
        assert torch.allclose(mine.forward(x), anew.forward(x), atol=1e-6)
        assert torch.allclose(mine.coverage, anew.coverage, atol=1e-5)
    assert whole.part((slice(None), slice(0, 10))) is whole
    assert whole.exact.rough is not whole.rough
    assert torch.equal(whole.exact.forward(torch.ones(1, 1, 48, 40)), whole.forward(torch.ones(1, 1, 48, 40)))


@pytest.mark.parametrize("precision", [None, torch.float32, torch.bfloat16])
def test_an_operator_is_gone_once_nobody_uses_it(precision: torch.dtype | None) -> None:
    """One that referred to itself stayed until garbage was collected, and large photos took 0.7 GB more."""
    operator = SpatiallyVariantBlur(DICTIONARY.atoms, _field(len(DICTIONARY.names), 8, 8).float(), 4, precision)
    seen = operator.forward(torch.rand(1, 3, 32, 32))
    chebyshev(operator, seen, 2)
    there = weakref.ref(operator)
    gc.disable()
    try:
        del operator
        assert there() is None
    finally:
        gc.enable()


def test_the_dictionary_is_exact_whoever_asks_first() -> None:
    """Made under autocast it was once in half precision."""
    default_dictionary.cache_clear()
    with torch.autocast("cpu", torch.bfloat16):
        made = default_dictionary()
    assert made.atoms.dtype == made.codes.dtype == torch.float32
    assert torch.allclose(made.atoms.sum((1, 2)), torch.ones(len(made.atoms)), atol=1e-5)
    default_dictionary.cache_clear()
