"""`ssr compare`: right figures, clear refusals, and a page that does in a real browser what it promises."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssr_cli.cli import main
from tests.browser import needs_browser, opened


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    return int(stopped.value.code or 0)


def _flat(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (400, 300)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return _flat(tmp_path / "red.png", (255, 0, 0)), _flat(tmp_path / "blue.png", (0, 0, 255))


def test_figures_against_the_truth(tmp_path: Path, capsys) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(40, 200, (64, 80, 3), dtype=np.uint8)
    for name, step in (("truth", 0), ("near", 1), ("far", 10)):
        Image.fromarray(truth + np.uint8(step)).save(tmp_path / f"{name}.png")
    near, far, true = (tmp_path / f"{n}.png" for n in ("near", "far", "truth"))
    assert _run("compare", near, far, "--truth", true, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    # one step of grey is 219 / 255 of luma: 20 log10(255 / (219 / 255)) dB
    assert told["scores"]["first"]["PSNR-Y"] == pytest.approx(49.45, abs=0.01)
    assert told["scores"]["second"]["PSNR-Y"] == pytest.approx(29.45, abs=0.01)
    assert told["scores"]["second"]["SSIM-Y"] < told["scores"]["first"]["SSIM-Y"] < 1
    page = Path(told["page"])
    assert page.name == "near-far.compare.html"
    assert '<td class="best">49.45 dB</td>' in page.read_text(encoding="utf-8")


def test_the_page_holds_the_files_themselves(pair, tmp_path: Path) -> None:
    from base64 import b64encode

    assert _run("compare", *pair, "-o", tmp_path / "page.html") == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    for path in pair:
        assert b64encode(path.read_bytes()).decode() in text
    assert "http://" not in text and "https://" not in text


def test_a_smaller_picture_is_enlarged_and_that_is_said(pair, tmp_path: Path) -> None:
    small = _flat(tmp_path / "small.png", (0, 255, 0), (100, 75))
    assert _run("compare", small, pair[0], "-o", tmp_path / "page.html") == 0
    assert "small.png (100 x 75, enlarged by bicubic)" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("extra", "code", "said"),
    [
        (["square.png"], 3, "same photo"),
        (["blue.png", "--truth", "small.png"], 3, "truth of that size"),
        (["blue.png", "--lpips-weights", "weights.safetensors"], 2, "--truth"),
        (["blue.png", "-o", "page.png"], 4, ".html"),
        (["missing.png"], 3, "missing.png"),
    ],
)
def test_what_cannot_be_compared_is_refused(pair, tmp_path, monkeypatch, capsys, extra, code, said) -> None:
    monkeypatch.chdir(tmp_path)
    _flat(tmp_path / "square.png", (0, 0, 0), (300, 300))
    _flat(tmp_path / "small.png", (0, 0, 0), (200, 150))
    before = sorted(p.name for p in tmp_path.iterdir())
    assert _run("compare", "red.png", *extra) == code
    assert said in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_page_is_not_overwritten(pair, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("precious")
    assert _run("compare", *pair, "-o", tmp_path / "page.html") == 4
    assert (tmp_path / "page.html").read_text() == "precious"


def test_a_name_cannot_break_the_page(tmp_path: Path) -> None:
    first = _flat(tmp_path / "<b>&'.png", (1, 2, 3))
    assert _run("compare", first, first, "--truth", first, "-o", tmp_path / "page.html") == 0
    assert "<b>" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def _colours(path: Path) -> tuple[float, float]:
    """Share of red and of blue pixels."""
    picture = np.asarray(Image.open(path).convert("RGB"), dtype=int)
    red = (picture == (255, 0, 0)).all(2).mean()
    blue = (picture == (0, 0, 255)).all(2).mean()
    return float(red), float(blue)


@needs_browser
def test_divider_keys_and_zoom(pair, tmp_path: Path) -> None:
    """Two flat pictures: how much of each is seen says where the divider is, their area says the zoom."""
    assert _run("compare", *pair, "-o", tmp_path / "page.html") == 0
    area = 400 * 300 / (1000 * 700)
    with opened(tmp_path / "page.html", tmp_path / "profile", size=(1000, 700)) as page:
        red, blue = _colours(page.screenshot(tmp_path / "0.png"))
        # at 100 % one picture pixel is one screen pixel, less what divider and its grip hide
        assert red + blue == pytest.approx(area, rel=0.03)
        assert red == pytest.approx(blue, rel=0.03)
        page.drag((500, 350), (600, 350))
        assert page.value("divider.getAttribute('aria-valuenow')") == "60"
        red, blue = _colours(page.screenshot(tmp_path / "1.png"))
        assert red / blue == pytest.approx(3, rel=0.06)
        page.value("divider.focus()")
        for _ in range(10):
            page.press("ArrowLeft")
        assert page.value("divider.getAttribute('aria-valuenow')") == "50"
        page.press("Home")
        assert _colours(page.screenshot(tmp_path / "2.png"))[0] < 0.001
        page.press("a")
        assert _colours(page.screenshot(tmp_path / "3.png"))[1] < 0.001
        page.press(" ")  # swapped: now all of it is the other picture
        assert _colours(page.screenshot(tmp_path / "4.png"))[0] < 0.001
        page.press("+")
        red, blue = _colours(page.screenshot(tmp_path / "5.png"))
        assert page.value("byId('zoom').textContent") == "150 %"
        assert red + blue == pytest.approx(area * 2.25, rel=0.03)
        page.press("1")
        assert page.value("byId('zoom').textContent") == "100 %"


@needs_browser
def test_the_picture_is_dragged_and_the_wheel_zooms_about_the_cursor(pair, tmp_path: Path) -> None:
    assert _run("compare", *pair, "-o", tmp_path / "page.html") == 0
    with opened(tmp_path / "page.html", tmp_path / "profile", "zoom=2", size=(1000, 700)) as page:
        before = page.value("[state.x, state.y]")
        page.drag((300, 300), (250, 260))
        assert page.value("[state.x, state.y]") == [before[0] + 25, before[1] + 20]
        under = "(b => state.x + (700 - b.left - b.width / 2) / state.zoom)(stage.getBoundingClientRect())"
        place = page.value(under)
        page.call("Input.dispatchMouseEvent", type="mouseWheel", x=700, y=300, deltaX=0, deltaY=-300)
        assert page.value("state.zoom") > 2.5
        assert page.value(under) == pytest.approx(place, abs=0.01)


@needs_browser
def test_at_100_percent_every_pixel_is_the_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    assert _run("compare", tmp_path / "a.png", tmp_path / "a.png", "-o", tmp_path / "page.html") == 0
    with opened(tmp_path / "page.html", tmp_path / "profile", "at=0", size=(901, 701)) as page:
        shot = np.asarray(Image.open(page.screenshot(tmp_path / "shot.png")).convert("RGB"))
        image = "document.querySelector('#over img').getBoundingClientRect()"
        left, top = round(page.value(f"{image}.left")), round(page.value(f"{image}.top"))
    assert np.array_equal(shot[top : top + 120, left : left + 160], noise)
