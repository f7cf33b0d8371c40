"""What kind of blur a local kernel is, read from the names of the atoms it is mixed of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssr_cli.frames import KernelField
from ssr_cli.physics.kernels import KernelDictionary

#: Kinds by their number in `Kinds.index`.
KINDS = ("sharp", "focus", "lens", "motion")
SHARP, FOCUS, LENS, MOTION = range(4)
#: First word of an atom's name and its kind: a lens out of focus draws disks, its own faults Gaussians, motion strokes.
_OF_ATOM = {"sharp": LENS, "Gaussian": LENS, "disk": FOCUS, "motion": MOTION}
#: Below this blur radius (HR px) the kernel is hardly wider than the sensor's pixel, and its shape says nothing.
SHARP_RADIUS_PX = 1.0
#: Long axis to short axis, in standard deviations, below which a kernel has no direction worth the name.
DIRECTED = 1.25


@dataclass(frozen=True)
class Kinds:
    """The kind of every local kernel.

    Attributes:
        index: (h, w) int64, place in `KINDS`.
        shares: (3, h, w), share of focus, lens and motion in the kernel's second moment, sum 1.
    """

    index: Tensor
    shares: Tensor


@dataclass(frozen=True)
class Axes:
    """The ellipse of every local kernel.

    Attributes:
        long_px: (h, w), standard deviation along the long axis, HR px.
        short_px: (h, w), across it.
        angle: (h, w), of the long axis, radians counter-clockwise from the x axis, in -pi/2 .. pi/2.
    """

    long_px: Tensor
    short_px: Tensor
    angle: Tensor

    @property
    def ratio(self) -> Tensor:
        """Long to short axis, >= 1."""
        return self.long_px / self.short_px


def axes_of(covariance: Tensor) -> Axes:
    """Axes of second moments (3, ...): yy, xx, yx in HR px^2 (y up, x right)."""
    yy, xx, yx = covariance
    middle, half = (yy + xx) / 2, torch.hypot((xx - yy) / 2, yx)
    # no optical blur is narrower than a fifth of a pixel in the dictionary
    long, short = (middle + half).clamp_min(0.04).sqrt(), (middle - half).clamp_min(0.04).sqrt()
    return Axes(long, short, 0.5 * torch.atan2(2 * yx, xx - yy))


def atom_kinds(dictionary: KernelDictionary) -> Tensor:
    """The kind (L,) of every atom, by the first word of its name."""
    return torch.tensor([_OF_ATOM[name.split(",")[0].split(" ")[0]] for name in dictionary.names])


def kinds_of(field: KernelField, dictionary: KernelDictionary) -> Kinds:
    """Focus, lens or motion at every place, from the readable atoms.

    A kernel is a mixture of disks (defocus), Gaussians (the lens' own blur, anything smooth) and strokes (motion). Its
    second moment is the sum of theirs, so each kind has a share of the blur, and the largest share names the kernel.
    Two exceptions: where the radius is below one HR px the kernel is "sharp"; and strokes that cancel to a kernel
    without a direction (axes closer than 1.25 : 1) have no vote unless there is nothing else, since motion has a
    direction and strokes in all of them only say that the shape is not known.

    Args:
        field: the local kernels.
        dictionary: the atoms of its weights.
    """
    spread = field.weights * (dictionary.covariance[0] + dictionary.covariance[1]).clamp_min(0.04)[:, None, None]
    of_atom = atom_kinds(dictionary)
    energy = torch.stack([spread[of_atom == kind].sum(0) for kind in (FOCUS, LENS, MOTION)])
    undirected = axes_of(field.covariance).ratio < DIRECTED
    energy[2] = torch.where(undirected, torch.zeros_like(energy[2]), energy[2])
    energy[1] = energy[1] + 1e-9  # nothing but undirected strokes: smooth, so the lens
    shares = energy / energy.sum(0, keepdim=True)
    index = torch.where(field.radius_px < SHARP_RADIUS_PX, torch.full_like(of_atom[:1], SHARP), shares.argmax(0) + 1)
    return Kinds(index, shares)
