"""Whether blur that was meant is kept: a result's background and subject against the truth of a rendered scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.diffusion.focus import keep_focus, reblurred
from ssr_cli.evaluation.benchmark import bicubic
from ssr_cli.evaluation.measuring import measure
from ssr_cli.evaluation.rows import Row, collected
from ssr_cli.evaluation.scenes import SETS, Scene
from ssr_cli.evaluation.synthetic import NOISE, load_sharp
from ssr_cli.image.color import linear_to_srgb, srgb_to_linear

if TYPE_CHECKING:
    from ssr_cli.console import Console
    from ssr_cli.settings import UpscaleOptions
    from ssr_cli.suite import Models

#: Sigmas a background is compared with, HR px.
_TRIED = tuple(0.1 * i for i in range(2, 61))
#: Fewer pixels than these are no background, or no subject.
LEAST_PIXELS = 1500
#: True blur radii beyond the sharpest place's up to which a place is of the subject, and from which on of the
#: background, HR px: beyond the second no eye takes it for sharp.
_SUBJECT_PX, _BACKGROUND_PX = 1.6, 3.4
#: LR pixels around a border between the two that count as neither.
_MARGIN = 4


@dataclass(frozen=True)
class KeptFocus:
    """Figures of one result.

    Attributes:
        radius_ratio: the background's blur radius over the wanted share of the photo's own.
        fine_energy_ratio: its energy above half the photo's finest frequency, over that of the photo interpolated.
        subject_loss_db: by how much the subject's PSNR is below that of the picture restored everywhere.
    """

    radius_ratio: float
    fine_energy_ratio: float
    subject_loss_db: float


def regions(radius_px: Tensor, sharpest_px: float, scale: int) -> tuple[Tensor, Tensor]:
    """Background and subject (H, W), away from the border between them, from true radii (h, w) in HR px."""
    beyond = (radius_px - sharpest_px)[None, None]
    apart = []
    for wanted in (beyond > _BACKGROUND_PX, beyond < _SUBJECT_PX):
        side = 2 * _MARGIN + 1
        lost = F.max_pool2d((~wanted).float(), side, 1, _MARGIN) > 0
        apart.append(F.interpolate((~lost).float(), scale_factor=scale)[0, 0] > 0.5)
    return apart[0], apart[1]


def blur_sigma(picture: Tensor, sharp: Tensor, where: Tensor) -> float:
    """Sigma in HR px of the Gaussian that makes of a sharp picture (3, H, W) what another shows at some places."""
    light, errors = srgb_to_linear(sharp)[None], []
    for sigma in _TRIED:
        blurred = linear_to_srgb(reblurred(light, torch.full_like(light[:, :1], sigma)))[0]
        errors.append(float((blurred - picture)[:, where].square().mean()))
    return _TRIED[min(range(len(errors)), key=errors.__getitem__)]


def fine_energy(picture: Tensor, where: Tensor) -> float:
    """Mean square (3, H, W) of what a Gaussian of one pixel takes away, at some places."""
    soft = reblurred(picture[None], torch.full_like(picture[None, :1], 1.2))[0]
    return float((picture - soft)[:, where].square().mean())


def kept_focus(
    kept: Tensor, everywhere: Tensor, interpolated: Tensor, sharp: Tensor, radius_px: Tensor, strength: float
) -> KeptFocus | None:
    """Figures of a result that keeps a share of its blur.

    Args:
        kept: (3, H, W) encoded, the result.
        everywhere: (3, H, W), restored everywhere.
        interpolated: (3, H, W), the photo interpolated.
        sharp: (3, H, W), the truth.
        radius_px: (h, w) true blur radii, HR px.
        strength: share of the blur that was to stay, 0..1.

    Returns:
        None where the scene has too little background or subject.
    """
    scale = sharp.shape[-1] // radius_px.shape[-1]
    background, subject = regions(radius_px, float(radius_px.flatten().quantile(0.05)), scale)
    if min(int(background.sum()), int(subject.sum())) < LEAST_PIXELS:
        return None
    own = blur_sigma(interpolated, sharp, background)
    ratio = blur_sigma(kept, sharp, background) / max(strength * own, _TRIED[0])
    fine = fine_energy(kept, background) / max(fine_energy(interpolated, background), 1e-12)
    errors = [float((x - sharp)[:, subject].square().mean()) for x in (kept, everywhere)]
    loss = 10 * torch.tensor(errors).clamp_min(1e-5).log10()
    return KeptFocus(ratio, fine, float(loss[0] - loss[1]))


def score_kept(
    photos: Sequence[Path],
    models: Models,
    options: UpscaleOptions,
    limit: int | None,
    console: Console,
    jsonl: Path | None,
) -> list[Row]:
    """Restore photos rendered out of focus, keep their blur by the true radii and by SVKR's, and print figures of each.

    Args:
        photos: sharp photos, see `score_synthetic`.
        models: all of them.
        options: of the pipeline.
        limit: how many photos, or None for all.
        console: for progress and the table.
        jsonl: file that gets each row.

    Raises:
        InputError: when there are no photos, or one is unreadable or too small.
    """
    names, crops = load_sharp(photos, limit)

    def score(index: int) -> Iterator[Row]:
        for row in _score(SETS["defocus"](crops, index, 0, NOISE), models, options):
            yield {"image": names[index], **row}

    rows = collected(range(len(names)), names.__getitem__, score, "Keeping blur", console, jsonl)
    cells = [(str(r["image"]), str(r["radii"]), *(f"{r[k]:.2f}" for k in KeptFocus.__dataclass_fields__)) for r in rows]
    console.table(
        f"kept blur ({len(names)} photos; those with too little background or subject are left out)",
        ("", "radii", "blur radius", "fine energy", "subject dB lost"),
        cells,
    )
    if console.mode == "json":
        console.result({"rows": rows})
    return rows


def _score(scene: Scene, models: Models, options: UpscaleOptions) -> list[Row]:
    """Rows of a scene: its blur kept by the truth, and by what SVKR finds."""
    truth = scene.truth
    radius = (2 * (truth.covariance[0] + truth.covariance[1])).clamp_min(0).sqrt()
    sharpest = radius.flatten().quantile(0.05)[None]
    everywhere = measure(truth.lr, models, replace(options, focus="all")).rgb
    known = keep_focus(everywhere[None], truth.lr[None], radius[None, None], sharpest, 1.0)[0]
    found = measure(truth.lr, models, replace(options, focus="keep", focus_strength=None)).rgb
    flat = bicubic(truth.lr, (truth.hr.shape[-2], truth.hr.shape[-1]))
    rows: list[Row] = []
    for name, kept in (("true", known), ("SVKR's", found)):
        figures = kept_focus(kept, everywhere, flat, truth.hr, radius, 1.0)
        if figures is not None:
            rows.append({"radii": name, **asdict(figures)})
    return rows
