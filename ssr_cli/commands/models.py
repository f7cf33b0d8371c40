"""`ssr models`: the table of checkpoints, and the files behind it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ssr_cli.catalogue import Entry, catalogue, hub_entry, user_table
from ssr_cli.commands.downloading import downloading
from ssr_cli.console import Console
from ssr_cli.errors import UsageError, WeightsError
from ssr_cli.fetch import fault, fetch, in_cache, lacking


def find(model: str) -> Entry:
    """The entry of an id, or of `user/repo[@revision]`.

    Raises:
        WeightsError: if there is none.
    """
    known = catalogue()
    entry = known.get(model) or hub_entry(model)
    if entry is None:
        raise WeightsError(f"There is no checkpoint {model!r}.", f"Use one of {', '.join(known)}, or user/repo.")
    return entry


def megabytes(size: int | None) -> str:
    """A size for a person."""
    return "size not known" if size is None else f"{size / 1e6:.1f} MB"


def _state(entry: Entry) -> str:
    """Where an entry's files are: bundled, in the cache, partly, or not here."""
    if entry.bundled is not None:
        return "bundled"
    here = sum(in_cache(entry, file) is not None for file in entry.files)
    return "not here" if here == 0 else "in the cache" if here == len(entry.files) else "partly in the cache"


def _facts(entry: Entry) -> dict[str, object]:
    """All that is known of an entry, for a machine."""
    facts = {k: v for k, v in asdict(entry).items() if v not in (None, (), {})}
    return facts | {"table": str(entry.table) if entry.table else None, "state": _state(entry), "size": entry.size}


def show_list(console: Console) -> None:
    """A line per checkpoint of the table."""
    entries = catalogue()
    if console.mode == "json":
        for entry in entries.values():
            console.result(_facts(entry))
        return
    rows = [("id", "kind", "size", "where", "licence")]
    rows += [(e.id, e.kind, megabytes(e.size), _state(e), e.licence) for e in entries.values()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    # an id has to be read whole, and may be cut out by a script: lines are never folded to the terminal
    console.result("\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows))
    if not any(e.kind in ("lite", "sd-adapter") and e.repo for e in entries.values()):
        console.hint("No checkpoint of ssr is on the Hub yet: lite comes with the package and is the default.")


def show(model: str, console: Console) -> None:
    """Everything the table says of one checkpoint."""
    entry = find(model)
    if console.mode == "json":
        console.result(_facts(entry))
        return
    lines = [f"id          {entry.id}", f"kind        {entry.kind}", f"licence     {entry.licence}"]
    if entry.repo is not None:
        lines += [f"repo        {entry.repo}", f"revision    {entry.revision or 'not pinned: ssr models lock pins it'}"]
    lines += [f"trained on  {entry.trained_on}"] if entry.trained_on else []
    lines += [f"score       {name}: {value}" for name, value in entry.scores.items()]
    lines += [f"file        {f.name}, {megabytes(f.size)}, SHA-256 {f.sha256 or 'not known'}" for f in entry.files]
    lines += [f"mirror      {m.repo or m.url or m.folder}" for m in entry.mirrors]
    lines += [f"where       {_state(entry)}", f"table       {entry.table or 'none: named on the command line'}"]
    console.result("\n".join(lines))


def pull(model: str, console: Console) -> None:
    """Download what is missing, check everything, say where it is.

    Raises:
        WeightsError: if it cannot be had, or the disk is too small.
    """
    entry = find(model)
    console.hint(f"{entry.id}: {megabytes(entry.size)}, licence {entry.licence}")
    if short := lacking(entry):
        needed, free = map(megabytes, short)
        raise WeightsError(
            f"{entry.id} needs {needed} and the disk has {free}.",
            "Make room, or set HF_HOME and SSR_CACHE to a larger disk.",
        )
    with downloading(entry.id, console) as tell:
        files = fetch(entry, tell)
    _say_paths(entry, files, console)


def _say_paths(entry: Entry, files: dict[str, Path], console: Console) -> None:
    """Paths, one a line, or one object."""
    if console.mode == "json":
        console.result({"id": entry.id, "files": {name: str(path) for name, path in files.items()}})
    else:
        console.result("\n".join(map(str, files.values())))


def path(model: str, console: Console) -> None:
    """Where the files are on this machine; nothing is downloaded.

    Raises:
        WeightsError: if one is not here.
    """
    entry = find(model)
    files = {}
    for file in entry.files:
        held = in_cache(entry, file)
        if held is None:
            raise WeightsError(f"{file.name} of {entry.id} is not on this machine.", f"Run ssr models pull {model}.")
        files[file.name] = held[1]
    _say_paths(entry, files, console)


def verify(model: str | None, console: Console) -> None:
    """Compare the files that are here with the table, SHA-256 included.

    Raises:
        WeightsError: naming what is damaged.
    """
    entries = [find(model)] if model else list(catalogue().values())
    damaged: list[str] = []
    for entry in entries:
        for file in entry.files:
            held = in_cache(entry, file)
            wrong = fault(held[1], file) if held else None
            verdict = "not here" if held is None else wrong or ("good" if file.sha256 else "here; no SHA-256 is known")
            damaged += [wrong] if wrong else []
            if console.mode == "json":
                console.result(
                    {"id": entry.id, "file": file.name, "good": held is not None and wrong is None, "verdict": verdict}
                )
            else:
                console.result(f"{entry.id}  {file.name}  {verdict}")
    if damaged:
        raise WeightsError(f"{damaged[0]}.", "Delete it and run ssr models pull.")


def lock(model: str, console: Console) -> None:
    """Pin a checkpoint to what the Hub has now, in the user's own table."""
    from ssr_cli import hub

    entry = find(model)
    with downloading(entry.id, console) as tell:
        locked = hub.lock(entry, tell)
    table = user_table()
    hub.write_entry(locked, table)
    console.hint(f"written to {table}")
    console.result(_facts(locked) if console.mode == "json" else hub.entry_text(locked).rstrip())


def publish(folder: Path, repo: str, scores: list[str], private: bool, console: Console) -> None:
    """Upload a trained checkpoint and print its entry.

    Raises:
        UsageError: for scores that are not NAME=VALUE, or a repo that is not user/name.
        WeightsError: if there is no checkpoint, or the Hub refuses.
    """
    from ssr_cli import hub
    from ssr_cli.weights import load_checkpoint, locate

    if not folder.exists():
        raise WeightsError(f"{folder} does not exist.", "Name a .safetensors file or the folder it lies in.")

    if hub_entry(repo) is None or "@" in repo:
        raise UsageError(f"--repo {repo} is not USER/NAME.", "Write for example --repo me/my-ssr.")
    figures = {}
    for pair in scores:
        name, equals, value = pair.partition("=")
        if not equals or not name or not value:
            raise UsageError(f"--score {pair} is not NAME=VALUE.", 'Write for example --score "RealSR=26.5 dB".')
        figures[name] = value
    checkpoint = locate(str(folder))
    loaded = load_checkpoint(str(checkpoint))
    suite = str(loaded.config.get("suite", "lite"))
    if suite not in catalogue() and (Path(suite).exists() or hub_entry(suite) is None):
        console.warning(f"This adapter builds on {suite}, a file that others do not have.")
    entry = hub.publish_checkpoint(checkpoint, loaded.provenance, figures, repo, private, loaded.config)
    console.result(_facts(entry) if console.mode == "json" else hub.entry_text(entry).rstrip())
