"""Read HSMR's weights (the official Lightning file, state dicts, safetensors) without running code from the file."""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, ClassVar

import torch
from torch import Tensor

from ..body.assets import data_folder, search_folders
from ..errors import FormatError, InputError, MissingAssetError, require
from ..io.atomic import new_file
from ..io.bounds import BoundedStream, refuse_expanded
from ..io.door import reader
from ..io.guarded_pickle import GuardedUnpickler
from .config import BackboneConfig, HeadConfig, HsmrConfig
from .network import Hsmr

PREFIXES = ("backbone.", "head.")
"""Names of the network's weights begin with one of these."""
CHECKPOINT_NAME = "hsmr.ckpt"
_HEADS_OF_WIDTH = {768: 12, 1024: 16, 1280: 16}
"""Width -> attention heads of ViT-B, ViT-L and ViT-H."""
_MOST_VALUES = 1 << 33
"""Values of one storage: 32 GB of single precision; the network has 0.7 billion in all."""
_LISTED = 5
"""Most names or problems that an error message lists."""
_TENSOR_PARTS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch._utils", "_rebuild_sparse_tensor"): torch._utils._rebuild_sparse_tensor,
    ("torch.serialization", "_get_layout"): torch.serialization._get_layout,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("builtins", "dict"): dict,
    ("builtins", "list"): list,
    ("builtins", "set"): set,
    ("builtins", "int"): int,
    ("builtins", "float"): float,
    ("builtins", "str"): str,
    ("builtins", "bool"): bool,
    ("builtins", "tuple"): tuple,
}
_INERT_PACKAGES = (
    *("pytorch_lightning", "lightning", "lightning_fabric", "lightning_utilities", "omegaconf", "hydra", "numpy", "typing"),
    "lib",  # HSMR's own code installs itself under this name
)
_INERT_NAMES = {("argparse", "Namespace"), ("pathlib", "PosixPath"), ("pathlib", "Path")}


class _Inert:
    """Replacement of training state that loading does not need; accepts every call and does nothing."""

    def __new__(cls, *_: object, **__: object) -> _Inert:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        pass

    def add(self, item: object) -> None:
        pass

    def extend(self, items: object) -> None:
        pass


class _Refused(pickle.UnpicklingError):
    """A name in the pickle that loading weights does not need."""


class _WeightsUnpickler(GuardedUnpickler):
    """Unpickler of tensors and plain containers; training state becomes inert, every other name is refused."""

    buildable = (*GuardedUnpickler.buildable, _Inert)

    def __init__(self, file: Any, *, encoding: str = "ASCII") -> None:
        super().__init__(BoundedStream(file), encoding=encoding)

    def find_class(self, module: str, name: str) -> Any:
        if module == "__builtin__":  # torch saves with the names of Python 2
            module, name = "builtins", {"unicode": "str", "long": "int"}.get(name, name)
        if (module, name) in _TENSOR_PARTS:
            return _TENSOR_PARTS[module, name]
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if module in ("torch", "torch.storage") and name.endswith("Storage"):
            known = getattr(torch, name, None) or getattr(torch.storage, name, None)
            if isinstance(known, type):
                return _StorageKind(getattr(known, "dtype", torch.uint8))
        if module.split(".", maxsplit=1)[0] in _INERT_PACKAGES or (module, name) in _INERT_NAMES:
            return _Inert
        raise _Refused(f"{module}.{name}")

    def load_binpersid(self) -> None:
        """Look a storage up; its number of values must be a plausible one.

        Raises:
            UnpicklingError: more values than the file can hold.
        """
        named = self.stack[-1]
        count = named[4] if isinstance(named, tuple) and len(named) > 4 else 0
        if not isinstance(count, int) or not 0 <= count <= _MOST_VALUES:
            raise pickle.UnpicklingError(f"a storage of {count!r} values")
        super().load_binpersid()

    dispatch: ClassVar[dict[int, Any]] = {**GuardedUnpickler.dispatch, pickle.BINPERSID[0]: load_binpersid}


@dataclass(frozen=True)
class _StorageKind:
    """Stand-in of a storage class: PyTorch asks for its dtype only. It cannot be called."""

    dtype: torch.dtype


def _load(file: IO[bytes], *, encoding: str = "ASCII") -> object:
    return _WeightsUnpickler(file, encoding=encoding).load()


_PICKLE = SimpleNamespace(Unpickler=_WeightsUnpickler, load=_load, __name__="weights only")


def load_hsmr(
    checkpoint: str | Path | None = None,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str = torch.float32,
    config: HsmrConfig | None = None,
) -> Hsmr:
    """Load the network for inference.

    The weights of ``backbone.`` and ``head.`` must be complete and of the right shape, without further ones; body-model data
    in the file (``skel_model.``) is ignored.

    Args:
        checkpoint: ``hsmr.ckpt`` of the package HSMR-ViTH-r1d1, a plain state dict (``.pt``, ``.pth``) or a
            ``.safetensors`` file; None: the one in ``HSMR_BIO_ASSETS`` or the user's data folder.
        device: such as ``"cpu"`` or ``"cuda"``.
        dtype: precision of the backbone, float32 or bfloat16 (the head is always float32).
        config: sizes; None: from the shapes in the file.

    Returns:
        The network, in evaluation mode.

    Raises:
        MissingAssetError: there is no such file.
        FormatError: the file is damaged, has no weights, or belongs to another network.
        InputError: unknown ``dtype`` or ``device``.
    """
    path = find_checkpoint(checkpoint)
    precision = _precision(dtype)
    weights = read_weights(path)
    config = config or infer_config(weights, path)
    with torch.device("meta"):
        network = Hsmr(config)
    _check_names(network, weights, path)
    network.load_state_dict(weights, assign=True)
    network.set_precision(precision)
    try:
        network.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"cannot move the network to device {device!r}: {error}") from error
    return network.eval().requires_grad_(False)


def find_checkpoint(checkpoint: str | Path | None) -> Path:
    """Find a checkpoint: the given file, or the first ``hsmr.ckpt`` in ``HSMR_BIO_ASSETS`` and the user's data folder.

    Raises:
        MissingAssetError: there is none; the message tells how to get, place and check it.
    """
    given = [] if checkpoint is None else [Path(checkpoint).expanduser()]
    candidates = given or [folder / CHECKPOINT_NAME for folder in search_folders()]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    looked = ", ".join(map(str, candidates))
    raise MissingAssetError(
        f"HSMR's weights were not found (looked for: {looked}). Get the package HSMR-ViTH-r1d1 from the HSMR project "
        "(https://github.com/IsshikiHugh/HSMR; its licence allows research only), pass its checkpoints/hsmr.ckpt with "
        f"--checkpoint FILE or put it into the folder named by HSMR_BIO_ASSETS as {CHECKPOINT_NAME}, "
        "and check it with: hsmr-bio setup FILE"
    )


def register_checkpoint(path: str | Path) -> Path:
    """Check the user's checkpoint and write its network to the user's data folder, where :func:`load_hsmr` finds it.

    Only the network's weights are written, without training state and licensed body data.

    Returns:
        The file written.

    Raises:
        As :func:`load_hsmr`.
    """
    network = load_hsmr(path)
    target = data_folder() / CHECKPOINT_NAME
    with new_file(target) as part:
        torch.save(network.state_dict(), part)
    return target


@reader
def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of ``backbone.`` and ``head.`` in a checkpoint, memory-mapped where the format allows.

    Raises:
        FormatError: the file is damaged, asks for code, or has no such tensors.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    content = _read_torch(path)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise FormatError(path, None, f"expected a state dict or a Lightning checkpoint, found {type(content).__name__}")
    found = {k: v for k, v in state.items() if isinstance(k, str) and isinstance(v, Tensor) and k.startswith(PREFIXES)}
    if not found:
        names = ", ".join(str(k) for k in list(state)[:_LISTED]) or "nothing"
        raise FormatError(
            path, None, f"no weights named backbone.* or head.*, so this is not an HSMR checkpoint (it holds {names})"
        )
    refuse_expanded(path, found, path.stat().st_size)
    return {name: value.detach() for name, value in found.items()}


def _read_torch(path: Path) -> object:
    """Read a file of ``torch.save``: the content of a Lightning checkpoint, or a state dict."""
    try:
        zipped = zipfile.is_zipfile(path)
        if zipped:
            with zipfile.ZipFile(path) as archive:
                if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                    raise FormatError(path, None, "this is a TorchScript program, not a file of weights; it is not run")
        return torch.load(path, map_location="cpu", mmap=zipped, pickle_module=_PICKLE, weights_only=False)
    except _Refused as error:
        raise FormatError(
            path, None, f"the pickle asks for {error}, which weights do not need; nothing was run. Do not trust this file"
        ) from error
    except FormatError:
        raise
    except Exception as error:  # a damaged pickle can raise any exception
        first = (str(error).splitlines() or [""])[0].split(". ")[0]
        raise FormatError(
            path,
            None,
            f"cannot be read as a PyTorch checkpoint, probably truncated: get it again ({type(error).__name__}: {first})",
        ) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    safetensors = require("safetensors", feature="reading .safetensors")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys() if name.startswith(PREFIXES)}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise FormatError(path, None, f"cannot be read as safetensors: {error}") from error


def infer_config(weights: dict[str, Tensor], path: Path) -> HsmrConfig:
    """Find the sizes of the network from the shapes of its weights.

    Args:
        weights: name -> tensor.
        path: of the checkpoint, for the messages.

    Returns:
        The sizes.

    Raises:
        FormatError: a tensor is missing, or no variant has this width (then pass ``config``).
    """
    layer = "head.transformer.transformer.layers."
    try:
        width = weights["backbone.pos_embed"].shape[2]
        poses = weights["head.poses_decoder.weight"]
        inner = weights[f"{layer}0.1.fn.to_q.weight"].shape[0]
        mlp = weights[f"{layer}0.2.fn.net.0.weight"].shape[0]
    except (KeyError, IndexError) as error:
        raise FormatError(path, None, f"not HSMR's layout: {error} is missing") from None
    if width not in _HEADS_OF_WIDTH:
        raise FormatError(path, "backbone.pos_embed", f"width {width} is neither ViT-B (768) nor ViT-H (1280): pass config=")
    release = HsmrConfig.vit_h() if width == 1280 else HsmrConfig.vit_b()
    blocks = _count(weights, "backbone.blocks.")
    heads = release.head.heads
    return HsmrConfig(
        backbone=BackboneConfig(width=width, blocks=blocks, heads=_HEADS_OF_WIDTH[width], drop_path=release.backbone.drop_path),
        head=HeadConfig(
            context_width=width,
            width=poses.shape[1],
            layers=_count(weights, layer),
            heads=heads,
            head_width=inner // heads,
            mlp_width=mlp,
            pose_mode="euler" if poses.shape[0] == 46 else "rotation",
        ),
    )


def _count(weights: dict[str, Tensor], prefix: str) -> int:
    """Count the blocks or layers whose names are the prefix and a number."""
    indices = [int(name[len(prefix) :].split(".")[0]) for name in weights if name.startswith(prefix)]
    return max(indices, default=-1) + 1


def _check_names(network: Hsmr, weights: dict[str, Tensor], path: Path) -> None:
    """Check names, shapes and values of the weights, and convert them to float32 in place."""
    wanted = network.state_dict()
    problems = [f"{name} is missing" for name in wanted if name not in weights]
    problems += [f"{name} is not part of the network" for name in weights if name not in wanted]
    for name, value in weights.items():
        if name in wanted and value.shape != wanted[name].shape:
            problems.append(f"{name} has shape {tuple(value.shape)}, expected {tuple(wanted[name].shape)}")
        elif not value.is_floating_point():
            problems.append(f"{name} has dtype {value.dtype}, expected a floating-point one")
    if problems:
        more = f" and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        raise FormatError(path, None, f"the weights do not fit the network: {'; '.join(problems[:_LISTED])}{more}")
    for name, value in weights.items():
        weights[name] = value.float()
        if not bool(torch.isfinite(weights[name]).all()):
            raise FormatError(path, name, "this weight is not finite: the file is damaged, or its training failed")


def _precision(dtype: torch.dtype | str) -> torch.dtype:
    names = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    value = names.get(dtype) if isinstance(dtype, str) else dtype
    if value is None or value not in names.values():
        raise InputError(f"dtype must be float32 or bfloat16, got {dtype!r}")
    return value
