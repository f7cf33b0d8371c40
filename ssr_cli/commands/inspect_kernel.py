"""`ssr inspect-kernel`: what blurred a photo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssr_cli.commands.upscale import load, load_depth
from ssr_cli.console import Console
from ssr_cli.errors import OutputError
from ssr_cli.paths import check_writable, publish
from ssr_cli.settings import UpscaleOptions

if TYPE_CHECKING:
    from ssr_cli.frames import Analysis
    from ssr_cli.physics.kernels import KernelDictionary


@dataclass(frozen=True)
class InspectJob:
    """What was asked for."""

    photo: Path
    out: Path | None
    options: UpscaleOptions
    model: str
    depth: str
    depth_invert: bool
    force: bool


def run(job: InspectJob, console: Console) -> None:
    """Estimate, draw, tell.

    Raises:
        SsrError: naming what was wrong.
    """
    target = job.out or job.photo.with_name(f"{job.photo.stem}.inspect.png")
    if target.is_dir():
        target = target / f"{job.photo.stem}.inspect.png"
    if target.suffix.lower() != ".png":
        raise OutputError(f"{target} is not a PNG.", "End the name after -o in .png.")
    from ssr_cli.image.reading import read_photo

    photo = read_photo(job.photo)
    check_writable(target, job.force)
    models = load(job.model, job.options, console)
    source = load_depth(job.depth, job.depth_invert, models.device, console)
    from ssr_cli.pipeline import analyse
    from ssr_cli.views import inspection

    with console.progress(job.photo.name) as tell:
        analysis = analyse(photo, models, job.options, tell, source(photo))
    with publish(target, job.force) as temporary:
        inspection(photo, analysis, models.dictionary).save(temporary)
    summary = summarise(analysis, models.dictionary)
    if console.mode == "json":
        console.result({"input": str(job.photo), "picture": str(target), **summary})
        return
    console.table(job.photo.name, ("", ""), list(_rows(summary).items()))
    console.result(str(target))


def summarise(analysis: Analysis, dictionary: KernelDictionary) -> dict[str, Any]:
    """The figures of an analysis, for a machine."""
    import torch

    field = analysis.field
    radius = field.radius_px.flatten()
    sampled = radius[:: max(1, radius.numel() // 100_000)]
    quantiles = torch.quantile(sampled, torch.tensor([0.05, 0.5, 0.95]))
    mean_weights = field.weights.mean((1, 2))
    best = int(mean_weights.argmax())
    kinds: dict[str, float] = {}
    for name, weight in zip(dictionary.names, mean_weights, strict=True):
        kind = name.split(",")[0].split(" ")[0]
        kinds[kind] = kinds.get(kind, 0.0) + float(weight)
    return {
        "blur_radius_px": {
            name: round(float(q), 3) for name, q in zip(("p5", "median", "p95"), quantiles, strict=True)
        },
        "expected_error_px": round(float(field.confidence_px.median()), 3),
        "noise": round(float(field.noise.median()), 5),
        "kinds": {k: round(v, 3) for k, v in sorted(kinds.items(), key=lambda kv: -kv[1])},
        "commonest_atom": dictionary.names[best],
        "rounds": [
            {"radius_px": round(float(r.field.radius_px.median()), 3), "lens_residual_px": round(r.lens.residual_px, 3)}
            for r in analysis.rounds
        ],
        "lens": {
            "alpha_px": round(analysis.lens.alpha, 3),
            "beta_px": round(analysis.lens.beta, 3),
            "residual_px": round(analysis.lens.residual_px, 3),
            "focus_disparity": None if analysis.lens.focus is None else round(analysis.lens.focus, 3),
        },
    }


def _rows(summary: dict[str, Any]) -> dict[str, str]:
    """The same for a person."""
    radius, lens = summary["blur_radius_px"], summary["lens"]
    focus = lens["focus_disparity"]
    where = "blur does not depend on depth" if focus is None else f"disparity {focus:.2f} (0 far, 1 near)"
    if focus is not None and not 0 <= focus <= 1:
        where = "beyond the farthest place" if focus < 0 else "before the nearest place"
    return {
        "blur radius (HR px)": f"median {radius['median']:.2f}, 5 % {radius['p5']:.2f}, 95 % {radius['p95']:.2f}",
        "expected error (HR px)": f"{summary['expected_error_px']:.2f}",
        "kinds": ", ".join(f"{k} {100 * v:.0f} %" for k, v in summary["kinds"].items()),
        "commonest kernel": summary["commonest_atom"],
        "thin lens": f"|{lens['alpha_px']:.2f} d {lens['beta_px']:+.2f}| px, residual {lens['residual_px']:.2f} px",
        "sharpest at": where,
        "unexplained": f"{255 * summary['noise']:.1f} / 255",
    }
