"""The page "Adding things" of docs/architecture.md, followed to the letter with the code that stands there."""

from __future__ import annotations

import importlib
import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hsmr_bio.checks.check_motion import check_motion
from hsmr_bio.checks.rows import CHECKS
from hsmr_bio.cli import main
from hsmr_bio.converters.formats import FORMATS, formats
from hsmr_bio.converters.registry import convert
from hsmr_bio.io.trc import read_trc, write_trc
from hsmr_bio.osim.library import bsm
from hsmr_bio.osim.placed import place_model
from hsmr_bio.types import Markers, OsimMotion, SkelMotion

PAGE = Path(__file__).resolve().parents[1] / "docs" / "architecture.md"


def block(first: str) -> str:
    """The block of code on the page that begins with this line."""
    found = re.search(rf"^```\w+\n({re.escape(first)}\n.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert found, f"{PAGE} has no block that begins with {first}"
    return found.group(1)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path of modules, as ``pip install`` leaves it; the modules are forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in ("toy_format", "toy_check"):
        sys.modules.pop(name, None)


def module(site: Path, name: str) -> ModuleType:
    """The module of that name on the page, imported."""
    (site / f"{name}.py").write_text(block(f"# {name}.py"), encoding="utf-8")
    importlib.invalidate_caches()
    return importlib.import_module(name)


def install(site: Path, entry: str) -> None:
    """Register an entry point as an installed package does."""
    about = site / "toy_format-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy_format\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(entry, encoding="utf-8")
    importlib.invalidate_caches()


def entry_of_the_page() -> str:
    group, entry = block('[project.entry-points."hsmr_bio.formats"]').splitlines()
    return f"[{group.split(chr(34))[1]}]\n{entry.replace(chr(34), '')}\n"


@pytest.fixture
def toy(site: Path) -> ModuleType:
    """The format of the page, installed."""
    made = module(site, "toy_format")
    install(site, entry_of_the_page())
    return made


def walk(folder: Path) -> OsimMotion:
    """Coordinates; the model (``walk.osim``) and its markers, moved by them (``walk.trc``), are written."""
    document = bsm()
    values = np.repeat(document.default_si[None], 12, axis=0)
    names = tuple(document.coordinates)
    values[:, names.index("knee_angle_r")] = np.linspace(0.2, 0.5, 12)
    motion = OsimMotion(time_s=np.arange(12) / 60, coordinates=names, values_si=values, rotational=document.rotational)
    placed = place_model(motion, document)
    markers = Markers(time_s=motion.time_s, names=placed.marker_names, positions_m=placed.markers_m)
    write_trc(folder / "walk.trc", markers)
    document.write(folder / "walk.osim")
    return motion


def test_a_format_of_one_module_and_one_row_is_converted_both_ways(toy: ModuleType, tmp_path: Path) -> None:
    walk(tmp_path)
    there = convert(tmp_path / "walk.trc", tmp_path / "walk.toy")
    assert (there.source, there.target, there.lost) == ("TRC", "TOY", ("names with blanks in them",))
    back = convert(tmp_path / "walk.toy", tmp_path / "back.trc")
    assert (back.source, back.target, back.lost) == ("TOY", "TRC", ())
    before, after = read_trc(tmp_path / "walk.trc"), read_trc(tmp_path / "back.trc")
    assert after.names == before.names
    np.testing.assert_allclose(after.positions_m, before.positions_m, atol=1e-9)


def test_the_commands_know_the_format(toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    walk(tmp_path)
    assert main(["convert", str(tmp_path / "walk.trc"), str(tmp_path / "walk.toy")]) == 0
    assert "TRC -> TOY; lost: names with blanks in them" in capsys.readouterr().err
    assert main(["info", str(tmp_path / "walk.toy"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["kind"], facts["frames"], facts["rate_hz"]) == ("markers (TOY)", 12, 60.0)
    assert list(facts["markers"]) == list(bsm().markers)
    (tmp_path / "walk.trc").unlink()
    assert main(["ik", str(tmp_path / "walk.toy"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["own"]["rms_mm"] < 0.1
    assert main(["check", str(tmp_path / "walk.mot"), "--markers", str(tmp_path / "walk.toy"), "--json"]) in (0, 3)
    error = next(row for row in json.loads(capsys.readouterr().out)["checks"] if row["name"] == "marker error")
    assert error["status"] == "pass" and error["value"] < 1e-3
    assert main(["ik", str(tmp_path / "walk.mot"), "--overwrite"]) == 1
    assert "markers can be read from .toy, .trc, .c3d, .b3d" in capsys.readouterr().err


def test_a_format_that_does_not_load_leaves_the_others_alone(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert formats() == FORMATS
    install(site, entry_of_the_page())
    with caplog.at_level(logging.WARNING):
        assert formats() == FORMATS
    assert "toy_format:FORMAT" in caplog.text


def test_a_check_of_one_row_is_in_the_report_with_its_verdict(site: Path, tmp_path: Path) -> None:
    row = module(site, "toy_check").ROW
    motion = walk(tmp_path)
    still = check_motion(motion, bsm(), checks=(*CHECKS, row))
    assert [check.name for check in still.checks] == [*(known.name for known in CHECKS), "pelvis travel"]
    assert still["pelvis travel"].status == "pass" and "pelvis travel" in still.text()
    values = np.array(motion.values_si)
    values[:, motion.coordinates.index("pelvis_ty")] += np.linspace(0, 0.6, 12)
    jumping = OsimMotion(time_s=motion.time_s, coordinates=motion.coordinates, values_si=values, rotational=motion.rotational)
    report = check_motion(jumping, bsm(), checks=(row,))
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert data["status"] == "fail"
    (entry,) = data["checks"]
    assert (entry["name"], entry["status"], entry["detail"]) == ("pelvis travel", "fail", f"highest at {11 / 60:.3f} s")
    assert entry["value"] == pytest.approx(0.6)
    assert entry["threshold"] == {"warn_above": 0.1, "fail_above": 0.5, "unit": "m", "source": row.source}


def test_a_check_that_cannot_be_made_is_skipped_with_its_reason(site: Path, tmp_path: Path) -> None:
    row = module(site, "toy_check").ROW
    time_s = np.arange(12) / 60
    zeros = {"poses_rad": np.zeros((12, 46)), "trans_m": np.zeros((12, 3)), "betas": np.zeros(10)}
    skel = SkelMotion(time_s=time_s, **zeros, body="open@0", frame="world")
    (check,) = check_motion(skel, checks=(row,)).checks
    assert (check.status, check.value, check.detail) == ("skipped", None, "needs the OpenSim motion")
