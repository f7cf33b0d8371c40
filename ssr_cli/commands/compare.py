"""`ssr compare`: two pictures of the same thing in one page, with a divider between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssr_cli.console import Console
from ssr_cli.errors import InputError, OutputError, UsageError
from ssr_cli.paths import check_writable, publish

if TYPE_CHECKING:
    from torch import Tensor

    from ssr_cli.frames import Photo
    from ssr_cli.report.compare_page import Shown

#: What browsers show as it is; anything else goes into the page as PNG.
_EMBEDDED = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".avif": "avif", ".gif": "gif"}
#: Sides' ratios may differ by this much and still be of one photo: results are rounded to whole pixels.
_SAME_SHAPE = 0.02


@dataclass(frozen=True)
class CompareJob:
    """What was asked for.

    Attributes:
        first: left picture.
        second: right picture.
        truth: what both are judged by, or None.
        lpips_weights: file to score LPIPS with, or None.
        out: page to write, or a folder, or None for beside the first picture.
        force: overwrite.
    """

    first: Path
    second: Path
    truth: Path | None
    lpips_weights: Path | None
    out: Path | None
    force: bool


def run(job: CompareJob, console: Console) -> None:
    """Read, score, write.

    Raises:
        SsrError: naming what was wrong.
    """
    if job.lpips_weights is not None and job.truth is None:
        raise UsageError("LPIPS compares with a truth, and none was named.", "Name it with --truth.")
    target = _target(job)
    check_writable(target, job.force)
    from ssr_cli.image.reading import read_photo
    from ssr_cli.report.compare_page import compare_page

    paths = [job.first, job.second, *([job.truth] if job.truth else [])]
    photos = [read_photo(path) for path in paths]
    size = _common_size(paths, photos, job.truth is not None)
    figures = _figures(photos, size, job)
    shown = [_shown(p, f, size, s) for p, f, s in zip(paths, photos, [*figures, {}], strict=False)]
    title = f"{job.first.name} and {job.second.name}"
    with publish(target, job.force) as temporary:
        temporary.write_text(compare_page(shown, size, title), encoding="utf-8")
    _tell(job, target, figures, console)


def _target(job: CompareJob) -> Path:
    """Where the page goes.

    Raises:
        OutputError: if its name is not that of a page.
    """
    name = f"{job.first.stem}-{job.second.stem}.compare.html"
    target = job.out or job.first.with_name(name)
    if target.is_dir():
        return target / name
    if target.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{target} is not a page.", "End the name after -o in .html.")
    return target


def _common_size(paths: list[Path], photos: list[Photo], with_truth: bool) -> tuple[int, int]:
    """Height and width of the largest picture, to which the others are brought; the truth must have it.

    Raises:
        InputError: if the pictures cannot be of one thing.
    """
    largest = max(photos, key=lambda photo: photo.height * photo.width)
    for path, photo in zip(paths, photos, strict=True):
        stretch = photo.width * largest.height / (photo.height * largest.width)
        if abs(stretch - 1) > _SAME_SHAPE:
            raise InputError(
                f"{path} has {photo.width} x {photo.height} pixels, another one {largest.width} x {largest.height}.",
                "Compare pictures of the same photo, uncropped.",
            )
    if with_truth and (photos[-1].height, photos[-1].width) != (largest.height, largest.width):
        raise InputError(
            f"The truth {paths[-1]} has {photos[-1].width} x {photos[-1].height} pixels, "
            f"the larger picture {largest.width} x {largest.height}.",
            "Name a truth of that size.",
        )
    return largest.height, largest.width


def _at(photo: Photo, size: tuple[int, int]) -> Tensor:
    """The picture at the common size: (3, H, W), encoded, enlarged by bicubic where it is smaller."""
    from ssr_cli.image.color import resize

    same = (photo.height, photo.width) == size
    return photo.rgb.float() if same else resize(photo.rgb, size).clamp(0, 1)


def _figures(photos: list[Photo], size: tuple[int, int], job: CompareJob) -> list[dict[str, float]]:
    """PSNR-Y, SSIM-Y and LPIPS of both pictures against the truth; empty without one."""
    if job.truth is None:
        return [{}, {}]
    from ssr_cli.evaluation.metrics import psnr_y, ssim_y

    truth = photos[2].rgb
    lpips = None
    if job.lpips_weights is not None:
        from ssr_cli.evaluation.lpips import Lpips

        lpips = Lpips(job.lpips_weights)
    found = []
    for photo in photos[:2]:
        picture = _at(photo, size)
        row = {"PSNR-Y": psnr_y(picture, truth), "SSIM-Y": ssim_y(picture, truth)}
        if lpips is not None:
            row["LPIPS"] = float(lpips(picture[None], truth[None]))
        found.append(row)
    return found


def _shown(path: Path, photo: Photo, size: tuple[int, int], figures: dict[str, float]) -> Shown:
    """A picture for the page: the file itself where a browser shows it, at the common size."""
    from ssr_cli.report.compare_page import Shown
    from ssr_cli.report.page import data_uri, file_uri
    from ssr_cli.views import to_picture

    same = (photo.height, photo.width) == size
    name = path.name if same else f"{path.name} ({photo.width} x {photo.height}, enlarged by bicubic)"
    if same and path.suffix.lower() in _EMBEDDED:
        return Shown(name, file_uri(path.read_bytes(), _EMBEDDED[path.suffix.lower()]), figures)
    picture = to_picture(_at(photo, size))
    if (profile := photo.metadata.get("icc")) is not None:
        picture.info["icc_profile"] = profile
    return Shown(name, data_uri(picture), figures)


def _tell(job: CompareJob, target: Path, figures: list[dict[str, float]], console: Console) -> None:
    """The figures and the page's name."""
    from ssr_cli.report.compare_page import figure

    if console.mode == "json":
        scores = dict(zip(("first", "second"), figures, strict=True)) if job.truth else {}
        console.result({"first": str(job.first), "second": str(job.second), "page": str(target), "scores": scores})
        return
    if job.truth is not None:
        names = list(figures[0])
        paths = (job.first, job.second)
        rows = [(p.name, *(figure(n, f[n]) for n in names)) for p, f in zip(paths, figures, strict=True)]
        console.table(f"against {job.truth.name}", ("", *names), rows)
    console.result(str(target))
