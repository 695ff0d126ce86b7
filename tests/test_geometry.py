"""The bones beside a model."""

from __future__ import annotations

import numpy as np
import pytest
from lxml import etree

from hsmr_bio.errors import ShapeError
from hsmr_bio.osim.geometry import mesh_list, vertex_normals, vtp, write_geometry
from hsmr_bio.skeleton import JOINT_NAMES

TETRAHEDRON = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def points_of(path):
    """(P, 3) points of a written mesh."""
    return np.array(etree.parse(str(path)).findtext(".//Points/DataArray").split(), dtype=float).reshape(-1, 3)


@pytest.fixture(scope="module")
def written(open_body, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "Geometry"
    betas = np.array([1.0, -1.0, 0.5, *np.zeros(7)])
    return folder, betas, write_geometry(folder, open_body, betas, prefix="anna")


def test_every_body_gets_its_bones(written) -> None:
    folder, _, paths = written
    assert [path.name for path in paths] == [mesh.file for mesh in mesh_list("anna")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"anna_{name}.vtp" for name in JOINT_NAMES)
    assert sum(path.stat().st_size for path in paths) < 6e6


def test_bones_lie_in_the_frames_of_their_bodies(written, open_body) -> None:
    """Put back by the T pose, the written bones are the body's own skeleton mesh, to the written 0.01 mm."""
    _, betas, paths = written
    rest = open_body.rest(betas)
    whole = open_body.forward(np.zeros((1, 46)), betas, skeleton=True).skeleton_m[0].numpy()
    rigid = open_body.data.bone_weights.toarray().max(axis=1) > 1 - 1e-9
    for j, path in enumerate(paths):
        points = points_of(path)
        mine = open_body.data.bone_of_vertex == j
        placed = points @ rest.bone_rotations[j].T + rest.joints_m[j]
        assert np.abs(placed - whole[mine])[rigid[mine]].max(initial=0.0) < 2e-5, path.name


def test_left_bones_mirror_right_ones(written) -> None:
    folder, _, _ = written
    for bone in ("femur", "humerus", "hand", "scapula"):
        right, left = (points_of(folder / f"anna_{bone}_{side}.vtp") for side in "rl")
        assert np.abs(np.sort(right * (1, 1, -1), axis=0) - np.sort(left, axis=0)).max() < 2e-4, bone


@pytest.mark.opensim
def test_opensim_finds_every_mesh(written, open_body, opensim_model) -> None:
    from hsmr_bio.scaling import scale_model

    folder, betas, _ = written
    path = folder.parent / "anna.osim"
    path.write_bytes(scale_model(open_body, betas, name="anna").osim_xml)
    assert "Couldn't find" not in opensim_model(path).log
    (folder / "anna_head.vtp").rename(folder / "away.vtp")
    try:
        assert "anna_head.vtp" in opensim_model(path).log, "a missing mesh is noticed"
    finally:
        (folder / "away.vtp").rename(folder / "anna_head.vtp")


@pytest.mark.opensim
def test_simbody_reads_the_mesh_that_we_wrote(tmp_path) -> None:
    simbody = pytest.importorskip("opensim").simbody
    path = tmp_path / "t.vtp"
    path.write_text(vtp(TETRAHEDRON, FACES))
    assert "PolygonalMesh" in dir(simbody)
    mesh = simbody.PolygonalMesh()
    mesh.loadFile(str(path))
    assert (mesh.getNumVertices(), mesh.getNumFaces()) == (4, 4)
    assert [mesh.getFaceVertex(3, i) for i in range(3)] == [1, 2, 3]


def test_normals_point_outwards() -> None:
    normals = vertex_normals(TETRAHEDRON, FACES)
    middle = TETRAHEDRON.mean(axis=0)
    assert ((TETRAHEDRON - middle) * normals).sum(axis=1).min() > 0
    assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(4))


def test_what_is_no_mesh_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"triangles must lie in \[0, 4\), got 1 to 4"):
        vtp(TETRAHEDRON, FACES + 1)
    with pytest.raises(ShapeError, match="points must have shape"):
        vtp(TETRAHEDRON[:, :2], FACES)
