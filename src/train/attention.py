"""Which attention keeps documents apart here, and the proof that it does, on the actual model.

`auto` takes flash-attn where it is installed, else torch's own variable-length kernels, both on a GPU in half precision;
else SDPA, to which transformers gives a block mask made from `position_ids`. The kernels read `cu_seq_lens_*`; nobody
infers boundaries, since transformers' inference is silent when it fails (a batch of more than one row under
flash_attention_2 trains across documents without a warning).

`prove_separate` runs the model that will be trained on packed rows, through the collator that will be used, and asks two
things: do the logits of a document stay what they are when its neighbours change (they must, to the last bits: same
shapes, same kernels), and are they those of the document alone (to the precision of the dtype)? The first sees a leak of
any size, the second a wrong position. It costs four forward passes of one row.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from train.data import Packed
from train.errors import TrainError

VARLEN = "corpus_ja_varlen"

SAME = 1e-5
"""Largest change of a logit, in standard deviations of all logits, when only neighbours change. It is 0 where kernels
work row by row; blocked matrix products may differ in the last bits."""

ALONE = {torch.float32: 1e-3, torch.bfloat16: 0.15, torch.float16: 0.05}
"""The same for a document alone, whose products have other shapes. bfloat16 keeps 8 bits, so a logit of 3 standard
deviations moves by 0.01 at each of dozens of additions; a leak moves logits by 0.3 and more."""


def choose(wanted: str, device: str, half: bool) -> tuple[str, str]:
    """The attention for `from_pretrained`, and a sentence that says why. Raises TrainError for what cannot be had."""
    gpu = device == "cuda"
    if wanted == "flash_attention_2" or (wanted == "auto" and gpu and half and _has_flash()):
        if not gpu:
            raise TrainError(
                "The recipe asks for flash_attention_2, which needs an NVIDIA GPU, and none is visible; run where there is one, or set attention=auto bf16=false."
            )
        if not _has_flash():
            raise TrainError(
                "The recipe asks for flash_attention_2, and flash-attn is not installed; pip install 'corpus-ja[flash]', or set attention=auto for torch's own kernels."
            )
        if not half:
            raise TrainError(
                "flash_attention_2 computes in bfloat16 or float16 alone; set bf16=true, or attention=sdpa."
            )
        return "flash_attention_2", "flash_attention_2, told each document's boundaries"
    if wanted == "varlen" or (wanted == "auto" and gpu and half and _has_varlen()):
        if not gpu or not half or not _has_varlen():
            raise TrainError(
                "attention: varlen needs an NVIDIA GPU, bf16=true and torch 2.10 or newer; set attention=auto to take what there is."
            )
        register_varlen()
        return VARLEN, "torch's variable-length kernels, told each document's boundaries"
    if wanted == "flex_attention":
        if not gpu:
            raise TrainError(
                "attention: flex_attention cannot train on a CPU (torch has no backward pass for it there); set attention=auto."
            )
        return "flex_attention", "flex_attention with a block mask from position_ids"
    return "sdpa", "SDPA with a block mask from position_ids"


def _has_flash() -> bool:
    from transformers.utils import is_flash_attn_2_available

    return bool(is_flash_attn_2_available())


def _has_varlen() -> bool:
    try:
        from torch.nn.attention import varlen
    except ImportError:
        return False
    return hasattr(varlen, "varlen_attn")


def register_varlen(kernel: Callable[..., Tensor] | None = None) -> None:
    """Make torch's variable-length attention known to transformers as `VARLEN`. `kernel` is for tests: anything with the
    signature of `torch.nn.attention.varlen.varlen_attn`.
    """
    from transformers import AttentionInterface

    if kernel is None:
        from torch.nn.attention.varlen import varlen_attn

        kernel = varlen_attn
    AttentionInterface.register(VARLEN, _adapted(kernel))


def _adapted(kernel: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, None]]:
    known = inspect.signature(kernel).parameters
    causal: dict[str, Any] = (
        {"is_causal": True} if "is_causal" in known else {"window_size": (-1, 0)}
    )  # torch 2.10, newer
    grouped = "enable_gqa" in known  # torch 2.12 and newer

    def attend(
        module: nn.Module,  # noqa: ARG001 - transformers' protocol
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        cu_seq_lens_q: Tensor | None = None,
        max_length_q: int | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """[rows, heads, length, width] in, [rows, length, heads, width] out."""
        if cu_seq_lens_q is None or max_length_q is None or attention_mask is not None or dropout:
            raise ValueError(f"{VARLEN} takes cu_seq_lens_q and max_length_q, no mask and no dropout")
        rows, heads, length, width = query.shape
        options = dict(causal)
        if scaling is not None and "scale" in known:
            options["scale"] = scaling
        elif scaling is not None and abs(scaling - width**-0.5) > 1e-6:
            query = query * (scaling * width**0.5)
        if key.shape[1] != heads:
            if grouped:
                options["enable_gqa"] = True
            else:
                key, value = (t.repeat_interleave(heads // t.shape[1], dim=1) for t in (key, value))
        flat = [t.transpose(1, 2).reshape(rows * length, t.shape[1], width) for t in (query, key, value)]
        mixed = kernel(*flat, cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q, **options)
        return mixed.reshape(rows, length, heads, width), None

    return attend


def prove_separate(
    model: nn.Module,
    collate: Callable[[Packed], dict[str, Any]],
    vocabulary: int,
    length: int,
    device: torch.device,
    half: bool,
) -> float:
    """Stop a run whose documents see each other: raises TrainError; else the largest change of a logit when neighbours
    change, in standard deviations (0 on most machines).

    `vocabulary`: ids to draw tokens from; `length`: tokens a row. Two rows of unequal pieces are compared, in eval mode.
    """
    pieces = [_lengths(length, (0.5, 0.3, 0.2)), _lengths(length, (0.25, 0.75))]
    random = np.random.default_rng(20_230_703)
    texts = [[random.integers(0, vocabulary, size) for size in row] for row in pieces]
    changed = [
        [text if at == 1 else random.integers(0, vocabulary, len(text)) for at, text in enumerate(row)] for row in texts
    ]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            together = _logits(model, collate(_packed(texts)), device, half)
            beside_others = _logits(model, collate(_packed(changed)), device, half)
            spread = float(together.std()) or 1.0
            same = apart = 0.0
            for row, sizes in enumerate(pieces):
                begin, end = sizes[0], sizes[0] + sizes[1]
                alone = _logits(model, collate(_packed([[texts[row][1]]])), device, half)[0, : end - begin]
                here = together[row, begin:end]
                same = max(same, float((here - beside_others[row, begin:end]).abs().max()) / spread)
                apart = max(apart, float((here - alone).abs().max()) / spread)
    finally:
        model.train(was_training)
    allowed = ALONE[torch.bfloat16 if half else torch.float32]
    if not same <= SAME or not apart <= allowed:
        raise TrainError(
            f"Documents see each other: a document's logits move by {same:.2g} standard deviations when its neighbours change (allowed {SAME:g}), "
            f"and by {apart:.2g} when it stands alone (allowed {allowed:g}). This model's attention does not heed boundaries here; "
            "choose another attention, or documents=joined to train across them on purpose."
        )
    return same


def _lengths(total: int, shares: tuple[float, ...]) -> list[int]:
    sizes = [max(1, int(total * share)) for share in shares[:-1]]
    return [*sizes, total - sum(sizes)]


def _packed(rows: list[list[Any]]) -> Packed:
    flat = [text for row in rows for text in row]
    lengths = np.array([len(text) for text in flat], dtype=np.int64)
    return Packed(
        tokens=np.concatenate(flat).astype(np.int64),
        row_lengths=np.array([sum(len(text) for text in row) for row in rows], dtype=np.int64),
        pieces=lengths,
        pieces_per_row=np.array([len(row) for row in rows], dtype=np.int64),
        sources=np.zeros(len(flat), dtype=np.int64),
    )


def _logits(model: nn.Module, batch: dict[str, Any], device: torch.device, half: bool) -> Tensor:
    inputs = {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in batch.items()
        if name not in {"labels", "token_sources"}
    }
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
        logits: Tensor = model(**inputs, use_cache=False).logits
    return logits.float()
