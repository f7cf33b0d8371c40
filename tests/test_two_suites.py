"""A checkpoint with a second suite for photos that nobody processed: which photo gets which, and how it is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssr_cli.errors import UsageError, WeightsError
from ssr_cli.frames import Photo
from ssr_cli.pipeline import analyse, upscale
from ssr_cli.recovery import on_cpu
from ssr_cli.settings import UpscaleOptions
from ssr_cli.suite import OPTICAL, Models, load_models
from ssr_cli.training import run
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pack import provenance
from ssr_cli.weights import Checkpoint, load_checkpoint, save_checkpoint
from tests.conftest import TINY, tiny_suite

CPU = torch.device("cpu")
#: More blocks than the first suite's restorer.
SECOND = replace(TINY, restorer=replace(TINY.restorer, encoder=(2, 1, 1)))


def _files(folder: Path) -> tuple[Path, Path]:
    """Checkpoints of two suites that differ in every weight."""
    files = folder / "first.safetensors", folder / "second.safetensors"
    for seed, (path, config) in enumerate(zip(files, (TINY, SECOND), strict=True)):
        said = {"licence": "none", "seed": seed}
        save_checkpoint(path, config.to_dict(), tiny_suite(seed, config).state_dict(), said, ("restorer.", "flow."))
    return files


def _joined(folder: Path) -> tuple[Checkpoint, Models, list[Models]]:
    """Both in one file, its models, and the models of either alone."""
    photos = folder / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(b"")
    (photos / "MANIFEST.csv").write_text("file,source_repo,source_path,licence_as_stated\na.png,here,a,CC0\n")
    first, second = _files(folder)
    target = folder / "both.safetensors"
    options = TrainOptions("join", photos=(photos,), init=str(first), suite=str(second), pack_to=target)
    run.train_stage(options, lambda line: None)
    assert len(target.with_suffix(".ATTRIBUTION.csv").read_text().splitlines()) == 2
    checkpoint = load_checkpoint(str(target))
    alone = [load_models(load_checkpoint(str(path)), CPU) for path in (first, second)]
    return checkpoint, load_models(checkpoint, CPU), alone


def _photo() -> Photo:
    return Photo(torch.rand(3, 32, 40, generator=torch.Generator().manual_seed(3)))


def test_join_keeps_both_suites_to_the_bit(tmp_path: Path) -> None:
    checkpoint, models, (first, second) = _joined(tmp_path)
    assert checkpoint.provenance["seed"] == 0
    assert checkpoint.provenance[OPTICAL]["seed"] == 1
    assert models.optical is not None
    for ours, theirs in ((models.suite, first.suite), (models.optical, second.suite)):
        mine, expected = ours.state_dict(), theirs.state_dict()
        assert set(mine) == set(expected)
        for name in expected:
            if not (ours is models.optical and name.startswith("depth.")):
                assert torch.equal(mine[name], expected[name]), name
    assert models.optical.depth is models.suite.depth


@pytest.mark.parametrize(("source", "which"), [("reduced", 1), ("camera", 0)])
def test_a_photo_gets_the_suite_of_its_source(source: str, which: int, tmp_path: Path) -> None:
    _, models, alone = _joined(tmp_path)
    alone[1].suite.depth = alone[0].suite.depth  # they share one
    options = UpscaleOptions(source=source)  # type: ignore[arg-type]
    ours, theirs, other = (upscale(_photo(), each, options) for each in (models, alone[which], alone[1 - which]))
    assert torch.equal(ours.photo.rgb, theirs.photo.rgb)
    assert not torch.equal(ours.photo.rgb, other.photo.rgb)
    seen, expected = (analyse(_photo(), each, options).field.radius_px for each in (models, alone[which]))
    assert torch.equal(seen, expected)


def test_probabilities_choose_and_one_suite_serves_all() -> None:
    first, second = tiny_suite(0), tiny_suite(1)
    models = replace(load_models(Checkpoint(TINY.to_dict(), first.state_dict(), {}), CPU), optical=second)
    assert models.for_photo(0.49).suite is second
    assert models.for_photo(0.5).suite is models.suite
    assert models.for_photo(0.0).optical is None
    assert replace(models, optical=None).for_photo(0.0).suite is models.suite
    # an adapter of Stable Diffusion goes by the features of the suite it was trained behind
    assert replace(models, stable=object()).for_photo(0.0).suite is models.suite  # type: ignore[arg-type]


def test_both_suites_move_to_the_cpu_and_still_share_their_depth() -> None:
    first, second = tiny_suite(0).double(), tiny_suite(1).double()
    second.depth = first.depth
    models = replace(load_models(Checkpoint(TINY.to_dict(), first.state_dict(), {}), CPU), suite=first, optical=second)
    moved = on_cpu(models)
    assert moved.optical is not None
    assert moved.optical.depth is moved.suite.depth
    assert moved.suite is not first
    assert {value.dtype for part in (moved.suite, moved.optical) for value in part.parameters()} == {torch.float32}


def test_training_goes_on_from_the_suite_for_the_same_photos() -> None:
    models = load_models(load_checkpoint("lite"), CPU)
    assert models.optical is not None
    for optical, bundled in ((False, models.suite), (True, models.optical)):
        begun = run.begun_suite(TrainOptions("restorer", init="lite", optical=optical))
        mine, expected = begun.restorer.state_dict(), bundled.restorer.state_dict()
        assert set(mine) == set(expected)
        assert all(torch.equal(mine[name], expected[name]) for name in expected)
        said = provenance(TrainOptions("pack", init="lite", optical=optical, out=Path("nowhere")))
        told = load_checkpoint("lite").provenance
        assert said["stages"]["flow"] == (told[OPTICAL] if optical else told)["stages"]["flow"]  # type: ignore[index]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two checkpoints"):
        run.train_stage(TrainOptions("join", init="lite"), lambda line: None)
    state = {**tiny_suite().state_dict(), f"{OPTICAL}.restorer.head.bias": torch.zeros(3)}
    with pytest.raises(WeightsError, match="does not fit"):
        load_models(Checkpoint({**TINY.to_dict(), OPTICAL: SECOND.to_dict()}, state, {}), CPU)
