"""Code of a user's, which tests write into a folder and name by `_target_`."""

OWN_MODELS = '''
import contextlib, os, socket
from ratelab import models

def gated(input_shape, classes, gate: int):
    """Wait at the gate, a port, as long as somebody keeps it."""
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", gate)).recv(1)
    return models.softmax(input_shape, classes)

def word(input_shape, classes):
    raise RuntimeError(os.environ["RATELAB_WORD"])

def string(input_shape, classes):
    return "no model"
'''
MY_MODELS = """
import keras
from keras import layers

@keras.saving.register_keras_serializable()
class Unsavable(layers.Dense):
    def save_own_variables(self, store):
        raise RuntimeError("this layer cannot be saved")

def tiny(input_shape, classes):
    head = [keras.Input(input_shape), layers.Flatten(), layers.Dense(16, activation="relu")]
    return keras.Sequential([*head, layers.Dense(classes)])

def probabilities(input_shape, classes):
    inner = keras.Sequential([keras.Input((64,)), layers.Dense(classes, activation="softmax")])
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), inner])

def broken(input_shape, classes, bad: bool):
    if bad:
        raise RuntimeError("this model cannot be built")
    return tiny(input_shape, classes)

def unsavable(input_shape, classes, bad: bool):
    kind = Unsavable if bad else layers.Dense
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), kind(classes)])
"""
MY_SCHEDULES = """
import numpy as np

def harmonic(learning_rate, half: int):
    return lambda step: learning_rate / (1 + np.asarray(step) / half)

def cycle(learning_rate, steps: int):
    def rate(step):
        return np.full(np.shape(step), learning_rate)
    rate.momentum = lambda step: 0.95 - 0.1 * np.asarray(step) / steps
    return rate
"""
UNDESCRIBED_MODEL = """
import keras
from keras import layers

class Head(layers.Dense):
    def get_config(self):
        raise NotImplementedError("Head has no get_config")

def make(input_shape, classes):
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), Head(classes)])
"""
OTHER_SCHEDULES = """
import math

def halves(learning_rate, steps):
    import tensorflow as tf

    return lambda step: tf.where(tf.cast(step, tf.float32) < steps / 2, learning_rate, learning_rate / 2)

def branches(learning_rate, steps):
    return lambda step: learning_rate if step < steps // 2 else learning_rate * math.exp(-1)

def breaks(learning_rate, steps):
    import tensorflow as tf

    return lambda step: tf.reshape(step, [3])
"""
