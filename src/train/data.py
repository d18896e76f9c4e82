"""A build's shards as a map-style dataset: any row by its number, so that a run resumes where it was without re-reading.

The shards' checksums are compared first (SHA-256, 1 to 2 GB/s). `datasets` keeps an uncompressed copy of the three
columns that training needs, mapped from disk and shared by all processes; `Rows.__getitems__` gathers a whole batch into
flat arrays, so that no Python object stands for a token or a piece. Rows are shuffled on disk already; the Trainer's
seeded sampler gives each pass its own order.

Rejected: `IterableDataset` (resuming re-reads everything before), tables in memory (7.8 GB for 3.9 billion tokens, in
every process), position ids and masks on disk (they follow from `seq_lengths`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus_ja.storage.manifest import Manifest, ManifestError, Shard, read_manifest, sha256_of
from train.errors import TrainError

COLUMNS = ("input_ids", "seq_lengths", "source_ids")

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Packed:
    """Some rows in flat form: `tokens` and `row_lengths` (tokens a row), `pieces` (tokens a piece), `pieces_per_row` and
    `sources` (one a piece), all int64.
    """

    tokens: Ints
    row_lengths: Ints
    pieces: Ints
    pieces_per_row: Ints
    sources: Ints


class Rows:
    """Rows of some shards by number: a map-style dataset (torch's protocol, without importing torch)."""

    def __init__(self, files: Sequence[Path], cache: Path | None = None) -> None:
        """`cache`: where `datasets` keeps its copy (default: its own cache)."""
        import datasets
        import pyarrow.compute as pc

        datasets.disable_progress_bars()
        self._table = datasets.Dataset.from_parquet(
            [str(file) for file in files], columns=list(COLUMNS), cache_dir=str(cache) if cache else None
        ).with_format("arrow")
        pieces = self._table.data.column("seq_lengths")
        self.most_pieces = int(pc.max(pc.list_value_length(pieces)).as_py() or 0)
        self.tokens = int(pc.sum(pc.list_value_length(self._table.data.column("input_ids"))).as_py() or 0)

    def __len__(self) -> int:
        """How many rows there are."""
        return int(self._table.num_rows)

    def __getitem__(self, index: int) -> Packed:
        """One row."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Packed:
        """Some rows, in the order asked for."""
        table = self._table[list(indices)]
        tokens, row_lengths = _flat(table.column("input_ids"))
        pieces, pieces_per_row = _flat(table.column("seq_lengths"))
        sources, _ = _flat(table.column("source_ids"))
        return Packed(tokens, row_lengths, pieces, pieces_per_row, sources)


def _flat(column: Any) -> tuple[Ints, Ints]:
    """The values of a list column and each list's length."""
    values, lengths = [], []
    for chunk in column.chunks:
        lengths.append(np.diff(chunk.offsets.to_numpy()))
        values.append(chunk.flatten().to_numpy(zero_copy_only=False))  # `flatten` heeds a slice's offset
    if not values:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(values).astype(np.int64), np.concatenate(lengths).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Corpus:
    """An opened build."""

    folder: Path
    manifest: Manifest
    train: Rows
    validation: Rows | None

    @property
    def tokenizer(self) -> Path:
        """The folder of the tokenizer that the shards were written with."""
        return self.folder / "tokenizer"


def open_corpus(folder: Path, cache: Path | None = None) -> Corpus:
    """A build, its shards compared with their checksums. Raises TrainError naming the shard."""
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        raise TrainError(f"corpus: {error} `corpus-ja build --mix MIX` makes one.") from error
    if not manifest.train:
        raise TrainError(f"{folder} holds no training shards; build it from a mix that keeps something.")
    for shard in (*manifest.train, *manifest.validation):
        _check(folder / "shards" / shard.name, shard)
    if not (folder / "tokenizer").is_dir():
        raise TrainError(f"{folder} has no tokenizer/ folder; build it again with this version of corpus-ja.")
    train = Rows([folder / "shards" / shard.name for shard in manifest.train], cache)
    held = [folder / "shards" / shard.name for shard in manifest.validation if shard.rows]
    return Corpus(folder, manifest, train, Rows(held, cache) if held else None)


def _check(path: Path, shard: Shard) -> None:
    try:
        found = sha256_of(path)
    except OSError as error:
        raise TrainError(f"{path} cannot be read ({error.strerror}); build the corpus again.") from error
    if found != shard.sha256:
        raise TrainError(
            f"{path} is damaged: its SHA-256 is {found[:16]}…, the manifest says {shard.sha256[:16]}…. Remove the build folder and build again."
        )
