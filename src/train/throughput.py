"""Work, peaks and memory, for MFU and for `--dry-run`.

Work a token, forward and backward: 6 x the parameters that stand in matrix products (all but the input embedding, the
head included) + 12 x layers x heads x head size x row length, as nanoGPT and PaLM count it (LiteLlama-460M at 1,024:
2.763 GFLOP). Attention within documents does less than that, so MFU flatters nobody. Peaks are the makers' dense figures.
"""

import time
from dataclasses import dataclass
from typing import Any

import torch

PEAK_TFLOPS = {  # dense, bfloat16 with float32 accumulation, in TFLOP/s, from the makers' data sheets
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "RTX 5090": 209.5,
    "RTX 4090": 165.2,
    "RTX 4080": 97.5,
    "RTX 3090": 71.0,
    "A10G": 70.0,
}


def flops_per_token(model: Any, length: int) -> float:
    """Floating-point operations of a training token, forward and backward."""
    embedding = model.get_input_embeddings().weight
    head = model.get_output_embeddings()
    matrices = sum(p.numel() for p in model.parameters() if p.dim() == 2)
    if head is None or head.weight is not embedding:
        matrices -= embedding.numel()
    learned = [m for name, m in model.named_modules() if name.endswith("wpe")]  # GPT-2's positions are looked up too
    matrices -= sum(m.weight.numel() for m in learned)
    config = model.config
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return float(6.0 * matrices + 12.0 * config.num_hidden_layers * heads * width * length)


def peak_flops(stated: float | None, half: bool) -> float | None:
    """The device's dense peak in FLOP/s: stated in the recipe (TFLOP/s), else known by name for bfloat16, else None."""
    if stated is not None:
        return stated * 1e12
    if not torch.cuda.is_available() or not half:
        return None
    name = torch.cuda.get_device_name()
    return next((value * 1e12 for known, value in PEAK_TFLOPS.items() if known in name), None)


def measured_flops(device: torch.device, half: bool, seconds: float = 0.3) -> float:
    """What a matrix product of 1,024 x 1,024 x 4,096 reaches here, in FLOP/s."""
    dtype = torch.bfloat16 if half else torch.float32
    left, right = (torch.randn(shape, device=device, dtype=dtype) for shape in ((1024, 1024), (1024, 4096)))
    _ = left @ right
    done, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        for _ in range(5):
            product = left @ right
        done += 5
        float(product[0, 0])  # waits for the device
    return done * 2 * 1024 * 1024 * 4096 / (time.perf_counter() - begin)


@dataclass(frozen=True, slots=True)
class Memory:
    """Estimated bytes on the device: weights, gradients and AdamW's two moments; activations of one micro-batch; a slice
    of logits.
    """

    states: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.states + self.activations + self.logits


def estimate_memory(model: Any, rows: int, length: int, half: bool, checkpointing: bool, sliced: bool) -> Memory:
    """An estimate by counting: 16 bytes a parameter; a layer keeps about 34 x hidden bytes a token in half precision when
    it recomputes no attention scores (Korthikanti et al. 2205.05198), twice that in float32, its input alone when
    checkpointed.
    """
    config = model.config
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    width = 2 if half else 4
    tokens = rows * length
    layer = (2 if checkpointing else 34) * config.hidden_size * width // 2
    vocabulary = model.get_input_embeddings().weight.shape[0]
    logits = (
        (1024 * vocabulary * 6 + vocabulary * config.hidden_size * (4 + width))
        if sliced
        else tokens * vocabulary * (width + 8)
    )
    return Memory(4 * weights, tokens * layer * config.num_hidden_layers, logits)
