"""Functions that return three splits, verified; and the order of the batches, which only the seed decides."""

from ratelab.data.accepting import as_dataset
from ratelab.data.arrays import arrays
from ratelab.data.datasets import Dataset, Split
from ratelab.data.images import digits, fashion_mnist, mnist
from ratelab.data.mnist1d import mnist1d
from ratelab.data.order import epoch_order
from ratelab.data.sizes import training_examples
from ratelab.data.table import table
from ratelab.data.text import text

__all__ = [
    "Dataset",
    "Split",
    "arrays",
    "as_dataset",
    "digits",
    "epoch_order",
    "fashion_mnist",
    "mnist",
    "mnist1d",
    "table",
    "text",
    "training_examples",
]
