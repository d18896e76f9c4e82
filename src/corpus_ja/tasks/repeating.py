"""Stage 1c, by choice of a source: lines or paragraphs that many of its documents repeat leave all of them but the
first.

1. `CountPieces`, a map over documents files: the keys of their pieces, with counts, sorted (24 bytes a distinct piece).
2. `FindRepeated`, one task a source: adds the counts up, `PIECES_A_RANGE` keys at a time, and writes those that leave,
   with their texts.
3. `DropRepeats`, a map over the reading tasks: new documents files in a folder of their own, with their own
   fingerprint; the ones that were read stay as they are. Beside them lies what left which document
   (`NNNNN.repeats.parquet`). A document of which nothing is left is set aside as `duplicate.pieces`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus_ja.stages import repeats
from corpus_ja.stages.repeats import Repeats
from corpus_ja.storage.shards import (
    FrameWriter,
    iterate_frames,
    read_frame,
    read_json,
    read_rows,
    rows_in,
    whole,
    write_frame,
)
from corpus_ja.tasks import Job
from corpus_ja.tasks.matching import save_array

VERSION = 1
PIECES_A_RANGE = 20_000_000
"""Keys that `FindRepeated` holds at a time, about 105 bytes each."""
SHOWN = 20
"""Repeated pieces that the report shows, those of most documents first."""
VERDICT = "duplicate.pieces"


@dataclass(frozen=True, slots=True)
class CountPieces(Job):
    """Count in how many documents of one documents file each piece stands."""

    source: str
    part: str
    documents: Path
    settings: Repeats
    folder: Path

    @property
    def name(self) -> str:
        return f"repeats, counting {self.source}/{self.part}"

    @property
    def report(self) -> Path:
        return self.folder / f"counted-{self.part}.json"

    def run(self) -> dict[str, Any]:
        """Write `counted-PART.npy`: key, number of documents, first row; sorted by key."""
        found = [np.zeros((0, 3), dtype=np.uint64)]
        first = read = 0
        for frame in iterate_frames(self.documents, ["text"]):
            _, document, keys = repeats.pieces(frame["text"], self.settings)
            found.append(
                np.stack([part.astype(np.uint64) for part in repeats.documents_with(document + first, keys)], axis=1)
            )
            first += frame.height
            read += int(frame["text"].str.len_bytes().sum())
        added = _added(np.concatenate(found))
        save_array(self.folder / f"counted-{self.part}.npy", added)
        return {"rows": first, "pieces": len(added), "text_bytes_read": read}


def _added(counted: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Rows of key, count, first: one a key, counts added, the smallest first; sorted by key."""
    if not len(counted):
        return counted
    counted = counted[np.lexsort((counted[:, 2], counted[:, 0]))]
    begins = np.flatnonzero(np.concatenate((np.ones(1, dtype=bool), counted[1:, 0] != counted[:-1, 0])))
    return np.stack([counted[begins, 0], np.add.reduceat(counted[:, 1], begins), counted[begins, 2]], axis=1)


@dataclass(frozen=True, slots=True)
class FindRepeated(Job):
    """Find the pieces of one source that leave, and their texts."""

    source: str
    parts: tuple[str, ...]
    documents: Path
    settings: Repeats
    folder: Path

    @property
    def name(self) -> str:
        return f"repeats of {self.source}"

    @property
    def report(self) -> Path:
        return self.folder / "repeated.json"

    def run(self) -> dict[str, Any]:
        """Write `repeated.parquet`: key, documents, row (over all files in order, of the first that has it), text;
        sorted by key.
        """
        pieces = sum(int(read_json(self.folder / f"counted-{part}.json")["pieces"]) for part in self.parts)
        ranges = max(1, -(-pieces // PIECES_A_RANGE))
        found = [np.zeros((0, 3), dtype=np.uint64)]
        for index in range(ranges):
            low, high = (-(-(place << 64) // ranges) for place in (index, index + 1))
            counted = _added(np.concatenate([np.zeros((0, 3), dtype=np.uint64), *self._within(low, high)]))
            found.append(counted[counted[:, 1] >= self.settings.documents])
        repeated = np.concatenate(found)
        texts = self._texts(repeated)
        frame = pl.DataFrame(
            {
                "key": repeated[:, 0],
                "documents": repeated[:, 1].astype(np.int64),
                "row": repeated[:, 2].astype(np.int64),
                "text": pl.Series(texts, dtype=pl.String),
            }
        )
        write_frame(self.folder / "repeated.parquet", frame)
        most = frame.sort(["documents", "key"], descending=[True, False]).head(SHOWN)
        return {
            "repeated": frame.height,
            "shown": [
                {"text": text, "documents": count} for text, count in most.select("text", "documents").iter_rows()
            ],
            "text_bytes_read": sum(len(text.encode()) for text in texts),
        }

    def _within(self, low: int, high: int) -> Iterator[npt.NDArray[np.uint64]]:
        """The counts of every file for the keys of a range, with rows numbered over all files."""
        first = 0
        for part in self.parts:
            path = self.folder / f"counted-{part}.npy"
            with whole(path):
                counted = np.load(path, mmap_mode="r", allow_pickle=False)
            keys = counted[:, 0]
            end = len(keys) if high >= 2**64 else int(np.searchsorted(keys, np.uint64(high)))
            own = np.array(counted[int(np.searchsorted(keys, np.uint64(low))) : end])
            own[:, 2] += np.uint64(first)
            yield own
            first += rows_in(self.documents / f"{part}.parquet")

    def _texts(self, repeated: npt.NDArray[np.uint64]) -> list[str]:
        """The text of every repeated piece, from the first document that has it."""
        order = np.argsort(repeated[:, 2], kind="stable")
        keys, rows = repeated[order, 0], repeated[order, 2].astype(np.int64)
        texts = [""] * len(order)
        first = 0
        for part in self.parts:
            path = self.documents / f"{part}.parquet"
            last = first + rows_in(path)
            low, high = np.searchsorted(rows, (first, last))
            if low < high:
                wanted, position = np.unique(rows[low:high] - first, return_inverse=True)
                flat, document, own = repeats.pieces(read_rows(path, ["text"], wanted)["text"], self.settings)
                places: dict[tuple[int, int], int] = {}
                for place, at in enumerate(zip(document.tolist(), own.tolist(), strict=True)):
                    places.setdefault(at, place)
                for at, key, place in zip(
                    order[low:high].tolist(), keys[low:high].tolist(), position.tolist(), strict=True
                ):
                    texts[at] = flat[places[place, key]]
            first = last
        return texts


@dataclass(frozen=True, slots=True)
class DropRepeats(Job):
    """Write the documents files of one reading task anew, without the repeated pieces; `first` is the number of its
    first row.
    """

    source: str
    index: str
    parts: tuple[str, ...]
    first: int
    documents: Path
    settings: Repeats
    folder: Path

    @property
    def name(self) -> str:
        return f"repeats {self.source}/{self.index}"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.index}.json"

    def run(self) -> dict[str, Any]:
        """Write the documents files, the set-aside file and `NNNNN.repeats.parquet` (id, text of a piece that left)."""
        repeated = read_frame(self.folder / "repeated.parquet", ["key", "row"])
        keys, keeps = repeated["key"].to_numpy(), repeated["row"].to_numpy()
        aside = [read_frame(self.documents / f"{self.index}.set_aside.parquet")]
        gone: list[pl.DataFrame] = []
        parts: list[dict[str, Any]] = []
        number = self.first
        read = left_bytes = touched = 0
        for part in self.parts:
            path = self.documents / f"{part}.parquet"
            with whole(path):
                columns = list(pl.read_parquet_schema(path))
            writer = FrameWriter(self.folder / f"{part}.parquet")
            try:
                for frame in iterate_frames(path, columns):
                    read += int(frame["text"].str.len_bytes().sum())
                    text, left = repeats.without(frame["text"], self.settings, keys, keeps - number)
                    number += frame.height
                    touched += left["document"].n_unique()
                    left_bytes += int(left["text"].str.len_bytes().sum())
                    gone.append(left.select(frame["id"].gather(left["document"]), "text"))
                    frame = frame.with_columns(text=text)  # noqa: PLW2901
                    empty = text.str.len_bytes() == 0
                    aside.append(_set_aside(frame.filter(empty), aside[0].schema))
                    frame = frame.filter(~empty)  # noqa: PLW2901
                    if frame.height:
                        writer.write(frame)
                if writer.rows:
                    parts.append({"name": part, "rows": writer.rows})
                writer.close()
            except BaseException:
                writer.discard()
                raise
        nothing = pl.DataFrame(schema={"id": pl.String, "text": pl.String})
        write_frame(self.folder / f"{self.index}.set_aside.parquet", pl.concat(aside))
        write_frame(self.folder / f"{self.index}.repeats.parquet", pl.concat([nothing, *gone]))
        emptied = sum(frame.height for frame in aside[1:])
        return {
            "rows": number - self.first,
            "parts": parts,
            "dropped": {VERDICT: emptied} if emptied else {},
            "pieces": sum(frame.height for frame in gone),
            "touched": touched,
            "left_bytes": left_bytes,
            "text_bytes_read": read,
        }


def _set_aside(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Documents of which nothing is left, as rows of the set-aside file."""
    return frame.select(
        file=pl.lit(""),
        row=pl.lit(0),
        id=pl.col("id"),
        reason=pl.lit(VERDICT),
        detail=pl.lit("every piece of it stands in other documents"),
        bytes=pl.col("original_bytes"),
        characters=pl.col("original_characters"),
    ).cast(dict(schema))  # type: ignore[arg-type]
