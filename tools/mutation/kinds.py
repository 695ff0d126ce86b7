"""Kinds of planted faults: small edits of the source, found in its syntax tree so that they survive moved code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

WITHOUT_FAULTS = (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom, ast.arg)
"""Nodes without faults inside: messages, imports and annotations."""
SIDES = (("_r", "_l"), ("right", "left"), ("Right", "Left"))
CLAMPS = {"maximum", "minimum", "max", "min", "fmax", "fmin"}
ANGLES = {"radians", "degrees", "deg2rad", "rad2deg"}
TINY = 1e-5
"""Bounds nearer to zero guard a division; no test can tell that they are gone."""
OPPOSITE = {ast.Lt: ">=", ast.LtE: ">", ast.Gt: "<=", ast.GtE: "<", ast.Eq: "!=", ast.NotEq: "=="}
NO_EFFECT = (
    "tolerance",
    "iterations",
    "max_nfev",
    "maxiter",
    "xatol",
    "seed",
    "samples",
    "dtype",
    "version",
    "progress",
    "atol",
)
"""Settings that change how a result is found, not what it is."""


@dataclass(frozen=True)
class Fault:
    """One edit: bytes ``start`` to ``stop`` of a file become ``new``."""

    path: str
    kind: str
    line: int
    start: int
    stop: int
    old: str
    new: str

    def __str__(self) -> str:
        old, new = (" ".join(text.split())[:90] for text in (self.old, self.new))
        return f"{self.path}:{self.line} {self.kind}: {old} -> {new}"


def faults(path: str, source: str) -> list[Fault]:
    """All faults of a file, in the order of its text."""
    found: dict[tuple[int, int, str], Fault] = {}
    for node, kind, new in _edits(ast.parse(source), source):
        start, stop = _span(node, source)
        old = _code(node, source)
        if old != new:
            found.setdefault((start, stop, new), Fault(path, kind, node.lineno, start, stop, old, new))
    return sorted(found.values(), key=lambda fault: (fault.start, fault.stop, fault.new))


def apply(fault: Fault, source: str) -> str:
    """The source with the fault in it."""
    data = source.encode()
    return (data[: fault.start] + fault.new.encode() + data[fault.stop :]).decode()


def _edits(tree: ast.Module, source: str) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
    """(node, kind, new text) of every fault."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, WITHOUT_FAULTS) or _is_text(node) or "TYPE_CHECKING" in _code(getattr(node, "test", None), source):
            continue
        if isinstance(node, ast.expr | ast.stmt):
            for kind, new in (edit for kinds in KINDS for edit in kinds(node, source)):
                yield node, kind, new
        quiet = {"annotation", "returns", "decorator_list"}
        for name, child in ast.iter_fields(node):
            if name not in quiet and not (isinstance(node, ast.keyword) and (node.arg or "").startswith(NO_EFFECT)):
                todo += [c for c in (child if isinstance(child, list) else [child]) if isinstance(c, ast.AST)]


@lru_cache(maxsize=2)
def _lines(source: str) -> tuple[bytes, tuple[int, ...]]:
    """The bytes of a source and where its lines begin."""
    data = source.encode()
    return data, (0, *accumulate(len(line) for line in data.splitlines(keepends=True)))


def _span(node: ast.expr | ast.stmt, source: str) -> tuple[int, int]:
    starts = _lines(source)[1]
    return starts[node.lineno - 1] + node.col_offset, starts[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)


def _code(node: ast.AST | None, source: str) -> str:
    if not isinstance(node, ast.expr | ast.stmt):
        return ""
    start, stop = _span(node, source)
    return _lines(source)[0][start:stop].decode()


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _number(node: ast.AST | None) -> float | None:
    """The value of a number, signed or not."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    plain = isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)
    return float(node.value) if plain else None  # type: ignore[union-attr]


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def sign_of_an_entry(node: ast.AST, source: str) -> Iterator[tuple[str, str]]:
    """One entry of a constant vector or matrix with the other sign."""
    if isinstance(node, ast.List | ast.Tuple) and len(node.elts) > 1 and isinstance(node.ctx, ast.Load):
        texts = [_code(e, source) for e in node.elts]
        for i, value in enumerate(map(_number, node.elts)):
            if value and any(c in texts[i] for c in ".e"):
                flipped = [f"-({t})" if k == i else t for k, t in enumerate(texts)]
                yield "sign", ("[{}]" if isinstance(node, ast.List) else "({})").format(", ".join(flipped))


def one_side_of_a_clamp(node: ast.AST, source: str) -> Iterator[tuple[str, str]]:
    """A bound that is gone."""
    if isinstance(node, ast.Compare) and len(node.ops) == 2:
        parts = [_code(n, source) for n in (node.left, *node.comparators)]
        middle = _code(node, source)[len(parts[0]) :]
        yield "clamp", f"({parts[0]}{middle[: middle.index(parts[1]) + len(parts[1])]})"
        yield "clamp", f"({middle[middle.index(parts[1]) :]})"
    if not isinstance(node, ast.Call) or node.keywords:
        return
    name, values = _name(node), node.args
    if name in CLAMPS and len(values) == 2:
        bounds = [v for v in map(_number, values) if v is not None]
        if not (bounds and abs(bounds[0]) < TINY and bounds[0] != 0):
            yield from (("clamp", _code(v, source)) for v in values if _number(v) is None)
    method = isinstance(node.func, ast.Attribute) and _code(node.func.value, source) not in ("np", "torch")
    whole = [node.func.value, *values] if method and isinstance(node.func, ast.Attribute) else values
    if name in ("clip", "clamp") and len(whole) == 3:
        subject, low, high = (_code(v, source) for v in whole)
        extreme = ("clamp_max", "clamp_min") if name == "clamp" else ("minimum", "maximum")
        for bound, side in ((high, extreme[0]), (low, extreme[1])):
            yield (
                "clamp",
                f"({subject}).{side}({bound})" if name == "clamp" else f"__import__('numpy').{side}({subject}, {bound})",
            )
    if name in ("clamp_min", "clamp_max") and len(values) == 1 and not 0 < abs(_number(values[0]) or 1) < TINY:
        yield "clamp", _code(whole[0], source)


def scaled_constant(node: ast.AST, source: str) -> Iterator[tuple[str, str]]:
    """The first number of a named constant or of a field's default, times four or a tenth of it; whole numbers doubled."""
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        name = _code(node.targets[0] if isinstance(node, ast.Assign) else node.target, source)
        plain = isinstance(node, ast.AnnAssign) and _number(node.value) is not None
        number = next((n for n in ast.walk(node.value) if _number(n) not in (None, 0.0)), None)
        if (name.isupper() or plain) and isinstance(number, ast.expr) and not any(word in name.lower() for word in NO_EFFECT):
            start = _span(node, source)[0]
            first, last = (at - start for at in _span(number, source))
            text = _code(node, source).encode()
            for factor in ("4", "0.1") if isinstance(getattr(number, "value", 0), float) else ("2",):
                yield "constant", (text[:first] + f"({factor} * ".encode() + text[first:last] + b")" + text[last:]).decode()


def wrong_axis(node: ast.AST, source: str) -> Iterator[tuple[str, str]]:
    """Another coordinate, three coordinates for two, or a matrix that is not transposed."""
    if isinstance(node, ast.List) and [_number(e) for e in node.elts] == [0, 2]:
        yield "axis", "[0, 1, 2]"
        yield "axis", "[0, 1]"
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) and isinstance(node.ctx, ast.Load):
        *front, last = (_code(e, source) for e in node.slice.elts)
        if last in ("0", "1", "2") and isinstance(node.slice.elts[0], ast.Slice | ast.Constant):
            other = (int(last) + 1) % 3 if "..." in front else int(last == "0")
            yield "axis", f"({_code(node.value, source)})[{', '.join(front)}, {other}]"
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield "axis", f"({_code(node.value, source)})"


def other_side(node: ast.AST, _source: str) -> Iterator[tuple[str, str]]:
    """Right for left."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:  # no messages
        for a, b in (*SIDES, *(pair[::-1] for pair in SIDES)):
            if node.value.endswith(a) or (len(a) > 2 and node.value.startswith(a)):
                yield "side", repr(node.value.replace(a, b))
        if node.value == "rl":
            yield "side", "'lr'"


def lost_factor(node: ast.AST, source: str) -> Iterator[tuple[str, str]]:
    """A product without its second factor, a sum with the other sign, an angle in the other unit."""
    plain = isinstance(node, ast.BinOp) and not any(
        isinstance(n, ast.List | ast.Tuple | ast.Set | ast.ListComp)
        or (isinstance(n, ast.Constant) and isinstance(n.value, str))
        for n in (node.left, node.right)
    )
    if isinstance(node, ast.BinOp) and plain:
        left, right = _code(node.left, source), _code(node.right, source)
        if isinstance(node.op, ast.Mult | ast.Div):
            yield "factor", f"({left})"
            if isinstance(node.op, ast.Mult):
                yield "factor", f"({right})"
        if isinstance(node.op, ast.Add | ast.Sub) and not abs(_number(node.right) or 1) < TINY:
            yield "sign", f"({left} {'-' if isinstance(node.op, ast.Add) else '+'} {right})"
        if isinstance(node.op, ast.BitAnd | ast.BitOr):
            yield from (("mask", f"({side})") for side in (left, right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and _number(node) is None:
        yield "sign", f"({_code(node.operand, source)})"
    if isinstance(node, ast.Call) and _name(node) in ANGLES and len(node.args) == 1:
        yield "unit", f"({_code(node.args[0], source)})"


def ignored_condition(node: ast.AST, source: str) -> Iterator[tuple[str, str]]:
    """A comparison the other way round, a mask that is all true, a branch that is always taken, a step left out."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in OPPOSITE:
        sides = _code(node.left, source), _code(node.comparators[0], source)
        yield "compare", f"({sides[0]} {OPPOSITE[type(node.ops[0])]} {sides[1]})"
    if isinstance(node, ast.IfExp):
        yield from (("condition", f"({_code(branch, source)})") for branch in (node.body, node.orelse))
    if isinstance(node, ast.BoolOp):
        yield from (("condition", f"({_code(value, source)})") for value in node.values)
    if isinstance(node, ast.Call) and _name(node) == "where" and len(node.args) == 3:
        yield from (("mask", f"({_code(value, source)})") for value in node.args[1:])
    changed = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript)
    if changed or (isinstance(node, ast.AugAssign) and _code(node.value, source) != "1"):
        yield "mask", "pass"


def moved_slice(node: ast.AST, source: str) -> Iterator[tuple[str, str]]:
    """A slice that begins or ends one element off."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice) and isinstance(node.ctx, ast.Load):
        low, high, value = node.slice.lower, node.slice.upper, _code(node.value, source)
        if value.endswith("shape"):  # nothing runs with a wrong shape: too easy
            return
        if low is not None and node.slice.step is None and isinstance(low, ast.Constant):
            yield "slice", f"({value})[{(int(_number(low) or 0)) - 1}:{_code(high, source)}]"
        if high is not None and node.slice.step is None and isinstance(high, ast.UnaryOp) and _number(high) == -1:
            yield "slice", f"({value})[{_code(low, source)}:]"


KINDS = (
    sign_of_an_entry,
    one_side_of_a_clamp,
    scaled_constant,
    wrong_axis,
    other_side,
    lost_factor,
    ignored_condition,
    moved_slice,
)
