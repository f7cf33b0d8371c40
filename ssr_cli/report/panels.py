"""The panels of an inspection: each a chart with title, axes, units and its own scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from ssr_cli.image.color import resize
from ssr_cli.physics.kinds import DIRECTED, KINDS
from ssr_cli.report.drawing import Axis, Colour, caption, colour_scale, legend, with_axes
from ssr_cli.report.findings import Findings, quantiles
from ssr_cli.views import fusion_view, kernel_sheet, palette, radius_limit, to_picture

#: Colours of the kinds, told apart by people who see red and green alike, and in grey.
KIND_COLOURS: tuple[Colour, ...] = ((236, 236, 230), (58, 150, 220), (230, 159, 0), (200, 80, 140))
#: Strokes are drawn this many times larger, then reduced: Pillow's lines have hard edges.
_FINE = 3
#: One direction mark for so many pixels of a panel.
_MARK = 26


@dataclass(frozen=True)
class Sizes:
    """Of all panels of a photo.

    Attributes:
        height: of a panel's picture.
        width: likewise.
        photo: rows and columns of the photo.
    """

    height: int
    width: int
    photo: tuple[int, int]

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def bar(self) -> int:
        """Width of a bar or legend below: the picture's, but no less than its text needs."""
        return max(self.width, 300)


def sizes(found: Findings, longest: int = 420) -> Sizes:
    """Panels for a photo: the longest side `longest`, the other at least 24."""
    h, w = found.photo.height, found.photo.width
    ratio = longest / max(h, w)
    return Sizes(max(24, round(h * ratio)), max(24, round(w * ratio)), (h, w))


def _on_photo(picture: Image.Image, size: Sizes, title: str, foot: Image.Image | None) -> Image.Image:
    """A panel whose axes are the photo's pixels."""
    rows, columns = size.photo
    return with_axes(picture, title, Axis("x, photo px", 0, columns), Axis("y, photo px", 0, rows), foot)


def fit(plane: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) to a panel's size, enlarged without inventing anything."""
    if size[0] >= plane.shape[-2] and size[1] >= plane.shape[-1]:
        return F.interpolate(plane[None], size=size, mode="nearest")[0]
    return resize(plane, size, "area")


def photo_panel(found: Findings, size: Sizes) -> Image.Image:
    """The photo itself."""
    h, w = size.photo
    foot = caption(size.bar, f"{w} x {h} photo px; enlarged x4 it has {4 * w} x {4 * h} px: those are the HR px.")
    return _on_photo(to_picture(fit(found.photo.rgb, size.hw)), size, "Photo", foot)


def depth_panels(found: Findings, size: Sizes) -> tuple[Image.Image, Image.Image]:
    """Depth before and after refinement, on one scale."""
    maps = (
        (found.analysis.depth_before, "Depth (relative inverse), as estimated"),
        (found.analysis.depth, "Depth, refined by the kernels"),
    )
    foot = colour_scale(size.bar, 1.0, "1 is nearest")
    before, after = (
        _on_photo(to_picture(palette(fit(depth.disparity[None], size.hw)[0])), size, title, foot)
        for depth, title in maps
    )
    return before, after


def radius_panel(found: Findings, size: Sizes) -> Image.Image:
    """Blur radius in HR and LR pixels."""
    field = found.analysis.field
    most = radius_limit(field)
    picture = to_picture(palette(fit(field.radius_px[None], size.hw)[0] / most))
    foot = colour_scale(size.bar, most, "HR px", (1 / field.scale, "photo (LR) px"))
    return _on_photo(picture, size, "Blur radius", foot)


def uncertainty_panel(found: Findings, size: Sizes) -> Image.Image:
    """How far off the radius is expected to be."""
    error = found.analysis.field.confidence_px
    most = max(0.5, math.ceil(quantiles(error, (0.995,))[0] * 10) / 10)
    picture = to_picture(palette(fit(error[None], size.hw)[0] / most))
    foot = colour_scale(size.bar, most, "HR px", (1 / found.analysis.field.scale, "photo (LR) px"))
    return _on_photo(picture, size, "Uncertainty of the blur radius", foot)


def kernels_panel(found: Findings, size: Sizes) -> Image.Image:
    """Local kernels over the dimmed photo."""
    picture, shown = kernel_sheet(found.photo, found.analysis.field, found.dictionary, size.hw)
    scale = found.analysis.field.scale
    text = f"Each square is {shown} HR px ({shown / scale:g} photo px) wide, the sensor's pixel included, its peak 1."
    return _on_photo(picture, size, "Local kernels", caption(size.bar, text))


def _grid(length: int, pixels: int) -> list[float]:
    """Middles of cells along a side, 0..1."""
    count = max(1, pixels // _MARK)
    return [(i + 0.5) / count for i in range(count)]


def direction_panel(found: Findings, size: Sizes) -> Image.Image:
    """Long axes of the kernels as strokes over the dimmed photo, coloured by kind."""
    fine = (size.height * _FINE, size.width * _FINE)
    dimmed = fit(found.photo.rgb, size.hw).mean(0, keepdim=True).expand(3, -1, -1) * 0.4
    sheet = to_picture(dimmed).resize((fine[1], fine[0]), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(sheet)
    h, w = found.kinds.index.shape
    most = max(1.0, radius_limit(found.analysis.field))
    for v in _grid(h, size.height):
        for u in _grid(w, size.width):
            y, x = min(h - 1, int(v * h)), min(w - 1, int(u * w))
            _stroke(draw, found, (y, x), (v * fine[0], u * fine[1]), 0.46 * _MARK * _FINE / most)
    picture = sheet.resize((size.width, size.height), Image.Resampling.LANCZOS)
    entries = [(colour, name) for colour, name in zip(KIND_COLOURS, KINDS, strict=True)]
    foot = legend(size.bar, [*entries, ((90, 90, 90), f"stroke: axes beyond {DIRECTED:g} : 1, dot: none")])
    return _on_photo(picture, size, "Direction and kind of the blur", foot)


def _stroke(
    draw: ImageDraw.ImageDraw, found: Findings, cell: tuple[int, int], at: tuple[float, float], per_px: float
) -> None:
    """One mark: a stroke as long as the kernel's long axis, or a dot as wide as a kernel without direction."""
    colour = KIND_COLOURS[int(found.kinds.index[cell])]
    y, x = at
    if float(found.axes.ratio[cell]) < DIRECTED:
        r = 1.9 * _FINE
        draw.ellipse([x - r, y - r, x + r, y + r], fill=colour)
        return
    reach = max(2.5 * _FINE, min(2 * float(found.axes.long_px[cell]) * per_px, 0.5 * _MARK * _FINE))
    angle = float(found.axes.angle[cell])
    dx, dy = reach * math.cos(angle), -reach * math.sin(angle)
    draw.line([x - dx, y - dy, x + dx, y + dy], fill=colour, width=round(1.8 * _FINE))


def fusion_panel(found: Findings, size: Sizes) -> Image.Image | None:
    """AMF's weights as a mixture of three colours."""
    fusion = found.analysis.fusion
    if fusion is None:
        return None
    names = zip(("photo", "depth", "kernel"), fusion.mean((1, 2)), strict=True)
    colours: tuple[Colour, ...] = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    entries = [(c, f"{name}, mean {float(mean):.2f}") for c, (name, mean) in zip(colours, names, strict=True)]
    foot = legend(size.bar, entries)
    return _on_photo(fusion_view(fusion, size.hw), size, "AMF: weight of photo, depth and kernel", foot)


def lens_panel(found: Findings, size: Sizes) -> Image.Image:
    """Blur radius against depth at all places, with the fitted lens."""
    field, lens = found.analysis.field, found.analysis.lens
    most = radius_limit(field) * 1.08
    height = width = max(size.bar, 240)
    height = max(200, min(size.height, 420))
    disparity, radius = found.analysis.depth.disparity.flatten(), field.radius_px.flatten()
    columns = (disparity.clamp(0, 0.9999) * (width // 3)).long()
    rows = ((radius / most).clamp(0, 0.9999) * (height // 3)).long()
    counts = torch.zeros(height // 3, width // 3)
    counts.index_put_((height // 3 - 1 - rows, columns), torch.ones_like(radius), accumulate=True)
    density = (counts / counts.max()).sqrt()
    paper = torch.tensor([0.98, 0.98, 0.97])[:, None, None]
    ink = torch.tensor([0.0, 0.30, 0.47])[:, None, None]
    shade = torch.where(density > 0, 0.28 + 0.72 * density, density)
    picture = to_picture(paper * (1 - shade) + ink * shade).resize((width * 2, height * 2), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(picture)
    line = [(2 * width * d / 100, 2 * height * (1 - abs(lens.alpha * d / 100 + lens.beta) / most)) for d in range(101)]
    draw.line(line, fill=(200, 60, 20), width=5, joint="curve")
    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    text = f"line: radius = |{lens.alpha:.2f} d {lens.beta:+.2f}| HR px, mean distance from it {lens.residual_px:.2f}"
    across, down = Axis("relative inverse depth d (0 far, 1 near)", 0, 1), Axis("blur radius, HR px", most, 0)
    return with_axes(picture, "Thin lens: blur against depth", across, down, caption(width, text))
