"""Trouble on the way to a checkpoint: servers that say nothing, cut, lie or are no servers; full disks; no network."""

from __future__ import annotations

import shutil
import socket
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssr_cli import fetch, hub, places
from ssr_cli.catalogue import Entry, Mirror, WeightsFile
from ssr_cli.errors import WeightsError
from ssr_cli.places import HubPlace, Unavailable, UrlPlace, check_reachable
from tests.hub_server import Hub, serving

CONTENT = bytes(range(256)) * 2000
FILE = WeightsFile("ssr.safetensors")


@pytest.fixture(autouse=True)
def _nothing_is_remembered(monkeypatch) -> None:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(places, "_dead", {})
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


@pytest.fixture
def server() -> Iterator[Hub]:
    """A running server with one plain file."""
    with serving() as running:
        running.plain["ssr.safetensors"] = CONTENT
        yield running


@pytest.fixture
def mute() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def _get(url: str, folder: Path, file: WeightsFile = FILE) -> bytes:
    return UrlPlace(url, folder).get(file, fetch.silent).read_bytes()


# ---------------------------------------------------------------- servers that say nothing


def test_a_mute_hub_is_left_within_seconds_and_for_all_files(mute: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", mute)
    monkeypatch.setattr(places, "_ANSWER_S", 0.3)
    (tmp_path / "a.safetensors").write_bytes(b"a")
    (tmp_path / "b.json").write_bytes(b"b")
    asked: list[str] = []
    ask = places._ask
    monkeypatch.setattr(places, "_ask", lambda url: (asked.append(url), ask(url)))
    files = (WeightsFile("a.safetensors"), WeightsFile("b.json"))
    entry = Entry("m", "lite", "x", files, repo="no/body", mirrors=(Mirror(folder=str(tmp_path)),))
    assert set(fetch.fetch(entry)) == {"a.safetensors", "b.json"}
    assert asked == [f"{mute}/api/models/no/body"]
    with pytest.raises(WeightsError, match="no/body cannot be read: .*no answer within"):
        hub.lock(entry, fetch.silent)


def test_a_mute_mirror_is_left_at_once(mute: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(places, "_READ_S", 0.3)
    with pytest.raises(Unavailable, match="did not answer within"):
        _get(mute, tmp_path)


def test_any_answer_is_an_answer_but_a_gateways(server: Hub, monkeypatch) -> None:
    check_reachable(f"{server.url}/api/models/no/body", answers=True)  # 404
    monkeypatch.setattr(
        "tests.hub_server._Handler._info", lambda handler, repo: handler._refuse(504, "", "nobody behind")
    )
    with pytest.raises(Unavailable, match="it answers 504"):
        check_reachable(f"{server.url}/api/models/no/body", answers=True)


@pytest.mark.parametrize("endpoint", ["http://localhost:abc", "localhost:80", "ftp://localhost/x", ""])
def test_an_endpoint_that_is_no_address_is_said(endpoint: str, monkeypatch, capsys) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    entry = Entry("m", "lite", "x", (FILE,), repo="no/body")
    with pytest.raises(WeightsError, match="is no address"):
        fetch.fetch(entry)
    with pytest.raises(WeightsError, match="is no address"):
        hub.lock(entry, fetch.silent)
    assert capsys.readouterr().out == ""


def test_a_hub_that_stops_answering_does_not_lack_the_file(server: Hub, monkeypatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def gone(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("cannot find it")

    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", gone)
    with pytest.raises(Unavailable, match="stopped answering"):
        HubPlace("no/body", None).get(FILE, fetch.silent)


# ---------------------------------------------------------------- plain servers


def test_an_address_may_have_spaces(server: Hub, tmp_path: Path) -> None:
    server.plain["my%20models/ssr.safetensors"] = CONTENT
    assert _get(f"{server.url}/plain/my models/", tmp_path) == CONTENT


def _once(answers: list[bytes]) -> Iterator[str]:
    """A server that gives each answer to one connection, then closes it."""
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answer in answers:
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        if connection.recv(4096):  # not only a try whether somebody listens
                            connection.sendall(answer)
                            break

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_an_answer_in_pieces_that_is_cut_is_asked_for_again(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + b"5\r\nhello\r\n0\r\n\r\n"
    for url in _once([head + b"5\r\nhe", b"no answer of the web\r\n\r\n", whole]):
        assert _get(url, tmp_path) == b"hello"


def test_more_than_the_server_has_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "ssr.safetensors.part").write_bytes(b"longer than it is now")
    longer = b"HTTP/1.1 416 No\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\n\r\n"
    for url in _once([longer, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"]):
        assert _get(url, tmp_path) == b"hello"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_is_not_the_networks_fault(server: Hub, tmp_path: Path) -> None:
    (tmp_path / "ssr.safetensors.part").symlink_to("/dev/full")
    with pytest.raises(Unavailable, match="could not be kept .No space left"):
        _get(f"{server.url}/plain", tmp_path)


# ---------------------------------------------------------------- what is said


def test_room_is_looked_for_where_the_files_go(tmp_path: Path, monkeypatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "large" / "hub"))
    monkeypatch.setenv("SSR_CACHE", str(tmp_path / "small"))
    (tmp_path / "large").mkdir()
    (tmp_path / "small").mkdir()
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(1000 if "large" in str(folder) else 10))
    entry = Entry("m", "lite", "x", (WeightsFile("ssr.safetensors", 500),), repo="no/body", revision="a" * 40)
    assert fetch.lacking(entry) is None
    away = Entry(**{**entry.__dict__, "repo": None, "mirrors": (Mirror(url="http://127.0.0.1/x"),)})
    assert fetch.lacking(away) == (500, 10)
    more = Entry(**{**entry.__dict__, "files": (*entry.files, WeightsFile("b", 600))})
    assert fetch.lacking(more) == (1100, 1000)
    assert fetch.lacking(Entry(**{**entry.__dict__, "files": (FILE,)})) is None


def test_our_bar_leaves_room_for_that_of_the_hubs_client(monkeypatch) -> None:
    from contextlib import contextmanager

    from ssr_cli.commands.downloading import downloading
    from ssr_cli.console import Console

    said: list[object] = []

    @contextmanager
    def bar(console: Console, title: str) -> Iterator[object]:
        said.append("begun")
        yield lambda what, done, total: said.append((what, done, total))
        said.append("ended")

    monkeypatch.setattr(Console, "progress", bar)
    with downloading("m", Console()) as tell:
        assert said == []
        tell("a", 1_000_000, 2_000_000)
        tell("a", 2_000_000, 2_000_000)
    assert said == ["begun", ("a 1 of 2 MB", 10**6, 2 * 10**6), ("a 2 of 2 MB", 2 * 10**6, 2 * 10**6), "ended"]


@pytest.mark.parametrize(
    ("kind", "table", "words"),
    [("depth", Path("w.toml"), "--depth lite"), ("lite", Path("w.toml"), "add a mirror"), ("lite", None, "the name")],
)
def test_the_next_step_fits_what_is_missing(kind: str, table: Path | None, words: str, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError) as refused:
        fetch.fetch(Entry("m", kind, "x", (FILE,), repo="no/body", table=table))
    assert words in refused.value.hint


def test_the_card_of_an_adapter_names_what_it_needs() -> None:
    config = {"kind": "sd-adapter", "backbone": "sd-turbo", "suite": "me/suite"}
    card = hub.model_card({}, {}, "me/mine", config)
    assert "`sd-turbo`" in card
    assert "`me/suite`" in card
    assert "Stable Diffusion" not in hub.model_card({}, {}, "me/mine", {"depth": {}})


def test_a_card_tells_the_training_of_both_suites() -> None:
    stages = {"stages": {"svkr": {"steps": 7, "minutes": 1.5}}}
    card = hub.model_card({**stages, "optical": {"stages": {"svkr": {"steps": 9, "minutes": 2.5}}}}, {}, "me/mine")
    assert "| svkr | 7 | 1.5 |" in card
    assert "| svkr, of unprocessed photos | 9 | 2.5 |" in card
