"""Data sets that are fetched once, verified always, and batched in an order that only the seed decides."""

from ratelab.data.datasets import (
    Dataset,
    Split,
    as_dataset,
    digits,
    fashion_mnist,
    load,
    mnist,
    training_examples,
)
from ratelab.data.order import epoch_order

__all__ = [
    "Dataset",
    "Split",
    "as_dataset",
    "digits",
    "epoch_order",
    "fashion_mnist",
    "load",
    "mnist",
    "training_examples",
]
