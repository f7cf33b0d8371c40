"""What a camera's own data say about defocus, and how that compares with a thin lens fitted to a photo.

A thin lens of focal length f and f-number N, focused at distance s (all from the lens), images a point at distance z
as a disk on the sensor, the circle of confusion, of diameter `c(z) = C |1 - s / z|` with `C = f^2 / (N (s - f))`: zero
at s, C for points at infinity, without limit for points before s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ssr_cli.frames import ThinLens

#: A relative disagreement below this is called agreement: EXIF rounds distances, and the fit is no better.
_AGREE = 0.35
#: Below this slope (HR px per unit of disparity) a fitted lens says nothing of depth.
_FLAT_PX = 0.3


@dataclass(frozen=True)
class Camera:
    """What EXIF says of how a photo was taken; None where it says nothing.

    Attributes:
        name: maker and model.
        focal_mm: focal length, mm.
        f_number: N.
        subject_m: distance the lens was focused at, m; infinite where EXIF says so.
        pixel_um: distance of the photo's pixels on the sensor, micrometres, if the photo was not cropped.
        pixel_from: where `pixel_um` comes from, for a person.
    """

    name: str | None = None
    focal_mm: float | None = None
    f_number: float | None = None
    subject_m: float | None = None
    pixel_um: float | None = None
    pixel_from: str | None = None


@dataclass(frozen=True)
class LensCheck:
    """A fitted lens beside the camera's.

    Attributes:
        verdict: "agrees", "disagrees", or "cannot be compared".
        reason: one or two sentences: what was compared, or what is missing.
        at_infinity_um: diameter of the circle of confusion of far points by EXIF, micrometres on the sensor.
        at_infinity_px: its radius, HR px.
        fitted_far_px: radius the fit gives the farthest place of the photo, HR px.
        nearest_m: distance of the nearest place that fit and camera together imply, m.
        farthest_m: the same of the farthest place; infinite where the fit is at or beyond the limit.
    """

    verdict: str
    reason: str
    at_infinity_um: float | None = None
    at_infinity_px: float | None = None
    fitted_far_px: float | None = None
    nearest_m: float | None = None
    farthest_m: float | None = None


def circle_of_confusion_mm(focal_mm: float, f_number: float, focus_mm: float, distance_mm: float) -> float:
    """Diameter of the circle of confusion on the sensor, mm.

    Args:
        focal_mm: f, > 0.
        f_number: N, > 0.
        focus_mm: s, > f; infinite for a lens focused at infinity.
        distance_mm: z, > 0; infinite for the farthest there is.

    Raises:
        ValueError: if the lens cannot focus that near.

    Source: thin lens; `f^2 / (N (s - f)) |1 - s / z|`, whose limit for s to infinity is `f^2 / (N z)`.
    """
    if focus_mm <= focal_mm:
        raise ValueError(f"a lens of {focal_mm:g} mm cannot focus at {focus_mm:g} mm")
    if math.isinf(focus_mm):
        return focal_mm**2 / (f_number * distance_mm)
    nearness = 0.0 if math.isinf(distance_mm) else focus_mm / distance_mm
    return focal_mm**2 / (f_number * (focus_mm - focal_mm)) * abs(1 - nearness)


def _missing(camera: Camera) -> list[str]:
    """What EXIF would have to say beside."""
    wanted = (
        ("focal length", camera.focal_mm),
        ("f-number", camera.f_number),
        ("subject distance", camera.subject_m),
    )
    return [name for name, value in wanted if not value]


def check_lens(lens: ThinLens, camera: Camera, scale: int) -> LensCheck:
    """Compare a fitted thin lens with the camera's.

    Disparity is relative: neither its zero nor its unit is known in metres, so slope and focus of the fit cannot be
    compared by themselves. But behind the focus no point is blurred more than one at infinity: the radius of the
    farthest place may reach `C / 2` and not exceed it, and how far it stays below gives that place's distance. Where
    all of the photo lies before the focus there is no such limit, and only distances follow.

    Args:
        lens: the fit, radii in HR px.
        camera: of EXIF.
        scale: HR pixels per LR pixel.
    """
    if missing := _missing(camera):
        return LensCheck("cannot be compared", f"EXIF gives no {', no '.join(missing)}.")
    assert camera.focal_mm and camera.f_number and camera.subject_m  # _missing looked
    focus_mm = camera.subject_m * 1000
    if focus_mm <= camera.focal_mm:
        return LensCheck("cannot be compared", f"EXIF's subject distance of {camera.subject_m:g} m is within the lens.")
    limit_mm = circle_of_confusion_mm(camera.focal_mm, camera.f_number, focus_mm, math.inf)
    if not camera.pixel_um:
        return LensCheck(
            "cannot be compared",
            f"A far point is a disk of {1000 * limit_mm:.0f} micrometres on the sensor, but neither "
            "FocalPlaneXResolution nor a 35 mm equivalent tells how large a pixel is.",
            at_infinity_um=1000 * limit_mm,
        )
    limit_px = 1000 * limit_mm / 2 / camera.pixel_um * scale
    return _compared(lens, focus_mm / 1000, limit_px, 1000 * limit_mm)


def _compared(lens: ThinLens, focus_m: float, limit_px: float, limit_um: float) -> LensCheck:
    """The comparison once both are in HR px."""
    # radius is |a d + b| with b <= 0 <= a: negative behind the focus, positive before it
    sign = 1.0 if lens.alpha >= 0 else -1.0
    far_px, near_px = sign * lens.beta, sign * (lens.alpha + lens.beta)
    figures = {"at_infinity_um": limit_um, "at_infinity_px": limit_px, "fitted_far_px": abs(far_px)}
    if math.isinf(focus_m):
        return LensCheck(
            "cannot be compared", "The lens was focused at infinity, where nothing limits the blur.", **figures
        )
    if abs(lens.alpha) < _FLAT_PX:
        return LensCheck("cannot be compared", "The blur in the photo does not depend on depth.", **figures)
    nearest = focus_m / (1 + near_px / limit_px) if 1 + near_px / limit_px > 0 else math.inf
    farthest = focus_m / (1 + far_px / limit_px) if 1 + far_px / limit_px > 0 else math.inf
    figures |= {"nearest_m": nearest, "farthest_m": farthest}
    if far_px >= 0:
        return LensCheck(
            "cannot be compared",
            "By the fit all of the photo lies before the focus, where the camera's data set no limit to the blur.",
            **figures,
        )
    excess = abs(far_px) / limit_px - 1
    if excess > _AGREE:
        return LensCheck(
            "disagrees",
            f"The farthest place is blurred by {abs(far_px):.1f} HR px, but with this lens even a point at infinity "
            f"is blurred by no more than {limit_px:.1f}.",
            **figures,
        )
    where = "as if at infinity" if math.isinf(farthest) else f"as if {farthest:.1f} m away"
    return LensCheck(
        "agrees",
        f"The farthest place is blurred by {abs(far_px):.1f} HR px, {where}; the limit at infinity is {limit_px:.1f}.",
        **figures,
    )
