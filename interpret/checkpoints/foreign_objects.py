"""What training scripts put beside the weights: mapped by name to objects that do nothing.

Torch's weights-only reader knows only tensors and plain containers, yet almost every training checkpoint also holds
the command line's `argparse.Namespace`, a NumPy number or a Lightning state. Each such name gets one of the stand-ins
below; the real class is never imported, looked up or called.

Runs in the reading process only.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

_INERT = re.compile(
    r"""argparse\.Namespace
    | types\.SimpleNamespace
    | functools\.partial
    | uuid\.UUID
    | decimal\.Decimal
    | datetime\.(date|time|datetime|timedelta|timezone)
    | pathlib\.(Pure)?(Posix|Windows)?Path
    | pathlib\._local\.(Pure)?(Posix|Windows)?Path
    | enum\.\w+
    | builtins\.(list|dict|tuple|int|float|str|bool|frozenset|object|slice|range|bytes)
    | typing\.(Any|Dict|List|Tuple|Union|Optional)
    | collections\.deque
    | copy_?reg\._reconstructor
    | numpy\.(dtype|ndarray|str_|bytes_|bool_?|float\d+|int\d+|uint\d+|random\.\w+(\.\w+)?)
    | numpy\.dtypes\.\w+
    | numpy\.(core|_core)\.multiarray\.(scalar|_reconstruct)
    | numpy\.(core|_core)\.numeric\._frombuffer
    | (pytorch_lightning|lightning|lightning_fabric|lightning_utilities|torchmetrics|omegaconf|hydra|ml_collections
      |mmcv|mmengine|detectron2|fvcore|timm)(\.\w+)+
    | torch\.optim(\.\w+)+
    | torch\.nn\.modules\.loss\.\w+
    | torch\.cuda\.amp(\.\w+)+ | torch\.amp(\.\w+)+
    """,
    re.VERBOSE | re.ASCII,
)
_INERT_MAPPINGS = re.compile(
    r"""collections\.defaultdict
    | (yacs\.config|detectron2\.config\.config|fvcore\.common\.config)\.CfgNode
    | easydict\.EasyDict
    | addict\.(addict\.)?Dict
    | munch\.(Auto|Default)?Munch
    | pytorch_lightning\.utilities\.parsing\.AttributeDict
    | lightning(\.pytorch|\.fabric|_fabric)?\.utilities\.(parsing|data)\.AttributeDict
    | mmengine\.config\.config\.ConfigDict | mmcv\.utils\.config\.ConfigDict
    """,
    re.VERBOSE | re.ASCII,
)
_NEEDED = re.compile(
    r"""collections\.(OrderedDict|Counter)
    | torch\.(cuda\.|sparse\.|cuda\.sparse\.)?\w+(Storage|Tensor)
    | torch\.storage\.(Untyped|Typed)Storage
    | torch\.(Tensor|Size|device|[a-z]+\d+(_e\d+m\d+\w*)?|bool|half|float|double|int|long|short|per_\w+)
    | torch\.nn\.parameter\.Parameter
    | torch\._utils\._rebuild_\w+
    | torch\._tensor\._rebuild_from_type_v2
    | torch\.serialization\._get_layout
    | _codecs\.encode
    | builtins\.(set|bytearray|complex)
    """,
    re.VERBOSE | re.ASCII,
)


class Inert:
    """In the place of an object of a class that is not loaded. It holds the state it was given and does nothing.

    Attributes:
        state: attribute name -> value as the file has them; empty for any state that is no dict.
    """

    __slots__ = ("state",)

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        made = super().__new__(cls)
        made.state = {}
        return made

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state if type(state) is dict else {}


class InertMapping:
    """In the place of a subclass of dict that is not loaded: a plain ordered dict is made instead."""

    def __new__(cls, *_: Any, **__: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


def is_inert(name: str) -> bool:
    """Whether a global is one that stands harmlessly beside weights and gets a stand-in."""
    return bool(_INERT.fullmatch(name) or _INERT_MAPPINGS.fullmatch(name))


def is_needed(name: str) -> bool:
    """Whether tensors and plain containers need this global; torch decides what it does with it."""
    return bool(_NEEDED.fullmatch(name))


def stand_ins(names: list[str]) -> list[tuple[type, str]]:
    """What to tell torch's weights-only reader: a stand-in for every name given that is inert."""
    return [(InertMapping if _INERT_MAPPINGS.fullmatch(name) else Inert, name) for name in names if is_inert(name)]
