"""Networks for series, tables and several inputs, of Keras layers."""

from __future__ import annotations

from benchmarks.corpus.entries import Family, image, series, table, tokens, video

model = Family("keras")


@model("TempCNN", series(24, 10))
def temp_cnn(x):
    from keras import layers

    for _ in range(3):
        x = layers.Dropout(0.5)(layers.ReLU()(layers.BatchNormalization()(layers.Conv1D(8, 5, padding="same")(x))))
    x = layers.BatchNormalization()(layers.Dense(16)(layers.Flatten()(x)))
    return layers.Dense(6, activation="softmax")(layers.ReLU()(x))


@model("LSTM", series(12, 6))
def lstm(x):
    from keras import layers

    return layers.Dense(3)(layers.LSTM(8)(layers.LSTM(8, return_sequences=True)(x)))


@model("LSTM, any number of steps", series(12, 6, more=5))
def open_lstm(x):
    return lstm(x)


@model("GRU", series(12, 6))
def gru(x):
    from keras import layers

    return layers.Dense(3)(layers.GRU(8)(x))


@model("GRU before Keras 2.3, reset before", series(12, 6))
def old_gru(x):
    from keras import layers

    return layers.GRU(8, reset_after=False, recurrent_activation="hard_sigmoid", return_sequences=True)(x)


@model("SimpleRNN, backwards", series(10, 4))
def simple_rnn(x):
    from keras import layers

    return layers.SimpleRNN(6, go_backwards=True, return_sequences=True)(x)


@model("Bidirectional LSTM", series(12, 6))
def bilstm(x):
    from keras import layers

    return layers.Dense(3)(layers.Bidirectional(layers.LSTM(6))(x))


@model("Bidirectional GRU, sequences, summed", series(12, 6))
def bigru(x):
    from keras import layers

    return layers.Bidirectional(layers.GRU(6, return_sequences=True), merge_mode="sum")(x)


@model("LSTM with masked steps", series(12, 4))
def masked_lstm(x):
    from keras import layers

    return layers.Dense(3)(layers.LSTM(6)(layers.Masking(0.0)(x)))


@model("Embedding and LSTM, padded with zeros", tokens(9, 12, dtype="int32"))
def padded(x):
    from keras import layers

    return layers.Dense(2)(layers.LSTM(6)(layers.Embedding(12, 5, mask_zero=True)(x)))


@model("Stacked cells", series(8, 4))
def stacked(x):
    from keras import layers

    return layers.RNN([layers.LSTMCell(5), layers.GRUCell(4)])(x)


@model("TCN, dilated causal convolutions", series(16, 4, more=8))
def tcn(x):
    from keras import layers

    x = layers.Conv1D(8, 1)(x)
    for rate in (1, 2, 4):
        y = layers.SpatialDropout1D(0.1)(
            layers.Conv1D(8, 3, padding="causal", dilation_rate=rate, activation="relu")(x)
        )
        x = layers.Add()([x, y])
    return layers.Dense(2)(layers.GlobalAveragePooling1D()(x))


@model("Transformer encoder", series(10, 8))
def transformer(x):
    from keras import layers

    for _ in range(2):
        x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)]))
        y = layers.Dense(8)(layers.Dense(16, activation="relu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, y]))
    return layers.Dense(3)(layers.GlobalAveragePooling1D()(x))


@model("Causal transformer", series(10, 8))
def causal(x):
    from keras import layers

    y = layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    return layers.Dense(8, activation="gelu")(layers.LayerNormalization()(layers.Add()([x, y])))


@model("L-TAE", series(12, 8))
def ltae(x):
    import keras
    from keras import layers

    x = layers.LayerNormalization()(layers.Dense(12)(x))
    scores = layers.Dense(3, use_bias=False)(x)
    weights = layers.Softmax(axis=1)(scores / 2.0)
    parts = keras.ops.einsum("bth,bthf->bhf", weights, layers.Reshape((12, 3, 4))(x))
    return layers.Dense(5)(layers.Flatten()(parts))


@model("Additive attention pooling", series(12, 8))
def additive(x):
    from keras import layers

    return layers.GlobalMaxPooling1D()(layers.AdditiveAttention()([layers.Dense(6)(x), layers.Dense(6)(x)]))


@model("Depthwise and transposed Conv1D", series(16, 4))
def conv1d(x):
    from keras import layers

    x = layers.SeparableConv1D(6, 3, padding="same")(layers.DepthwiseConv1D(3, padding="same", depth_multiplier=2)(x))
    return layers.UpSampling1D(2)(
        layers.Conv1DTranspose(4, 3, strides=2, padding="same")(layers.AveragePooling1D(2)(x))
    )


@model("ConvLSTM", video(4, 12, 12, 1))
def convlstm(x):
    from keras import layers

    x = layers.BatchNormalization()(layers.ConvLSTM2D(3, 3, padding="same", return_sequences=True)(x))
    return layers.Conv3D(1, 3, padding="same", activation="sigmoid")(x)


@model("ConvLSTM, last state, strided", video(3, 12, 12, 2))
def convlstm_last(x):
    from keras import layers

    return layers.Conv2D(1, 1)(layers.ConvLSTM2D(4, 3, strides=2, recurrent_activation="hard_sigmoid")(x))


@model("3D CNN", video(6, 12, 12, 3))
def cnn3d(x):
    from keras import layers

    x = layers.MaxPooling3D((1, 2, 2))(layers.Conv3D(6, 3, padding="same", activation="relu")(x))
    return layers.Dense(4)(layers.GlobalAveragePooling3D()(layers.Conv3D(8, 3, activation="relu")(x)))


@model("3D U-Net", video(4, 8, 8, 2))
def unet3d(x):
    from keras import layers

    a = layers.Conv3D(4, 3, padding="same", activation="relu")(x)
    b = layers.Conv3D(6, 3, padding="same", activation="relu")(layers.AveragePooling3D(2)(a))
    c = layers.Conv3DTranspose(4, 2, strides=2)(b)
    return layers.Conv3D(2, 1)(layers.Concatenate()([a, layers.UpSampling3D()(b), c]))


@model("CNN-LSTM, TimeDistributed", video(4, 12, 12, 3))
def cnn_lstm(x):
    from keras import layers

    x = layers.TimeDistributed(layers.Conv2D(4, 3, activation="relu"))(x)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    return layers.Dense(2)(layers.LSTM(6)(x))


@model("Multilayer perceptron, Normalization", table(8, low=-5, high=30))
def mlp(x):
    from keras import layers

    x = layers.Normalization(mean=[10.0] * 8, variance=[25.0] * 8)(x)
    for _ in range(2):
        x = layers.Dropout(0.2)(layers.BatchNormalization()(layers.Dense(16, activation="relu")(x)))
    return layers.Dense(1)(x)


@model("Discretised features", table(1, low=0, high=40))
def discretised(x):
    from keras import layers

    x = layers.Discretization(bin_boundaries=[5.0, 10.0, 20.0])(x)
    return layers.Dense(3)(layers.Flatten()(layers.Embedding(4, 3)(x)))


@model("Classes one by one", tokens(1, 6, dtype="int32"))
def encoded(x):
    from keras import layers

    return layers.Dense(3)(layers.CategoryEncoding(6, output_mode="one_hot")(x))


@model("Siamese change detection", image(16, 16, 4, name="before"), image(16, 16, 4, name="after"))
def siamese(before, after):
    import keras
    from keras import layers

    shared = keras.Sequential(
        [layers.Conv2D(6, 3, padding="same", activation="relu"), layers.Conv2D(6, 3, padding="same")]
    )
    return layers.Conv2D(1, 1, activation="sigmoid")(keras.ops.abs(shared(before) - shared(after)))


@model("Fusion of radar and optics", image(16, 16, 2, name="s1", low=-25, high=0), image(16, 16, 10, name="s2"))
def fusion(s1, s2):
    from keras import layers

    x = layers.Concatenate()([layers.Conv2D(4, 3, padding="same")(s1), layers.Conv2D(4, 3, padding="same")(s2)])
    return layers.Conv2D(5, 1, activation="softmax")(layers.ReLU()(x))


@model("Image and table", image(12, 12, 4, name="image"), table(3, name="weather"))
def image_and_table(given, weather):
    from keras import layers

    x = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, activation="relu")(given))
    return layers.Dense(2)(layers.Concatenate()([x, layers.Dense(4, activation="relu")(weather)]))


@model("Two tasks", image(16, 16, 4))
def two_tasks(x):
    from keras import layers

    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    pooled = layers.GlobalAveragePooling2D()(x)
    return {
        "height": layers.Conv2D(1, 1, name="height")(x),
        "cover": layers.Dense(4, activation="softmax", name="cover")(pooled),
    }


@model("Mixture of experts", table(6))
def experts(x):
    from keras import layers

    gate = layers.Reshape((3, 1))(layers.Dense(3, activation="softmax")(x))
    outputs = layers.Reshape((3, 4))(layers.Dense(12)(x))
    return layers.Flatten()(layers.Dot(axes=1)([gate, outputs]))
