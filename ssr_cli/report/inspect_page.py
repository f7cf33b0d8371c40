"""The inspection as one self-contained HTML page: every place of the photo can be asked for its kernel."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ssr_cli.physics.kinds import KINDS
from ssr_cli.report import page
from ssr_cli.report.findings import Findings, quantiles, rows, summarise
from ssr_cli.report.panels import KIND_COLOURS, fit
from ssr_cli.views import fusion_view, palette, radius_limit, to_picture

#: Longest side of the photo in the page, and of the grid of places that can be asked.
_SHOWN, _CELLS = 1024, 96
#: Atoms kept per place: the heaviest; what is left out is spread over them.
_KEPT = 12


def inspection_page(found: Findings, title: str) -> str:
    """The page.

    Args:
        found: see `find`.
        title: the photo's name.
    """
    summary = summarise(found)
    return page.fill(
        "inspect.html",
        title=page.escaped(title),
        figures=page.table(rows(summary)),
        rounds=_rounds(found),
        data=page.script_data(_data(found, summary["lens"])),
    )


def _rounds(found: Findings) -> str:
    """What every round of refinement said, as rows of a table."""
    return "".join(
        f"<tr><td>{t}</td><td>{float(turn.field.radius_px.median()):.2f}</td>"
        f"<td>{float(turn.field.confidence_px.median()):.2f}</td>"
        f"<td>|{turn.lens.alpha:.2f} d {turn.lens.beta:+.2f}|</td><td>{turn.lens.residual_px:.2f}</td></tr>"
        for t, turn in enumerate(found.analysis.rounds, 1)
    )


def _grid(plane: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) at the middles of a grid of places, each the value of one place: kernels are not averaged."""
    h, w = plane.shape[-2:]
    y = ((torch.arange(size[0]) + 0.5) / size[0] * h).long().clamp_max(h - 1)
    x = ((torch.arange(size[1]) + 0.5) / size[1] * w).long().clamp_max(w - 1)
    return plane[..., y[:, None], x[None]]


def _data(found: Findings, lens: dict[str, object]) -> dict[str, object]:
    """Everything the script needs: pictures, atoms, and for every cell of a grid its kernel and figures."""
    field, analysis, dictionary = found.analysis.field, found.analysis, found.dictionary
    h, w = field.radius_px.shape
    ratio = min(1.0, _CELLS / max(h, w))
    size = (max(1, round(h * ratio)), max(1, round(w * ratio)))
    heaviest, which = _grid(field.weights, size).topk(min(_KEPT, len(dictionary.names)), 0)
    planes = {
        "radius": field.radius_px,
        "error": field.confidence_px,
        "noise": field.noise,
        "depth": analysis.depth.disparity,
        "before": analysis.depth_before.disparity,
        "ratio": found.axes.ratio,
        "angle": found.axes.angle,
        "focus": found.kinds.shares[0],
        "optics": found.kinds.shares[1],
        "motion": found.kinds.shares[2],
    }
    values = torch.stack([_grid(p[None], size)[0] for p in planes.values()])
    return {
        "photo": [found.photo.height, found.photo.width],
        "scale": field.scale,
        "cells": size,
        "kept": heaviest.shape[0],
        "kernel": dictionary.size,
        "names": list(dictionary.names),
        "kinds": list(KINDS),
        "colours": [f"#{bytes(c).hex()}" for c in KIND_COLOURS],
        "planes": list(planes),
        "lens": lens,
        "layers": _layers(found),
        "kind": page.bytes_text(_grid(found.kinds.index[None], size).to(torch.uint8).numpy().tobytes()),
        "which": page.bytes_text(which.permute(1, 2, 0).to(torch.uint8).contiguous().numpy().tobytes()),
        "weight": page.bytes_text(
            (heaviest / heaviest.sum(0))
            .mul(65535)
            .round()
            .permute(1, 2, 0)
            .to(torch.int32)
            .numpy()
            .astype("<u2")
            .tobytes()
        ),
        "values": page.bytes_text(values.permute(1, 2, 0).contiguous().numpy().astype("<f4").tobytes()),
        "atoms": page.bytes_text(dictionary.atoms.numpy().astype("<f4").tobytes()),
    }


def _layers(found: Findings) -> list[dict[str, object]]:
    """Pictures that can be laid over the photo, each with its scale."""
    field, analysis, scale = found.analysis.field, found.analysis, found.analysis.field.scale
    most, error = radius_limit(field), max(0.5, math.ceil(quantiles(field.confidence_px, (0.995,))[0] * 10) / 10)
    colours = torch.tensor(KIND_COLOURS).float() / 255
    kinds = colours[found.kinds.index].permute(2, 0, 1)
    shown = fit(found.photo.rgb, _within(found.photo.height, found.photo.width))
    layers: list[dict[str, object]] = [
        {"name": "Photo", "uri": page.data_uri(to_picture(shown), "jpeg")},
        _scaled("Blur radius", field.radius_px / most, most, "HR px", 1 / scale, "photo px"),
        _scaled("Depth", analysis.depth.disparity, 1.0, "relative inverse depth, 1 is nearest"),
        _scaled("Depth as estimated", analysis.depth_before.disparity, 1.0, "relative inverse depth, 1 is nearest"),
        {"name": "Kind", "uri": page.data_uri(_picture(kinds)), "legend": "kinds"},
        _scaled("Uncertainty", field.confidence_px / error, error, "HR px", 1 / scale, "photo px"),
    ]
    if analysis.fusion is not None:
        h, w = analysis.fusion.shape[-2:]
        layers.append(
            {"name": "AMF", "uri": page.data_uri(fusion_view(analysis.fusion, _within(h, w))), "legend": "fusion"}
        )
    return layers


def _within(height: int, width: int) -> tuple[int, int]:
    """A size with its sides' ratio that is no larger than what a page shows."""
    ratio = min(1.0, _SHOWN / max(height, width))
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def _picture(rgb: Tensor) -> Image.Image:
    """(3, h, w) no larger than a page shows."""
    return to_picture(fit(rgb, _within(*rgb.shape[-2:])))


def _scaled(
    name: str, plane: Tensor, most: float, unit: str, second: float | None = None, second_unit: str | None = None
) -> dict[str, object]:
    """A map of values 0..1 with its colour bar."""
    small = F.interpolate(plane[None, None], size=_within(*plane.shape), mode="area")[0, 0]
    bar = {"most": most, "unit": unit, "second": second, "secondUnit": second_unit}
    return {"name": name, "uri": page.data_uri(to_picture(palette(small))), "bar": bar}
