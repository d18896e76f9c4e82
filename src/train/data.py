"""A build's shards as a map-style dataset: any row by its number, so that a run resumes where it was without re-reading.

The shards' checksums are compared first (SHA-256, 1 to 2 GB/s). `datasets` keeps an uncompressed copy of the three
columns that training needs, mapped from disk and shared by all processes; `Rows.__getitems__` slices a whole batch out of
it into flat arrays, so that no Python object stands for a token or a piece. Rows are shuffled on disk already; the Trainer's
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

        datasets.disable_progress_bars()
        mapped = datasets.Dataset.from_parquet(
            [str(file) for file in files], columns=list(COLUMNS), cache_dir=str(cache) if cache else None
        )
        self._kept = mapped  # the views below point into its files
        self._tokens, self._pieces, self._sources = (_Lists(mapped.data.column(name)) for name in COLUMNS)
        self.most_pieces = self._pieces.longest
        self.tokens = self._tokens.total

    def __len__(self) -> int:
        """How many rows there are."""
        return int(self._tokens.ends[-1])

    def __getitem__(self, index: int) -> Packed:
        """One row."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Packed:
        """Some rows, in the order asked for."""
        tokens, row_lengths = self._tokens.gather(indices)
        pieces, pieces_per_row = self._pieces.gather(indices)
        sources, _ = self._sources.gather(indices)
        return Packed(tokens, row_lengths, pieces, pieces_per_row, sources)


class _Lists:
    """A list column as views of its mapped chunks: a row is a slice, and nothing is copied before it is asked for."""

    def __init__(self, column: Any) -> None:
        self.values = [chunk.values.to_numpy() for chunk in column.chunks]
        self.offsets = [chunk.offsets.to_numpy() for chunk in column.chunks]  # a slice's begin where it does
        self.ends = np.cumsum([0, *(len(own) - 1 for own in self.offsets)])
        self.longest = max((int(np.diff(own).max(initial=0)) for own in self.offsets), default=0)
        self.total = sum(int(own[-1] - own[0]) for own in self.offsets if len(own))

    def gather(self, indices: Sequence[int]) -> tuple[Ints, Ints]:
        """The values of some rows end to end, and each row's number of values."""
        rows = np.asarray(indices, dtype=np.int64)
        chunks = np.searchsorted(self.ends, rows, side="right") - 1
        found = []
        for chunk, row in zip(chunks.tolist(), (rows - self.ends[chunks]).tolist(), strict=True):
            begin, end = self.offsets[chunk][row : row + 2]
            found.append(self.values[chunk][begin:end])
        lengths = np.array([len(own) for own in found], dtype=np.int64)
        return np.concatenate([np.zeros(0, np.int64), *found], dtype=np.int64), lengths


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
