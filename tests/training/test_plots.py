import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from modelstac.catalog.errors import DataError
from modelstac.training.scoring.bootstrap import intervals
from modelstac.training.scoring.metrics import score
from modelstac.training.scoring.plots import (
    LEVELS,
    MISSING,
    Film,
    animate,
    compare_png,
    draw_sheet,
    draw_skill,
    rain_scale,
)


def lightness(colour):
    """Lightness L* of CIELAB of an sRGB colour."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    luminance = np.dot([0.2126, 0.7152, 0.0722], linear)
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


def test_more_rain_is_darker_so_that_the_scale_reads_without_colour():
    scale, classes = rain_scale()
    rates = [0.0, *[level * 1.01 for level in LEVELS]]
    steps = np.diff([lightness(scale(classes(rate))) for rate in rates])
    assert (steps < -6).all(), "each class is visibly darker than the one below"


def colours(picture, box):
    return {colour[1] for colour in picture.crop(box).convert("RGB").getcolors(1 << 16)}


def nearest(rate):
    scale, classes = rain_scale()
    return tuple(round(255 * part) for part in scale(classes(rate))[:3])


@pytest.fixture
def film():
    rate = np.zeros((3, 8, 16), dtype=np.float32)
    rate[1] = 3.0
    rate[2] = np.nan
    return Film({"observed": rate, "forecast": rate[::-1]}, ["one", "two", "three"], (1e3, 2e3), "title", "credit")


def test_a_moving_picture_keeps_the_colours_of_the_scale(film, tmp_path):
    animate(film, tmp_path / "rain.gif")
    with Image.open(tmp_path / "rain.gif") as moving:
        assert moving.n_frames == 3
        seen = []
        for frame in range(3):
            moving.seek(frame)
            left, right = moving.width // 4, 3 * moving.width // 4
            middle = moving.height // 2
            seen.append([colours(moving, (x, middle, x + 5, middle + 5)) for x in (left, right - 60)])
    white, rain, missing = nearest(0.0), nearest(3.0), tuple(round(255 * part) for part in to_rgb(MISSING))
    assert rain == nearest(2.5) != nearest(5.5)
    for (left, right), expected in zip(seen, [(white, missing), (rain, rain), (missing, white)], strict=True):
        for found, colour in zip((left, right), expected, strict=True):
            assert len(found) == 1
            assert np.abs(np.subtract(next(iter(found)), colour)).max() <= 4


def test_a_sheet_has_a_row_for_each_panel(film, tmp_path):
    draw_sheet(film, tmp_path / "two.png")
    draw_sheet(Film({"forecast": film.panels["forecast"]}, film.captions, film.pixel_metres), tmp_path / "one.png")
    with Image.open(tmp_path / "two.png") as two, Image.open(tmp_path / "one.png") as one:
        assert two.width == one.width
        assert two.height > 1.4 * one.height


def test_panels_of_other_shapes_are_refused(film):
    with pytest.raises(DataError, match="same"):
        Film({"a": np.zeros((3, 2, 2)), "b": np.zeros((3, 2, 3))}, film.captions, (1, 1))
    with pytest.raises(DataError, match="2 captions for 3 frames"):
        Film({"a": np.zeros((3, 2, 2))}, ["one", "two"], (1, 1))


def test_skill_has_a_line_for_each_forecast_and_a_shade_for_its_interval(tmp_path):
    random = np.random.default_rng(0)
    observed, forecast = random.gamma(1, 1, (2, 6, 4, 16, 16))
    scores = {"model": score(0.9 * forecast, observed), "persistence": score(forecast, observed)}
    pictures = []
    for bands in (None, {name: intervals(one) for name, one in scores.items()}):
        draw_skill(scores, tmp_path / "skill.png", bands=bands)
        with Image.open(tmp_path / "skill.png") as picture:
            pictures.append(np.asarray(picture.convert("RGB")).astype(int))
    for colour in ((0, 0x72, 0xB2), (0xD5, 0x5E, 0)):
        assert (np.abs(pictures[0] - colour).max(axis=-1) < 8).sum() > 200
    tinted = [(np.ptp(picture, axis=-1) > 15).sum() for picture in pictures]
    assert tinted[1] > 1.5 * tinted[0]
    with pytest.raises(DataError, match="there is no score 'luck'"):
        draw_skill(scores, tmp_path / "skill.png", names=("luck",))


def test_the_thumbnail_has_the_colours_of_the_scale():
    """Dry, 3 mm/h and missing: exactly the colours that the moving picture has."""
    rate = np.zeros((4, 6, 6), dtype=np.float32)
    rate[:, :, 2:4], rate[:, :, 4:] = 3.0, np.nan
    png = compare_png({"observed": rate, "forecast": rate}, step_minutes=5)
    assert png == compare_png({"observed": rate, "forecast": rate}, step_minutes=5)
    with Image.open(io.BytesIO(png)) as picture:
        seen = colours(picture, (0, 0, *picture.size))
    assert {nearest(0.0), nearest(3.0), tuple(round(255 * part) for part in to_rgb(MISSING))} <= seen
