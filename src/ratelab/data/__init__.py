"""Data sets that are fetched once, verified always, and batched in an order that only the seed decides."""

from ratelab.data.batches import epoch_order
from ratelab.data.datasets import Dataset, Split, load, training_examples

__all__ = ["Dataset", "Split", "epoch_order", "load", "training_examples"]
