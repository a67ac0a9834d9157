"""The same network of Keras' own layers, in a process of its own: ``KERAS_BACKEND=… python training_keras.py``.

The first line that it reads is the specification as JSON. For each line after that, ``forward`` or ``step``, it runs
one and prints its seconds, by the clock and of the processor.
"""

from __future__ import annotations

import json
import os
import sys
import time

import numpy as np

from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.weights import initial_weights


def main() -> None:
    import keras

    from modelstac.training.architectures import convlstm_keras

    threads = int(os.environ.get("OMP_NUM_THREADS", "2"))
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
    spec = ConvLSTMSpec.from_dict(json.loads(sys.stdin.readline()))
    model = convlstm_keras.build(spec)
    convlstm_keras.set_weights(model, initial_weights(spec, 0))
    model.compile(optimizer=keras.optimizers.Adadelta(1e-3), loss="binary_crossentropy", jit_compile=False)
    x, y = np.random.default_rng(0).random((2, 1, spec.frames, spec.height, spec.width, 1), np.float32)
    runs = {"forward": lambda: model.predict_on_batch(x), "step": lambda: model.train_on_batch(x, y)}
    for line in sys.stdin:
        began = time.perf_counter(), time.process_time()
        runs[line.strip()]()
        print(json.dumps([time.perf_counter() - began[0], time.process_time() - began[1]]), flush=True)


if __name__ == "__main__":
    main()
