"""Pictures of what `ssr` knows: arrays in, a Pillow image out. No files, no printing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ssr_cli.frames import Analysis, DepthMap, KernelField, Photo
from ssr_cli.image.color import resize
from ssr_cli.physics.kernels import KernelDictionary

_INK, _PAPER = (30, 30, 34), (250, 250, 248)
_MARGIN, _TITLE, _TEXT = 14, 17, 14
#: Longest side of one panel, pixels.
PANEL = 560
#: Room of one kernel on a sheet, and its side, pixels: between kernels the photo must be seen.
_CELL, _SIDE = 62, 44


def palette(value: Tensor) -> Tensor:
    """Colours (3, h, w) for values 0..1 (h, w): dark blue, teal, sand, steadily lighter."""
    v = value.clamp(0, 1)
    red = 0.07 + 0.95 * v**1.8
    green = 0.08 + 0.86 * v**0.95
    blue = 0.30 + 0.42 * torch.sin(math.pi * (0.12 + 0.80 * v)) - 0.10 * v
    return torch.stack([red, green, blue]).clamp(0, 1)


def to_picture(rgb: Tensor) -> Image.Image:
    """(3, h, w) in 0..1 as a picture."""
    return Image.fromarray((rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy())


def _panel_size(height: int, width: int, longest: int = PANEL) -> tuple[int, int]:
    """Size of a panel for a photo: its longest side is `longest`, the other at least 8."""
    ratio = longest / max(height, width)
    return max(8, round(height * ratio)), max(8, round(width * ratio))


def _fit(plane: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) to a panel, enlarged without inventing anything."""
    enlarge = size[0] >= plane.shape[-2]
    return F.interpolate(plane[None], size=size, mode="nearest")[0] if enlarge else resize(plane, size, "area")


def depth_view(depth: DepthMap, size: tuple[int, int] | None = None) -> Image.Image:
    """Relative inverse depth: bright is near.

    Args:
        depth: (h, w).
        size: of the picture, or None for a pixel per LR pixel.
    """
    plane = depth.disparity[None]
    return to_picture(palette((plane if size is None else _fit(plane, size))[0]))


def radius_view(field: KernelField, size: tuple[int, int], most_px: float) -> Image.Image:
    """Blur radius, dark 0, bright `most_px` HR px."""
    return to_picture(palette(_fit(field.radius_px[None], size)[0] / most_px))


def radius_limit(field: KernelField) -> float:
    """A round upper end for the colour bar, HR px."""
    high = float(torch.quantile(field.radius_px.flatten()[:: max(1, field.radius_px.numel() // 100_000)], 0.995))
    return max(1.0, math.ceil(high * 2) / 2)


def _reach(kernels: Tensor) -> int:
    """Side of the smallest centred window that holds 99 % of every kernel (N, k, k): even, at least 8 pixels."""
    k = kernels.shape[-1]
    for side in range(8, k, 2):
        cut = (k - side) // 2
        if float(kernels[:, cut : k - cut, cut : k - cut].sum((1, 2)).min()) >= 0.99:
            return side
    return k


def kernel_sheet(
    photo: Photo, field: KernelField, dictionary: KernelDictionary, size: tuple[int, int]
) -> tuple[Image.Image, int]:
    """Local kernels laid over the dimmed photo where they belong, each brightest at 1.

    Args:
        photo: the photo.
        field: its kernels (at the photo's size or a subsampled one).
        dictionary: the atoms.
        size: of the picture.

    Returns:
        The picture, and how many HR px a shown kernel is wide.
    """
    sheet = to_picture(_fit(photo.rgb, size) * 0.5)
    draw = ImageDraw.Draw(sheet)
    rows, columns = max(1, size[0] // _CELL), max(1, size[1] // _CELL)
    side = min(_SIDE, size[0] // rows - 2, size[1] // columns - 2)
    h, w = field.weights.shape[-2:]
    places = [((i + 0.5) / rows, (j + 0.5) / columns) for i in range(rows) for j in range(columns)]
    weights = torch.stack([field.weights[:, min(h - 1, int(y * h)), min(w - 1, int(x * w))] for y, x in places])
    kernels = torch.einsum("nl,lij->nij", weights, dictionary.atoms)
    shown = _reach(kernels)
    if side < 6:
        return sheet, shown
    cut = (kernels.shape[-1] - shown) // 2
    for (y, x), kernel in zip(places, kernels, strict=True):
        inner = kernel[cut : cut + shown, cut : cut + shown]
        picture = to_picture(palette((inner / inner.max()).sqrt())).resize((side, side), Image.Resampling.NEAREST)
        left, top = round(x * size[1] - side / 2), round(y * size[0] - side / 2)
        sheet.paste(picture, (left, top))
        draw.rectangle([left - 1, top - 1, left + side, top + side], outline=(200, 200, 200))
    return sheet, shown


def _kernel_panel(photo: Photo, field: KernelField, dictionary: KernelDictionary, size: tuple[int, int]) -> Image.Image:
    """The kernel sheet under its title."""
    picture, shown = kernel_sheet(photo, field, dictionary, size)
    return framed(picture, f"local kernels, each {shown} HR px wide")


def fusion_view(fusion: Tensor, size: tuple[int, int]) -> Image.Image:
    """AMF's weights: red photo, green depth, blue kernel."""
    return to_picture(_fit(fusion, size))


def colour_bar(width: int, low: str, high: str) -> Image.Image:
    """A horizontal bar with its two ends named."""
    bar = Image.new("RGB", (width, 34), _PAPER)
    ramp = torch.linspace(0, 1, width).expand(12, width)
    bar.paste(to_picture(palette(ramp)), (0, 2))
    draw, font = ImageDraw.Draw(bar), ImageFont.load_default(_TEXT)
    draw.text((0, 16), low, fill=_INK, font=font)
    draw.text((width, 16), high, fill=_INK, font=font, anchor="ra")
    return bar


def framed(picture: Image.Image, title: str, footer: Image.Image | None = None) -> Image.Image:
    """A picture under its title, with a colour bar or legend below; as wide as the title needs."""
    font = ImageFont.load_default(_TITLE)
    width = max(picture.width, math.ceil(font.getlength(title)))
    foot = footer.height + 4 if footer is not None else 0
    out = Image.new("RGB", (width, picture.height + 26 + foot), _PAPER)
    ImageDraw.Draw(out).text((0, 2), title, fill=_INK, font=font)
    out.paste(picture, (0, 26))
    if footer is not None:
        out.paste(footer, (0, 26 + picture.height + 4))
    return out


def sheet(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Pictures in rows with margins."""
    width = max(sum(p.width + _MARGIN for p in row) for row in rows) + _MARGIN
    height = sum(max(p.height for p in row) + _MARGIN for row in rows) + _MARGIN
    out = Image.new("RGB", (width, height), _PAPER)
    y = _MARGIN
    for row in rows:
        x = _MARGIN
        for picture in row:
            out.paste(picture, (x, y))
            x += picture.width + _MARGIN
        y += max(p.height for p in row) + _MARGIN
    return out


def invented_view(invented: Tensor) -> Image.Image:
    """What the photo does not determine, (3, H, W) uint8: middle grey is nothing, at twice its strength."""
    return to_picture(0.5 + 2 * (invented.float() / 255 - 0.5))


def confidence_view(sure: Tensor) -> Image.Image:
    """How sure every pixel is, (1, H, W) uint8: white is certain, one half an expected error of 8/255."""
    return Image.fromarray(sure[0].numpy(), "L")


def kernel_view(photo: Photo, analysis: Analysis, dictionary: KernelDictionary) -> Image.Image:
    """Kernel sheet and blur-radius map, side by side: what `--save-kernel` writes."""
    size = _panel_size(photo.height, photo.width)
    most = radius_limit(analysis.field)
    bar = colour_bar(max(240, size[1]), "0", f"{most:g} HR px")
    radius = framed(radius_view(analysis.field, size, most), "blur radius", bar)
    return sheet([[_kernel_panel(photo, analysis.field, dictionary, size), radius]])
