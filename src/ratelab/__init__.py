"""Answers which learning-rate schedule to use, and whether the difference is real."""
