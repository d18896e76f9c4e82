"""What a run leaves for readers: `curves.svg` and a model card with the data, the recipe and the results.

The curves are Altair's, drawn to SVG without a browser (vl-convert). The card's metadata are huggingface_hub's, so the Hub
reads them; everything else in it comes from the manifest, the recipe and the log, and nothing is claimed that they do
not say.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpus_ja.storage.manifest import Manifest
from train.config import Recipe, resolved

Log = Sequence[Mapping[str, Any]]


def write_curves(log: Log, sources: Sequence[str], path: Path) -> bool:
    """Training loss and held-out bits per byte by source over tokens seen; False when the log holds neither."""
    import altair as alt

    tokens = {line["step"]: line["tokens_seen"] for line in log if "tokens_seen" in line}
    a_step = next((seen / step for step, seen in tokens.items() if step), 1.0)
    points = []
    for line in log:
        for kind, prefix in (
            ("training loss (nats a token)", "loss_"),
            ("held-out bits per byte", "eval_bits_per_byte_"),
        ):
            points += [
                {"chart": kind, "source": source, "tokens": line["step"] * a_step, "value": line[prefix + source]}
                for source in sources
                if prefix + source in line
            ]
    if not points:
        return False
    charts = [
        alt.Chart(
            alt.Data(values=[point for point in points if point["chart"] == kind]), title=kind, width=420, height=280
        )
        .mark_line(point=kind.startswith("held"))
        .encode(
            x=alt.X("tokens:Q", title="tokens seen", axis=alt.Axis(format="~s")),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            color=alt.Color("source:N", title=None),
        )
        for kind in dict.fromkeys(point["chart"] for point in points)
    ]
    alt.hconcat(*charts).save(str(path), format="svg")
    return True


def write_card(
    path: Path,
    recipe: Recipe,
    manifest: Manifest,
    log: Log,
    facts: Mapping[str, str],
    completions: str | None,
    *,
    curves: bool,
) -> None:
    """README.md of the model folder. `facts`: what was measured and chosen, name by value."""
    from huggingface_hub import ModelCardData

    base = recipe.model.source
    data = ModelCardData(
        language=sorted(
            {
                str(source.get("language"))
                for source in manifest.mix.get("sources", {}).values()
                if source.get("language")
            }
        )
        or None,
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=base if base and not Path(base).exists() else None,
        tags=["corpus-ja", "continued-pretraining" if base else "pretraining"],
    )
    sections = [f"---\n{data.to_yaml()}\n---", f"# {recipe.name}", _opening(recipe, manifest)]
    sections += ["## Data", _data(manifest)]
    sections += ["## Results", _results(log, manifest.source_names)]
    if curves:
        sections.append("![training loss and held-out bits per byte](curves.svg)")
    sections += ["## Run", "\n".join(f"- {name}: {value}" for name, value in facts.items())]
    if completions:
        sections += ["## Completions", completions.removeprefix("# Completions").strip()]
    sections += ["## Recipe", f"```yaml\n{resolved(recipe, paths=False)}```"]
    path.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def _opening(recipe: Recipe, manifest: Manifest) -> str:
    begun = (
        f"{recipe.model.source}, continued"
        if recipe.model.source
        else f"a new {(recipe.model.new or {}).get('model_type')}, trained"
    )
    kept = (
        "documents of a row do not see each other"
        if recipe.documents == "separate"
        else "documents of a row see those before them (plain concatenation)"
    )
    return (
        f"{begun} on the corpus `{manifest.name}` (fingerprint `{manifest.fingerprint}`), rows of {manifest.sequence_length:,} tokens packed by "
        f"{manifest.packing}; {kept}."
    )


def _data(manifest: Manifest) -> str:
    total = sum(source.taken.tokens for source in manifest.sources.values()) or 1
    rows = ["| source | documents | tokens | share | passes | licence |", "|---|---|---|---|---|---|"]
    rows += [
        f"| {_cell(name)} | {source.taken.documents:,} | {source.taken.tokens:,} | {source.taken.tokens / total:.1%} | {source.taken.epochs:.2f} | "
        f"{_cell(source.license or 'not stated')} |"
        for name, source in manifest.sources.items()
    ]
    return "\n".join(rows)


def _results(log: Log, sources: Sequence[str]) -> str:
    evaluations = [line for line in log if "eval_bits_per_byte" in line]
    if not evaluations:
        return "No held-out rows were evaluated."
    shown = [name for name in sources if f"eval_bits_per_byte_{name}" in evaluations[-1]]
    rows = [
        "Bits per byte of held-out text, lower is better:",
        "",
        "| step | all | " + " | ".join(map(_cell, shown)) + " |",
        "|---" * (2 + len(shown)) + "|",
    ]
    for line in evaluations:
        values = [line["eval_bits_per_byte"], *(line.get(f"eval_bits_per_byte_{name}") for name in shown)]
        rows.append(
            f"| {line['step'] or 'base'} | " + " | ".join("" if v is None else f"{v:.4f}" for v in values) + " |"
        )
    return "\n".join(rows)


def _cell(text: str) -> str:
    """A name inside a Markdown table."""
    return "".join(f"\\{c}" if c in r"\`*_[]<>|#" else c if c.isprintable() else " " for c in text)
