"""Everything there is to say about a photo's blur, in figures: the source of JSON, text, picture and page alike."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ssr_cli.frames import Analysis, Photo, ThinLens
from ssr_cli.physics.kernels import KernelDictionary
from ssr_cli.physics.kinds import DIRECTED, KINDS, Axes, Kinds, axes_of, kinds_of
from ssr_cli.physics.optics import Camera, LensCheck, check_lens
from ssr_cli.report.camera import camera_of

#: Quantiles are taken of at most about this many places.
_SAMPLES = 100_000


@dataclass(frozen=True)
class Findings:
    """An analysis with what follows from it.

    Attributes:
        photo: the photo.
        analysis: depth and kernels.
        dictionary: of the kernels.
        kinds: the kind of every kernel.
        axes: their ellipses.
        camera: of EXIF.
        lens_check: fitted lens beside the camera's.
        verdict: what a test on held-out places says of the kernels, as plain data; None where none was made.
    """

    photo: Photo
    analysis: Analysis
    dictionary: KernelDictionary
    kinds: Kinds
    axes: Axes
    camera: Camera
    lens_check: LensCheck
    verdict: dict[str, Any] | None = None


def find(
    photo: Photo, analysis: Analysis, dictionary: KernelDictionary, verdict: dict[str, Any] | None = None
) -> Findings:
    """Kinds, axes and the camera's word on an analysis."""
    field, camera = analysis.field, camera_of(photo)
    check = check_lens(analysis.lens, camera, field.scale)
    kinds = kinds_of(field, dictionary)
    return Findings(photo, analysis, dictionary, kinds, axes_of(field.covariance), camera, check, verdict)


def quantiles(values: Tensor, at: tuple[float, ...] = (0.05, 0.5, 0.95)) -> list[float]:
    """Quantiles of any number of values, of a regular sample where there are many."""
    flat = values.flatten()
    sampled = flat[:: max(1, flat.numel() // _SAMPLES)]
    return [float(q) for q in torch.quantile(sampled, torch.tensor(at))]


def _focus_sentence(lens: ThinLens) -> str:
    """Where the photo is sharpest, for a person."""
    focus = lens.focus
    if focus is None or abs(lens.alpha) < 2 * lens.residual_px:
        return "nowhere in particular: blur hardly depends on depth"
    if focus < 0:
        return "beyond the farthest place"
    return "before the nearest place" if focus > 1 else f"disparity {focus:.2f} (0 far, 1 near)"


def summarise(found: Findings) -> dict[str, Any]:
    """The figures for a machine."""
    field, lens, dictionary = found.analysis.field, found.analysis.lens, found.dictionary
    radius = dict(zip(("p5", "median", "p95"), quantiles(field.radius_px), strict=True))
    commonest = int(field.weights.mean((1, 2)).argmax())
    counts = torch.bincount(found.kinds.index.flatten(), minlength=len(KINDS)).float()
    directed = found.axes.ratio > DIRECTED
    summary: dict[str, Any] = {
        "width": found.photo.width,
        "height": found.photo.height,
        "scale": field.scale,
        "blur_radius_px": {name: round(q, 3) for name, q in radius.items()},
        "blur_radius_lr_px": {name: round(q / field.scale, 3) for name, q in radius.items()},
        "expected_error_px": round(float(field.confidence_px.median()), 3),
        "noise": round(float(field.noise.median()), 5),
        "sharpening_gain": [round(math.exp(g), 3) for g in found.analysis.rounds[-1].sharpening],
        "linear_light": round(found.analysis.rounds[-1].light, 3),
        "camera_pixels": round(found.analysis.rounds[-1].processed, 3),
        "kinds": {name: round(float(c / counts.sum()), 4) for name, c in zip(KINDS, counts, strict=True)},
        "commonest_atom": dictionary.names[commonest],
        "directed_share": round(float(directed.float().mean()), 3),
        "direction_deg": _main_direction(found.axes, directed),
        "rounds": [
            {"radius_px": round(float(r.field.radius_px.median()), 3), "lens_residual_px": round(r.lens.residual_px, 3)}
            for r in found.analysis.rounds
        ],
        "lens": {
            "alpha_px": round(lens.alpha, 3),
            "beta_px": round(lens.beta, 3),
            "residual_px": round(lens.residual_px, 3),
            "focus_disparity": None if lens.focus is None else round(lens.focus, 3),
            "sharpest": _focus_sentence(lens),
        },
        "camera": asdict(found.camera),
        "lens_check": asdict(found.lens_check),
    }
    if found.analysis.fusion is not None:
        photo, depth, kernel = (round(float(v), 3) for v in found.analysis.fusion.mean((1, 2)))
        summary["fusion"] = {"photo": photo, "depth": depth, "kernel": kernel}
    if found.verdict is not None:
        summary["verdict"] = found.verdict
    return summary


def _main_direction(axes: Axes, directed: Tensor) -> float | None:
    """Mean direction of blur over the places that have one, degrees 0..180; None where they do not agree."""
    if not bool(directed.any()):
        return None
    double = 2 * axes.angle[directed]
    y, x = float(double.sin().mean()), float(double.cos().mean())
    return round(math.degrees(0.5 * math.atan2(y, x)) % 180, 1) if math.hypot(y, x) > 0.3 else None


def rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The same for a person: name and value."""
    radius, small, lens = summary["blur_radius_px"], summary["blur_radius_lr_px"], summary["lens"]
    told = [
        (
            "blur radius",
            f"median {radius['median']:.2f} HR px ({small['median']:.2f} LR), 5 % {radius['p5']:.2f}, "
            f"95 % {radius['p95']:.2f}",
        ),
        ("expected error", f"{summary['expected_error_px']:.2f} HR px"),
        ("kinds", ", ".join(f"{k} {100 * v:.0f} %" for k, v in _largest_first(summary["kinds"]))),
        ("commonest kernel", str(summary["commonest_atom"])),
        ("direction", _direction(summary)),
        ("thin lens", f"|{lens['alpha_px']:.2f} d {lens['beta_px']:+.2f}| HR px, residual {lens['residual_px']:.2f}"),
        ("sharpest at", str(lens["sharpest"])),
        ("camera", _camera(summary["camera"])),
        ("lens and camera", f"{summary['lens_check']['verdict']}: {summary['lens_check']['reason']}"),
        ("pixels", _pixels(summary["camera_pixels"])),
        ("camera sharpening", _sharpening(summary["sharpening_gain"])),
        ("blurred in", _light(summary["linear_light"])),
        ("unexplained", f"{255 * summary['noise']:.1f} / 255"),
    ]
    if "verdict" in summary:
        verdict = summary["verdict"]
        told.insert(0, ("kernels", f"{verdict['verdict'].upper()}: {verdict['reason']}"))
        if verdict.get("fallback"):
            told.insert(1, ("instead", f"assume one kernel for the whole photo: {verdict['fallback']}"))
    return told


def _largest_first(shares: dict[str, float]) -> list[tuple[str, float]]:
    return sorted((item for item in shares.items() if item[1] >= 0.005), key=lambda item: -item[1])


def _direction(summary: dict[str, Any]) -> str:
    """How much of the blur has a direction, and which."""
    if summary["directed_share"] < 0.01:
        return f"none: axes are nowhere beyond {DIRECTED:g} : 1"
    share = f"{100 * summary['directed_share']:.0f} % of places have one"
    angle = summary["direction_deg"]
    return share if angle is None else f"{share}, mostly {angle:.0f} deg from horizontal, counter-clockwise"


def _sharpening(gain: list[float]) -> str:
    """How much the camera sharpened, as far as its halos tell."""
    return f"detail x {gain[0]:.2f} at 0.1 and x {gain[1]:.2f} at 0.3 cycles per pixel"


def _light(share: float) -> str:
    """Which light the blur happened in."""
    if share > 0.75:
        return "linear light, as optics do"
    between = f"between linear light ({100 * share:.0f} %) and encoded values: the photo does not tell"
    return "encoded values, as programs do that make pictures smaller" if share < 0.25 else between


def _pixels(camera: float) -> str:
    """Whether these are a camera's own pixels."""
    if 0.25 < camera < 0.75:
        return "finer than a camera's own, or too small to tell: --source decides"
    return "a camera's own, as it processed them" if camera > 0.5 else "made smaller, raw or scanned"


def _camera(camera: dict[str, Any]) -> str:
    """What EXIF says, in one line."""
    subject = camera["subject_m"]
    parts = [
        camera["name"],
        f"{camera['focal_mm']:g} mm" if camera["focal_mm"] else None,
        f"f/{camera['f_number']:g}" if camera["f_number"] else None,
        None if not subject else "focused at infinity" if math.isinf(subject) else f"focused at {subject:g} m",
        f"pixel {camera['pixel_um']:.2f} um by {camera['pixel_from']}" if camera["pixel_um"] else None,
    ]
    return ", ".join(str(p) for p in parts if p) or "EXIF says nothing"
