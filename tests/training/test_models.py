import numpy as np
import pytest

from ratelab import models
from ratelab.validation import UserError

SHAPE = (8, 8)


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (lambda: models.softmax(SHAPE, 10), 64 * 10 + 10),
        (lambda: models.mlp(SHAPE, 10, hidden=[32, 16], dropout=0.5), 64 * 32 + 32 + 32 * 16 + 16 + 170),
        (lambda: models.mlp(SHAPE, 10), 64 * 128 + 128 + 128 * 10 + 10),
        (lambda: models.mlp(SHAPE, 10, hidden=[]), 64 * 10 + 10),
        (lambda: models.cnn(SHAPE, 10, filters=[4]), 9 * 4 + 4 + 4 * 4 * 4 * 10 + 10),
        (lambda: models.cnn(SHAPE, 10, filters=[]), 64 * 10 + 10),
        (lambda: models.cnn(SHAPE, 10, filters=[1, 1, 1]), 10 + 2 * (9 + 1) + 10 + 10),
    ],
)
def test_models_map_images_to_logits(tensorflow, build, parameters):
    model = build()
    assert model.output_shape == (None, 10)
    assert model.count_params() == parameters


def test_softmax_starts_from_a_standard_normal_or_from_zero(tensorflow):
    normal = models.softmax((28, 28), 10).trainable_variables[0].numpy()
    assert abs(normal.mean()) < 0.05
    assert abs(normal.std() - 1) < 0.05
    for variable in models.softmax(SHAPE, 10, start="zero").trainable_variables:
        np.testing.assert_array_equal(variable.numpy(), np.zeros(variable.shape))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.softmax(SHAPE, 10, start="one"), "start must be 'normal' or 'zero', got 'one'"),
        (lambda: models.mlp(SHAPE, 10, hidden=[0]), r"hidden.0 must be greater than 0, got 0"),
        (lambda: models.mlp(SHAPE, 10, hidden=None), r"hidden must be .*, got None"),
        (
            lambda: models.cnn(SHAPE, 10, filters=[1] * 4),
            "filters must be at most 3 for .*, got 4",
        ),
        (lambda: models.cnn(SHAPE, 0), "outputs must be greater than 0, got 0"),
    ],
)
def test_bad_arguments_are_refused_before_keras_is_asked(call, message):
    with pytest.raises(UserError, match=message):
        call()


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of Keras, which numpy 2 warns of
def test_a_transformer_that_is_kept_gives_the_same_when_it_is_loaded(tensorflow, tmp_path):
    import keras

    model = models.transformer((6,), 11, layers=1, width=8, heads=2)
    model.save(tmp_path / "kept.keras")
    loaded = keras.saving.load_model(tmp_path / "kept.keras")
    tokens = np.random.default_rng(0).integers(0, 11, (3, 6))
    np.testing.assert_array_equal(loaded(tokens), model(tokens))


def test_positions_add_a_learned_vector_for_each_place(tensorflow):
    from ratelab.layers import Positions

    layer = Positions()
    rows = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    added = np.asarray(layer(rows)) - rows
    [vectors] = layer.trainable_variables
    assert vectors.shape == (3, 4)
    np.testing.assert_allclose(added, np.broadcast_to(vectors, (2, 3, 4)), rtol=1e-4, atol=1e-6)
    again = Positions.from_config(layer.get_config())
    again.build((None, 3, 4))
    assert again.trainable_variables[0].shape == (3, 4)
