"""`ssr models` against a server that speaks the Hub's routes, by the real client, in processes of their own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.hub_server import COMMIT, TOKEN, Hub, serving

CONTENT = bytes(range(256)) * 2000  # 512 kB
DEAD = "http://127.0.0.1:9"


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A running server with one repository."""
    with serving() as running:
        running.repos["me/mine"] = {"ssr.safetensors": CONTENT, "config.json": b"{}"}
        yield running


@dataclass
class Home:
    """A user's home folder, and `ssr` run in it."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def table(self) -> Path:
        """The user's own table."""
        return self.folder / "config" / "ssr" / "weights.toml"

    def write(self, **values: object) -> None:
        """A table with one entry, `mine`."""
        base = {"kind": "lite", "licence": "CC0-1.0", "repo": "me/mine", "revision": COMMIT}
        file = {"name": "ssr.safetensors", "size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
        given = {**base, "files": [file], **values}
        lines = [f"{k} = {_toml(v)}" for k, v in given.items() if v is not None]
        self.table.parent.mkdir(parents=True, exist_ok=True)
        self.table.write_text("# my own\n[models.mine]\n" + "\n".join(lines) + "\n")

    def ssr(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run it."""
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("HF_", "SSR_", "XDG_")) and "proxy" not in k.lower()
        }
        homes = {
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "HF_HOME": str(self.folder / "hf"),
        }
        return subprocess.run(
            [sys.executable, "-m", "ssr_cli", *words],
            env={**kept, **homes, **self.variables, **variables},
            capture_output=True,
            text=True,
            timeout=100,
        )

    def left(self) -> list[Path]:
        """Every file with content in both caches that is no lock and no bookkeeping."""
        found = [
            p for base in ("hf", "cache") for p in (self.folder / base).rglob("*") if p.is_file() and not p.is_symlink()
        ]
        return [p for p in found if p.stat().st_size > 1000]


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


@pytest.fixture
def home(tmp_path: Path, hub: Hub) -> Home:
    """A home whose Hub is the server."""
    made = Home(tmp_path, {"HF_ENDPOINT": hub.url})
    made.write()
    return made


def _pulled(result: subprocess.CompletedProcess[str]) -> bytes:
    assert result.returncode == 0, result.stderr
    return Path(result.stdout.strip()).read_bytes()


def _refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 5, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("error:") == 1
    for word in words:
        assert word in result.stderr


def test_pull_says_size_and_licence_and_gives_the_file(home: Home) -> None:
    result = home.ssr("models", "pull", "mine")
    assert _pulled(result) == CONTENT
    assert "mine: 0.5 MB, licence CC0-1.0" in result.stderr
    assert str(home.folder / "hf") in result.stdout


def test_a_warm_cache_needs_no_network(home: Home, hub: Hub) -> None:
    home.ssr("models", "pull", "mine")
    asked = len(hub.asked)
    for variables in ({}, {"HF_ENDPOINT": DEAD}, {"HF_HUB_OFFLINE": "1"}):
        assert _pulled(home.ssr("models", "pull", "mine", **variables)) == CONTENT
        assert _pulled(home.ssr("models", "path", "mine", **variables)) == CONTENT
    assert len(hub.asked) == asked


def test_a_warm_cache_serves_what_is_not_pinned_when_the_hub_cannot_be_asked(home: Home, hub: Hub) -> None:
    home.write(revision=None, files=[{"name": "ssr.safetensors"}])
    assert _pulled(home.ssr("models", "pull", "mine")) == CONTENT
    asked = len(hub.asked)
    for variables in ({"HF_ENDPOINT": DEAD}, {"HF_HUB_OFFLINE": "1"}):
        assert _pulled(home.ssr("models", "pull", "mine", **variables)) == CONTENT
        assert _pulled(home.ssr("models", "pull", "me/mine@main", **variables)) == CONTENT
    assert len(hub.asked) == asked


def test_the_list_shows_every_id_whole_and_says_what_is_on_the_hub(home: Home) -> None:
    home.table.unlink()
    listed = home.ssr("models", "list")
    assert [line.split()[0] for line in listed.stdout.splitlines()][:3] == ["id", "lite", "depth-anything-v2-small"]
    assert "No checkpoint of ssr is on the Hub yet" in listed.stderr
    home.write()
    assert "on the Hub yet" not in home.ssr("models", "list").stderr


def test_a_cold_cache_offline_is_a_sentence(home: Home, hub: Hub) -> None:
    _refused(home.ssr("models", "pull", "mine", HF_HUB_OFFLINE="1"), "HF_HUB_OFFLINE is set")
    _refused(home.ssr("models", "path", "mine"), "not on this machine", "ssr models pull mine")
    assert hub.asked == []


def test_a_dead_endpoint_is_left_for_the_mirror(home: Home, hub: Hub) -> None:
    hub.plain["ssr.safetensors"] = CONTENT
    home.write(mirrors=[{"url": f"{hub.url}/plain"}])
    assert _pulled(home.ssr("models", "pull", "mine", HF_ENDPOINT=DEAD)) == CONTENT
    assert _pulled(home.ssr("models", "pull", "mine", HF_ENDPOINT=DEAD)) == CONTENT
    assert hub.paths() == ["/plain/ssr.safetensors"]  # the second time it was here
    home.write()
    _refused(
        home.ssr("models", "pull", "mine", HF_ENDPOINT=DEAD, HF_HOME=str(home.folder / "new")), "cannot be reached"
    )


def test_a_missing_file_is_left_for_the_next_mirrors_in_order(home: Home, hub: Hub) -> None:
    del hub.repos["me/mine"]["ssr.safetensors"]
    _refused(home.ssr("models", "pull", "mine"), "me/mine has no file ssr.safetensors")
    hub.repos["you/copy"] = {"ssr.safetensors": CONTENT}
    away = home.folder / "nowhere"
    home.write(mirrors=[{"folder": str(away)}, {"repo": "you/copy"}, {"url": f"{hub.url}/plain"}])
    assert _pulled(home.ssr("models", "pull", "mine")) == CONTENT
    assert not any("/plain/" in path for path in hub.paths())
    # a folder comes first once it exists, and is used where it is
    away.mkdir()
    (away / "ssr.safetensors").write_bytes(CONTENT)
    found = home.ssr("models", "pull", "mine", HF_HOME=str(home.folder / "other"))
    assert found.stdout.strip() == str(away / "ssr.safetensors")


@pytest.mark.parametrize("where", ["hub", "mirror"])
def test_a_cut_download_goes_on(where: str, home: Home, hub: Hub) -> None:
    if where == "mirror":
        hub.plain["ssr.safetensors"] = CONTENT
        home.write(repo="me/none", mirrors=[{"url": f"{hub.url}/plain"}])
    hub.cut = 2
    assert _pulled(home.ssr("models", "pull", "mine")) == CONTENT
    assert hub.cut == 0
    ranges = [headers["Range"] for kind, _, headers in hub.asked if kind == "GET" and "Range" in headers]
    # ours goes on at once; the Hub's client keeps what came in pieces of 10 MB, more than this file has
    assert ranges or where == "hub"


def test_a_stopped_download_goes_on_in_the_next_run(home: Home, hub: Hub) -> None:
    hub.plain["ssr.safetensors"] = CONTENT
    home.write(repo="me/none", mirrors=[{"url": f"{hub.url}/plain"}])
    hub.cut = 4
    _refused(home.ssr("models", "pull", "mine"), "was cut 4 times")
    assert [p.suffix for p in home.left()] == [".part"]
    assert _pulled(home.ssr("models", "pull", "mine")) == CONTENT
    assert [p.suffix for p in home.left()] == [".safetensors"]


@pytest.mark.parametrize("where", ["hub", "mirror"])
def test_a_wrong_file_is_refused_and_not_kept(where: str, home: Home, hub: Hub) -> None:
    hub.wrong["ssr.safetensors"] = CONTENT[:-1] + b"x"
    if where == "mirror":
        hub.plain["ssr.safetensors"] = CONTENT
        home.write(repo="me/none", mirrors=[{"url": f"{hub.url}/plain"}])
    _refused(home.ssr("models", "pull", "mine"), "damaged")
    assert home.left() == []
    hub.wrong.clear()
    assert _pulled(home.ssr("models", "pull", "mine")) == CONTENT


def test_a_file_that_rots_in_the_cache_is_found_and_replaced(home: Home) -> None:
    path = Path(home.ssr("models", "pull", "mine").stdout.strip())
    path.resolve().write_bytes(CONTENT[:-1] + b"x")
    result = home.ssr("models", "verify", "mine")
    assert result.returncode == 5
    assert "damaged" in result.stderr
    assert _pulled(home.ssr("models", "pull", "mine")) == CONTENT
    assert "good" in home.ssr("models", "verify", "mine").stdout


def test_a_gated_repository_wants_a_token(home: Home, hub: Hub) -> None:
    hub.gated.add("me/mine")
    _refused(home.ssr("models", "pull", "mine"), "gated", "HF_TOKEN")
    assert _pulled(home.ssr("models", "pull", "mine", HF_TOKEN=TOKEN)) == CONTENT


def test_a_slow_server_is_waited_for(home: Home, hub: Hub) -> None:
    hub.pause_s = 0.01
    assert _pulled(home.ssr("models", "pull", "mine")) == CONTENT


def test_names_of_the_hub_work_without_a_table(home: Home, hub: Hub) -> None:
    assert _pulled(home.ssr("models", "pull", f"me/mine@{COMMIT}")) == CONTENT
    assert _pulled(home.ssr("models", "pull", "me/mine")) == CONTENT
    _refused(home.ssr("models", "pull", "me/nothing"), "there is no me/nothing on the Hub")
    _refused(home.ssr("models", "pull", f"me/mine@{'b' * 40}"), "has no revision")


def test_lock_pins_and_keeps_the_rest_of_the_table(home: Home) -> None:
    home.write(revision=None, files=[{"name": "ssr.safetensors"}, {"name": "config.json"}])
    home.table.write_text(
        home.table.read_text()
        + '\n[models.other]\nkind = "lite"\nlicence = "x"\nrepo = "a/b"\nfiles = [{name = "c"}]\n'
    )
    result = home.ssr("models", "lock", "mine", "--json")
    assert result.returncode == 0, result.stderr
    table = tomllib.loads(home.table.read_text())["models"]
    assert table["mine"]["revision"] == COMMIT
    files = {f["name"]: f for f in table["mine"]["files"]}
    assert files["ssr.safetensors"]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert files["config.json"]["sha256"] == hashlib.sha256(b"{}").hexdigest()
    assert files["config.json"]["size"] == 2
    assert table["other"]["repo"] == "a/b"
    assert home.table.read_text().startswith("# my own")
    assert json.loads(result.stdout)["revision"] == COMMIT
    shown = home.ssr("models", "show", "mine")
    assert COMMIT in shown.stdout


def test_lock_of_what_is_not_there(home: Home) -> None:
    home.write(files=[{"name": "none.bin"}])
    _refused(home.ssr("models", "lock", "mine"), "has no file none.bin")
    home.write(repo="me/none")
    _refused(home.ssr("models", "lock", "mine"), "does not exist")
    _refused(home.ssr("models", "lock", "mine", HF_ENDPOINT=DEAD), "cannot be reached")


def test_publish_then_use(home: Home, hub: Hub, tiny_checkpoint: Path) -> None:
    (tiny_checkpoint.parent / "tiny.ATTRIBUTION.csv").write_text("a,b\n")
    result = home.ssr(
        "models", "publish", str(tiny_checkpoint), "--repo", "me/new", "--score", "RealSR=26 dB", HF_TOKEN=TOKEN
    )
    assert result.returncode == 0, result.stderr
    assert hub.made[0]["name"] == "new"
    files = hub.repos["me/new"]
    assert set(files) == {"ssr.safetensors", "README.md", "tiny.ATTRIBUTION.csv"}
    assert files["ssr.safetensors"] == tiny_checkpoint.read_bytes()
    card = files["README.md"].decode()
    assert "license: none" in card
    assert "| RealSR | 26 dB |" in card
    assert "--model me/new" in card
    entry = tomllib.loads(result.stdout)["models"]["new"]
    assert entry["revision"] == COMMIT
    # what was printed is an entry that works
    home.table.write_text(result.stdout)
    assert _pulled(home.ssr("models", "pull", "new")) == tiny_checkpoint.read_bytes()
    shown = json.loads(home.ssr("models", "show", "new", "--json").stdout)
    assert shown["state"] == "in the cache"


def test_publish_without_a_right_to(home: Home, hub: Hub, tiny_checkpoint: Path) -> None:
    hub.gated.add("me/new")
    _refused(home.ssr("models", "publish", str(tiny_checkpoint), "--repo", "me/new"), "401", "HF_TOKEN")
    assert "me/new" not in hub.repos
    wrong = home.ssr("models", "publish", str(tiny_checkpoint), "--repo", "me")
    assert wrong.returncode == 2


def test_publish_knows_an_adapter_and_a_folder_that_is_not_there(home: Home, hub: Hub) -> None:
    from dataclasses import asdict

    from ssr_cli.weights import save_checkpoint
    from tests.test_stable import _tiny_adapter

    adapter, folder = _tiny_adapter(seed=5), home.folder / "trained"
    config = {"kind": "sd-adapter", "backbone": "sd-turbo", "suite": str(folder), "adapter": asdict(adapter.config)}
    save_checkpoint(folder / "ssr.safetensors", config, adapter.state_dict(), {"licence": "none"})
    result = home.ssr("models", "publish", str(folder), "--repo", "me/new", HF_TOKEN=TOKEN)
    assert result.returncode == 0, result.stderr
    assert tomllib.loads(result.stdout)["models"]["new"]["kind"] == "sd-adapter"
    assert "`sd-turbo`" in hub.repos["me/new"]["README.md"].decode()
    assert "a file that others do not have" in result.stderr
    # a folder that is not there is not looked for on the Hub
    asked = len(hub.asked)
    _refused(home.ssr("models", "publish", "me/mine", "--repo", "me/other", HF_TOKEN=TOKEN), "me/mine does not exist")
    assert len(hub.asked) == asked


def test_a_model_from_the_hub_does_the_work(home: Home, hub: Hub, tiny_checkpoint: Path) -> None:
    hub.repos["me/mine"]["ssr.safetensors"] = tiny_checkpoint.read_bytes()
    from PIL import Image

    Image.new("RGB", (8, 8), "red").save(home.folder / "a.png")
    result = home.ssr("upscale", str(home.folder / "a.png"), "--model", "me/mine")
    assert result.returncode == 0, result.stderr
    assert (home.folder / "a_x4.png").is_file()


def test_a_stable_diffusion_checkpoint_comes_from_the_hub_whole(
    home: Home, hub: Hub, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    """Adapter, suite and backbone from three repositories, pulled once, used without network."""
    from dataclasses import asdict

    from PIL import Image

    from ssr_cli.weights import save_checkpoint
    from tests.test_stable import _tiny_adapter
    from tests.tiny_sd import FILES, write_backbone

    write_backbone(tmp_path / "sd")
    hub.repos["me/sd"] = {name: (tmp_path / "sd" / name).read_bytes() for name in FILES}
    hub.repos["me/suite"] = {"ssr.safetensors": tiny_checkpoint.read_bytes()}
    adapter = _tiny_adapter(seed=5)
    config = {"kind": "sd-adapter", "backbone": "sd", "suite": "me/suite", "adapter": asdict(adapter.config)}
    save_checkpoint(tmp_path / "adapter.safetensors", config, adapter.state_dict(), {})
    hub.repos["me/adapter"] = {"ssr.safetensors": (tmp_path / "adapter.safetensors").read_bytes()}
    files = ", ".join(f'{{name = "{name}"}}' for name in FILES)
    home.table.write_text(
        f'[models.sd]\nkind = "sd-backbone"\nlicence = "x"\nrepo = "me/sd"\nrevision = "{COMMIT}"\nfiles = [{files}]\n'
    )
    assert home.ssr("models", "pull", "sd").returncode == 0
    Image.new("RGB", (16, 16), "teal").save(home.folder / "a.png")
    first = home.ssr("upscale", str(home.folder / "a.png"), "--model", "me/adapter")
    assert first.returncode == 0, first.stderr
    made = (home.folder / "a_x4.png").read_bytes()
    asked = len(hub.asked)
    again = home.ssr("upscale", str(home.folder / "a.png"), "--model", f"me/adapter@{COMMIT}", "--force")
    assert again.returncode == 0, again.stderr
    assert (home.folder / "a_x4.png").read_bytes() == made
    assert not any("me/sd" in path or "me/adapter" in path for _, path, _ in hub.asked[asked:])


def test_a_table_of_ones_own_adds_and_overrides(home: Home) -> None:
    listed = home.ssr("models", "list", "--json")
    assert {"lite", "mine"} <= {json.loads(line)["id"] for line in listed.stdout.splitlines()}
    other = home.folder / "other.toml"
    other.write_text(home.table.read_text().replace("models.mine", "models.lite").replace("CC0-1.0", "MIT"))
    listed = home.ssr("--weights-file", str(other), "models", "list", "--json")
    assert {json.loads(line)["licence"] for line in listed.stdout.splitlines() if json.loads(line)["id"] == "lite"} == {
        "MIT"
    }
    _refused(home.ssr("--weights-file", "none.toml", "models", "list"), "none.toml")
