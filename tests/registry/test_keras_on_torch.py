"""The quick way computes what Keras' own layers compute, for those that it knows, and leaves the others alone."""

from collections.abc import Callable

COMPARE = """
    import keras, numpy as np, torch
    from keras import layers
    from modelstac.registry.runtimes import keras_on_torch

    random = np.random.default_rng(7)

    def compare(shape, *stack):
        x = keras.Input(shape)
        y = x
        for layer in stack:
            y = layer(y)
        model = keras.Model(x, y)
        model.set_weights([random.normal(0, 0.5, w.shape).astype("float32") for w in model.get_weights()])
        frames = random.random((2, *shape), dtype="float32")
        called = []
        for layer in stack:
            own = layer.call
            layer.call = lambda *a, _own=own, _name=layer.name, **k: called.append(_name) or _own(*a, **k)
        with torch.inference_mode():
            run = keras_on_torch.quick(model)
            ours = keras.ops.convert_to_numpy(run([frames]))
            slow = sorted(called)
            theirs = keras.ops.convert_to_numpy(model(frames, training=False))
        assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
        assert theirs.std() > 1e-3
        return [float(abs(ours - theirs).max()), slow]

    def cells(name, **how):
        return layers.ConvLSTM2D(3, how.pop("kernel", 3), name=name, **{"return_sequences": True} | how)

    frames = (4, 9, 7, 2)
    known = [
        compare(frames, cells("a", padding="same"), layers.Dropout(0.5, name="kept"), cells("b", padding="same")),
        compare(frames, cells("a", padding="valid", strides=2, activation="linear")),
        compare(frames, cells("a", padding="same", kernel=(2, 4), use_bias=False, recurrent_activation="hard_sigmoid")),
        compare(frames, cells("a", padding="same", dilation_rate=2, dropout=0.5)),
        compare((4, 2, 9, 7), cells("a", padding="same", data_format="channels_first")),
        compare(frames, layers.Conv3D(1, 3, padding="same", activation="sigmoid")),
        compare(frames, layers.Conv3D(3, (2, 3, 4), padding="same", use_bias=False)),
        compare(frames, layers.Conv3D(2, (5, 1, 3), padding="same")),
    ]
    others = [
        compare(frames, cells("a", return_sequences=False)),
        compare(frames, cells("a", go_backwards=True)),
        compare(frames, layers.Conv3D(2, 3, name="a")),
        compare(frames, layers.Conv3D(9, 3, padding="same", name="a")),
        compare(frames, layers.Conv3D(2, 3, padding="same", strides=2, name="a")),
    ]
    answer(known=known, others=others)
"""


def test_quick_is_equal_for_the_layers_it_knows_and_leaves_the_rest_alone(
    on_keras: Callable[..., dict[str, object]],
) -> None:
    answer = on_keras("torch", COMPARE)
    differences, slow = zip(*answer["known"], strict=True)
    assert max(differences) < 1e-5
    assert slow[0] == ["kept"]
    assert not any(slow[1:])
    assert answer["others"] == [[0.0, ["a"]]] * 5
