"""A grid that is small enough for tests, on generated frames."""

import pytest

from modelstac.training.data.synthetic import generate

GRID = """\
data: radar
catalog: catalog
name: "rain-{preset}-{seed}"
first_test: 0.7
grid:
  variants: [torch]
  presets: [tiny]
  seeds: [1]
  exports: [onnx]
architecture: {filters: [3, 2], kernels: [3, 3], frames: 5}
preparation: {rows: null, columns: null, coarsen: 4, scale: 10.0}
fit: {epochs: 2, batch_size: 4}
"""


@pytest.fixture(scope="session")
def grid_folder(tmp_path_factory):
    """A folder with 40 generated frames of 48 x 40 pixels in ``radar``."""
    folder = tmp_path_factory.mktemp("grid")
    generate(folder / "radar", 40, seed=1, shape=(48, 40))
    return folder


@pytest.fixture
def grid(grid_folder, tmp_path):
    """Return a function that writes a grid with changed lines into a folder of the test's own."""

    def write(*changes, more=""):
        text = GRID.replace("data: radar", f"data: {grid_folder / 'radar'}")
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        path = tmp_path / "pipeline.yaml"
        path.write_text(text + more)
        return path

    return write
