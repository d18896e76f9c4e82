"""Reads OSCAR 23.01 and 22.01, in the form of their files and in the form of the Hub's loading script.

| | file form | loader form |
|---|---|---|
| text | `content` | `text` |
| id | `warc_headers.warc-record-id` without `<urn:uuid:` and `>` | `id` (a number) |
| url | `warc_headers.warc-target-uri` without `<` and `>` | `meta.warc_headers.warc-target-uri` |
| the rest | `metadata` | `meta` |

The extra columns, of fixed types and always there (null where a record has not the field):
`oscar_language` (identification's label), `oscar_probability` (its prob, which may exceed 1 a little),
`oscar_quality_warnings` (22.01 calls it `annotation`), `oscar_categories`, `oscar_harmful_pp` (lower is worse), and
`oscar_other_language_lines`: the share of lines identified as another language than the document's. A line that OSCAR
left unidentified (null: no language above 0.8, or too short to tell) counts in the whole and not as another language;
null when there are no lines. `where` sees the record as it is: `metadata.identification.prob > 0.9`.
"""

from collections.abc import Callable
from typing import Final

from corpus_ja.storage.sources.jsonl import Shape
from corpus_ja.storage.sources.records import MISSING, OSCAR_COLUMNS, Json, Reading, getter

_URN: Final = "<urn:uuid:"


def shape(reading: Reading, extra: list[str]) -> Shape:
    """Where an OSCAR record keeps its fields; `extra` are the extra columns in order, OSCAR's first."""
    own: list[Callable[[dict[str, Json]], Json] | None] = [
        getter(reading.columns[name]) if name in reading.columns else None for name in ("id", "url")
    ]
    declared = [getter(reading.extra_paths[name]) for name in extra if name not in OSCAR_COLUMNS]

    def fields(record: dict[str, Json]) -> tuple[Json, Json, Json, tuple[Json, ...]]:
        if "content" in record:
            text = record["content"]
            metadata = _object(record.get("metadata"))
            headers = _object(record.get("warc_headers"))
            identifier = record_id(headers.get("warc-record-id", MISSING))
        else:
            text = record.get("text", MISSING)
            metadata = _object(record.get("meta"))
            headers = _object(metadata.get("warc_headers"))
            identifier = record.get("id", MISSING)
        url = target_uri(headers.get("warc-target-uri"))
        if own[0] is not None:
            identifier = own[0](record)
        if own[1] is not None:
            url = own[1](record)
        identification = _object(metadata.get("identification"))
        language = _string(identification.get("label"))
        warnings = metadata.get("quality_warnings", metadata.get("annotation"))
        values = (
            language,
            _number(identification.get("prob")),
            _strings(warnings),
            _strings(metadata.get("categories")),
            _number(metadata.get("harmful_pp")),
            _other_lines(metadata.get("sentence_identifications"), language),
        )
        return text, identifier, url, (*values, *(find(record) for find in declared))

    return fields


def record_id(value: Json) -> Json:
    """A WARC record id without its wrapping: `<urn:uuid:X>` is X."""
    return value.removeprefix(_URN).removesuffix(">") if isinstance(value, str) else value


def target_uri(value: Json) -> str | None:
    """A WARC target URI without the angle brackets some writers put around it."""
    return value.removeprefix("<").removesuffix(">") if isinstance(value, str) else None


def _object(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _string(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _strings(value: Json) -> list[str] | None:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None


def _other_lines(lines: Json, language: str | None) -> float | None:
    # The loader's form keeps a list of structs as a struct of lists.
    if isinstance(lines, dict) and isinstance(lines.get("label"), list):
        labels = lines["label"]
    elif isinstance(lines, list):
        labels = [line.get("label") if isinstance(line, dict) else None for line in lines]
    else:
        return None
    if not labels or language is None:
        return None
    others = sum(label is not None and label != language for label in labels)
    return float(others / len(labels))
