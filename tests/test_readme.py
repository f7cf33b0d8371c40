"""The README's commands exist: what it tells people to type must parse, and CI runs its test command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from ssr_cli.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
COMMANDS = [c for b in BLOCKS for line in b.splitlines() for c in re.findall(r"(?:^|&& \S*|; )(ssr [^#&;]+)", line)]


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 12


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command: str) -> None:
    """Every subcommand and flag is known to the program (nothing is run)."""
    words = shlex.split(command)[1:]
    group = typer.main.get_command(app)
    name, rest = words[0], words[1:]
    sub = group.commands[name]  # type: ignore[attr-defined]
    if hasattr(sub, "commands"):  # a command of a command
        name, sub, rest = rest[0], sub.commands[rest[0]], rest[1:]
    context = sub.make_context(name, [w.strip("[]") for w in rest], resilient_parsing=False)
    assert context.params


def test_ci_runs_the_readmes_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    marker = "<!-- the tests -->"
    assert marker in script
    after = README.split(marker)[1]
    assert re.match(r"\n```sh\n.*pytest\n```", after)
    assert "'.[dev]'" in after.split("```")[1]


def test_files_it_names_exist() -> None:
    for path in ("ssr_cli/assets/sample.png", "ssr_cli/assets/LICENSE-WEIGHTS.md", "LICENSE", "CHANGELOG.md"):
        assert (ROOT / path).is_file()
