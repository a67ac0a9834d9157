#!/usr/bin/env bash
# Which:    torchmetrics 1.9.0 with torch 2.13.0: torchmetrics.segmentation.GeneralizedDiceScore.
# What:     a class weighs the inverse square of its pixels in a tile. One that is absent from the tile (an infinite weight)
#           gets the largest weight of the batch instead, and that of another class: the list is laid out by classes where
#           the weights are laid out by tiles.
# Expected: a tile's score is its own: the metric adds up scores of tiles, so that how they are batched changes nothing,
#           as with MeanIoU and DiceScore beside it.
# Seen:     a tile of background with one false pixel of class 2 scores 0.933 alone, 0.737 in a batch with a tile that is
#           half of class 1, and 0.177 with one that has a single pixel of class 1, though neither has class 2. Over 200
#           tiles of six classes the metric is 0.945, 0.839 and 0.791 by batches of one, eight and fifty.
# Who:      whoever evaluates land cover by tiles, where most classes are absent from most tiles: scores change with the
#           size of batches, their order and the last, smaller one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torchmetrics==1.9.0 torch==2.13.0 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import torch
import torchmetrics
from torchmetrics.functional.segmentation import generalized_dice_score
from torchmetrics.segmentation import DiceScore, GeneralizedDiceScore, MeanIoU

print("torchmetrics", torchmetrics.__version__, "torch", torch.__version__)


def tile(*labels):
    return torch.tensor(labels).reshape(1, 2, 4)


def scores(predicted, labels):
    """Scores of the tiles of one batch."""
    found = generalized_dice_score(predicted, labels, 3, per_class=False, input_format="index")
    return [round(float(one), 3) for one in found]


background, alarm = tile(0, 0, 0, 0, 0, 0, 0, 0), tile(0, 0, 0, 0, 0, 0, 0, 2)
seen = {"alone": scores(alarm, background)[0]}
for name, other in {"half": tile(1, 1, 1, 1, 0, 0, 0, 0), "one pixel": tile(1, 0, 0, 0, 0, 0, 0, 0)}.items():
    seen[name], faultless = scores(torch.cat([alarm, other]), torch.cat([background, other]))
    assert faultless == 1  # the other tile is predicted as it is
print("a tile with one false pixel of class 2, alone and beside a tile with class 1:", seen)
assert seen == {"alone": 0.933, "half": 0.737, "one pixel": 0.177}, seen


def score(metric, predicted, labels, size):
    metric.reset()
    for first in range(0, len(labels), size):
        metric.update(predicted[first : first + size], labels[first : first + size])
    return round(float(metric.compute()), 3)


chance = torch.Generator().manual_seed(0)
present = torch.rand(200, 6, generator=chance) < 0.3  # of six classes two in a tile, as in land cover
present[:, 0] = True
drawn = torch.rand(200, 16, 16, 6, generator=chance) * present[:, None, None]
labels = drawn.argmax(-1)
wrong = torch.rand(labels.shape, generator=chance) < 0.1
predicted = torch.where(wrong, torch.randint(0, 6, labels.shape, generator=chance), labels)
found = {}
for metric in (GeneralizedDiceScore, DiceScore, MeanIoU):
    found[metric.__name__] = [score(metric(6, input_format="index"), predicted, labels, size) for size in (1, 8, 50)]
    print(metric.__name__, "by batches of 1, 8 and 50:", found[metric.__name__])
alone, eight, fifty = found.pop("GeneralizedDiceScore")
assert alone - fifty > 0.1, (alone, fifty)
assert all(max(scores) - min(scores) <= 0.001 for scores in found.values()), found
print("seen: a tile's generalized Dice score depends on the tiles it is batched with")
PY
"$folder/venv/bin/python" -W ignore "$folder/show.py"
