"""What `ssr models lock` and `publish` do on the Hub: read a repository's facts, write a new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ssr_cli.catalogue import CHECKPOINT_NAME, Entry, WeightsFile
from ssr_cli.errors import UsageError, WeightsError
from ssr_cli.fetch import fetch_file
from ssr_cli.paths import digest, make_folder, publish
from ssr_cli.places import Progress, Unavailable, check_reachable, hub_endpoint, offline

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

T = TypeVar("T")


def _asked(what: str, repo: str, call: Callable[[], T]) -> T:
    """Do something on the Hub; every failure becomes a sentence.

    Raises:
        WeightsError: with the reason.
    """
    if offline():
        raise WeightsError(f"{repo} cannot be {what}: HF_HUB_OFFLINE is set.", "Unset it and try again.")
    try:
        check_reachable(f"{hub_endpoint()}/api/models/{repo}", answers=True)
    except Unavailable as reason:
        raise WeightsError(f"{repo} cannot be {what}: {reason}.", "Check the network and HF_ENDPOINT.") from reason
    from huggingface_hub import errors

    try:
        return call()
    except errors.RepositoryNotFoundError as error:
        raise WeightsError(
            f"{repo} cannot be {what}: it does not exist, or this token may not see it.",
            "Check the name, and set HF_TOKEN or run hf auth login.",
        ) from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        hint = "Set HF_TOKEN to a token that may write." if status in (401, 403) else "Try again later."
        raise WeightsError(f"{repo} cannot be {what}: the Hub answered {status}.", hint) from error
    except Exception as error:  # the client's kinds of network failure differ from version to version
        raise WeightsError(
            f"{repo} cannot be {what}: {type(error).__name__}.", "Check the network and HF_ENDPOINT."
        ) from error


def lock(entry: Entry, progress: Progress) -> Entry:
    """Fill in an entry from the Hub: the revision it has now, size and SHA-256 of its files.

    Files in Git LFS state their SHA-256; the others are small and are downloaded for it.

    Args:
        entry: with a repository.
        progress: receives the bytes of these downloads.

    Returns:
        The entry, pinned.

    Raises:
        UsageError: for an entry without a repository.
        WeightsError: when the Hub cannot be asked, or lacks a file.
    """
    if entry.repo is None:
        raise UsageError(f"{entry.id} is bundled and needs no lock.", "Lock an entry that names a repo.")
    repo, revision = entry.repo, entry.revision

    def read() -> ModelInfo:
        from huggingface_hub import HfApi

        return HfApi().model_info(repo, revision=revision, files_metadata=True)

    info = _asked("read", repo, read)
    held = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    files = []
    for file in entry.files:
        if file.name not in held:
            raise WeightsError(f"{repo} has no file {file.name}.", "Mend the entry's files.")
        found = held[file.name]
        sha256: str | None = found.lfs.sha256 if found.lfs else None
        if sha256 is None:
            bare = replace(entry, revision=info.sha, files=(WeightsFile(file.name),), mirrors=())
            sha256 = digest(fetch_file(bare, bare.files[0], progress))
        files.append(WeightsFile(file.name, found.size, sha256))
    return replace(entry, revision=info.sha, files=tuple(files))


def write_entry(entry: Entry, table: Path) -> None:
    """Put an entry into a table of the user's, whose comments and other entries stay as they are.

    Raises:
        WeightsError: if the file is no TOML.
        OutputError: if it cannot be written.
    """
    import tomlkit
    from tomlkit.exceptions import ParseError

    try:
        document = tomlkit.parse(table.read_text(encoding="utf-8")) if table.is_file() else tomlkit.document()
    except (ParseError, UnicodeDecodeError) as error:
        raise WeightsError(f"{table} cannot be read: {error}.", "Mend the file.") from error
    if "models" not in document:
        document["models"] = tomlkit.table(is_super_table=True)
    document["models"][entry.id] = _as_toml(entry)
    make_folder(table.parent)
    with publish(table, force=True) as temporary:
        temporary.write_text(tomlkit.dumps(document), encoding="utf-8")


def _as_toml(entry: Entry) -> Any:
    """An entry as a table of TOML, with nothing that is not known."""
    import tomlkit

    body = tomlkit.table()
    for name in ("kind", "licence", "repo", "revision", "trained_on"):
        if (value := getattr(entry, name)) is not None:
            body[name] = value
    if entry.scores:
        scores = tomlkit.inline_table()
        scores.update(entry.scores)
        body["scores"] = scores
    for name, items in (("mirrors", entry.mirrors), ("files", entry.files)):
        rows = tomlkit.aot()
        for item in items:
            row = tomlkit.table()
            row.update({k: v for k, v in item.__dict__.items() if v is not None})
            rows.append(row)
        if items:
            body[name] = rows
    return body


def entry_text(entry: Entry) -> str:
    """An entry as it would stand in weights.toml."""
    import tomlkit

    document = tomlkit.document()
    document["models"] = tomlkit.table(is_super_table=True)
    document["models"][entry.id] = _as_toml(entry)
    return tomlkit.dumps(document)


def model_card(
    provenance: dict[str, Any], scores: dict[str, str], repo: str, config: dict[str, Any] | None = None
) -> str:
    """The README of a published checkpoint: what it is, how to use it, scores, training data, licence.

    Args:
        provenance: of the checkpoint's metadata.
        scores: measured figures by name.
        repo: where it is published.
        config: of the checkpoint; an adapter's names the backbone and the suite it needs.
    """
    licence = str(provenance.get("licence", "other")).lower()
    second = provenance.get("optical", {}).get("stages", {})
    stages = provenance.get("stages", {}) | {f"{name}, of unprocessed photos": told for name, told in second.items()}
    trained = "\n".join(f"| {name} | {s['steps']} | {s['minutes']} |" for name, s in stages.items())
    figures = "\n".join(f"| {name} | {value} |" for name, value in scores.items()) or "| not measured | - |"
    return f"""---
license: {licence}
library_name: ssr
pipeline_tag: image-to-image
tags: [super-resolution, blind-super-resolution, blur-kernel, depth]
---

# A checkpoint of ssr

Blind image super-resolution that estimates what blurred the photo. Use it with:

```sh
ssr upscale photo.jpg --model {repo}
```
{_needs(config or {})}
## Scores

| set | result |
|---|---|
{figures}

## Training

Made by {provenance.get("program", "ssr")} on {provenance.get("date", "an unknown date")}.
Trained on: {provenance.get("trained_on", "not stated")}.

| stage | steps | minutes |
|---|---|---|
{trained or "| not stated | - | - |"}

## Licence

{provenance.get("licence", "Not stated")}. {provenance.get("attribution", "")}
"""


def _needs(config: dict[str, Any]) -> str:
    """What else a checkpoint needs, as a paragraph of its card; empty for one that stands alone."""
    if config.get("kind") != "sd-adapter":
        return ""
    return (
        f"\nAn adapter for the Stable Diffusion backbone `{config.get('backbone')}` of weights.toml, on top of the"
        f" checkpoint `{config.get('suite', 'lite')}`; both are fetched when it is used.\n"
    )


def publish_checkpoint(
    checkpoint: Path,
    provenance: dict[str, Any],
    scores: dict[str, str],
    repo: str,
    private: bool,
    config: dict[str, Any] | None = None,
) -> Entry:
    """Upload a checkpoint with its model card and attribution list.

    Args:
        checkpoint: a .safetensors file; `NAME.ATTRIBUTION.csv` beside it goes with it.
        provenance: of its metadata.
        scores: measured figures by name.
        repo: `user/name`, made if it does not exist.
        private: whether a new repository is private.
        config: of the checkpoint; says whether it is an adapter.

    Returns:
        The entry for weights.toml, pinned to the commit.

    Raises:
        WeightsError: when the Hub refuses or cannot be reached.
    """
    files: dict[str, Path | bytes] = {
        CHECKPOINT_NAME: checkpoint,
        "README.md": model_card(provenance, scores, repo, config).encode(),
    }
    attribution = checkpoint.with_suffix(".ATTRIBUTION.csv")
    if attribution.is_file():
        files[attribution.name] = attribution

    def upload() -> str:
        from huggingface_hub import CommitOperationAdd, HfApi

        api = HfApi()
        api.create_repo(repo, repo_type="model", private=private, exist_ok=True)
        operations = [
            CommitOperationAdd(name, str(content) if isinstance(content, Path) else content)
            for name, content in files.items()
        ]
        message = f"{CHECKPOINT_NAME} by {provenance.get('program', 'ssr')}"
        done = api.create_commit(repo, operations, commit_message=message, repo_type="model")
        return str(done.oid)

    revision = _asked("published", repo, upload)
    return Entry(
        id=repo.split("/")[-1].lower(),
        kind="sd-adapter" if (config or {}).get("kind") == "sd-adapter" else "lite",
        licence=str(provenance.get("licence", "not stated")),
        files=(WeightsFile(CHECKPOINT_NAME, checkpoint.stat().st_size, digest(checkpoint)),),
        repo=repo,
        revision=revision,
        trained_on=str(provenance["trained_on"]) if "trained_on" in provenance else None,
        scores=scores,
    )
