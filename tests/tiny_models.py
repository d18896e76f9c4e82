"""Random models of the three forms, small enough for a test, with the quickstart's tokenizer."""

# ruff: noqa: ANN401 - models and tokenizers of transformers are untyped here

from pathlib import Path
from typing import Any

from tests.world import QUICKSTART

FORMS = ("llama", "gpt_neox", "gpt2")
CONTEXT = 384


def tiny(form: str, seed: int = 0, context: int = CONTEXT, entries: int = 4096) -> Any:
    """A model of a form: 2 layers, 32 wide; the weights large enough that its answers differ between prompts."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.set_num_threads(1)  # a forward pass takes less than waking a second thread on a busy machine
    sizes: dict[str, dict[str, int]] = {
        "llama": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                  "num_key_value_heads": 2, "max_position_embeddings": context},
        "gpt_neox": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                     "max_position_embeddings": context},
        "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": context},
    }  # fmt: skip
    config = AutoConfig.for_model(
        form, vocab_size=entries, initializer_range=0.2, bos_token_id=0, eos_token_id=0, **sizes[form]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return model.eval()


def tokenizer() -> Any:
    """The quickstart's tokenizer: byte-level BPE, 4,096 entries, end of text 0."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(QUICKSTART / "tokenizer"))


def save(model: Any, folder: Path) -> Path:
    """A model folder with the tokenizer."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def greedy(model: Any, ids: list[int], tokens: int, end: int | None = None) -> list[int]:
    """What a model writes when every token is the likeliest: one forward pass a token, nothing kept between them."""
    import torch

    said: list[int] = []
    with torch.no_grad():
        for _ in range(tokens):
            logits = model(input_ids=torch.tensor([ids + said]), use_cache=False).logits
            following = int(logits[0, -1].argmax())
            if following == end:
                break
            said.append(following)
    return said
