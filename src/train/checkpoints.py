"""Models on disk or on the Hub, for training and evaluation: safetensors alone, no code, whole, with their tokenizer.

transformers fills a weight that a checkpoint lacks with random numbers and says so in a log; here it is refused. What a
model's authors set for generation (temperature, penalties, an end of text that is not the tokenizer's) is put aside, so
that models are compared and not their settings.
"""

from pathlib import Path
from typing import Any

from train.errors import TrainError, first_line


def found(place: str, revision: str | None = None) -> Path:
    """The folder of a model: `place` itself, or what the Hub has under that id. Raises TrainError where there is none, or
    none with safetensors.
    """
    folder = Path(place) if Path(place).is_dir() else _fetched(place, revision)
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern))
        what = f"holds {pickles[0]}, a pickle, which can run code when it is read" if pickles else "holds no weights"
        raise TrainError(
            f"{place} {what}; a model folder needs *.safetensors (save_pretrained of transformers writes them)."
        )
    return folder


def weights(place: str, folder: Path, dtype: str, attention: str | None = None) -> Any:
    """The model of a folder, whole; raises TrainError naming `place`."""
    import torch
    from transformers import AutoModelForCausalLM

    with _silence():
        try:
            model, loaded = AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=getattr(torch, dtype), attn_implementation=attention, use_safetensors=True, trust_remote_code=False, local_files_only=True,
                output_loading_info=True,
            )  # fmt: skip
        except Exception as error:  # every layer below has errors of its own: JSON, safetensors, torch, transformers
            raise TrainError(f"{place} cannot be loaded as a model: {first_line(error)}") from error
    missing = sorted([*loaded["missing_keys"], *(str(key) for key in loaded["mismatched_keys"])])
    if missing:
        raise TrainError(
            f"{place} lacks weights the model needs ({missing[0]}, {len(missing)} in all); it is not a whole checkpoint."
        )
    return model


def tokenizer_of(folder: Path) -> Any:
    """The tokenizer of a model folder or, for a checkpoint, of the folder above; None where there is none. Raises
    TrainError for one that cannot be read.
    """
    from transformers import AutoTokenizer

    own = next((at for at in (folder, folder.parent) if any((at / name).is_file() for name in _TOKENIZER)), None)
    if own is None:
        return None
    with _silence():
        try:
            return AutoTokenizer.from_pretrained(str(own), trust_remote_code=False, local_files_only=True)
        except Exception as error:
            raise TrainError(f"The tokenizer of {own} cannot be loaded: {first_line(error)}") from error


def load(place: str, device: str = "auto", dtype: str = "float32") -> tuple[Any, Any, list[str]]:
    """A model of transformers in evaluation mode, its tokenizer, and what was mended, in sentences.

    `place` is a folder or a Hub id. Raises TrainError for weights that are not safetensors or not whole, code that
    would have to run, and a tokenizer that is missing or larger than the embeddings.
    """
    import torch
    from transformers import GenerationConfig

    from train.model import mend_special_ids

    folder = found(place)
    try:
        chosen = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise TrainError(f"--device {device}: {first_line(error)}; try --device cpu.") from error
    model, tokenizer = weights(place, folder, dtype), tokenizer_of(folder)
    if tokenizer is None:
        raise TrainError(
            f"{place} holds no tokenizer (nor does the folder above); copy the build's tokenizer/ files into it."
        )
    rows = model.get_input_embeddings().weight.shape[0]
    entries = max(tokenizer.get_vocab().values()) + 1
    if entries > rows:
        raise TrainError(
            f"{place}: the tokenizer has {entries:,} entries, the model {rows:,} rows; they do not belong together."
        )
    if tokenizer.eos_token_id is None:
        raise TrainError(f"{place}: the tokenizer names no end of text; set eos_token in its tokenizer_config.json.")
    notes = mend_special_ids(model, tokenizer.eos_token_id, tokenizer.bos_token_id)
    # What a model's authors set for chatting (temperature, penalties) must not colour answers that are compared.
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id
    )
    return model.to(chosen).eval(), tokenizer, notes


_TOKENIZER = ("tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")


def _fetched(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    wanted = [
        "*.safetensors",
        "*.safetensors.index.json",
        "config.json",
        "generation_config.json",
        "tokenizer_config.json",
    ]
    wanted += ["special_tokens_map.json", "added_tokens.json", "merges.txt", *_TOKENIZER]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except GatedRepoError as error:
        raise TrainError(
            f"{name} is gated; accept its terms on the Hub, then run `hf auth login` or set HF_TOKEN."
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise TrainError(f"{name} is neither a folder nor a model of the Hub.") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        raise TrainError(f"{name} is no folder, and the Hub cannot be reached ({first_line(error)}).") from error


class _silence:  # noqa: N801 - reads as a statement
    """No progress bars and reports of transformers while a model loads: what matters is checked and said here."""

    def __enter__(self) -> None:
        from transformers.utils import logging

        self.level, self.bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        from transformers.utils import logging

        logging.set_verbosity(self.level)
        if self.bars:
            logging.enable_progress_bar()
