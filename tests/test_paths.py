"""Names of outputs and their publication: nothing lost, nothing half there, no two photos on one name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_cli import paths
from ssr_cli.errors import InputError, OutputError

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..") and not name.startswith(".") and Path(f"{name}.png").suffix == ".png"
)
SCALES = st.sampled_from([4.0, 2.0, 2.5, 8.0, 1.01])


@given(NAMES, SCALES)
def test_a_result_lies_beside_its_photo_under_another_name(name: str, scale: float) -> None:
    photo = Path("folder") / f"{name}.png"
    result = paths.output_path(photo, scale)
    assert result.parent == photo.parent
    assert result != photo
    assert result.name == f"{name}_x{scale:g}.png"


@given(st.lists(st.tuples(NAMES, st.sampled_from([".jpg", ".JPG", ".png", ".webp", ".tif"])), max_size=8), SCALES)
def test_no_two_photos_share_a_result(names: list[tuple[str, str]], scale: float) -> None:
    photos = sorted({Path("in") / (a + b) for a, b in names})
    # a file system that ignores case holds only one of two names that differ in case
    if len({str(p).casefold() for p in photos}) < len(photos):
        return
    plan = paths.plan_batch(photos, Path("in"), scale, Path("out"))
    targets = [str(target).casefold() for _, target in plan]
    assert [photo for photo, _ in plan] == photos
    assert len(set(targets)) == len(targets)


def test_outputs_that_were_asked_for(tmp_path: Path) -> None:
    photo = Path("a.jpg")
    assert paths.output_path(photo, 4, tmp_path) == tmp_path / "a_x4.png"
    assert paths.output_path(photo, 4, tmp_path / "b.WEBP") == tmp_path / "b.WEBP"
    with pytest.raises(OutputError, match=r"b\.gif"):
        paths.output_path(photo, 4, tmp_path / "b.gif")


def test_folders_keep_their_structure(tmp_path: Path) -> None:
    for name in ("a.jpg", "sub/b.png", "sub/b_x4.png", ".hidden.png", "note.txt", "b_x4.kernel.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.name for p in paths.expand_folder(tmp_path, False)] == ["a.jpg"]
    found = paths.expand_folder(tmp_path, True)
    assert [p.name for p in found] == ["a.jpg", "b.png"]
    plan = paths.plan_batch(found, tmp_path, 4, Path("out"))
    assert [t for _, t in plan] == [Path("out/a_x4.png"), Path("out/sub/b_x4.png")]
    with pytest.raises(InputError, match="not a folder"):
        paths.expand_folder(tmp_path / "a.jpg", False)


def test_publishing_is_all_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a.png"

    def write(text: str, force: bool, fail: bool = False) -> None:
        with paths.publish(target, force) as temporary:
            temporary.write_text(text)
            if fail:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write("half", False, fail=True)
    assert list(tmp_path.iterdir()) == []
    write("first", False)
    with pytest.raises(OutputError, match="exists already"):
        write("second", False)
    assert target.read_text() == "first"
    write("third", True)
    assert target.read_text() == "third"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("in_one_step", [True, False])
def test_file_systems_without_hard_links(in_one_step: bool, tmp_path: Path, monkeypatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(paths.os, "link", refused)
    if not in_one_step:
        monkeypatch.setattr(paths, "_renamed", lambda *_: False)
    target = tmp_path / "a.png"
    with paths.publish(target, False) as temporary:
        temporary.write_text("first")
    with pytest.raises(OutputError, match="exists already"), paths.publish(target, False) as temporary:
        temporary.write_text("second")
    assert target.read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]
