"""Networks for single images, of Keras layers."""

from __future__ import annotations

from benchmarks.corpus.entries import Family, image

model = Family("keras")
same = {"padding": "same"}


def conv(x, filters, kernel=3, activation="relu", **more):
    from keras import layers

    x = layers.Conv2D(filters, kernel, padding="same", use_bias=False, **more)(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


@model("LeNet-5", image(28, 28, 1))
def lenet(x):
    from keras import layers

    x = layers.AveragePooling2D(2)(layers.Conv2D(6, 5, padding="same", activation="tanh")(x))
    x = layers.AveragePooling2D(2)(layers.Conv2D(16, 5, activation="tanh")(x))
    return layers.Dense(10, activation="softmax")(layers.Dense(84, activation="tanh")(layers.Flatten()(x)))


@model("VGG", image(32, 32, 3))
def vgg(x):
    from keras import layers

    for filters in (8, 16, 16):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2, 2)(x)
    x = layers.Dropout(0.5)(layers.Dense(32, activation="relu")(layers.Flatten()(x)))
    return layers.Dense(10, activation="softmax")(x)


@model("ResNet-18 of ten bands", image(32, 32, 10, more=16))
def resnet(x):
    from keras import layers

    x = conv(x, 8)
    for filters, strides in ((8, 1), (16, 2), (16, 2)):
        short = layers.Conv2D(filters, 1, strides=strides)(x) if strides > 1 else x
        x = conv(conv(x, filters, strides=strides), filters, activation=None)
        x = layers.ReLU()(layers.Add()([x, short]))
    return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))


@model("ResNeXt, grouped convolutions", image(16, 16, 4))
def resnext(x):
    from keras import layers

    x = conv(x, 8)
    y = conv(conv(conv(x, 8, 1), 8, groups=4), 8, 1, activation=None)
    return layers.Dense(4)(layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Add()([x, y]))))


@model("CBAM", image(16, 16, 4))
def cbam(x):
    import keras
    from keras import layers

    x = conv(x, 8)
    shared = keras.Sequential([layers.Dense(2, activation="relu"), layers.Dense(8)])
    pooled = [shared(keras.ops.mean(x, (1, 2), keepdims=True)), shared(keras.ops.max(x, (1, 2), keepdims=True))]
    x = layers.Multiply()([x, layers.Activation("sigmoid")(layers.Add()(pooled))])
    maps = layers.Concatenate()([keras.ops.mean(x, -1, keepdims=True), keras.ops.max(x, -1, keepdims=True)])
    return layers.Multiply()([x, layers.Conv2D(1, 7, padding="same", activation="sigmoid")(maps)])


@model("Inception module", image(16, 16, 4))
def inception(x):
    from keras import layers

    pooled = layers.MaxPooling2D(3, 1, padding="same")(x)
    parts = [conv(x, 4, 1), conv(conv(x, 4, 1), 4), conv(conv(x, 2, 1), 4, 5), conv(pooled, 4, 1)]
    return layers.Dense(6)(layers.GlobalAveragePooling2D()(layers.Concatenate()(parts)))


@model("Xception block, separable convolutions", image(20, 20, 4))
def xception(x):
    from keras import layers

    short = layers.Conv2D(8, 1, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(layers.SeparableConv2D(8, 3, padding="same", use_bias=False)(x))
    x = layers.SeparableConv2D(8, 3, padding="same", depth_multiplier=2)(layers.ReLU()(x))
    return layers.Add()([layers.MaxPooling2D(3, 2, padding="same")(x), short])


@model("MBConv, swish", image(16, 16, 4, more=8))
def mbconv(x):
    from keras import layers

    y = conv(x, 16, 1, "swish")
    y = layers.Activation("silu")(layers.BatchNormalization()(layers.DepthwiseConv2D(5, strides=2, padding="same")(y)))
    s = layers.Reshape((1, 1, 16))(layers.GlobalAveragePooling2D()(y))
    s = layers.Conv2D(16, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="swish")(s))
    return conv(layers.Multiply()([y, s]), 8, 1, None)


@model("ConvNeXt block, GELU", image(16, 16, 4))
def convnext(x):
    from keras import layers

    x = layers.LayerNormalization(epsilon=1e-6)(layers.Conv2D(8, 4, strides=4)(x))
    y = layers.LayerNormalization(epsilon=1e-6)(layers.DepthwiseConv2D(7, padding="same")(x))
    x = layers.Add()([x, layers.Dense(8)(layers.Dense(32, activation="gelu")(y))])
    return layers.Dense(5)(layers.GlobalAveragePooling2D()(x))


@model("Vision Transformer", image(16, 16, 4))
def vit(x):
    import keras
    from keras import layers

    x = layers.Reshape((16, 12))(layers.Conv2D(12, 4, strides=4)(x))
    x = x + layers.Embedding(16, 12)(keras.ops.arange(16))
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(3, 4)(y, y)])
    y = layers.Dense(24, activation="gelu")(layers.LayerNormalization()(x))
    return layers.Dense(5)(layers.GlobalAveragePooling1D()(layers.Add()([x, layers.Dense(12)(y)])))


@model("MLP-Mixer", image(16, 16, 4))
def mixer(x):
    from keras import layers

    x = layers.Reshape((16, 8))(layers.Conv2D(8, 4, strides=4)(x))
    y = layers.Permute((2, 1))(layers.LayerNormalization()(x))
    y = layers.Permute((2, 1))(layers.Dense(16)(layers.Dense(8, activation="gelu")(y)))
    return layers.Dense(3)(layers.GlobalAveragePooling1D()(layers.Add()([x, y])))


@model("SRCNN", image(16, 20, 3, more=5))
def srcnn(x):
    from keras import layers

    x = layers.Conv2D(8, 9, padding="same", activation="relu")(x)
    return layers.Conv2D(3, 5, padding="same")(layers.Conv2D(4, 1, padding="same", activation="relu")(x))


@model("ESPCN, depth to space", image(12, 12, 3))
def espcn(x):
    import keras
    from keras import layers

    x = layers.Conv2D(3 * 4, 3, padding="same")(layers.Conv2D(8, 5, padding="same", activation="tanh")(x))
    x = keras.ops.transpose(keras.ops.reshape(x, (-1, 12, 12, 2, 2, 3)), (0, 1, 3, 2, 4, 5))
    return keras.ops.reshape(x, (-1, 24, 24, 3))


@model("EDSR, bicubic skip", image(12, 12, 3))
def edsr(x):
    from keras import layers

    y = layers.Conv2D(8, 3, padding="same")(x)
    y = layers.Add()(
        [y, layers.Conv2D(8, 3, padding="same")(layers.Conv2D(8, 3, padding="same", activation="relu")(y))]
    )
    y = layers.Conv2DTranspose(3, 4, strides=2, padding="same")(y)
    return layers.Add()([y, layers.UpSampling2D(2, interpolation="bicubic")(x)])


@model("Convolutional autoencoder", image(16, 16, 4, more=8))
def autoencoder(x):
    from keras import layers

    for filters in (8, 12):
        x = layers.LeakyReLU(0.2)(layers.Conv2D(filters, 3, strides=2, padding="same")(x))
    x = layers.ELU()(layers.Conv2DTranspose(8, 3, strides=2, padding="same")(x))
    return layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="sigmoid")(x)


@model("Activations of the literature", image(8, 8, 4))
def activations(x):
    from keras import layers

    for name in ("selu", "softplus", "softsign", "elu", "mish", "tanh"):
        x = layers.Conv2D(4, 1, activation=name)(x)
    return layers.PReLU(shared_axes=(1, 2))(x)


@model("GroupNormalization and weight standardisation", image(12, 12, 4))
def group_norm(x):
    from keras import layers

    x = layers.GroupNormalization(4)(layers.Conv2D(8, 3, padding="same")(x))
    x = layers.GroupNormalization(-1)(layers.ReLU()(x))  # instances
    return layers.UnitNormalization()(layers.Conv2D(4, 1)(x))


@model("Pooling with a remainder", image(15, 17, 4))
def pooling(x):
    from keras import layers

    parts = [
        layers.AveragePooling2D(3, 2, padding="same")(x),
        layers.MaxPooling2D(3, 2, padding="same")(x),
        layers.Cropping2D(((1, 0), (0, 1)))(layers.MaxPooling2D(2, 2, padding="same")(layers.ZeroPadding2D(1)(x))),
    ]
    return layers.Concatenate()(parts)
