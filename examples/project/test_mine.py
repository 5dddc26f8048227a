"""The test of what is yours: python -m unittest."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

import mine


class Mine(unittest.TestCase):
    """What stands in mine.py does what it says."""

    def test_the_rate_falls_half_way(self):
        rates = mine.half_way(0.1, steps=4, factor=0.5)(np.arange(4))
        np.testing.assert_array_equal(rates, [0.1, 0.1, 0.05, 0.05])

    def test_data_are_three_splits_with_both_classes(self):
        for inputs, targets in mine.half_circles(examples=60):
            self.assertEqual(inputs.shape, (20, 2))
            self.assertEqual(set(targets.tolist()), {0, 1})

    def test_a_run_is_trained(self):
        program = Path(__file__).with_name("train.py")
        words = ["epochs=1", "schedule=half_way", "tracking=none"]
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, program, *words], cwd=folder, capture_output=True, text=True
            )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("test accuracy", done.stdout)


if __name__ == "__main__":
    unittest.main()
