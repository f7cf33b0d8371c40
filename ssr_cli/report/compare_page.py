"""Two pictures of the same thing in one self-contained HTML page, with a divider between them and figures below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ssr_cli.report import page

#: Figures in their order, and whether more is better.
FIGURES = {"PSNR-Y": True, "SSIM-Y": True, "LPIPS": False}
_DIGITS = {"PSNR-Y": (2, " dB"), "SSIM-Y": (4, ""), "LPIPS": (4, "")}


@dataclass(frozen=True)
class Shown:
    """A picture of the page.

    Attributes:
        name: for a person.
        uri: the picture as a data URI.
        figures: against the truth, by name; empty where there is none.
    """

    name: str
    uri: str
    figures: dict[str, float] = field(default_factory=dict)


def compare_page(pictures: Sequence[Shown], size: tuple[int, int], title: str) -> str:
    """The page.

    Args:
        pictures: two or more, shown at one size; the first two are left and right at the beginning.
        size: height and width, pixels.
        title: above them.
    """
    data = {"height": size[0], "width": size[1], "pictures": [{"name": p.name, "uri": p.uri} for p in pictures]}
    return page.fill("compare.html", title=page.escaped(title), metrics=_metrics(pictures), data=page.script_data(data))


def _metrics(pictures: Sequence[Shown]) -> str:
    """The table of figures, the best of each in bold; nothing where there are none."""
    scored = [p for p in pictures if p.figures]
    if not scored:
        return ""
    names = [n for n in FIGURES if n in scored[0].figures]
    better = {n: "higher is better" if FIGURES[n] else "lower is better" for n in names}
    head = "".join(f'<th scope=col title="{better[n]}">{n} {"&uarr;" if FIGURES[n] else "&darr;"}</th>' for n in names)
    best = {n: (max if FIGURES[n] else min)(p.figures[n] for p in scored) for n in names}
    rows = "".join(
        f"<tr><th scope=row>{page.escaped(p.name)}</th>"
        + "".join(f"<td{_bold(p.figures[n] == best[n])}>{figure(n, p.figures[n])}</td>" for n in names)
        + "</tr>"
        for p in scored
    )
    return f"<table id=metrics><thead><tr><th>against the truth</th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _bold(best: bool) -> str:
    return ' class="best"' if best else ""


def figure(name: str, value: float) -> str:
    """A figure with its unit."""
    digits, unit = _DIGITS[name]
    return "equal" if value == float("inf") else f"{value:.{digits}f}{unit}"
