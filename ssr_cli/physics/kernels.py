"""The kernel dictionary: readable atoms, their moments, and a code that measures how differently two kernels blur."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.frames import KernelField
from ssr_cli.physics import shapes

#: Length of a kernel code: the leading components hold 99.9 % of the dictionary's blur-weighted energy.
CODE_SIZE = 24
#: Signs of the components along a fixed direction, as the bundled weights were trained with.
_SIGNS = "++++------+-------+++--+"


@dataclass(frozen=True)
class KernelDictionary:
    """Fixed atoms every local kernel is a convex mixture of (so it is non-negative and sums to one).

    Attributes:
        atoms: (L, k, k), each an optical kernel convolved with the sensor's s x s box, unit sum.
        names: L readable names.
        covariance: (3, L) second moments yy, xx, yx in HR px^2 of the optical part (the box removed).
        code_matrix: (k * k, P) linear map from a kernel to its code; distance between codes is the distance between
            the two blurred versions of a natural (1/f) image, in units of the mean distance between atoms.
        codes: (L, P) codes of the atoms.
        scale: s.
    """

    atoms: Tensor
    names: tuple[str, ...]
    covariance: Tensor
    code_matrix: Tensor
    codes: Tensor
    scale: int

    @property
    def size(self) -> int:
        """Side k of an atom in HR px."""
        return int(self.atoms.shape[-1])

    def code(self, kernels: Tensor) -> Tensor:
        """Codes (N, P) of kernels (N, k, k)."""
        return kernels.flatten(1) @ self.code_matrix


def with_sensor_box(optical: Tensor, scale: int) -> Tensor:
    """Convolve odd optical kernels with the sensor's pixel.

    Args:
        optical: (N, k, k), k odd.
        scale: s; the pixel of the LR sensor covers s x s HR pixels.

    Returns:
        (N, k + s - 1, k + s - 1), unit sum.
    """
    box = torch.full((1, 1, scale, scale), 1.0 / scale**2)
    return F.conv2d(optical[:, None], box, padding=scale - 1)[:, 0]


def moments(kernels: Tensor, scale: int) -> Tensor:
    """Second moments of kernels with the sensor's box removed.

    Args:
        kernels: (N, k, k), unit sum, the box included.
        scale: s.

    Returns:
        (3, N): yy, xx, yx in HR px^2 (y up, x right).
    """
    k = kernels.shape[-1]
    axis = torch.arange(k, dtype=kernels.dtype, device=kernels.device) - (k - 1) / 2
    y, x = -axis[:, None].expand(k, k), axis[None].expand(k, k)
    my, mx = (kernels * y).sum((1, 2)), (kernels * x).sum((1, 2))
    box = (scale**2 - 1) / 12
    yy = (kernels * y * y).sum((1, 2)) - my * my - box
    xx = (kernels * x * x).sum((1, 2)) - mx * mx - box
    yx = (kernels * y * x).sum((1, 2)) - my * mx
    return torch.stack([yy, xx, yx])


def _optical_atoms() -> list[tuple[str, Tensor]]:
    """The atoms before the sensor: isotropic and oriented Gaussians, defocus disks, motion strokes."""
    atoms = [("sharp", shapes.gaussian(0.2, 0.2))]
    for sigma in (0.6, 0.9, 1.2, 1.6, 2.0, 2.5, 3.1, 3.9, 5.0):
        atoms.append((f"Gaussian, sigma {sigma:g} px", shapes.gaussian(sigma, sigma)))
    for major, minor in ((1.6, 0.5), (2.7, 1.0), (4.2, 1.6)):
        for degrees in range(0, 180, 30):
            name = f"Gaussian, sigma {major:g} x {minor:g} px at {degrees} deg"
            atoms.append((name, shapes.gaussian(major, minor, math.radians(degrees))))
    for radius in (1.4, 2.1, 2.8, 3.6, 4.5, 5.5, 6.6, 7.8, 9.0, 10.4, 11.8):
        atoms.append((f"disk, radius {radius:g} px", shapes.disk(radius)))
    for length in (5.0, 8.5, 13.0, 20.0):
        for degrees in range(0, 180, 30):
            name = f"motion, {length:g} px at {degrees} deg"
            atoms.append((name, shapes.stroke(length, math.radians(degrees))))
    return atoms


def optical_atoms() -> Tensor:
    """The dictionary's atoms before the sensor's pixel: (L, 25, 25), unit sums."""
    return torch.stack([kernel for _, kernel in _optical_atoms()])


def _code_matrix(atoms: Tensor) -> Tensor:
    """Linear map (k * k, P): 1/f-weighted spectrum, projected on the atoms' leading components, unit mean distance."""
    count, k, _ = atoms.shape
    n = 64
    fy, fx = torch.fft.fftfreq(n)[:, None], torch.fft.rfftfreq(n)[None]
    # Amplitude of natural images; the floor keeps the code finite for kernels that differ by a constant.
    amplitude = 1.0 / (torch.hypot(fy, fx) + 1.0 / n)

    def spectrum(kernels: Tensor) -> Tensor:
        f = torch.fft.rfft2(kernels, s=(n, n)) * amplitude
        return torch.view_as_real(f).flatten(1)

    weighted = spectrum(atoms)
    basis = torch.linalg.svd(weighted - weighted.mean(0), full_matrices=False).Vh[:CODE_SIZE]
    # A singular vector's sign is the library's whim, and changes with its threads: fix it to what the weights learnt.
    probe = torch.cos(torch.arange(basis.shape[1], dtype=basis.dtype))
    signs = torch.tensor([1.0 if c == "+" else -1.0 for c in _SIGNS])
    basis = basis * (signs * (basis @ probe).sign())[:, None]
    codes = weighted @ basis.T
    unit = torch.cdist(codes, codes).sum() / (count * (count - 1))
    eye = torch.eye(k * k).reshape(k * k, k, k)
    matrix: Tensor = spectrum(eye) @ basis.T / unit
    return matrix


@lru_cache(maxsize=2)
def default_dictionary(scale: int = 4) -> KernelDictionary:
    """The dictionary every bundled checkpoint uses: 63 atoms of 28 x 28 px at scale 4.

    Args:
        scale: HR pixels per LR pixel; only 4 has trained models.

    Returns:
        The dictionary, on the CPU.
    """
    # Whoever asks first may be training in half precision: the dictionary must not be made in it.
    with torch.autocast("cpu", enabled=False):
        named = _optical_atoms()
        atoms = with_sensor_box(torch.stack([kernel for _, kernel in named]), scale)
        matrix = _code_matrix(atoms)
        return KernelDictionary(
            atoms=atoms,
            names=tuple(name for name, _ in named),
            covariance=moments(atoms, scale),
            code_matrix=matrix,
            codes=atoms.flatten(1) @ matrix,
            scale=scale,
        )


def mix_covariance(weights: Tensor, dictionary: KernelDictionary) -> Tensor:
    """Second moments (..., 3, h, w) in HR px^2 of the mixtures `weights` (..., L, h, w); atoms share their centroid."""
    return torch.einsum("...lhw,cl->...chw", weights, dictionary.covariance.to(weights))


def local_kernel(field: KernelField, dictionary: KernelDictionary, y: int, x: int) -> Tensor:
    """The kernel (k, k) of one LR pixel, the sensor's box included.

    Args:
        field: the field.
        dictionary: the dictionary its weights belong to.
        y: LR row.
        x: LR column.

    Returns:
        (k, k), non-negative, unit sum.
    """
    return torch.einsum("l,lij->ij", field.weights[:, y, x], dictionary.atoms)
