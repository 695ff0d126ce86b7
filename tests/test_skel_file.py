"""The licensed file's reader: what it accepts, what it refuses and how it says so; registering files."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from hsmr_bio.body import assets, load_body, load_named_body
from hsmr_bio.body.skel_file import load_skel_file
from hsmr_bio.body.smpl_model import load_smpl
from hsmr_bio.errors import FormatError, InputError, MissingAssetError


@pytest.fixture(scope="module")
def content(synthetic_male):
    with (synthetic_male / "skel_male.pkl").open("rb") as stream:
        return pickle.load(stream)


def write(path, content, **changes):
    merged = {key: value for key, value in (content | changes).items() if value is not None}
    path.write_bytes(pickle.dumps(merged, protocol=4))
    return path


def test_the_file_is_read_whole(synthetic_male, content) -> None:
    data = load_skel_file(synthetic_male / "skel_male.pkl")
    assert (data.name, data.sex, data.topology) == ("skel_male@1.1.1", "male", "smpl")
    np.testing.assert_array_equal(data.skin_template_m, content["skin_template_v"])
    np.testing.assert_array_equal(data.skin_weights.toarray(), content["skin_weights"].toarray())
    assert not data.skin_template_m.flags.writeable


def test_variations_of_the_schema_are_accepted(tmp_path, content) -> None:
    plain = load_skel_file(write(tmp_path / "skel_male.pkl", content))
    table = content["osim_kintree_table"].astype(np.uint32)
    table[0, 0] = 4294967295
    variation = write(
        tmp_path / "again_male.pkl",
        content,
        skin_weights=content["skin_weights"].toarray(),
        skel_weights=content["skel_weights"].tocsc(),
        J_regressor_osim=sparse.csr_matrix(content["J_regressor_osim"]),
        osim_kintree_table=table,
        skin_template_f=content["skin_template_f"].astype(np.uint32),
        shapedirs=np.concatenate([content["shapedirs"]] * 2, axis=-1),
        parameter_mapping=None,
        tpose_transfo=None,
    )
    other = load_skel_file(variation)
    for name in ("skin_template_m", "shapedirs", "posedirs", "skin_faces"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(other, name))
    for name in ("skin_weights", "bone_weights", "joint_regressor"):
        np.testing.assert_allclose(getattr(plain, name).toarray(), getattr(other, name).toarray())
    assert plain.parents == other.parents


@pytest.mark.slow
@pytest.mark.parametrize("style", ["ch", "select"])
def test_files_with_chumpy_arrays_are_read_without_chumpy(shared, tmp_path, synthetic_male, style) -> None:
    tool = shared / "tools" / "make_synthetic_skel.py"
    arguments = ["--seed", "11", "--gender", "male", "--chumpy", style]
    subprocess.run([sys.executable, tool, "--out", tmp_path, *arguments], check=True, capture_output=True)
    expected = load_skel_file(synthetic_male / "skel_male.pkl")
    np.testing.assert_array_equal(load_skel_file(tmp_path / "skel_male.pkl").shapedirs, expected.shapedirs)
    np.testing.assert_array_equal(load_smpl(tmp_path / "smpl" / "SMPL_MALE.pkl").shapedirs, expected.shapedirs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "1.1.0"}, "1.1.0"),
        ({"version": None}, "no version"),
        ({"version": None, "v_template": np.zeros((3, 3))}, "SMPL file"),
        ({"per_joint_rot": None}, "per_joint_rot"),
        ({"per_joint_rot": np.zeros((23, 3, 3))}, "per_joint_rot"),
        ({"skin_template_v": np.full((6890, 3), np.nan)}, "finite"),
        ({"skin_template_v": "text"}, "skin_template_v"),
        ({"shapedirs": np.zeros((6890, 3, 9))}, "at least 10"),
        ({"posedirs": np.ones((6890, 3, 9))}, "posedirs"),
        ({"skin_weights": np.zeros((6890, 24))}, "sum to 1"),
        ({"skin_template_f": np.array([[0, 1, 6890]])}, "skin_faces"),
        ({"osim_kintree_table": np.zeros((2, 24), int)}, "second row"),
        ({"osim_kintree_table": np.stack([np.full(24, 23), np.arange(24)])}, "before their children"),
    ],
)
def test_a_wrong_file_gives_one_error_that_names_it(tmp_path, content, changes, message) -> None:
    path = write(tmp_path / "skel_male.pkl", content, **changes)
    with pytest.raises(FormatError, match=message) as error:
        load_skel_file(path)
    assert "skel_male.pkl" in str(error.value)


def test_a_truncated_file_is_refused(tmp_path, synthetic_male) -> None:
    whole = (synthetic_male / "skel_male.pkl").read_bytes()
    for share in (0, 0.3, 0.999):
        path = tmp_path / "skel_male.pkl"
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(FormatError, match="truncated"):
            load_skel_file(path)


class Touch:
    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_hostile_file_runs_nothing_and_replaces_nothing(tmp_path, content, monkeypatch, synthetic_male) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assets.register(synthetic_male / "skel_male.pkl")
    copied = assets.find("skel", "male", assets.data_folder()).read_bytes()
    hostile = write(tmp_path / "skel_male.pkl", content, bone_names=Touch(tmp_path / "touched"))
    with pytest.raises(FormatError, match="No code of it was run"):
        assets.register(hostile)
    assert not (tmp_path / "touched").exists()
    assert assets.find("skel", "male", assets.data_folder()).read_bytes() == copied


def test_a_registered_folder_is_found_afterwards(tmp_path, monkeypatch, synthetic_male) -> None:
    monkeypatch.delenv("HSMR_BIO_ASSETS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    found = assets.register(synthetic_male)
    assert [(item.kind, item.sex) for item in found] == [("skel", "male"), ("smpl", "male")]
    assert load_body("skel", sex="male").name == "skel_male@1.1.1"
    assert load_named_body("skel_male@1.1.1").sex == "male"
    assert load_smpl(assets.find("smpl", "male")).sex == "male"
    with pytest.raises(MissingAssetError, match="no neutral body"):
        load_body("skel", sex="neutral")
    with pytest.raises(InputError, match="cannot be mixed"):
        load_named_body("skel_male@1.1.1", "open")


def test_the_environment_goes_before_the_data_folder(tmp_path, monkeypatch, synthetic_male) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HSMR_BIO_ASSETS", os.pathsep.join([str(tmp_path / "none"), str(synthetic_male)]))
    assert assets.find("smpl", "male") == synthetic_male / "smpl" / "SMPL_MALE.pkl"


def test_a_folder_without_bodies_says_so(tmp_path) -> None:
    (tmp_path / "other.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(MissingAssetError, match="SMPL"):
        assets.register(tmp_path)
    with pytest.raises(FormatError, match="neither"):
        assets.register(tmp_path / "other.pkl")
