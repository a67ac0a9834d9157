"""Keras, each test in a process of its own, because a process has one backend."""

import io
import json
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pystac
import pytest

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import InvalidItemError, UntrustedError
from modelstac.registry.inspecting.archives import MEMBERS, inspect_archive

Python = Callable[..., dict[str, object]]
MAKE = """
    import os, keras, numpy as np
    keras.utils.set_random_seed(3)
    x = keras.Input((4, 6, 5, 1))
    y = keras.layers.BatchNormalization()(keras.layers.Conv3D(1, 3, padding="same", activation="relu")(x))
    model = keras.Model(x, y)
    model.save(sys.argv[1])
    frames = np.random.default_rng(7).random((2, 4, 6, 5, 1), dtype="float32")
    np.save(sys.argv[2], keras.ops.convert_to_numpy(model(frames)))
    answer(backend=keras.config.backend(), version=sys.modules[keras.config.backend()].__version__)
"""
LOAD = """
    import os
    before = os.environ.get("KERAS_BACKEND")
    import numpy as np, modelstac
    first = sys.argv[3:]
    if first:
        os.environ["KERAS_BACKEND"] = first[0]
        import keras
        keras.config.enable_unsafe_deserialization()
    notes = []
    model = modelstac.load("smooth-1.0.0-keras", catalog=sys.argv[1], report=notes.append)
    import keras
    frames = np.random.default_rng(7).random((2, 4, 6, 5, 1), dtype="float32")
    apart = float(abs(model.predict(frames) - np.load(sys.argv[2])).max())
    answer(
        apart=apart,
        one=model.predict(frames[:1]).shape,
        backend=keras.config.backend(),
        notes=[n.text for n in notes if hasattr(n, "text")],
        native=isinstance(model.native, keras.Model),
        leaked=os.environ.get("KERAS_BACKEND") != (first[0] if first else before),
    )
"""
LAST = ("batch", "time", "height", "width", "variables")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keras")


@pytest.fixture
def catalog(made: Path, on_keras: Python, make_item: Callable[..., pystac.Item]) -> str:
    """A catalog with ``smooth-1.0.0-keras``, made on TensorFlow."""
    href = made / "catalog"
    if not href.exists():
        answer = on_keras("tensorflow", MAKE, made / "model.keras", made / "expected.npy")
        assert answer["backend"] == "tensorflow"
        versions = {"backend": "tensorflow", "backend_version": answer["version"]}
        open_catalog(href, create=True).publish(make_item(made / "model.keras", "keras", LAST, **versions))
    return str(href)


def test_backend_of_the_item_is_chosen(catalog: str, made: Path, python: Python) -> None:
    answer = python(LOAD, catalog, made / "expected.npy")
    assert answer["backend"] == "tensorflow"
    assert answer["apart"] < 1e-6
    assert answer["one"] == [1, 4, 6, 5, 1]
    assert answer["notes"] == []
    assert answer["native"]
    assert not answer["leaked"]


def test_backend_of_the_item_wins_over_the_environment_and_says_so(catalog: str, made: Path, python: Python) -> None:
    answer = python(LOAD, catalog, made / "expected.npy", KERAS_BACKEND="torch")
    assert answer["backend"] == "tensorflow"
    assert len(answer["notes"]) == 1
    assert "KERAS_BACKEND is torch" in answer["notes"][0]
    assert not answer["leaked"]


def test_keras_that_already_runs_on_another_backend_loads_there_with_a_note(
    catalog: str, made: Path, python: Python
) -> None:
    answer = python(LOAD, catalog, made / "expected.npy", "torch")  # with Keras' own safe mode switched off, too
    assert answer["backend"] == "torch"
    assert answer["apart"] < 1e-6
    assert len(answer["notes"]) == 1
    assert "tensorflow" in answer["notes"][0]
    assert "torch" in answer["notes"][0]


def test_backend_that_is_not_installed_gives_way_to_an_installed_one_with_a_note(
    catalog: str, made: Path, python: Python
) -> None:
    hide = "sys.modules['tensorflow'] = None  # what importing it finds where it is not installed\n"
    answer = python(hide + textwrap.dedent(LOAD), catalog, made / "expected.npy")
    assert answer["backend"] == "torch"
    assert answer["apart"] < 1e-6
    assert len(answer["notes"]) == 1
    assert "not installed" in answer["notes"][0]


def test_training_backend_is_required_not_replaced(python: Python) -> None:
    answer = python(
        """
        import gc
        from modelstac.catalog.errors import BackendError
        from modelstac.registry.runtimes.backends import require_keras
        searches = []
        gc.callbacks.append(lambda phase, _: searches.append(phase))
        require_keras("torch", purpose="training 'keras-torch'")
        searched = searches.count("start")
        gc.callbacks.clear()
        import keras
        try:
            require_keras("tensorflow", purpose="training 'keras-tensorflow'")
        except BackendError as error:
            said = {"backend": keras.config.backend(), "error": str(error), "searched": searched}
            answer(**said, collects=gc.isenabled(), tensorflow="tensorflow" in sys.modules)
        """
    )
    assert answer["backend"] == "torch"
    assert "KERAS_BACKEND=tensorflow" in answer["error"]
    assert answer["searched"] <= 1  # for cycles, which takes a third of the time
    assert answer["collects"]
    assert not answer["tensorflow"]


def test_a_file_is_read_without_making_a_layer_for_each_of_its_layers(made: Path, on_keras: Python) -> None:
    answer = on_keras(
        "torch",
        """
        from pathlib import Path
        import keras
        from modelstac.registry.files.artifact import Artifact
        from modelstac.registry.runtimes.keras import read_archive
        path = Path(sys.argv[1]) / "line.keras"
        keras.Sequential([keras.Input((2,)), *(keras.layers.Dense(2) for _ in range(5))]).save(path)
        made = []
        for _ in range(2):
            read_archive(Artifact("line", path, path.read_bytes(), ""))
            made.append(int(keras.layers.Layer().name.rpartition("_")[2] or 0))
        answer(between=made[1] - made[0])
        """,
        made,
    )
    assert answer["between"] == 1


def test_lambda_is_refused_before_keras_is_imported(
    tmp_path: Path, on_keras: Python, make_item: Callable[..., pystac.Item]
) -> None:
    on_keras(
        "torch",
        """
        import keras
        x = keras.Input((4, 6, 5, 1))
        keras.Model(x, keras.layers.Lambda(lambda t: t * 2)(x)).save(sys.argv[1])
        answer()
        """,
        tmp_path / "model.keras",
    )
    with pytest.raises(UntrustedError, match="Lambda"):
        inspect_archive((tmp_path / "model.keras").read_bytes(), Path("model.keras"), max_bytes=1 << 30)


# What a file can say, without Keras.


def weights() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers/dense/vars/0"] = np.ones((2, 2), np.float32)
    return buffer.getvalue()


WEIGHTS = weights()


def archive(config: object, members: dict[str, bytes] | None = None) -> bytes:
    buffer = io.BytesIO()
    content = {"config.json": json.dumps(config), "model.weights.h5": WEIGHTS}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sorted(MEMBERS):
            file.writestr(name, content.get(name, b"{}"))
        for name, data in (members or {}).items():
            file.writestr(name, data)
    return buffer.getvalue()


def layer(module: object, name: str, **config: object) -> dict[str, object]:
    inner = {"module": module, "class_name": name, "config": config or "function"}
    return {"module": "keras", "class_name": "Sequential", "config": {"layers": [inner]}}


def inspect(data: bytes) -> None:
    inspect_archive(data, Path("model.keras"), max_bytes=1 << 20)


def test_keras_own_layers_pass() -> None:
    inspect(archive(layer("keras.layers", "Dense")))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "exec"),
        ("builtins", "function"),
        ("subprocess", "Popen"),
        ("kerasevil", "Dense"),
        ("keras.layersevil", "Dense"),
        ("keras.utils", "get_file"),
        ("keras.src.saving.serialization_lib", "enable_unsafe_deserialization"),
        ("keras.layers", "Lambda"),
        ("keras.layers", "TFSMLayer"),
        ("keras.layers", "TorchModuleWrapper"),
        ("builtins", "__lambda__"),
        (None, "Custom"),
    ],
)
def test_other_classes_are_refused_and_named(module: object, name: str) -> None:
    with pytest.raises(UntrustedError, match=name):
        inspect(archive(layer(module, name)))


@pytest.mark.parametrize("name", ["../evil.py", "/etc/cron.d/evil", "assets/vocabulary.pkl", "config.json.py"])
def test_other_members_are_refused_and_named(name: str) -> None:
    with pytest.raises(UntrustedError, match="unexpected"):
        inspect(archive({}, {name: b"x"}))


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # zipfile's own; the duplicate is the point
def test_duplicate_member_is_refused() -> None:
    with pytest.raises(UntrustedError, match="double"):
        inspect(archive({}, {"config.json": b"{}"}))


def test_zip_bomb_is_refused_unread() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", "{}")
        file.writestr("metadata.json", "{}")
        file.writestr("model.weights.h5", bytes(2 << 20))
    with pytest.raises(UntrustedError, match="unpack"):
        inspect(buffer.getvalue())


@pytest.mark.parametrize(
    "data", [b"", b"no zip", archive({})[:-30], archive({})[:40]], ids=["empty", "no zip", "cut", "begun"]
)
def test_other_files_are_one_line(data: bytes) -> None:
    with pytest.raises(InvalidItemError, match=r"model\.keras"):
        inspect(data)


def test_configuration_that_is_no_json_is_one_line() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in MEMBERS:
            file.writestr(name, b"{" * 5000)
    with pytest.raises(InvalidItemError):
        inspect(buffer.getvalue())
