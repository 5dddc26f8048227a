"""Data sets that are fetched once, verified always, and batched in an order that only the seed decides."""

from ratelab.data.datasets import Dataset, Split, load, training_examples
from ratelab.data.order import epoch_order

__all__ = ["Dataset", "Split", "epoch_order", "load", "training_examples"]
