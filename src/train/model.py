"""The model: loaded or new, its special ids mended, its vocabulary grown, and what does not fit the corpus refused.

Weights come from safetensors alone and no code comes with them. A model fits a corpus when its tokenizer gives the same
id to every entry; a corpus tokenizer with more entries than the model's needs `model.extend`, which gives each new entry
the mean of the rows of the pieces that the old tokenizer would have cut it into, in the embedding and in the head
(Takase et al. 2406.16508 and Mundra et al. 2407.05841 found nothing that beats such means clearly).
"""

from dataclasses import dataclass
from typing import Any

import torch

from train.checkpoints import found, tokenizer_of, weights
from train.config import ModelChoice
from train.data import Corpus
from train.errors import TrainError, first_line

ROUND = 64
"""Rows of a grown vocabulary come in multiples of this, which tensor cores like."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that fits its corpus, the corpus's tokenizer, and what was done to make it fit, in sentences."""

    model: Any
    tokenizer: Any
    notes: tuple[str, ...]


def load(choice: ModelChoice, corpus: Corpus, attention: str, seed: int) -> Loaded:
    """The recipe's model, fit for the corpus. Raises TrainError for what does not fit."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(corpus.tokenizer))
    notes: list[str] = []
    if choice.new is not None:
        model = _new(choice.new, corpus, attention, seed)
        notes.append(
            f"new {choice.new['model_type']} with {model.num_parameters():,} parameters, weights drawn with seed {seed}"
        )
    else:
        folder = found(str(choice.source), choice.revision)
        model = weights(str(choice.source), folder, choice.dtype, attention)
        notes.append(f"{choice.source} with {model.num_parameters():,} parameters")
        notes += _fit_vocabulary(model, tokenizer, tokenizer_of(folder), choice, corpus)
    _fit_length(model, corpus)
    eos, bos = corpus.manifest.tokenizer.eos_id, corpus.manifest.tokenizer.bos_id
    tokenizer.eos_token = tokenizer.pad_token = tokenizer.convert_ids_to_tokens(
        eos
    )  # the Trainer copies them to the model
    if bos is not None:
        tokenizer.bos_token = tokenizer.convert_ids_to_tokens(bos)
    notes += mend_special_ids(model, eos, tokenizer.bos_token_id)
    model.config.use_cache = False
    return Loaded(model, tokenizer, tuple(notes))


def _new(settings: dict[str, Any], corpus: Corpus, attention: str, seed: int) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM, set_seed

    values = {
        "vocab_size": corpus.manifest.tokenizer.vocab_size,
        "max_position_embeddings": corpus.manifest.sequence_length,
        **{key: value for key, value in settings.items() if key != "model_type"},
    }
    if values["vocab_size"] < corpus.manifest.tokenizer.vocab_size:
        raise TrainError(
            f"model.new.vocab_size is {values['vocab_size']:,}; the corpus has {corpus.manifest.tokenizer.vocab_size:,} entries. Leave it out."
        )
    set_seed(seed)
    try:
        config = AutoConfig.for_model(settings["model_type"], **values)
        return AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=torch.float32)
    except (ValueError, TypeError, KeyError) as error:
        raise TrainError(f"model.new: {first_line(error)}") from error


def _fit_length(model: Any, corpus: Corpus) -> None:
    most = getattr(model.config, "max_position_embeddings", None)
    if most is not None and corpus.manifest.sequence_length > most:
        raise TrainError(
            f"The corpus has rows of {corpus.manifest.sequence_length:,} tokens, the model {most:,} positions; build the corpus with sequence_length: {most}."
        )


def _fit_vocabulary(model: Any, tokenizer: Any, own: Any, choice: ModelChoice, corpus: Corpus) -> list[str]:
    rows = model.get_input_embeddings().weight.shape[0]
    entries = corpus.manifest.tokenizer.vocab_size
    if own is None:
        if entries > rows:
            raise TrainError(
                f"The corpus's tokenizer has {entries:,} entries, the model {rows:,} rows and no tokenizer of its own to grow from; use a model folder with its tokenizer."
            )
        return [f"the model brings no tokenizer: only sizes were compared ({entries:,} entries, {rows:,} rows)"]
    theirs, ours = own.get_vocab(), tokenizer.get_vocab()
    different = [entry for entry, number in theirs.items() if ours.get(entry) != number]
    if different:
        raise TrainError(
            f"The corpus was written with another tokenizer ({corpus.manifest.tokenizer.name}) than {choice.source} has: {len(different):,} of {len(theirs):,} entries "
            f"differ, {different[0]!r} for one. Build the corpus with tokenizer: {choice.source}."
        )
    new = sorted(number for entry, number in ours.items() if entry not in theirs)
    if not new:
        return []
    if not choice.extend:
        raise TrainError(
            f"The corpus's tokenizer has {len(new):,} entries that {choice.source} never learned ({entries:,} entries, {rows:,} rows); set model.extend=true to add them."
        )
    return [extend(model, own, tokenizer, new)]


def extend(model: Any, base: Any, extended: Any, new: list[int]) -> str:
    """Give the ids `new` rows: the mean of the rows of the pieces that `base` cuts the same text into. Old rows stay as
    they are. Returns a sentence.
    """
    entries = max(max(new) + 1, model.get_input_embeddings().weight.shape[0])
    before = model.get_input_embeddings().weight.shape[0]
    if entries > before:
        model.resize_token_embeddings(-(-entries // ROUND) * ROUND, mean_resizing=False)
    tables = [model.get_input_embeddings().weight]
    head = model.get_output_embeddings()
    if head is not None and head.weight is not tables[0]:
        tables.append(head.weight)
    names = extended.convert_ids_to_tokens(new)
    backend = base.backend_tokenizer
    pieces = [_cut(name, backend, base) for name in names]
    with torch.no_grad():
        for table in tables:
            old = table[: min(new)].float()
            unused = old.mean(0)
            table[min(new) :] = unused.to(table.dtype)
            for number, ids in zip(new, pieces, strict=True):
                if ids:
                    table[number] = old[ids].mean(0).to(table.dtype)
    return (
        f"vocabulary grown from {before:,} to {model.get_input_embeddings().weight.shape[0]:,} rows: {len(new):,} new entries begin as the mean of their "
        f"{sum(map(len, pieces)) / len(pieces):.1f} old pieces, in the embedding and the head"
    )


def _cut(entry: str, backend: Any, base: Any) -> list[int]:
    """The ids of `base` for a vocabulary entry, by its BPE model alone: entries are already in the alphabet of bytes."""
    try:
        return [token.id for token in backend.model.tokenize(entry)]
    except Exception:  # noqa: BLE001 - tokenizers raises bare Exception for a model that cannot
        return list(base.encode(base.convert_tokens_to_string([entry]), add_special_tokens=False))


def mend_special_ids(model: Any, eos: int, bos: int | None) -> list[str]:
    """Make end of text, begin and padding what the corpus says; returns what was changed, in sentences.

    LiteLlama-460M's config names 1, 2 and 0, which are '"', '#' and '!' in GPT-2's vocabulary: it would stop at every '#'
    and never at the end of a text.
    """
    wanted = {"bos_token_id": bos if bos is not None else eos, "eos_token_id": eos, "pad_token_id": eos}
    before = {name: getattr(model.config, name, None) for name in wanted}
    for place in (model.config, getattr(model, "generation_config", None)):
        if place is not None:
            for name, value in wanted.items():
                setattr(place, name, value)
    changed = [
        f"{name} {before[name]} ▸ {value}" for name, value in wanted.items() if before[name] not in {None, value}
    ]
    return [f"special ids mended to the tokenizer's: {', '.join(changed)}"] if changed else []
