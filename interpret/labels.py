"""Names of classes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from interpret.errors import BadInput

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MAX_LABELS = 100_000

MatchedBy = Literal["name", "order", ""]


def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 ImageNet class names in torchvision's order."""
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    return tuple(_IMAGENET_CATEGORIES)


def labels_for(classes: int, metadata: Mapping[str, str], usual: Sequence[str] = ()) -> tuple[str, ...]:
    """Names for every class of a checkpoint.

    From the file's metadata (`labels`, `classes` or `class_names`) where its count agrees, else the architecture's
    usual ones where theirs does; ImageNet's names for 1,000 classes; else "class 0", "class 1", ...

    Args:
        classes: how many the network has.
        metadata: the checkpoint's own, possibly empty.
        usual: names the architecture brings, such as CIFAR-10's.
    """
    for key in ("labels", "classes", "class_names"):
        if key in metadata:
            found = parse_labels(metadata[key])
            if len(found) == classes:
                return found
    if len(usual) == classes:
        return tuple(usual)
    if classes == 1000:
        return imagenet_labels()
    return tuple(f"class {index}" for index in range(classes))


def read_labels(path: str | Path, classes: int) -> tuple[str, ...]:
    """Class names from a text file (one a line), a JSON list, or a JSON object from index to name.

    Raises:
        BadInput: unreadable, or not one name for each of the `classes`.
    """
    path = Path(path)
    try:
        found = parse_labels(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f'Label file "{path}" could not be read as text: {error}.') from None
    if len(found) != classes:
        raise BadInput(f'Label file "{path.name}" names {len(found)} classes; the network has {classes}.')
    return found


def matched_classes(classes: Sequence[str], labels: Sequence[str]) -> tuple[tuple[int, ...], MatchedBy]:
    """Which class of a network each class of a data set is, and how that was told.

    By name, upper and lower case and "_" and spaces alike; where not one name is known, but there are as many classes
    as the network has, by their order, which is how torchvision numbers the folders it trains on.

    Args:
        classes: of the data set.
        labels: of the network.

    Returns:
        A class index for each, -1 where the network has none such; and "name", "order" or "" where nothing matched.
    """

    def folded(name: str) -> str:
        return name.replace("_", " ").strip().casefold()

    known = {folded(label): index for index, label in reversed(list(enumerate(labels)))}  # of namesakes the first
    found = tuple(known.get(folded(name), -1) for name in classes)
    if any(index >= 0 for index in found):
        return found, "name"
    if classes and len(classes) == len(labels):
        return tuple(range(len(labels))), "order"
    return found, ""


def parse_labels(text: str) -> tuple[str, ...]:
    """Class names from one name a line, a JSON list, or a JSON object from index to name; () from anything else."""
    try:
        data = json.loads(text)
    except RecursionError:
        return ()
    except ValueError:
        lines = text.splitlines()
        parts = lines if len(lines) > 1 else text.split(",")
        return tuple(part.strip() for part in parts if part.strip())[:MAX_LABELS]
    if isinstance(data, dict):
        try:
            ordered = sorted(data.items(), key=lambda item: int(item[0]))
        except ValueError:
            return ()
        data = [name[-1] if isinstance(name, list) and name else name for _, name in ordered]
    if not isinstance(data, list):
        return ()
    return tuple(str(name) for name in data)[:MAX_LABELS]
