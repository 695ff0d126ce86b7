"""Meshes of the bones, one per body, in the ``Geometry`` folder beside a model.

Source:
    Format: VTK XML PolyData in ASCII, as in OpenSim's own Geometry folder (vtk.org, "VTK File Formats").
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..arrays import readonly
from ..body.body import Body
from ..body.data_model import IntArray, readonly_ints
from ..skeleton import JOINT_NAMES
from ..types import FloatArray
from .parts import Mesh


def mesh_list(prefix: str) -> list[Mesh]:
    """Meshes of the 24 bodies by file name: ``<prefix>_<body>.vtp``; the prefix distinguishes the people of one folder."""
    return [Mesh(name, f"{prefix}_{name}.vtp" if prefix else f"{name}.vtp") for name in JOINT_NAMES]


def write_geometry(
    folder: str | PathLike[str],
    body: Body,
    betas: npt.ArrayLike,
    *,
    prefix: str = "subject",
    length_factor: float = 1.0,
) -> list[Path]:
    """Write one person's bones, each in its bone frame, which is the frame of the body in BSM and in the twin.

    Args:
        folder: the ``Geometry`` folder; it is created if missing.
        body: whose bones.
        betas: (10,) shape.
        prefix: name that the model was made with.
        length_factor: factor on all lengths, of a model that was scaled to a given height.

    Returns:
        The 24 paths.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    scale = body.rest(betas).bone_scale * length_factor
    owner = body.data.bone_of_vertex
    face_owner = owner[body.bone_faces[:, 0]]
    paths = []
    for j, mesh in enumerate(mesh_list(prefix)):
        own = np.flatnonzero(owner == j)
        row = np.full(len(owner), -1)
        row[own] = np.arange(len(own))
        points = body.data.bone_template_m[own] * scale[j]
        faces = row[body.bone_faces[face_owner == j]]
        path = target / mesh.file
        path.write_text(vtp(points, faces[(faces >= 0).all(axis=1)]), encoding="ascii")
        paths.append(path)
    return paths


def vtp(points_m: FloatArray, faces: IntArray) -> str:
    """Write triangles as a ``.vtp`` file.

    Args:
        points_m: (P, 3); written to 0.01 mm.
        faces: (F, 3) zero-based corners, counter-clockwise from outside.

    Returns:
        The text of the file.

    Raises:
        ShapeError: not triangles of these points.
    """
    points_m = readonly("points", points_m, (None, 3))
    faces = readonly_ints("triangles", faces, (None, 3), high=len(points_m))
    normals = vertex_normals(points_m, faces)
    lines = [
        '<?xml version="1.0"?>',
        '<VTKFile type="PolyData" version="0.1" byte_order="LittleEndian">',
        "<PolyData>",
        f'<Piece NumberOfPoints="{len(points_m)}" NumberOfVerts="0" NumberOfLines="0" NumberOfStrips="0" '
        f'NumberOfPolys="{len(faces)}">',
        '<PointData Normals="Normals">',
        *_array("Normals", "Float32", _rows("%g", np.round(normals, 3) + 0.0), 3),
        "</PointData>",
        "<Points>",
        *_array("Points", "Float32", _rows("%g", np.round(points_m, 5) + 0.0), 3),
        "</Points>",
        "<Polys>",
        *_array("connectivity", "Int32", _rows("%d", faces)),
        *_array("offsets", "Int32", _rows("%d", 3 * np.arange(1, len(faces) + 1)[:, None])),
        "</Polys>",
        "</Piece>",
        "</PolyData>",
        "</VTKFile>",
    ]
    return "\n".join(lines) + "\n"


def vertex_normals(points_m: FloatArray, faces: IntArray) -> FloatArray:
    """Unit normals of the vertices: area-weighted mean of the adjacent triangles' normals.

    Args:
        points_m: (P, 3).
        faces: (F, 3) zero-based corners.

    Returns:
        (P, 3); +y for a vertex without a triangle.
    """
    corners = points_m[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(points_m)
    for corner in range(3):
        np.add.at(total, faces[:, corner], normals)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.asarray(np.divide(total, length, out=np.tile([0.0, 1.0, 0.0], (len(points_m), 1)), where=length > 0))


def _array(name: str, kind: str, rows: str, components: int = 1) -> list[str]:
    width = f' NumberOfComponents="{components}"' if components > 1 else ""
    return [f'<DataArray type="{kind}" Name="{name}"{width} format="ascii">', rows, "</DataArray>"]


def _rows(form: str, values: FloatArray | IntArray) -> str:
    """Format one row per line; one format for all numbers is several times faster than one per number."""
    line = " ".join([form] * values.shape[1])
    return "\n".join([line] * len(values)) % tuple(values.ravel().tolist())
