"""`ssr inspect-kernel`: what blurred a photo."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssr_cli.commands.upscale import load, load_depth
from ssr_cli.console import Console
from ssr_cli.errors import OutputError
from ssr_cli.paths import check_writable, publish
from ssr_cli.settings import UpscaleOptions

if TYPE_CHECKING:
    from ssr_cli.report.findings import Findings


@dataclass(frozen=True)
class InspectJob:
    """What was asked for.

    Attributes:
        photo: the photo.
        out: of the picture: a .png, a folder, or None for beside the photo; the other files are named after it.
        options: of the pipeline.
        model: see `assemble`.
        depth: see `depth_source`.
        depth_invert: of a depth file.
        force: overwrite.
        picture: write the picture.
        html: write the page.
        npz: write the archive.
        trial: test the kernels on places kept from their estimate.
    """

    photo: Path
    out: Path | None
    options: UpscaleOptions
    model: str
    depth: str
    depth_invert: bool
    force: bool
    picture: bool = True
    html: bool = False
    npz: bool = False
    trial: bool = True


def run(job: InspectJob, console: Console) -> None:
    """Estimate, draw, tell.

    Raises:
        SsrError: naming what was wrong.
    """
    targets = _targets(job)
    from ssr_cli.image.reading import read_photo

    photo = read_photo(job.photo)
    for path in targets.values():
        check_writable(path, job.force)
    models = load(job.model, job.options, console)
    source = load_depth(job.depth, job.depth_invert, models.device, console)
    from ssr_cli.pipeline import analyse
    from ssr_cli.report.findings import find, summarise
    from ssr_cli.report.terminal import terminal_view
    from ssr_cli.trial import try_photo

    with console.progress(job.photo.name) as tell:
        depth = source(photo)
        analysis = analyse(photo, models, job.options, tell, depth)
        verdict = asdict(try_photo(photo, models, job.options, tell, depth, analysis.field)) if job.trial else None
        found = find(photo, analysis, models.dictionary, verdict)
        for number, (kind, path) in enumerate(targets.items()):
            tell(f"writing {path.name}", number, len(targets))
            _write(found, kind, path, job)
    if console.mode == "json":
        files = {kind: str(path) for kind, path in targets.items()}
        console.result({"input": str(job.photo), **files, **summarise(found)})
        return
    if console.mode == "human":
        console.result(terminal_view(found, job.photo.name))
    for path in targets.values():
        console.result(str(path))


def _targets(job: InspectJob) -> dict[str, Path]:
    """The files that were asked for, by kind.

    Raises:
        OutputError: if the picture's name is not that of a PNG.
    """
    target = job.out or job.photo.with_name(f"{job.photo.stem}.inspect.png")
    if target.is_dir():
        target = target / f"{job.photo.stem}.inspect.png"
    if target.suffix.lower() != ".png":
        raise OutputError(f"{target} is not a PNG.", "End the name after -o in .png.")
    wanted = {"picture": (job.picture, ".png"), "html": (job.html, ".html"), "npz": (job.npz, ".npz")}
    return {kind: target.with_suffix(suffix) for kind, (asked, suffix) in wanted.items() if asked}


def _write(found: Findings, kind: str, path: Path, job: InspectJob) -> None:
    """One of the files, whole or not at all."""
    from ssr_cli.report.archive import save_field
    from ssr_cli.report.inspect_page import inspection_page
    from ssr_cli.report.sheet import inspection

    with publish(path, job.force) as temporary:
        if kind == "picture":
            inspection(found, job.photo.name).save(temporary)
        elif kind == "html":
            temporary.write_text(inspection_page(found, job.photo.name), encoding="utf-8")
        else:
            save_field(found, temporary)
