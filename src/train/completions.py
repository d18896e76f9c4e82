"""What models write after fixed prompts, side by side: the likeliest words, and one draw with a seed.

Scores of a small model move within noise; what it writes shows at once whether its Japanese holds together. Every model
gets the same prompts and the same seed; generation stops at the tokenizer's end of text, whatever the model's own
configuration says, and leaves its mode, settings and the random numbers of the process as they were. In the Markdown
page no character of a completion means anything: markup, links and control characters come out as text.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from train.bits import context_of
from train.errors import TrainError

TOKENS = 64
SEED = 42
TEMPERATURE, TOP_P = 0.8, 0.95
"""Of the drawn completions; common values for base models, ours."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote: `kind` is "greedy" or "drawn"; `ended` says that it came to its end of text itself."""

    prompt: str
    kind: str
    text: str
    tokens: int
    ended: bool


def complete(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    tokens: int = TOKENS,
    seed: int = SEED,
) -> list[Completion]:
    """Two completions of each prompt, greedy and drawn; a prompt that leaves no room in the context loses its
    beginning. Raises TrainError for a tokenizer without an end of text.
    """
    import torch
    from transformers import GenerationConfig

    end = tokenizer.eos_token_id
    if end is None:
        raise TrainError("The tokenizer names no end of text, so completions would never stop; set eos_token in it.")
    room = max(context_of(model.config) - tokens, 1)
    rows = [_encoded(tokenizer, prompt)[-room:] or [end] for prompt in prompts]
    longest = max(map(len, rows))
    ids = torch.tensor([[end] * (longest - len(row)) + row for row in rows], device=model.device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=model.device)
    made: list[Completion] = []
    before, training = model.generation_config, model.training
    devices = [model.device] if model.device.type == "cuda" else []
    model.eval()
    try:
        for kind in ("greedy", "drawn"):
            drawn = {"temperature": TEMPERATURE, "top_p": TOP_P, "top_k": 0} if kind == "drawn" else {}
            model.generation_config = GenerationConfig(
                max_new_tokens=max(1, min(tokens, context_of(model.config) - longest)),
                do_sample=kind == "drawn",
                eos_token_id=end,
                pad_token_id=end,
                use_cache=True,
                **drawn,
            )
            with torch.no_grad(), torch.random.fork_rng(devices=devices):
                torch.manual_seed(seed)
                written = model.generate(input_ids=ids, attention_mask=mask)[:, longest:].tolist()
            for prompt, row in zip(prompts, written, strict=True):
                ended = end in row
                said = row[: row.index(end)] if ended else row
                text = tokenizer.decode(said, skip_special_tokens=True)
                made.append(Completion(prompt, kind, text, len(said), ended))
    finally:
        model.generation_config = before
        model.train(training)
    return made


def _encoded(tokenizer: Any, prompt: str) -> list[int]:
    ids = list(tokenizer(prompt, verbose=False)["input_ids"])
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids


def read_prompts(path: Path) -> list[str]:
    """One prompt a line, blank lines left out; raises TrainError for a file that cannot be read or holds none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainError(
            f"--prompts: {path} cannot be read ({error}); give a UTF-8 file with one prompt a line."
        ) from error
    prompts = [line.rstrip("\r") for line in lines if line.strip()]
    if not prompts:
        raise TrainError(f"--prompts: {path} holds no prompt; write one a line.")
    return prompts


def write(folder: Path, models: Mapping[str, Sequence[Completion]]) -> None:
    """Write `completions.jsonl` and `completions.md`."""
    lines = [
        json.dumps({"model": label, **asdict(one)}, ensure_ascii=False)
        for label, made in models.items()
        for one in made
    ]
    (folder / "completions.jsonl").write_text(
        "".join(f"{line}\n" for line in lines), encoding="utf-8", errors="replace"
    )
    (folder / "completions.md").write_text(page(models), encoding="utf-8", errors="replace")


def page(models: Mapping[str, Sequence[Completion]]) -> str:
    """The completions as Markdown: a table for each prompt, a row for each model."""
    out = [
        "# Completions",
        "",
        f"Greedy, and one draw (seed {SEED}, temperature {TEMPERATURE}, top-p {TOP_P}). ■ marks an end of text.",
        "",
    ]
    prompts = dict.fromkeys(one.prompt for made in models.values() for one in made)
    for number, prompt in enumerate(prompts, start=1):
        out += [f"## {number}. {harmless(prompt)}", "", "| model | greedy | drawn |", "|---|---|---|"]
        for label, made in models.items():
            texts = {one.kind: one for one in made if one.prompt == prompt}
            cells = (
                f"{harmless(one.text)}{' ■' if one.ended else ''}" if (one := texts.get(kind)) else ""
                for kind in ("greedy", "drawn")
            )
            out.append(f"| {harmless(label)} | {' | '.join(cells)} |")
        out.append("")
    return "\n".join(out)


_MARKS = frozenset("&<>|`*_[]\\~$#!:@{}'\"")


def harmless(text: str) -> str:
    """Text for a cell of a Markdown table: what Markdown or HTML would obey as entities, line breaks as <br>, control
    and direction characters by their number.
    """
    made = "".join("<br>" if letter == "\n" else _harmless(letter) for letter in text.strip("\n"))
    return made.replace("www.", "www&#46;")  # GitHub makes a link of it


def _harmless(letter: str) -> str:
    if letter in _MARKS:
        return f"&#{ord(letter)};"
    return visible(letter)


def visible(text: str) -> str:
    """Text that a terminal shows and does not obey: control, direction and private characters as U+ numbers; tabs as
    spaces.
    """
    return "".join(
        " " if letter == "\t" else f"⟨U+{ord(letter):04X}⟩" if _obeyed(letter) else letter for letter in text
    )


def _obeyed(letter: str) -> bool:
    return unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
