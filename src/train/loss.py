"""Cross-entropy from hidden states, a slice of tokens at a time, with every token's loss.

Logits of 8 x 1,024 tokens over 50,304 entries take 1.6 GB in float32, their gradient as much again. Here a slice's logits
live until the slice's gradient is made, in the forward pass (the loss is a plain sum, so its gradient is known up to one
factor), and the backward pass multiplies by that factor. Nothing is computed twice. Each token's loss comes out beside
the sum, which is what loss per source and bits per byte are made of.

`use` rebinds a model's `forward`, so that DDP, autocast and torch.compile stay around it, and `agrees` compares it with
the model's own loss before it is trusted: a model that scales or caps its logits is found out and keeps its own path.

Rejected: Liger's fused kernel (Triton, GPU alone; gives the sum without the tokens), checkpointing (computes the head
twice: a tenth of LiteLlama's work).
"""

import functools
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn
from transformers.utils import ModelOutput

from train.collate import IGNORED

SLICE = 1024
"""Tokens a slice: at 50,304 entries 0.2 GB of float32 logits."""


@dataclass
class TokenLosses(ModelOutput):
    """`loss`: the sum over targets divided by `num_items_in_batch` (else their number); `token_losses`: nats of each
    token as predicted from the one before it, 0 where there is no target, [rows, length], no gradient.
    """

    loss: Tensor | None = None
    token_losses: Tensor | None = None


class _SlicedCrossEntropy(torch.autograd.Function):
    """Hidden states [n, d], head [v, d], bias [v] or None, targets [n] ▸ losses [n] float32; the gradient is that of
    their sum times whatever scalar comes back.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        dtype: torch.dtype,
        train: bool,
    ) -> tuple[Tensor, Tensor]:
        """The sum of losses, and each."""
        losses = torch.zeros(len(targets), dtype=torch.float32, device=hidden.device)
        of_hidden = torch.empty_like(hidden) if train else None
        of_weight = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device) if train else None
        of_bias = (
            torch.zeros(weight.shape[0], dtype=torch.float32, device=weight.device)
            if train and bias is not None
            else None
        )
        with torch.autocast(hidden.device.type, enabled=False):
            head = weight.to(dtype)
            for begin in range(0, len(targets), SLICE):
                part, target = hidden[begin : begin + SLICE].to(dtype), targets[begin : begin + SLICE]
                logits = F.linear(part, head, None if bias is None else bias.to(dtype)).float()
                counted = target != IGNORED
                chosen = target.clamp_min(0)[:, None]
                log_total = torch.logsumexp(logits, dim=-1)
                losses[begin : begin + SLICE] = torch.where(counted, log_total - logits.gather(-1, chosen)[:, 0], 0.0)
                if of_hidden is None or of_weight is None:
                    continue
                slope = logits.sub_(log_total[:, None]).exp_()
                slope.scatter_add_(-1, chosen, torch.full_like(log_total, -1.0)[:, None])
                slope.mul_(counted[:, None])
                if of_bias is not None:
                    of_bias += slope.sum(0)
                slope = slope.to(dtype)
                of_hidden[begin : begin + SLICE] = slope @ head
                of_weight += slope.T @ part
        ctx.save_for_backward(*(grad for grad in (of_hidden, of_weight, of_bias) if grad is not None))
        ctx.has_bias, ctx.weight_dtype = of_bias is not None, weight.dtype
        ctx.mark_non_differentiable(losses)
        return losses.sum(), losses

    @staticmethod
    def backward(ctx: Any, factor: Tensor, _: Tensor) -> Any:
        """The stored gradients times the factor."""
        of_hidden, of_weight, *rest = ctx.saved_tensors
        of_bias = (rest[0] * factor).to(ctx.weight_dtype) if ctx.has_bias else None
        return of_hidden * factor, (of_weight * factor).to(ctx.weight_dtype), of_bias, None, None, None


def sliced_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of the losses and each loss [n] (nats; 0 where the target is -100), for hidden [n, d], weight [v, d] and
    targets [n]. Computes in autocast's dtype where autocast is on, else in the weight's.
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    total, losses = _SlicedCrossEntropy.apply(hidden, weight, bias, targets, dtype, torch.is_grad_enabled())
    return total, losses


def use(model: Any, sliced: bool) -> None:
    """Rebind `model.forward`: with `labels` it gives TokenLosses, by slices or from the model's own logits; without, it
    is what it was.
    """
    original = model.forward

    @functools.wraps(original)
    def forward(
        input_ids: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Any = None,
        **inputs: Any,
    ) -> Any:
        if labels is None:
            return original(input_ids=input_ids, **inputs)
        rows, length = labels.shape
        targets = F.pad(labels[:, 1:], (0, 1), value=IGNORED).reshape(-1)  # position t predicts token t + 1
        if sliced:
            hidden = model.base_model(input_ids=input_ids, **inputs)[0]
            head = model.get_output_embeddings()
            total, losses = sliced_cross_entropy(
                hidden.reshape(rows * length, -1), head.weight, getattr(head, "bias", None), targets
            )
        else:
            logits = original(input_ids=input_ids, **inputs).logits.float()
            losses = F.cross_entropy(logits.reshape(rows * length, -1), targets, ignore_index=IGNORED, reduction="none")
            total = losses.sum()
        counted = num_items_in_batch if num_items_in_batch is not None else (targets != IGNORED).sum()
        shifted = F.pad(losses.detach().view(rows, length)[:, :-1], (1, 0))
        return TokenLosses(loss=total / counted, token_losses=shifted)

    model.forward = forward


def agrees(model: Any, batch: dict[str, Any], half: bool) -> bool:
    """Whether slices give the model's own loss on a batch (relative 1e-4, in bfloat16 2e-2); the model is not yet `use`d."""
    inputs = {name: value for name, value in batch.items() if name not in {"labels", "token_sources"}}
    head = model.get_output_embeddings()
    if head is None or type(head) is not nn.Linear:
        return False
    device = batch["input_ids"].device.type
    was_training = model.training
    model.eval()  # dropout draws anew at every call
    with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=half):
        own = float(model(**inputs, labels=batch["labels"], use_cache=False).loss)
        hidden = model.base_model(**inputs, use_cache=False)[0]
        targets = F.pad(batch["labels"][:, 1:], (0, 1), value=IGNORED).reshape(-1)
        total, _ = sliced_cross_entropy(hidden.reshape(len(targets), -1), head.weight, head.bias, targets)
        mean = float(total / (targets != IGNORED).sum())
    model.train(was_training)
    return abs(own - mean) <= (2e-2 if half else 1e-4) * max(abs(own), 1e-6)
