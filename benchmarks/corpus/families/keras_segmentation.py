"""Networks that give an image for an image, of Keras layers."""

from __future__ import annotations

from benchmarks.corpus.entries import Family, image
from benchmarks.corpus.families.keras_vision import conv

model = Family("keras")


def encoder(x, widths):
    from keras import layers

    skips = []
    for filters in widths:
        x = conv(conv(x, filters), filters)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    return x, skips


@model("U-Net", image(32, 32, 4, more=16))
def unet(x):
    from keras import layers

    x, skips = encoder(x, (6, 8))
    x = conv(x, 12)
    for skip in reversed(skips):
        x = layers.Conv2DTranspose(skip.shape[-1], 2, strides=2)(x)
        x = conv(layers.Concatenate()([x, skip]), skip.shape[-1])
    return layers.Conv2D(5, 1, activation="softmax")(x)


@model("U-Net, five halvings", image(32, 64, 6, more=32))
def deep_unet(x):
    from keras import layers

    x, skips = encoder(x, (4, 4, 6, 6, 8))
    for skip in reversed(skips):
        x = conv(layers.Concatenate()([layers.UpSampling2D()(x), skip]), skip.shape[-1])
    return layers.Conv2D(1, 1, activation="sigmoid")(x)


@model("U-Net, bilinear upsampling", image(32, 32, 4))
def bilinear_unet(x):
    from keras import layers

    x, skips = encoder(x, (6, 8))
    for skip in reversed(skips):
        x = conv(layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(x), skip]), skip.shape[-1])
    return layers.Conv2D(3, 1)(x)


@model("U-Net, bilinear upsampling, any size", image(32, 32, 4, more=16))
def open_bilinear_unet(x):
    return bilinear_unet(x)


@model("Attention U-Net", image(32, 32, 4, more=16))
def attention_unet(x):
    from keras import layers

    x, skips = encoder(x, (6, 8))
    for skip in reversed(skips):
        x = layers.Conv2DTranspose(8, 3, strides=2, padding="same")(x)
        gate = layers.ReLU()(layers.Add()([layers.Conv2D(4, 1)(x), layers.Conv2D(4, 1)(skip)]))
        gate = layers.Conv2D(1, 1, activation="sigmoid")(gate)
        x = conv(layers.Concatenate()([x, layers.Multiply()([skip, gate])]), 8)
    return layers.Conv2D(2, 1, activation="softmax")(x)


@model("Nested U-Net (U-Net++)", image(16, 16, 3, more=8))
def unet_plus_plus(x):
    from keras import layers

    a = conv(x, 4)
    b = conv(layers.MaxPooling2D()(a), 4)
    c = conv(layers.MaxPooling2D()(b), 4)
    ab = conv(layers.Concatenate()([a, layers.UpSampling2D()(b)]), 4)
    bc = conv(layers.Concatenate()([b, layers.UpSampling2D()(c)]), 4)
    top = conv(layers.Concatenate()([a, ab, layers.UpSampling2D()(bc)]), 4)
    return [layers.Conv2D(1, 1, activation="sigmoid", name=f"deep_{n}")(y) for n, y in enumerate((ab, top))]


@model("SegNet", image(32, 32, 3))
def segnet(x):
    from keras import layers

    x, _ = encoder(x, (6, 8, 8))
    for filters in (8, 8, 6):
        x = conv(layers.UpSampling2D()(x), filters)
    return layers.Softmax()(layers.Conv2D(6, 1)(x))


@model("FCN-8s", image(32, 32, 3))
def fcn(x):
    from keras import layers

    x, skips = encoder(x, (4, 6, 8))
    coarse = layers.Conv2DTranspose(3, 4, strides=2, padding="same")(layers.Conv2D(3, 1)(x))
    coarse = layers.Add()([coarse, layers.Conv2D(3, 1)(skips[2])])
    return layers.Conv2DTranspose(3, 8, strides=4, padding="same")(coarse)


@model("DeepLabV3+", image(32, 32, 4))
def deeplab(x):
    from keras import layers

    low = conv(x, 6, strides=2)
    high = conv(low, 8, strides=2)
    pooled = conv(layers.GlobalAveragePooling2D(keepdims=True)(high), 4, 1)
    pooled = layers.UpSampling2D((8, 8), interpolation="bilinear")(pooled)
    aspp = layers.Concatenate()([conv(high, 4, 1), *(conv(high, 4, dilation_rate=n) for n in (2, 4)), pooled])
    x = layers.UpSampling2D(2, interpolation="bilinear")(conv(aspp, 8, 1))
    x = conv(layers.Concatenate()([x, conv(low, 4, 1)]), 8)
    return layers.Conv2D(4, 1)(layers.UpSampling2D(2, interpolation="bilinear")(x))


@model("PSPNet", image(24, 24, 4))
def pspnet(x):
    from keras import layers

    x = conv(x, 8, strides=2)
    levels = [x]
    for size in (12, 6, 4, 2):
        y = conv(layers.AveragePooling2D(size)(x), 2, 1)
        levels.append(layers.UpSampling2D(size, interpolation="bilinear")(y))
    return layers.Conv2DTranspose(3, 2, strides=2)(layers.Concatenate()(levels))


@model("LinkNet", image(32, 32, 3, more=32))
def linknet(x):
    from keras import layers

    a = conv(x, 8, 7, strides=2)
    b = conv(a, 12, strides=2)
    y = conv(layers.Conv2DTranspose(8, 3, strides=2, padding="same")(conv(b, 4, 1)), 8, 1)
    y = layers.Add()([a, y])
    return layers.Conv2DTranspose(2, 2, strides=2, activation="softmax")(y)


@model("HRNet fusion", image(16, 16, 4))
def hrnet(x):
    from keras import layers

    a, b = conv(x, 4), conv(x, 8, strides=2)
    for _ in range(2):
        up = layers.UpSampling2D()(conv(b, 4, 1, None))
        a, b = layers.Add()([conv(a, 4), up]), layers.Add()([conv(b, 8), conv(a, 8, strides=2, activation=None)])
    return layers.Conv2D(3, 1)(layers.Concatenate()([a, layers.UpSampling2D()(b)]))


@model("U-Net that gives classes", image(16, 16, 4))
def classes(x):
    import keras

    return keras.ops.argmax(unet(x), axis=-1)


@model("U-Net of raw reflectances, Normalization", image(16, 16, 4, more=16, low=0, high=10000))
def reflectances(x):
    from keras import layers

    x = layers.Normalization(mean=[1100.0, 1000.0, 900.0, 2500.0], variance=[4e5, 4e5, 5e5, 1e6])(x)
    return unet(x)


@model("Rescaling, resizing, reversing", image(20, 20, 3, low=0, high=255))
def resizing(x):
    from keras import layers

    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = layers.Resizing(16, 16)(layers.CenterCrop(18, 18)(x))
    return layers.Conv2D(3, 3, padding="same")(layers.RandomFlip()(layers.GaussianNoise(0.1)(x)))


@model("Residual dehazing, sums and ratios", image(16, 16, 4, more=4, low=0.05))
def ratios(x):
    import keras
    from keras import layers

    red, nir = x[..., 2:3], x[..., 3:4]
    ndvi = (nir - red) / (nir + red)
    return layers.Conv2D(2, 3, padding="same")(keras.ops.concatenate([x, ndvi, keras.ops.log(x + 1.0)], axis=-1))


@model("NDVI and NDWI", image(16, 16, 4, more=4))
def indices(x):
    import keras

    green, red, nir = x[..., 1], x[..., 2], x[..., 3]
    ndvi = keras.ops.where(nir + red > 0, (nir - red) / (nir + red), 0.0)
    return {"ndvi": ndvi, "ndwi": (green - nir) / (green + nir)}
