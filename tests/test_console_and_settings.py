"""The one voice on its two streams, and options from file, environment and flags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssr_cli.console import Console
from ssr_cli.errors import InputError, UsageError
from ssr_cli.settings import UpscaleOptions, upscale_options


def test_results_on_stdout_the_rest_on_stderr(capsys) -> None:
    console = Console()
    console.result("done")
    console.hint("look")
    console.warning("mind")
    console.error(InputError("a.jpg is torn.", "Mend it."))
    out, err = capsys.readouterr()
    assert out == "done\n"
    assert err == "look\nwarning: mind\nerror: a.jpg is torn. Mend it.\n"


def test_machines_get_objects(capsys) -> None:
    console = Console("json")
    console.result({"photo": "ä.png"})
    console.hint("look")
    console.table("t", ["a"], [["b"]])
    console.error(InputError("a.jpg is torn.", "Mend it."))
    out, err = capsys.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == [
        {"photo": "ä.png"},
        {"error": "a.jpg is torn.", "hint": "Mend it.", "exit_code": 3},
    ]
    assert "error:" in err
    assert "look" not in err


def test_quiet_is_quiet(capsys) -> None:
    console = Console("quiet")
    console.warning("mind")
    console.table("t", ["a"], [["b"]])
    with console.progress("p") as tell:
        tell("x", 0, 1)
    assert capsys.readouterr() == ("", "")


def test_progress_is_drawn_on_a_terminal_only(capsys, monkeypatch) -> None:
    with Console().progress("upscaling") as tell:
        tell("restoring", 1, 2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Console().progress("upscaling") as tell:
        tell("restoring", 1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "upscaling" in err


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("DEVICE", "TILE", "STEPS", "SEED"):
        monkeypatch.delenv(f"SSR_{name}", raising=False)
    (tmp_path / "ssr").mkdir()
    return tmp_path / "ssr" / "config.toml"


def test_flags_over_environment_over_file_over_defaults(config: Path, monkeypatch) -> None:
    assert upscale_options() == UpscaleOptions()
    config.write_text('steps = 5\nseed = 6\ntile = 64\ndevice = "cpu"\n')
    monkeypatch.setenv("SSR_SEED", "7")
    monkeypatch.setenv("SSR_TILE", "128")
    options = upscale_options(tile=256, steps=None)
    assert (options.device, options.steps, options.seed, options.tile) == ("cpu", 5, 7, 256)


@pytest.mark.parametrize("text", ["steps = 'two'", "colour = 1", "steps = true", "steps =", "steps = 99", "\xff"])
def test_a_config_file_that_is_off(text: str, config: Path) -> None:
    config.write_text(text, encoding="latin-1")
    with pytest.raises(UsageError):
        upscale_options()


def test_an_environment_that_is_off(monkeypatch) -> None:
    monkeypatch.setenv("SSR_STEPS", "many")
    with pytest.raises(UsageError, match="SSR_STEPS=many"):
        upscale_options()


@pytest.mark.parametrize(
    "values",
    [{"scale": 1.0}, {"scale": 8.1}, {"scale": float("nan")}, {"steps": -1}, {"steps": 65}, {"seed": -1}]
    + [{"seed": 2**32}, {"tile": 31}, {"tile": -64}, {"device": "tpu"}, {"device": "cpu:0"}, {"device": "cuda:x"}],
)
def test_ranges(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        UpscaleOptions(**values)  # type: ignore[arg-type]


def test_json_is_strict(capsys) -> None:
    import json
    import math

    from ssr_cli.console import Console

    Console("json").result({"a": math.nan, "b": [math.inf, 1.5], "c": {"d": -math.inf}, "e": (math.nan, "x")})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": {"d": None}, "e": [None, "x"]}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"consistency": "yes"}, "--consistency yes"),
        ({"focus": "blur"}, "--focus blur"),
        ({"focus_strength": 1.5}, "1.5"),
    ],
)
def test_choices_out_of_range_are_named(given: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        UpscaleOptions(**given)


def test_a_strength_counts_unless_all_is_to_be_sharp() -> None:
    assert UpscaleOptions(focus="keep").kept_blur == 1
    assert UpscaleOptions(focus="reduce").kept_blur == 0.5
    assert UpscaleOptions(focus="reduce", focus_strength=0.2).kept_blur == 0.2
    assert UpscaleOptions(focus="all", focus_strength=0.9).kept_blur == 0
