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
