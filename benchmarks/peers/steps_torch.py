"""A contestant of `train_step.py`: PyTorch, its own layers and a Python loop over eager operations."""

import itertools
from typing import Any

import numpy as np
import torch
from torch import nn

from peers.steps import PIXELS, Epoch, Workload, clocked


def loop(work: Workload) -> Epoch:
    """Set up the loop: gradients by autograd, one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    inputs, targets = torch.from_numpy(work.inputs), torch.from_numpy(work.targets.astype(np.int64))
    model = build(work)
    weights = list(model.parameters())

    def step(indices: Any, rate: float) -> Any:
        batch = inputs[indices]
        given = batch.int() if work.are_tokens else batch.float().mul_(1 / 255)
        outputs = model(given).reshape(-1, work.classes)
        loss = nn.functional.cross_entropy(outputs, targets[indices].reshape(-1))
        slopes = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, slope in zip(weights, slopes, strict=True):
                weight.sub_(slope, alpha=rate)
        return loss.detach()

    def epoch() -> float:
        order, rates = work.next_epoch()
        losses = [step(*now) for now in zip(torch.from_numpy(order), rates.tolist(), strict=True)]
        return float(torch.stack(losses).mean())

    return clocked(work, epoch, sum(weight.numel() for weight in weights))


def build(work: Workload) -> nn.Module:
    """Return the model that the work names."""
    if work.model == "transformer":
        return Decoder(work.inputs.shape[1], work.classes, **work.arguments)
    if work.model == "cnn":
        return make_cnn(work.classes, **work.arguments)
    sizes = [PIXELS, *work.arguments.get("hidden", []), work.classes]
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    if work.model == "softmax":
        nn.init.normal_(model[1].weight)
    return model


def make_cnn(classes: int, filters: list[int]) -> nn.Module:
    """Return convolutions with ReLU and pooling, then one dense layer."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 28))]
    for inputs, outputs in zip([1, *filters], filters, strict=False):
        layers += [nn.Conv2d(inputs, outputs, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)]
    side = 28 // 2 ** len(filters)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(filters[-1] * side**2, classes))


class Decoder(nn.Module):
    """A small decoder: PyTorch's encoder layers under a causal mask, the norm first."""

    def __init__(self, context: int, classes: int, layers: int, width: int, heads: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, width)
        self.positions = nn.Parameter(0.02 * torch.randn(context, width))
        block = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        norm = nn.LayerNorm(width)
        self.blocks = nn.TransformerEncoder(block, layers, norm, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)
        self.mask = nn.Transformer.generate_square_subsequent_mask(context)

    def forward(self, tokens: Any) -> Any:
        """Return logits [batch, context, classes]."""
        embedded = self.embedding(tokens) + self.positions
        return self.head(self.blocks(embedded, mask=self.mask, is_causal=True))
