"""`ssr replay`: make a result again from the record beside it, and say whether it is the same."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssr_cli.commands import upscale
from ssr_cli.console import Console
from ssr_cli.errors import InputError, ReplayDiffers
from ssr_cli.paths import check_writable, digest, publish
from ssr_cli.sidecar import Sidecar, device_facts, read_sidecar, versions

if TYPE_CHECKING:
    from ssr_cli.settings import UpscaleOptions


@dataclass(frozen=True)
class ReplayJob:
    """What was asked for.

    Attributes:
        record: the .ssr.json.
        photo: where the input is now, or None for where the record says.
        out: file to write, or None to write only where the result is missing.
        device: to use, or None for the record's kind.
        force: overwrite.
    """

    record: Path
    photo: Path | None
    out: Path | None
    device: str | None
    force: bool


class _Silent(Console):
    """Says nothing of its own about the work; warnings and progress stay."""

    def result(self, value: str | dict[str, Any]) -> None:
        """Not here: the replay tells."""


def run(job: ReplayJob, console: Console) -> None:
    """Check the input, make the result again, compare, tell.

    Raises:
        ReplayDiffers: if the result came out different.
        SsrError: naming what else was wrong.
    """
    record = read_sidecar(job.record)
    photo = _input(record, job.photo)
    target = job.out or (None if record.output.exists() and not job.force else record.output)
    if target is not None:
        check_writable(target, job.force)
    options, changes = _circumstances(record, job.device)
    changes = [*_changed_files(record), *changes]
    with tempfile.TemporaryDirectory(prefix="ssr-replay-") as folder:
        made = Path(folder) / Path(record.data["output"]["path"]).name
        _make(record, photo, made, options, _Silent(console.mode))
        same = digest(made) == record.data["output"]["sha256"]
        differences = [] if same else [*_pixels(record, made), *changes]
        if target is not None:
            with publish(target, job.force) as temporary:
                shutil.copyfile(made, temporary)
    _tell(record, target, same, differences or changes, console)
    if not same:
        raise ReplayDiffers(
            f"{record.output.name} came out different: {'; '.join(differences) or 'nothing known has changed'}.",
            "Use the versions, weights and kind of device in the record to get the same bits.",
        )


def _input(record: Sidecar, given: Path | None) -> Path:
    """The input, which must be the recorded one.

    Raises:
        InputError: if it is missing or another one.
    """
    photo = given or record.photo
    if not photo.is_file():
        raise InputError(f"The input {photo} does not exist.", "Say where it is with --input.")
    if digest(photo) != record.data["input"]["sha256"]:
        raise InputError(f"{photo} is not the photo that the record was made of.", "Name that one with --input.")
    return photo


def _circumstances(record: Sidecar, device: str | None) -> tuple[UpscaleOptions, list[str]]:
    """Options on a device of the recorded kind, where there is one, and what about here is not as it was."""
    import torch

    from ssr_cli.device import resolve_device
    from ssr_cli.errors import DeviceError

    was = record.data["device"]
    wanted = device or str(was["kind"])
    try:
        here = str(resolve_device(wanted))
    except DeviceError:
        if device is not None:
            raise
        wanted, here = "cpu", "cpu"
    if here == "cpu" and was["kind"] == "cpu":
        torch.set_num_threads(int(was["threads"]))  # sums are split among threads
    now = device_facts(here)
    changes = [f"device {name} {was[name]}, now {now[name]}" for name in was if was[name] != now.get(name)]
    old, new = record.data["versions"], versions()
    changes += [f"{name} {old[name]}, now {new.get(name, 'missing')}" for name in old if old[name] != new.get(name)]
    return replace(record.options, device=wanted), changes


def _changed_files(record: Sidecar) -> list[str]:
    """Weights and depth file that are not the recorded ones.

    Raises:
        InputError: if the depth file is missing.
    """
    from ssr_cli.weights import locate

    changes = []
    weights, depth = record.data["weights"], record.data["depth"]
    if digest(locate(weights["model"])) != weights["sha256"]:
        changes.append(f"weights of {weights['model']} are others")
    if depth["sha256"]:
        if not Path(record.depth).is_file():
            raise InputError(f"The depth map {record.depth} does not exist.", "Put it where it was.")
        if digest(Path(record.depth)) != depth["sha256"]:
            changes.append("the depth map is another one")
    return changes


def _make(record: Sidecar, photo: Path, made: Path, options: UpscaleOptions, console: Console) -> None:
    """The result again, exactly as `ssr upscale` makes it."""
    job = upscale.UpscaleJob(
        photo=photo,
        out=made,
        options=options,
        model=record.data["weights"]["model"],
        depth=record.depth,
        depth_invert=bool(record.data["depth"]["invert"]),
        save_kernel=False,
        save_depth=False,
        force=False,
        files=record.files,
    )
    upscale.run(job, console)


def _pixels(record: Sidecar, made: Path) -> list[str]:
    """How far the pixels are from the result's, where that is still there."""
    if not record.output.is_file():
        return []
    if digest(record.output) != record.data["output"]["sha256"]:
        return [f"{record.output.name} itself was changed since"]
    from ssr_cli.image.reading import read_photo

    old, new = read_photo(record.output).rgb, read_photo(made).rgb
    if old.shape != new.shape:
        return [f"{new.shape[-1]} x {new.shape[-2]} pixels, were {old.shape[-1]} x {old.shape[-2]}"]
    apart = (old - new).abs().amax(0)
    count = int((apart > 0).sum())
    if not count:
        return ["the pixels are the same, the file around them is not"]
    return [f"{count} of {apart.numel()} pixels differ, by at most {255 * float(apart.max()):.1f} / 255"]


def _tell(record: Sidecar, target: Path | None, same: bool, differences: list[str], console: Console) -> None:
    """What came of it."""
    if console.mode == "json":
        told = {"record": str(record.path), "output": None if target is None else str(target), "identical": same}
        console.result({**told, "differences": differences})
    elif same:
        for difference in differences:
            console.hint(f"Not as it was, but without effect: {difference}.")
        console.result(f"{record.output.name}: identical, bit for bit" if target is None else str(target))
