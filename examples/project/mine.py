"""What is yours: data, a model, a schedule. The files in conf/ name these functions by `_target_`."""

import numpy as np


def half_circles(examples=600, noise=0.2, seed=0):
    """Return training, validation and test: points in the plane, each on one of two half circles."""
    generator = np.random.default_rng(seed)
    targets = np.arange(examples) % 2
    angles = generator.uniform(0, np.pi, examples)
    upper = np.stack([np.cos(angles), np.sin(angles)], 1)
    inputs = np.where(targets[:, None] == 0, upper, [1.0, 0.5] - upper)
    inputs += generator.normal(0, noise, inputs.shape)
    third = examples // 3
    return [(inputs[i : i + third], targets[i : i + third]) for i in (0, third, 2 * third)]


def two_layers(input_shape, outputs, units=16):
    """Return any Keras model, built: it gives as many numbers for an example as there are classes."""
    import keras  # here, so that a mistake in the configuration is told before TensorFlow is imported

    layers = [keras.layers.Dense(units, activation="relu"), keras.layers.Dense(units, activation="relu")]
    first = [keras.Input(input_shape), keras.layers.Flatten()]
    return keras.Sequential([*first, *layers, keras.layers.Dense(outputs)])


def half_way(learning_rate, steps, factor=0.1):
    """Return the rate as a function of the step, an array of whole numbers: smaller in the second half."""
    return lambda step: learning_rate * np.where(step < steps // 2, 1.0, factor)
