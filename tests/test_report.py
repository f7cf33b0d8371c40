"""The inspection: kinds and lens say what they should, every view shows it, numpy re-blurs as the package does."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssr_cli.frames import Analysis, DepthMap, KernelField, Photo, Round, ThinLens
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.physics.kinds import FOCUS, KINDS, LENS, MOTION, SHARP, axes_of, kinds_of
from ssr_cli.physics.operators import SpatiallyVariantBlur
from ssr_cli.physics.optics import Camera, check_lens, circle_of_confusion_mm
from ssr_cli.report import page
from ssr_cli.report.archive import save_field
from ssr_cli.report.camera import camera_of
from ssr_cli.report.drawing import ticks
from ssr_cli.report.findings import Findings, find, rows, summarise
from ssr_cli.report.inspect_page import inspection_page
from ssr_cli.report.sheet import inspection
from ssr_cli.report.terminal import terminal_view
from tests.browser import needs_browser, opened

DICTIONARY = default_dictionary()
README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def _analysis(names: list[str], size: int = 8, lens: ThinLens | None = None) -> Analysis:
    """Vertical stripes, one atom each, `size` x `size` photo pixels per stripe."""
    weights = torch.zeros(len(DICTIONARY.names), size, size * len(names))
    for i, name in enumerate(names):
        weights[DICTIONARY.names.index(name), :, size * i : size * i + size] = 1
    covariance = torch.einsum("lhw,cl->chw", weights, DICTIONARY.covariance)
    plane = torch.full(weights.shape[1:], 0.1)
    depth = DepthMap(torch.linspace(0, 1, weights.shape[2]).expand(weights.shape[1:]).contiguous())
    turn = Round(KernelField(weights, covariance, plane, plane, 4), depth, lens or ThinLens(8.0, -2.0, 0.3))
    fusion = torch.full((3, *weights.shape[1:]), 1 / 3)
    return Analysis(depth, (turn,), fusion)


def _found(names: list[str], size: int = 8, **metadata: object) -> Findings:
    torch.manual_seed(0)
    analysis = _analysis(names, size)
    photo = Photo(torch.rand(3, *analysis.field.radius_px.shape), dict(metadata))
    return find(photo, analysis, DICTIONARY)


STRIPES = ["sharp", "disk, radius 9 px", "Gaussian, sigma 3.1 px", "motion, 20 px at 30 deg"]


def test_the_kind_of_a_kernel_is_that_of_its_atoms() -> None:
    kinds = kinds_of(_analysis(STRIPES).field, DICTIONARY)
    assert [int(kinds.index[4, 8 * i + 4]) for i in range(4)] == [SHARP, FOCUS, LENS, MOTION]
    assert torch.allclose(kinds.shares.sum(0), torch.ones_like(kinds.shares[0]))


def test_strokes_in_all_directions_are_no_motion() -> None:
    field = _analysis(["sharp"]).field
    weights = torch.zeros_like(field.weights)
    for degrees in range(0, 180, 30):
        weights[DICTIONARY.names.index(f"motion, 20 px at {degrees} deg")] = 0.15
    weights[DICTIONARY.names.index("disk, radius 9 px")] = 0.1
    covariance = torch.einsum("lhw,cl->chw", weights, DICTIONARY.covariance)
    kinds = kinds_of(replace(field, weights=weights, covariance=covariance), DICTIONARY)
    assert set(kinds.index.flatten().tolist()) == {FOCUS}


def test_axes_find_the_stroke() -> None:
    axes = axes_of(_analysis(["motion, 20 px at 30 deg"]).field.covariance)
    assert math.degrees(float(axes.angle[4, 4])) == pytest.approx(30, abs=0.5)
    assert float(axes.ratio[4, 4]) > 5


def test_circle_of_confusion() -> None:
    """A 50 mm f/2 lens focused at 2 m: a textbook's 0.641 mm for far points, none at 2 m, half at 4 m."""
    far = circle_of_confusion_mm(50, 2, 2000, math.inf)
    assert far == pytest.approx(50**2 / (2 * 1950))
    assert circle_of_confusion_mm(50, 2, 2000, 2000) == 0
    assert circle_of_confusion_mm(50, 2, 2000, 4000) == pytest.approx(far / 2)
    assert circle_of_confusion_mm(50, 2, math.inf, 5000) == pytest.approx(circle_of_confusion_mm(50, 2, 1e12, 5000))
    with pytest.raises(ValueError):
        circle_of_confusion_mm(50, 2, 40, 1000)


CAMERA = Camera("A Camera", 50.0, 2.0, 2.0, 64.1, "the test")  # far points: radius 5 LR px, 20 HR px


def test_a_lens_that_fits_the_camera_gives_distances() -> None:
    # farthest place: 10 of at most 20 HR px, so 1 - 2 m / z = 1/2; nearest: 10 px before it, so 2 m / z - 1 = 1/2
    check = check_lens(ThinLens(20.0, -10.0, 0.1), CAMERA, 4)
    assert check.verdict == "agrees"
    assert check.at_infinity_px == pytest.approx(20, rel=1e-3)
    assert check.farthest_m == pytest.approx(4, rel=1e-2)
    assert check.nearest_m == pytest.approx(4 / 3, rel=1e-2)
    # the other sign is the same lens
    assert check_lens(ThinLens(-20.0, 10.0, 0.1), CAMERA, 4).farthest_m == pytest.approx(4, rel=1e-2)


@pytest.mark.parametrize(
    ("lens", "camera", "verdict", "said"),
    [
        (ThinLens(60.0, -40.0, 0.1), CAMERA, "disagrees", "no more than"),
        (ThinLens(5.0, 1.0, 0.1), CAMERA, "cannot be compared", "before the focus"),
        (ThinLens(0.1, 4.0, 0.1), CAMERA, "cannot be compared", "does not depend"),
        (ThinLens(9.0, -4.0, 0.1), Camera(focal_mm=50.0), "cannot be compared", "no f-number, no subject distance"),
        (ThinLens(9.0, -4.0, 0.1), replace(CAMERA, pixel_um=None), "cannot be compared", "641 micrometres"),
        (ThinLens(9.0, -4.0, 0.1), replace(CAMERA, subject_m=0.01), "cannot be compared", "within the lens"),
        (ThinLens(9.0, -4.0, 0.1), replace(CAMERA, subject_m=math.inf), "cannot be compared", "infinity"),
    ],
)
def test_what_cannot_be_compared_is_said(lens: ThinLens, camera: Camera, verdict: str, said: str) -> None:
    check = check_lens(lens, camera, 4)
    assert check.verdict == verdict
    assert said in check.reason


def _exif(path: Path, **tags: object) -> Path:
    exif = Image.Exif()
    exif[271], exif[272] = "Maker", "Maker One"
    inner = exif.get_ifd(0x8769)
    numbers = {"focal": 37386, "f": 33437, "subject": 37382, "plane": 41486, "unit": 41488, "equivalent": 41989}
    for name, value in {**tags, "width": tags.get("width", 6000)}.items():
        inner[{**numbers, "width": 40962}[name]] = value
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(path, exif=exif)
    return path


def test_the_camera_is_read_from_exif(tmp_path: Path) -> None:
    from ssr_cli.image.reading import read_photo

    # 1000 px per cm: 10 micrometres a pixel when it was taken 6000 wide, 100 times that 60 wide
    path = _exif(tmp_path / "a.jpg", focal=50.0, f=2.0, subject=2.0, plane=1000.0, unit=3)
    camera = camera_of(read_photo(path))
    assert (camera.name, camera.focal_mm, camera.f_number, camera.subject_m) == ("Maker One", 50, 2, 2)
    assert camera.pixel_um == pytest.approx(1000)
    # 75 mm equivalent at 50 mm: two thirds of a full frame, 24 mm wide at 3 : 2, over 60 pixels
    path = _exif(tmp_path / "b.jpg", focal=50.0, f=2.0, equivalent=75)
    assert camera_of(read_photo(path)).pixel_um == pytest.approx(24 / 60 * 1000, rel=1e-3)
    assert camera_of(read_photo(path)).subject_m is None
    assert camera_of(Photo(torch.zeros(3, 4, 4))) == Camera()


def test_nonsense_in_exif_is_nothing(tmp_path: Path) -> None:
    from ssr_cli.image.reading import read_photo

    path = _exif(tmp_path / "a.jpg", focal=0.0, f=0.0, subject=0.0, plane=0.0, unit=99)
    camera = camera_of(read_photo(path))
    assert (camera.focal_mm, camera.f_number, camera.subject_m, camera.pixel_um) == (None, None, None, None)


def test_ticks_are_round_and_within() -> None:
    assert ticks(0, 3.7, 420) == [0, 1, 2, 3]
    assert ticks(0, 1, 420) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    for high in (0.013, 1.0, 7.0, 360.0, 12345.0):
        marks = ticks(0, high, 420)
        assert 2 <= len(marks) <= 6
        assert max(marks) <= high * 1.0001


def test_summary_and_text_agree() -> None:
    found = _found(STRIPES)
    summary = summarise(found)
    assert summary["kinds"] == dict.fromkeys(KINDS, 0.25)
    assert summary["blur_radius_lr_px"]["median"] == pytest.approx(summary["blur_radius_px"]["median"] / 4, abs=1e-3)
    text = dict(rows(summary))
    assert "25 %" in text["kinds"]
    assert "30 deg" in text["direction"]
    json.dumps(page.finite(summary), allow_nan=False)


def test_the_terminal_view_needs_no_colour_and_80_columns() -> None:
    view = terminal_view(_found(STRIPES, 16), "photo.jpg")
    assert view.isascii()
    assert max(map(len, view.splitlines())) < 80
    drawn = [line[7:71] for line in view.splitlines() if re.match(r"[ 0-9]{6}\|", line)]
    assert len(drawn) == 8
    assert drawn[3][2] == " " and drawn[3][20] in "%@*"  # the sharp stripe, and the disk


@pytest.mark.parametrize("shape", [(1, 1), (3, 120), (200, 9), (32, 32)])
def test_views_of_photos_of_any_shape(shape: tuple[int, int], tiny_models, tmp_path: Path) -> None:
    from ssr_cli.pipeline import analyse
    from ssr_cli.settings import UpscaleOptions

    photo = Photo(torch.rand(3, *shape))
    found = find(photo, analyse(photo, tiny_models, UpscaleOptions()), DICTIONARY)
    picture = inspection(found, "photo.jpg")
    assert 900 <= picture.width <= 2500
    assert np.asarray(picture).std() > 5
    assert max(map(len, terminal_view(found, "photo.jpg").splitlines())) < 80
    assert "{{" not in inspection_page(found, "photo.jpg").split("<script")[0]
    save_field(found, tmp_path / "field.npz")


def test_the_sheet_shows_the_blur_where_it_is() -> None:
    """The blur-radius panel is dark over the sharp stripe and bright over the disk."""
    picture = np.asarray(inspection(_found(STRIPES)).convert("L"), dtype=float)
    # second chart of the first row: find it by its place in the grid of three equal columns
    third = picture.shape[1] / 3
    row = picture[44 + 30 + 60, round(third) : round(2 * third)]
    inside = row[70:420]
    assert inside[40] < 60
    assert inside[150] > 150


def _reblur(npz: Path, sharp: np.ndarray) -> np.ndarray:
    """What the README's code makes of a picture: the code itself is run."""
    code = next(b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "atoms" in b)
    code = code.replace("photo.inspect.npz", str(npz))
    space: dict[str, object] = {"np": np}
    exec(compile(code, "README.md", "exec"), space)
    return space["blur"](sharp)  # type: ignore[operator,no-any-return]


def test_the_readmes_numpy_blurs_as_the_operator_does(tmp_path: Path) -> None:
    found = _found(STRIPES)
    save_field(found, tmp_path / "field.npz")
    torch.manual_seed(1)
    sharp = torch.rand(4 * found.photo.height, 4 * found.photo.width)
    ours = SpatiallyVariantBlur(DICTIONARY.atoms, found.analysis.field.weights[None], 4).forward(sharp[None, None])
    theirs = _reblur(tmp_path / "field.npz", sharp.numpy())
    assert theirs.shape == (found.photo.height, found.photo.width)
    assert np.abs(theirs - ours[0, 0].numpy()).max() < 2e-4
    with np.load(tmp_path / "field.npz") as field:
        assert field["weights"].shape == found.analysis.field.weights.shape
        assert int(field["stride"]) == 1
        assert float(field["linear_light"]) == found.analysis.rounds[-1].light == 1


def test_nothing_in_a_page_can_end_its_script() -> None:
    assert "</script" not in page.script_data({"name": "</script><script>alert(1)</script>"})
    text = inspection_page(_found(["sharp"]), "<img src=x onerror=alert(1)>.jpg")
    assert "<img src=x" not in text


def test_the_page_asks_for_nothing() -> None:
    text = inspection_page(_found(STRIPES), "photo.jpg")
    assert not re.search(r"""<[^>]*(src|href)\s*=\s*["']?(?!data:)[a-z/]""", text)
    assert not re.search(r"https?://|url\(|import |fetch\(|XMLHttpRequest", text)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(inspection_page(_found(STRIPES), "photo.jpg"), encoding="utf-8")
    return path


@needs_browser
def test_the_page_tells_the_kernel_of_a_place(report: Path, tmp_path: Path) -> None:
    """By its address, under the pointer, and by the arrow keys."""
    told = "document.getElementById('place').innerText"
    with opened(report, tmp_path / "profile", "x=12&y=4") as page:
        text = page.value(told)
        assert "x 12, y 4" in text
        assert "focus" in text.split("shares")[0]
        page.value("document.getElementById('stage').focus()")
        for _ in range(16):
            page.press("ArrowRight")
        text = page.value(told)
        assert "x 28, y 4" in text
        assert "motion" in text.split("shares")[0]
        assert "30°" in text
        page.press("Escape")
        box = page.value("(b => [b.left, b.top, b.width, b.height])(byId('picture').getBoundingClientRect())")
        x, y = box[0] + box[2] * 2.5 / 32, box[1] + box[3] * 6.5 / 8
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        text = page.value(told)
        assert "x 2, y 6" in text
        assert "sharp" in text.split("shares")[0]


@needs_browser
def test_the_page_draws_the_kernel(report: Path, tmp_path: Path) -> None:
    """The kernel of the stroke is drawn as a stroke at 30 degrees."""
    with opened(report, tmp_path / "profile", "x=28&y=4") as page:
        picture = Image.open(page.screenshot(tmp_path / "shot.png")).convert("RGB")
        box = page.value("(b => [b.left, b.top, b.right, b.bottom])(byId('kernel').getBoundingClientRect())")
    shown = np.asarray(picture.crop(tuple(round(v) for v in box)), dtype=float)
    bright = np.argwhere((shown[..., 0] > 160) & (shown[..., 1] > 150) & (shown[..., 2] < 150))
    assert len(bright) > 100
    dy, dx = (bright - bright.mean(0)).T
    angle = 0.5 * math.degrees(math.atan2(-2 * (dy * dx).mean(), (dx * dx).mean() - (dy * dy).mean()))
    assert angle == pytest.approx(30, abs=6)


@needs_browser
def test_every_layer_of_the_page_can_be_shown(report: Path, tmp_path: Path) -> None:
    with opened(report, tmp_path / "profile") as page:
        names = page.value("data.layers.map(l => l.name)")
        assert {"Photo", "Blur radius", "Depth", "Kind", "Uncertainty", "AMF"} <= set(names)
        for number in range(len(names)):
            page.value(f"byId('layers').children[{number}].click()")
            loaded = "byId('picture').decode().then(() => byId('picture').naturalWidth)"
            assert page.value(loaded) >= 32
            assert page.value("byId('picture').alt") == names[number]


@pytest.mark.parametrize(("light", "words"), [(1.0, "linear light"), (0.4, "does not tell"), (0.0, "encoded values")])
def test_which_light_blur_happened_in_is_said(light: float, words: str) -> None:
    found = _found(STRIPES)
    told = replace(found.analysis.rounds[-1], light=light)
    found = replace(found, analysis=replace(found.analysis, rounds=(*found.analysis.rounds[:-1], told)))
    summary = summarise(found)
    assert summary["linear_light"] == light
    assert words in dict(rows(summary))["blurred in"]
