"""Models as other people's programs write them: OpenSim 3, frames of one name, nested classes, loose parts, damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.errors import FormatError, HsmrBioError, ModelError
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.update import refuse_unloadable


def apart_m(document: OsimDocument, loaded) -> float:
    """Largest distance of body origins and markers from OpenSim's, over random coordinates."""
    random, tree, worst = np.random.default_rng(0), document.tree(), 0.0
    for q in document.couple(random.uniform(-1, 1, (5, len(document.coordinates)))):
        loaded.place(dict(zip(document.coordinates, q, strict=True)))
        pose = tree.forward(q)
        rotations, positions = pose.rotations.numpy(), pose.positions_m.numpy()
        gaps = [loaded.body(name)[0] - positions[j] for j, name in enumerate(tree.bodies)]
        for marker in document.markers.values():
            j = tree.bodies.index(marker.body)
            gaps.append(rotations[j] @ marker.position_m + positions[j] - loaded.marker(marker.name))
        worst = max(worst, float(np.abs(gaps).max()))
    return worst


OLD = b"""<OpenSimDocument Version="30000"><Model name="old"><BodySet><objects>
<Body name="ground"><mass>0</mass><mass_center>0 0 0</mass_center><Joint/></Body>
<Body name="rod"><mass>1</mass><mass_center>0 -0.25 0</mass_center><inertia_xx>0.02</inertia_xx><inertia_yy>0.01</inertia_yy>
<inertia_zz>0.02</inertia_zz><Joint><CustomJoint name="hinge"><parent_body>ground</parent_body>
<location_in_parent>0 1 0</location_in_parent><orientation_in_parent>0 0 0</orientation_in_parent>
<location>0 0 0</location><orientation>0 0 0</orientation>
<CoordinateSet><objects><Coordinate name="swing"><default_value>0.3</default_value><range>-3 3</range></Coordinate></objects>
</CoordinateSet><SpatialTransform>
<TransformAxis name="rotation1"><coordinates>swing</coordinates><axis>0 0 1</axis>
<function><LinearFunction><coefficients>1 0</coefficients></LinearFunction></function></TransformAxis>
<TransformAxis name="rotation2"><axis>1 0 0</axis><function><Constant><value>0</value></Constant></function></TransformAxis>
<TransformAxis name="rotation3"><axis>0 1 0</axis><function><Constant><value>0</value></Constant></function></TransformAxis>
<TransformAxis name="translation1"><coordinates>swing</coordinates><axis>1 0 0</axis><function><NaturalCubicSpline>
<x>-3.123456789 0.123456789 3.123456789</x><y>0.0123456789 0.0456789012 0.0987654321</y></NaturalCubicSpline></function>
</TransformAxis>
<TransformAxis name="translation2"><axis>0 1 0</axis><function><Constant><value>0</value></Constant></function></TransformAxis>
<TransformAxis name="translation3"><axis>0 0 1</axis><function><Constant><value>0</value></Constant></function></TransformAxis>
</SpatialTransform></CustomJoint></Joint></Body></objects></BodySet>
<MarkerSet><objects><Marker name="tip"><body>rod</body><location>0 -0.5 0.02</location></Marker></objects></MarkerSet>
</Model></OpenSimDocument>"""
"""A model of OpenSim 3: joints inside the bodies, a spline with more digits than OpenSim 4 writes."""


def test_an_opensim_3_file_moves_as_in_opensim(opensim_model, tmp_path, caplog) -> None:
    path = tmp_path / "old.osim"
    path.write_bytes(OLD)
    document = OsimDocument.read(path)
    assert "OpenSim 3 file (Version 30000)" in caplog.text
    assert list(document.coordinates) == ["swing"]
    assert list(document.markers) == ["tip"]
    assert apart_m(document, opensim_model(path)) < 1e-12


def test_an_old_file_that_opensim_cannot_read_is_one_line() -> None:
    damaged = OLD.replace(b"<parent_body>ground", b"<parent_body>nowhere")
    with pytest.raises(FormatError, match=r"^old\.osim: OpenSim cannot bring this old model up to date: .") as caught:
        OsimDocument.from_bytes(damaged, source="old.osim")
    assert len(str(caught.value)) <= 300


ARM = """<OpenSimDocument Version="40600"><Model name="arm"><Ground name="ground"/>
<BodySet name="bodyset"><objects>
<Body name="upper"><components><PhysicalOffsetFrame name="sensor"><socket_parent>..</socket_parent>
<translation>0.05 -0.1 0</translation><orientation>0.1 0.2 0.3</orientation></PhysicalOffsetFrame></components>
<mass>1</mass><mass_center>0 0 0</mass_center><inertia>0.1 0.1 0.1 0 0 0</inertia></Body>
<Body name="lower"><components><PhysicalOffsetFrame name="sensor"><socket_parent>..</socket_parent>
<translation>0 -0.2 0.07</translation><orientation>0 0.5 0</orientation></PhysicalOffsetFrame></components>
<mass>1</mass><inertia>0.1 0.1 0.1 0 0 0</inertia></Body></objects></BodySet>
<JointSet name="jointset"><objects>
<PinJoint name="shoulder"><socket_parent_frame>offset</socket_parent_frame>
<socket_child_frame>/bodyset/upper</socket_child_frame>
<coordinates><Coordinate name="raise"/></coordinates>
<frames><PhysicalOffsetFrame name="offset"><socket_parent>../../../ground</socket_parent><translation>0 1 0</translation>
<orientation>0 0 0</orientation></PhysicalOffsetFrame></frames></PinJoint>
<PinJoint name="elbow"><socket_parent_frame>offset</socket_parent_frame>
<socket_child_frame>/bodyset/lower/sensor</socket_child_frame><coordinates><Coordinate name="bend"/></coordinates>
<frames><PhysicalOffsetFrame name="offset"><socket_parent>/bodyset/upper/sensor</socket_parent>
<translation>0 -0.3 0</translation><orientation>0 0 0</orientation></PhysicalOffsetFrame></frames></PinJoint>
</objects></JointSet>
<MarkerSet name="markerset"><objects>
<Marker name="U"><socket_parent_frame>/bodyset/upper/sensor</socket_parent_frame><location>0.01 0 0</location></Marker>
<Marker name="L"><socket_parent_frame>/bodyset/lower/sensor</socket_parent_frame><location>0 0.01 0.02</location></Marker>
<Marker name="O"><socket_parent_frame>../../jointset/elbow/offset</socket_parent_frame><location>0 0 0.02</location></Marker>
<Marker name="G"><socket_parent_frame>../../bodyset/upper</socket_parent_frame><location>0 0 0</location></Marker>
</objects></MarkerSet></Model></OpenSimDocument>"""
"""Two sensors and two joint frames of one name, by absolute and by relative paths."""


def test_frames_of_one_name_are_told_apart_by_their_paths(opensim_model, tmp_path) -> None:
    path = tmp_path / "arm.osim"
    path.write_text(ARM)
    document = OsimDocument.read(path)
    assert [marker.body for marker in document.markers.values()] == ["upper", "lower", "upper", "upper"]
    assert apart_m(document, opensim_model(path)) < 1e-12


@pytest.mark.parametrize(
    "socket", ["/bodyset/upper/offset", "../../lower", "sensor", "/bodyset/upper/../..", "", "/jointset/elbow"]
)
def test_a_socket_that_leads_to_no_frame_is_refused(socket: str) -> None:
    text = ARM.replace("<socket_parent_frame>/bodyset/upper/sensor<", f"<socket_parent_frame>{socket}<")
    with pytest.raises(ModelError, match="marker 'U': its socket parent_frame"):
        _ = OsimDocument.from_bytes(text.encode()).markers


def test_frames_that_carry_each_other_are_refused() -> None:
    text = ARM.replace("<socket_parent>/bodyset/upper/sensor<", "<socket_parent>/jointset/elbow/offset<")
    with pytest.raises(ModelError, match="leads in a circle"):
        OsimDocument.from_bytes(text.encode()).tree()


def test_joints_bodies_and_markers_outside_their_sets_count(opensim_model, tmp_path) -> None:
    loose = """<components><Body name="hand"><mass>1</mass></Body>
    <PinJoint name="wrist"><socket_parent_frame>/bodyset/lower</socket_parent_frame>
    <socket_child_frame>/hand</socket_child_frame>
    <coordinates><Coordinate name="flex"/></coordinates></PinJoint>
    <Marker name="H"><socket_parent_frame>/hand</socket_parent_frame><location>0 0.1 0</location></Marker></components>"""
    document = OsimDocument.from_bytes(ARM.replace("</JointSet>", f"</JointSet>{loose}").encode())
    assert list(document.coordinates) == ["raise", "bend", "flex"]
    assert document.markers["H"].body == "hand"
    assert document.tree().bodies == ("upper", "lower", "hand")


def test_nested_class_names_survive(opensim_model, tmp_path) -> None:
    contact = """<ForceSet name="forceset"><objects><HuntCrossleyForce name="contact">
    <HuntCrossleyForce::ContactParametersSet name="contact_parameters"><objects/><groups/>
    </HuntCrossleyForce::ContactParametersSet></HuntCrossleyForce></objects></ForceSet>"""
    document = OsimDocument.from_bytes(ARM.replace("</JointSet>", f"</JointSet>{contact}").encode())
    assert list(document.coordinates) == ["raise", "bend"]
    written = document.write(tmp_path / "again.osim")
    assert b"<HuntCrossleyForce::ContactParametersSet name=" in written.read_bytes()
    assert b"</HuntCrossleyForce::ContactParametersSet>" in written.read_bytes()
    assert apart_m(document, opensim_model(written)) < 1e-12


def test_a_set_in_another_file_is_not_taken_for_empty() -> None:
    with pytest.raises(FormatError, match=r"<MarkerSet>: it is in another file \('markers\.xml'\)"):
        OsimDocument.from_bytes(ARM.replace('<MarkerSet name="markerset">', '<MarkerSet file="markers.xml">').encode())


def test_a_file_that_is_not_utf8_is_read() -> None:
    text = ARM.replace('<Model name="arm">', '<Model name="arm"><credits>M\u00fcller</credits>')
    for encoding, head in (("latin-1", ""), ("latin-1", '<?xml version="1.0" encoding="UTF-8"?>'), ("utf-16", "")):
        assert "raise" in OsimDocument.from_bytes((head + text).encode(encoding)).coordinates


DAMAGE = {
    "a coordinate without name": ('<Coordinate name="bend"/>', "<Coordinate/>"),
    "a name with a slash": ('<PinJoint name="elbow">', '<PinJoint name="el/bow">'),
    "a name with a quote": ('<Coordinate name="bend"/>', """<Coordinate name="be'nd"/><Coordinate name='"'/>"""),
    "two bodies of one name": ('<Body name="lower">', '<Body name="upper">'),
    "two joints of one name": ('<PinJoint name="elbow">', '<PinJoint name="shoulder">'),
    "a number too large": ("<location>0.01 0 0<", "<location>1e400 0 0<"),
    "a long number": ("<location>0.01 0 0<", f"<location>{'7' * 3000} 0 0<"),
    "a long name": ('<PinJoint name="elbow">', f'<BadJoint name="{"e" * 5000}">'),
    "a version with a power": ('Version="40600"', 'Version="4\u00b2"'),
    "text after the end": ("</OpenSimDocument>", "</OpenSimDocument>&" + "x" * 5000),
    "an unknown encoding": ("<OpenSimDocument", '<?xml version="1.0" encoding="idna"?><OpenSimDocument'),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_model_is_one_short_line(kind: str) -> None:
    text = ARM.replace(*DAMAGE[kind])
    if kind == "a long name":
        text = text.replace("</PinJoint>\n</objects>", "</BadJoint>\n</objects>")
    assert text != ARM
    with pytest.raises(HsmrBioError) as caught:
        document = OsimDocument.from_bytes(text.encode(), source="arm.osim")
        document.tree()
        _ = document.markers, document.bodies
    assert len(str(caught.value)) <= 300
    assert "\n" not in str(caught.value)


def test_a_model_that_ends_opensims_process_is_one_line() -> None:
    text = ARM.replace('<Coordinate name="bend"/>', "")
    refuse_unloadable(ARM.encode(), "arm.osim")
    with pytest.raises(ModelError, match=r"^arm\.osim: OpenSim cannot load this model: .") as caught:
        refuse_unloadable(text.replace("PinJoint", "CustomJoint").encode(), "arm.osim")
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize(
    "name", ["osim-contact-set/contact", "osim-frame-names/two_sensors", "osim-frame-names/two_sensors_abs"]
)
def test_models_of_public_reports(name: str, shared: Path, opensim_model) -> None:
    path = shared / "cases" / "public" / f"{name}.osim"
    if not path.is_file():
        pytest.skip("needs the cases of public reports")
    assert apart_m(OsimDocument.read(path), opensim_model(path)) < 1e-12
