"""`ssr upscale`: one photo."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssr_cli.commands.downloading import downloading
from ssr_cli.console import Console
from ssr_cli.paths import check_writable, companion, output_path
from ssr_cli.settings import Delivery, FileOptions, UpscaleOptions
from ssr_cli.sidecar import Recorder, sidecar_path, write_sidecar

if TYPE_CHECKING:
    import torch

    from ssr_cli.console import Tell
    from ssr_cli.depth_source import DepthSource
    from ssr_cli.enlarge import PhotoEnlarging
    from ssr_cli.frames import DepthMap, Findings, Photo
    from ssr_cli.suite import Models
    from ssr_cli.trial import Verdict


@dataclass(frozen=True)
class UpscaleJob:
    """What was asked for."""

    photo: Path
    out: Path | None
    options: UpscaleOptions
    model: str
    depth: str
    depth_invert: bool
    save_kernel: bool
    save_depth: bool
    force: bool
    files: FileOptions
    sidecar: bool = False
    save_invented: bool = False
    save_confidence: bool = False
    trial: bool = False


def run(job: UpscaleJob, console: Console) -> None:
    """Check everything that can fail, then work, then write.

    Raises:
        SsrError: naming what was wrong.
    """
    target = output_path(job.photo, job.options.scale, job.out, job.files.suffix)
    extras = views_asked(job, target)
    from ssr_cli.image.holding import notes_on
    from ssr_cli.image.reading import read_photo
    from ssr_cli.image.writing import check_format

    photo = read_photo(job.photo, job.files.max_pixels, job.files.first_frame)
    for path in (target, *extras.values(), *([sidecar_path(target)] if job.sidecar else [])):
        check_writable(path, job.force)
    check_format(photo, target, job.options.scale)
    for note in notes_on(photo, target, job.files.strip):
        console.hint(f"{job.photo}: {note}")
    models = load(job.model, job.options, console)
    source = load_depth(job.depth, job.depth_invert, models.device, console)
    recorder = Recorder(job.photo) if job.sidecar else None
    with console.progress(job.photo.name) as tell:
        tell = recorder.through(tell) if recorder else tell
        from ssr_cli.enlarge import PhotoEnlarging
        from ssr_cli.maps import FEW_PIXELS

        bits, few = photo.metadata.get("bits", 8), None if extras else FEW_PIXELS
        delivery = Delivery(bits, few, job.save_invented, job.save_confidence)
        depth, options, verdict = source(photo), job.options, None
        if job.trial:
            options, verdict = tried(photo, models, options, tell, depth)
        work = PhotoEnlarging(photo, models, options, tell, depth, delivery)
        found = write(work, target, job.force, job.files.strip)
    write_views(photo, found, models, extras, job.force)
    say_findings(job.photo, found, verdict, console)
    if recorder:
        asked = (options, job.files, job.model, job.depth, job.depth_invert)
        size = (work.colours.height, work.colours.width)
        record = recorder.record(target, size, found, photo, models, *asked)
        extras = {**extras, "sidecar": write_sidecar(record, target, job.force)}
    console.result(
        {
            **describe(job.photo, target, extras, work, found),
            **({} if verdict is None else {"verdict": asdict(verdict), "consistency": options.consistency}),
        }
        if console.mode == "json"
        else "\n".join(map(str, (target, *extras.values())))
    )


def views_asked(job: UpscaleJob, target: Path) -> dict[str, Path]:
    """The pictures that are to be written beside a result."""
    asked = {
        "kernel": job.save_kernel,
        "depth": job.save_depth,
        "invented": job.save_invented,
        "confidence": job.save_confidence,
    }
    return {tag: companion(target, tag) for tag, wanted in asked.items() if wanted}


def tried(
    photo: Photo, models: Models, options: UpscaleOptions, tell: Tell, depth: DepthMap | None
) -> tuple[UpscaleOptions, Verdict]:
    """Put the kernels on trial; where the photo contradicts them, the result is not held to them."""
    from ssr_cli.trial import supported_options, try_photo

    verdict = try_photo(photo, models, options, tell, depth)
    return supported_options(options, verdict), verdict


def say_findings(photo: Path, found: Findings, verdict: Verdict | None, console: Console) -> None:
    """What went wrong on the way, what the trial said, and how much was invented, as far as these were asked for."""
    for incident in found.incidents:
        console.warning(f"{photo}: {incident}")
    if verdict is not None:
        say_verdict(verdict, console)
    if found.invented_share is not None:
        share = f"{100 * found.invented_share:.0f} %"
        console.hint(f"{share} of the detail's energy is invented: the photo would be the same without it.")


def say_verdict(verdict: Verdict, console: Console) -> None:
    """What the trial said, and what followed from it."""
    if verdict.verdict != "not supported":
        console.hint(f"Kernels {verdict.verdict}: {verdict.reason}")
        return
    console.warning(f"Kernels not supported: {verdict.reason} The result was not held to them.")


def load(model: str, options: UpscaleOptions, console: Console) -> Models:
    """Models on the device that was asked for; a checkpoint that is not here yet is downloaded."""
    from ssr_cli.assembly import assemble
    from ssr_cli.device import resolve_device

    device = resolve_device(options.device)
    with downloading(model, console) as tell:
        return assemble(model, device, tell)


def load_depth(name: str, invert: bool, device: torch.device, console: Console) -> DepthSource:
    """Where depth comes from; an estimator that is not here yet is downloaded."""
    from ssr_cli.depth_source import depth_source

    with downloading(name, console) as tell:
        return depth_source(name, invert, device, tell)


def write(work: PhotoEnlarging, target: Path, force: bool, strip: bool) -> Findings:
    """Do the work and write its result as it comes; it has its name when it is whole."""
    from ssr_cli.image.metadata import stripped
    from ssr_cli.image.writing import write_photo

    stream = work.stream()
    write_photo(stripped(stream) if strip else stream, target, force)
    return work.findings()


def write_views(photo: Photo, found: Findings, models: Models, extras: dict[str, Path], force: bool) -> None:
    """Write the pictures that go with a result."""
    from ssr_cli.paths import publish
    from ssr_cli.views import confidence_view, depth_view, invented_view, kernel_view

    made = {
        "depth": lambda: depth_view(found.analysis.depth),
        "kernel": lambda: kernel_view(photo, found.analysis, models.dictionary),
        "invented": lambda: invented_view(found.views["invented"]),
        "confidence": lambda: confidence_view(found.views["confidence"]),
    }
    for tag, path in extras.items():
        with publish(path, force) as temporary:
            made[tag]().save(temporary)


def describe(
    source: Path, target: Path, extras: dict[str, Path], work: PhotoEnlarging, found: Findings
) -> dict[str, object]:
    """The result for a machine."""
    return {
        "input": str(source),
        "output": str(target),
        "width": work.colours.width,
        "height": work.colours.height,
        "lr_psnr_before": found.lr_psnr_before,
        "lr_psnr_after": found.lr_psnr_after,
        "incidents": list(found.incidents),
        **({} if found.invented_share is None else {"invented_share": found.invented_share}),
        "blur_radius_px": float(found.analysis.field.radius_px.median()),
        **{tag: str(path) for tag, path in extras.items()},
    }
