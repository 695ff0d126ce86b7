"""Translate one of MediaPipe's pose networks from a TFLite file to an ONNX model.

Only the operators that these networks use are known. Activations become NCHW with a free batch size, weights stay
float16, and nodes that no wanted output needs (the segmentation) are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
import tflite
from onnx import TensorProto, helper, numpy_helper

_Array = npt.NDArray[np.generic]
OPSET, IR_VERSION = 17, 9
"""Old versions that say all that is needed, so that old runtimes read the files."""
_TO_NCHW, _TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
_SAME, _VALID = 0, 1
"""Values of TFLite's ``Padding``."""
_RELU6 = 3
"""Value of TFLite's ``ActivationFunctionType``."""
_COMPRESSED = 1
"""Value of TFLite's ``DimensionType``."""
_DTYPES = {0: np.float32, 1: np.float16, 2: np.int32}
"""TFLite's ``TensorType`` to numpy."""
_OPERATORS = {number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}


@dataclass
class _Translation:
    """State of one translation: the flatbuffer, and what was made of it."""

    model: tflite.Model
    graph: tflite.SubGraph
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, _Array] = field(default_factory=dict)
    weights: set[str] = field(default_factory=set)
    """Tensors whose weight is in the graph; some are used twice."""

    def tensor(self, index: int) -> tflite.Tensor:
        return self.graph.Tensors(index)

    def name(self, index: int) -> str:
        return str(index)

    def shape(self, index: int) -> tuple[int, ...]:
        return tuple(int(size) for size in self.tensor(index).ShapeAsNumpy())

    def stored(self, index: int) -> _Array:
        """The constant of a tensor, as it lies in the file."""
        tensor = self.tensor(index)
        raw = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
        array: _Array = np.frombuffer(raw.tobytes(), dtype=_DTYPES[tensor.Type()])
        return _dense(array, tensor) if tensor.Sparsity() is not None else array.reshape(self.shape(index))

    def add(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"{operator}_{output}", **attributes))
        return output

    def keep(self, name: str, array: _Array) -> str:
        self.constants[name] = array
        return name


def translate(model_bytes: bytes, outputs: dict[str, str], *, scale: float, offset: float) -> onnx.ModelProto:
    """Translate a network.

    Args:
        model_bytes: the TFLite file.
        outputs: wanted outputs, TFLite's name to the new name. Outputs with four dimensions become (N, C, H, W).
        scale: factor on the picture's values.
        offset: added after it.

    Returns:
        The model: input ``image`` (N, H, W, 3) uint8, the wanted outputs with a free first dimension.

    Raises:
        ValueError: the network has an operator or a weight layout that is not known here.
    """
    model = tflite.Model.GetRootAsModel(model_bytes, 0)
    work = _Translation(model, model.Subgraphs(0))
    (source,) = work.graph.InputsAsNumpy()
    wanted = {work.tensor(i).Name().decode(): int(i) for i in work.graph.OutputsAsNumpy()}
    _picture(work, int(source), scale, offset)
    for operator in _needed(work.graph, [wanted[name] for name in outputs]):
        kind = _operator_name(model, operator)
        if kind not in _TRANSLATORS:
            raise ValueError(f"TFLite operator {kind} is not known here: known are {', '.join(sorted(_TRANSLATORS))}")
        _TRANSLATORS[kind](work, operator)
    for name, new in outputs.items():
        work.add("Identity", [work.name(wanted[name])], new)
    height, width = work.shape(int(source))[1:3]
    graph = helper.make_graph(
        work.nodes,
        "pose",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", height, width, 3])],
        [helper.make_tensor_value_info(new, TensorProto.FLOAT, _free(work, wanted[name])) for name, new in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in _used(work).items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(made)
    return made


def _operator_name(model: tflite.Model, operator: tflite.Operator) -> str:
    code = model.OperatorCodes(operator.OpcodeIndex())
    return _OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]


def _needed(graph: tflite.SubGraph, outputs: list[int]) -> list[tflite.Operator]:
    """Operators that the outputs depend on, in the file's order."""
    tensors, chosen = set(outputs), []
    for number in reversed(range(graph.OperatorsLength())):
        operator = graph.Operators(number)
        if tensors & set(operator.OutputsAsNumpy().tolist()):
            tensors |= set(operator.InputsAsNumpy().tolist())
            chosen.append(operator)
    return chosen[::-1]


def _used(work: _Translation) -> dict[str, _Array]:
    read = {name for node in work.nodes for name in node.input}
    return {name: array for name, array in work.constants.items() if name in read}


def _free(work: _Translation, index: int) -> list[int | str]:
    shape = work.shape(index)
    return ["N", *[shape[axis] for axis in _TO_NCHW[1:]]] if len(shape) == len(_TO_NCHW) else ["N", *shape[1:]]


def _picture(work: _Translation, source: int, scale: float, offset: float) -> None:
    """Bring the 8-bit picture to the network's range and to NCHW."""
    work.add("Cast", ["image"], "image_float", to=TensorProto.FLOAT)
    work.keep("scale", np.array(scale, dtype=np.float32))
    work.keep("offset", np.array(offset, dtype=np.float32))
    work.add("Mul", ["image_float", "scale"], "image_scaled")
    work.add("Add", ["image_scaled", "offset"], "image_ranged")
    work.add("Transpose", ["image_ranged"], work.name(source), perm=_TO_NCHW)


def _dense(values: _Array, tensor: tflite.Tensor) -> _Array:
    """Unpack a sparse weight: three dense dimensions, compressed rows in the last one, no blocks."""
    sparsity, shape = tensor.Sparsity(), tuple(int(size) for size in tensor.ShapeAsNumpy())
    formats = [sparsity.DimMetadata(axis).Format() for axis in range(sparsity.DimMetadataLength())]
    if sparsity.TraversalOrderAsNumpy().tolist() != [0, 1, 2, 3] or formats != [0, 0, 0, _COMPRESSED]:
        raise ValueError(f"sparse weight {tensor.Name().decode()} has a layout that is not known here")
    last = sparsity.DimMetadata(3)
    segments, columns = (
        _integers(last.ArraySegments(), last.ArraySegmentsType()),
        _integers(last.ArrayIndices(), last.ArrayIndicesType()),
    )
    rows = np.repeat(np.arange(len(segments) - 1), np.diff(segments))
    dense = np.zeros((int(np.prod(shape[:3])), shape[3]), dtype=values.dtype)
    dense[rows, columns] = values
    return dense.reshape(shape)


def _integers(table: object, kind: int) -> npt.NDArray[np.int64]:
    vector = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}[kind]()
    vector.Init(table.Bytes, table.Pos)  # type: ignore[attr-defined]
    return np.asarray(vector.ValuesAsNumpy()).astype(np.int64)


def _dequantize(work: _Translation, operator: tflite.Operator) -> None:
    """Keep float16 weights as they are; the float32 name is a cast that runtimes fold."""
    source, target = operator.Inputs(0), operator.Outputs(0)
    half = work.constants.get(work.name(source))
    work.constants[work.name(target)] = work.stored(source) if half is None else half


def _densify(work: _Translation, operator: tflite.Operator) -> None:
    work.constants[work.name(operator.Outputs(0))] = work.stored(operator.Inputs(0))


def _weight(work: _Translation, index: int, order: tuple[int, ...] | None = None) -> str:
    """Name of a float32 weight, brought to ONNX's order of dimensions."""
    name = work.name(index)
    if name in work.weights:
        return f"weight_{name}"
    work.weights.add(name)
    array = work.constants[name] if name in work.constants else work.stored(index)
    array = np.ascontiguousarray(array if order is None else array.transpose(order))
    if array.dtype == np.float32:
        return work.keep(f"weight_{name}", array)
    work.keep(f"half_{name}", array)
    return work.add("Cast", [f"half_{name}"], f"weight_{name}", to=TensorProto.FLOAT)


def _options(operator: tflite.Operator, kind: type) -> object:
    options, table = kind(), operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    return options


def _activated(activation: int, output: str) -> str:
    """Name under which an operator writes if its activation follows; adds nothing for none."""
    if activation == 0:
        return output
    if activation != _RELU6:
        raise ValueError(f"TFLite activation {activation} is not known here")
    return f"{output}_raw"


def _activate(work: _Translation, activation: int, output: str) -> None:
    if activation == _RELU6:
        work.keep("zero", np.array(0, dtype=np.float32))
        work.keep("six", np.array(6, dtype=np.float32))
        work.add("Clip", [f"{output}_raw", "zero", "six"], output)


def _pads(padding: int, size: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...]) -> list[int]:
    """ONNX pads (top, left, bottom, right); TFLite's SAME puts the odd row and column at the end."""
    if padding == _VALID:
        return [0, 0, 0, 0]
    total = [max((-(-n // stride) - 1) * stride + k - n, 0) for n, k, stride in zip(size, kernel, strides, strict=True)]
    before = [pad // 2 for pad in total]
    return [*before, *(pad - first for pad, first in zip(total, before, strict=True))]


def _convolve(work: _Translation, operator: tflite.Operator, options: object, *, depthwise: bool) -> None:
    source, weights, bias = (operator.Inputs(i) for i in range(3))
    kernel = work.shape(weights)[1:3]
    strides = (options.StrideH(), options.StrideW())  # type: ignore[attr-defined]
    activation = options.FusedActivationFunction()  # type: ignore[attr-defined]
    output = work.name(operator.Outputs(0))
    work.add(
        "Conv",
        [work.name(source), _weight(work, weights, (3, 0, 1, 2) if depthwise else _TO_NCHW), _weight(work, bias)],
        _activated(activation, output),
        kernel_shape=kernel,
        strides=strides,
        pads=_pads(options.Padding(), work.shape(source)[1:3], kernel, strides),  # type: ignore[attr-defined]
        group=work.shape(weights)[3] if depthwise else 1,
    )
    _activate(work, activation, output)


def _conv(work: _Translation, operator: tflite.Operator) -> None:
    _convolve(work, operator, _options(operator, tflite.Conv2DOptions), depthwise=False)


def _depthwise(work: _Translation, operator: tflite.Operator) -> None:
    _convolve(work, operator, _options(operator, tflite.DepthwiseConv2DOptions), depthwise=True)


def _add(work: _Translation, operator: tflite.Operator) -> None:
    activation = _options(operator, tflite.AddOptions).FusedActivationFunction()  # type: ignore[attr-defined]
    output = work.name(operator.Outputs(0))
    work.add("Add", [work.name(operator.Inputs(i)) for i in (0, 1)], _activated(activation, output))
    _activate(work, activation, output)


def _pad(work: _Translation, operator: tflite.Operator) -> None:
    """Pad rows, columns or channels: TFLite lists them as N, H, W, C."""
    amounts = work.stored(operator.Inputs(1)).astype(np.int64)[list(_TO_NCHW)]
    output = work.name(operator.Outputs(0))
    work.keep(f"pads_{output}", amounts.T.reshape(-1))
    work.add("Pad", [work.name(operator.Inputs(0)), f"pads_{output}"], output)


def _max_pool(work: _Translation, operator: tflite.Operator) -> None:
    options = _options(operator, tflite.Pool2DOptions)
    kernel = (options.FilterHeight(), options.FilterWidth())  # type: ignore[attr-defined]
    strides = (options.StrideH(), options.StrideW())  # type: ignore[attr-defined]
    pads = _pads(options.Padding(), work.shape(operator.Inputs(0))[1:3], kernel, strides)  # type: ignore[attr-defined]
    output = work.name(operator.Outputs(0))
    work.add("MaxPool", [work.name(operator.Inputs(0))], output, kernel_shape=kernel, strides=strides, pads=pads)


def _resize(work: _Translation, operator: tflite.Operator) -> None:
    source, target = operator.Inputs(0), operator.Outputs(0)
    factors = np.array(work.shape(target))[list(_TO_NCHW)] / np.array(work.shape(source))[list(_TO_NCHW)]
    name = work.keep(f"factors_{work.name(target)}", factors.astype(np.float32))
    inputs = [work.name(source), "", name]
    work.add("Resize", inputs, work.name(target), mode="linear", coordinate_transformation_mode="half_pixel")


def _depth_to_space(work: _Translation, operator: tflite.Operator) -> None:
    block = _options(operator, tflite.DepthToSpaceOptions).BlockSize()  # type: ignore[attr-defined]
    output = work.name(operator.Outputs(0))
    work.add("DepthToSpace", [work.name(operator.Inputs(0))], output, blocksize=block, mode="DCR")


def _reshape(work: _Translation, operator: tflite.Operator) -> None:
    source, target = operator.Inputs(0), operator.Outputs(0)
    output, rows = work.name(target), f"rows_{work.name(target)}"
    work.add("Transpose", [work.name(source)], rows, perm=_TO_NHWC)
    shape = work.keep(f"shape_{output}", np.array([-1, *work.shape(target)[1:]], dtype=np.int64))
    work.add("Reshape", [rows, shape], output)


def _concatenate(work: _Translation, operator: tflite.Operator) -> None:
    axis = _options(operator, tflite.ConcatenationOptions).Axis()  # type: ignore[attr-defined]
    inputs = [work.name(int(index)) for index in operator.InputsAsNumpy()]
    work.add("Concat", inputs, work.name(operator.Outputs(0)), axis=axis)


def _logistic(work: _Translation, operator: tflite.Operator) -> None:
    work.add("Sigmoid", [work.name(operator.Inputs(0))], work.name(operator.Outputs(0)))


_TRANSLATORS: dict[str, Callable[[_Translation, tflite.Operator], None]] = {
    "ADD": _add,
    "CONCATENATION": _concatenate,
    "CONV_2D": _conv,
    "DENSIFY": _densify,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEPTH_TO_SPACE": _depth_to_space,
    "DEQUANTIZE": _dequantize,
    "LOGISTIC": _logistic,
    "MAX_POOL_2D": _max_pool,
    "PAD": _pad,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize,
}
