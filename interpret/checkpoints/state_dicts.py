"""Finding the state dicts in whatever a file holds.

Runs in the reading process only.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interpret.checkpoints.sentences import HOW_TO_SAVE, shown
from interpret.errors import BadCheckpoint, unknown

if TYPE_CHECKING:  # a file of safetensors is read without torch
    import torch

MAX_DEPTH = 8
MAX_VISITS = 200_000
MAX_PARTS = 100
MAX_NAME_LENGTH = 512
MAX_LIST = 64
MANY = 8
"""So many tensors side by side are a state dict even if a larger one lies inside."""

WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "model_state",
    "weights",
    "module",
    "params",
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema_model",
    "ema",
    "params_ema",
)
"""Names under which training scripts keep weights, best first: those that were trained, then their moving averages."""

_NO_WEIGHTS = re.compile(
    r"(.*_)?(optim(izer)?s?|lr_schedul(er|e)s?|schedulers?|(grad_|amp_)?scaler|exp_avg\w*|amp|rng_states?|callbacks|loops)"
    r"(_.*)?|optimizer\w*|lr_scheduler\w*",
    re.ASCII,
)

Tensors = dict[str, "torch.Tensor"]
_Path = tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """A state dict in a file: the key path to it and its tensors by name."""

    path: str
    tensors: Tensors

    @property
    def parameters(self) -> int:
        """How many numbers its tensors hold."""
        import torch

        return sum(torch.Tensor.numel(tensor) for tensor in self.tensors.values())


class _Visits:
    """Counts what is looked at, so that a small file cannot keep the search busy."""

    def __init__(self) -> None:
        self.left = MAX_VISITS
        self.other_keys = 0
        self.met: set[int] = set()

    def items(self, mapping: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
        """Its pairs with text as key."""
        for key, value in mapping.items():
            self.left -= 1
            if self.left < 0:
                raise BadCheckpoint(f"it nests more than {MAX_VISITS:,} values")
            if isinstance(key, str):
                yield key, value
            else:
                self.other_keys += 1


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor or a parameter; subclasses with ideas of their own are not."""
    loaded = sys.modules.get("torch")
    return loaded is not None and type(value) in (loaded.Tensor, loaded.nn.Parameter)


def parts_of(loaded: Any, name: str) -> list[Found]:
    """Every state dict in a loaded object, best first.

    The object itself comes first where it is one; then those under the names of `WRAPPERS`, trained weights before
    moving averages; then those under other names ("generator", "student"), more numbers first. Where a wrapper holds
    its modules one by one, {"model": {"encoder": {...}, "head": {...}}}, they are one part with names such as
    "encoder.conv.weight", and parts by themselves after it. Optimizers, schedulers and the like are left out.

    Raises:
        BadCheckpoint: there is none, or the object nests without end.
    """
    visits = _Visits()
    try:
        found = [(path, tensors) for path, tensors in _search(loaded, (), visits) if is_name(".".join(path))]
    except BadCheckpoint as error:
        raise BadCheckpoint(f'"{name}" is not a checkpoint Loupe can read: {error}. {HOW_TO_SAVE}') from None
    if not found:
        what = _what(loaded, visits)
        raise BadCheckpoint(f'"{name}" holds no state dict (names with tensors); {what}. {HOW_TO_SAVE}')
    found.sort(key=_rank)
    return [Found(".".join(path), tensors) for path, tensors in found[:MAX_PARTS]]


def _search(value: Any, path: _Path, visits: _Visits) -> list[tuple[_Path, Tensors]]:
    """(path, tensors) of every state dict in `value`, each object looked into once."""
    if len(path) > MAX_DEPTH or id(value) in visits.met:
        return []
    if isinstance(value, list | tuple) and len(value) <= MAX_LIST:
        value = {str(index): item for index, item in enumerate(value) if isinstance(item, Mapping)}
    elif isinstance(value, Mapping):
        visits.met.add(id(value))
    else:
        return []
    direct: Tensors = {}
    below: list[tuple[_Path, Tensors]] = []
    branches = 0
    for key, item in visits.items(value):
        if is_tensor(item):
            direct[key] = item
        elif not _NO_WEIGHTS.fullmatch(key):
            found = _search(item, (*path, key), visits)
            below += found
            branches += bool(found)
    if len(direct) > max((len(tensors) for _, tensors in below), default=0) or len(direct) >= MANY:
        return [(path, direct), *below]
    if branches > 1 and _are_modules(value, path, below):
        networks = [(inner, tensors) for inner, tensors in below if any("." in name for name in tensors)]
        return [(path, _flattened(value, visits, len(path))), *networks]
    return below  # and no lone numbers, such as that in {"net": {...}, "acc": tensor}


def _are_modules(value: Mapping[Any, Any], path: _Path, below: list[tuple[_Path, Tensors]]) -> bool:
    """Whether several state dicts are the modules of one network, not several networks."""
    if any(wrapper in value for wrapper in WRAPPERS):
        return False
    if path and path[-1] in WRAPPERS:
        return True
    # {"conv1": {"weight": ..., "bias": ...}, "fc": {...}}: what has no dots in its names is a layer
    return all("." not in name for _, tensors in below for name in tensors)


def _flattened(value: Mapping[Any, Any], visits: _Visits, depth: int) -> Tensors:
    """The tensors in a mapping and in those inside it, with the keys on the way joined by dots."""
    tensors: Tensors = {}
    for key, item in visits.items(value):
        if is_tensor(item):
            tensors[key] = item
        elif isinstance(item, Mapping) and depth < MAX_DEPTH and not _NO_WEIGHTS.fullmatch(key):
            inner = _flattened(item, visits, depth + 1)
            tensors |= {f"{key}.{name}": tensor for name, tensor in inner.items()}
    return tensors


def _rank(found: tuple[_Path, Tensors]) -> tuple[int, int, int, int]:
    path, tensors = found
    averaged = any("ema" in re.split(r"[^a-z]+", key.lower()) or "averaged" in key.lower() for key in path)
    known = min((WRAPPERS.index(key) for key in path if key in WRAPPERS), default=len(WRAPPERS))
    numbers = Found("", tensors).parameters
    if not path:
        return (0, 0, 0, 0)
    return (1 + averaged, known, len(path), 0 if known < len(WRAPPERS) else -numbers)


def _what(loaded: Any, visits: _Visits) -> str:
    if not isinstance(loaded, Mapping):
        return f"it holds a {shown(type(loaded).__name__)}"
    texts = [key for key in loaded if isinstance(key, str)][:4]
    if texts:
        return "its top level holds " + ", ".join(f'"{shown(key, 40)}"' for key in texts)
    return f"{visits.other_keys:,} of its keys are no names" if visits.other_keys else "it is empty"


def chosen(parts: list[Found], path: str | None, name: str) -> Found:
    """The part at a path; the best one if None.

    Raises:
        UnknownName: no part lies there; the sentence names the nearest.
    """
    if path is None:
        return parts[0]
    for part in parts:
        if part.path == path:
            return part
    raise unknown("Part", shown(path), f'"{name}"', (shown(part.path) or "(top level)" for part in parts))


def is_name(text: str) -> bool:
    """Whether a key can be a tensor's name: at most 512 characters, none of them NUL, and valid text."""
    return len(text) <= MAX_NAME_LENGTH and not any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in text)
