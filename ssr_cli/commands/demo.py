"""`ssr demo`: a scene whose truth is known, restored and compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssr_cli.commands.upscale import load
from ssr_cli.console import Console
from ssr_cli.paths import check_writable, make_folder, publish
from ssr_cli.settings import UpscaleOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ssr_cli.frames import Analysis
    from ssr_cli.synthesis.demo import Demo

_FILES = ("input", "bicubic", "mean", "result", "truth", "depth", "radius")


@dataclass(frozen=True)
class DemoJob:
    """What was asked for."""

    out: Path
    seed: int
    options: UpscaleOptions
    model: str
    lpips_weights: Path | None
    force: bool


def run(job: DemoJob, console: Console) -> None:
    """Render, restore, score, show.

    Raises:
        SsrError: naming what was wrong.
    """
    make_folder(job.out)
    sheet_path = job.out / "demo.png"
    for path in (sheet_path, *(job.out / f"demo_{n}.png" for n in _FILES)):
        check_writable(path, job.force)
    from ssr_cli.image.color import resize
    from ssr_cli.pipeline import upscale
    from ssr_cli.synthesis.demo import render_demo

    models = load(job.model, job.options, console)
    with console.progress("demo") as tell:
        tell("rendering", 0, 1)
        demo = render_demo(job.seed)
        result = upscale(demo.lr, models, job.options, tell)
        mean = upscale(demo.lr, models, replace(job.options, steps=0), tell)
    size = (demo.hr.height, demo.hr.width)
    pictures = {"bicubic": resize(demo.lr.rgb, size).clamp(0, 1), "mean": mean.photo.rgb, "result": result.photo.rgb}
    scores = _scores(pictures, demo.hr.rgb, job.lpips_weights)
    errors = kernel_and_depth_errors(result.analysis, demo)
    _draw(job, demo, result.analysis, pictures, sheet_path)
    if console.mode == "json":
        console.result({"scores": scores, "rounds": errors, "picture": str(sheet_path)})
        return
    columns = list(next(iter(scores.values())))
    rows = [(name, *(f"{row[c]:.3f}" for c in columns)) for name, row in scores.items()]
    console.table("against the truth", ("", *columns), rows)
    rounds = [(f"round {i}", *(f"{v:.3f}" for v in row.values())) for i, row in enumerate(errors)]
    console.table("kernels and depth (round 0: the depth as estimated)", ("", *errors[0]), rounds)
    console.result(str(sheet_path))


def _scores(pictures: dict[str, Tensor], truth: Tensor, lpips_weights: Path | None) -> dict[str, dict[str, float]]:
    """PSNR, SSIM and, with weights, LPIPS of every picture."""
    from ssr_cli.evaluation.benchmark import as_written
    from ssr_cli.evaluation.metrics import psnr_y, ssim_y

    figures: dict[str, Callable[[Tensor, Tensor], float]] = {"PSNR": psnr_y, "SSIM": ssim_y}
    if lpips_weights is not None:
        from ssr_cli.evaluation.lpips import Lpips

        lpips = Lpips(lpips_weights)
        figures["LPIPS"] = lambda a, b: float(lpips(a[None], b[None]))
    eight = {n: as_written(p) for n, p in pictures.items()}
    return {name: {f: metric(p, truth) for f, metric in figures.items()} for name, p in eight.items()}


def kernel_and_depth_errors(analysis: Analysis, demo: Demo) -> list[dict[str, float]]:
    """Errors before (depth only) and after every round: sigma in HR px, rank and edge errors of depth."""
    from ssr_cli.evaluation.kernel_errors import sigma_error_px
    from ssr_cli.evaluation.metrics import edge_error, spearman

    truth = demo.depth.disparity
    rows = [{"sigma_error_px": float("nan"), "depth_spearman": spearman(analysis.depth_before.disparity, truth)}]
    rows[0]["depth_edge_error"] = edge_error(analysis.depth_before.disparity, truth)
    for done in analysis.rounds:
        row = {"sigma_error_px": sigma_error_px(done.field.covariance, demo.covariance)}
        row["depth_spearman"] = spearman(done.depth.disparity, truth)
        row["depth_edge_error"] = edge_error(done.depth.disparity, truth)
        rows.append(row)
    return rows


def _draw(job: DemoJob, demo: Demo, analysis: Analysis, pictures: dict[str, Tensor], sheet_path: Path) -> None:
    """Every picture at its own size, and one sheet of all."""
    from ssr_cli import views

    size = (demo.hr.height, demo.hr.width)
    true_radius = (2 * (demo.covariance[0] + demo.covariance[1])).clamp_min(0).sqrt()
    most = max(views.radius_limit(analysis.field), float(true_radius.max()))
    enlarged = demo.lr.rgb.repeat_interleave(4, 1).repeat_interleave(4, 2)
    radius = views.radius_view(analysis.field, size, most)
    depth = views.depth_view(analysis.depth, size)
    true_map = views.to_picture(views.palette(true_radius / most).repeat_interleave(4, 1).repeat_interleave(4, 2))
    files: dict[str, Any] = {n: views.to_picture(p) for n, p in pictures.items()}
    files |= {
        "input": views.to_picture(demo.lr.rgb),
        "truth": views.to_picture(demo.hr.rgb),
        "depth": depth,
        "radius": radius,
    }
    near, bar = views.colour_bar(size[1], "far", "near"), views.colour_bar(size[1], "0", f"{most:.1f} HR px")
    rows: list[list[tuple[str, Any, Any]]] = [
        [
            ("photo (pixels enlarged)", views.to_picture(enlarged), None),
            ("bicubic", files["bicubic"], None),
            ("ssr", files["result"], None),
            ("truth", files["truth"], None),
        ],
        [
            ("depth, refined", depth, near),
            ("depth, true", views.depth_view(demo.depth, size), near),
            ("blur radius, estimated", radius, bar),
            ("blur radius, true", true_map, bar),
        ],
    ]
    sheet = views.sheet([[views.framed(picture, title, foot) for title, picture, foot in row] for row in rows])
    for path, picture in [(sheet_path, sheet), *((job.out / f"demo_{n}.png", files[n]) for n in _FILES)]:
        with publish(path, job.force) as temporary:
            picture.save(temporary)
