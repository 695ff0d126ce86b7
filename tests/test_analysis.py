"""Events, cycles and parameters of motions: motions that the tests make, with known truth, and trials with force plates."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hsmr_bio as hb
from hsmr_bio.analysis import Movement, analyse, from_joint_centres, read_band, side_forces, write_analysis
from hsmr_bio.analysis.draws import movement_draws, slow_noise
from hsmr_bio.analysis.place import place
from hsmr_bio.cli import main
from hsmr_bio.dynamics.load_files import read_loads
from hsmr_bio.dynamics.loads import loads_from_arrays
from hsmr_bio.report.findings import findings_json, findings_section

EXACT = hb.AnalysisOptions(draws=0)
STRIDE_S, STRIDE_M, WIDTH_M, STANCE = 1.1, 1.32, 0.12, 0.6


def xyz(x: float, y: float, z: float) -> np.ndarray:
    """A vector."""
    return np.array([x, y, z])


def smoothstep(x: np.ndarray) -> np.ndarray:
    """From 0 to 1 with a speed that is 0 at the start and large until just before the end, as a foot swings."""
    x = np.clip(x, 0, 1)
    start, end = 0.3, 0.06
    ramp = np.where(x < start, x**2 / (2 * start), x - start / 2)
    ramp = np.where(x > 1 - end, 1 - start / 2 - end / 2 - (1 - x) ** 2 / (2 * end), ramp)
    return ramp / (1 - start / 2 - end / 2)


def foot(time_s: np.ndarray, lag: float, side: float, stride_m: float = STRIDE_M) -> tuple[np.ndarray, np.ndarray]:
    """Heel (T, 3), and whether it stands, of a foot whose contacts are at (k + lag) strides."""
    phase = time_s / STRIDE_S - lag
    swing = (phase % 1 - STANCE) / (1 - STANCE)
    x = stride_m * (np.floor(phase) + lag + smoothstep(swing))
    up = 0.08 * np.sin(np.pi * np.clip(swing, 0, 1)) ** 2
    return np.stack([x, 0.03 + up, np.full_like(x, side * WIDTH_M / 2)], axis=1), swing <= 0


def walker(seconds: float = 6.0, rate_hz: float = 100.0, *, turned_rad: float = 0.0, belt: bool = False) -> Movement:
    """Somebody who walks along x (turned about the vertical) with known contacts."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    speed = STRIDE_M / STRIDE_S
    hips = np.stack([speed * time_s + 0.3 * STRIDE_M, np.full_like(time_s, 0.9), np.zeros_like(time_s)], axis=1)
    points = {}
    for side, sign, lag in (("r", 1.0, 0.0), ("l", -1.0, 0.5)):
        heel, _ = foot(time_s, lag, sign)
        points |= {f"heel_{side}": heel, f"toe_{side}": heel + xyz(0.17, -0.01, 0), f"ankle_{side}": heel + xyz(0.04, 0.06, 0)}
        points[f"hip_{side}"] = hips + xyz(0, 0, sign * 0.09)
        points[f"knee_{side}"] = (points[f"hip_{side}"] + points[f"ankle_{side}"]) / 2 + [0.05, 0, 0]
        points[f"shoulder_{side}"] = hips + xyz(0.02, 0.5, sign * 0.18)
    if belt:
        points = {name: value - np.outer(time_s, [speed, 0, 0]) for name, value in points.items()}
    turn = np.array([[np.cos(turned_rad), 0, np.sin(turned_rad)], [0, 1, 0], [-np.sin(turned_rad), 0, np.cos(turned_rad)]])
    return from_joint_centres(time_s, {name: value @ turn.T for name, value in points.items()})


def contacts(seconds: float, lag: float) -> np.ndarray:
    """True contact times within a clip, without those at its first frames."""
    times = (np.arange(20) + lag) * STRIDE_S
    return times[(times > 0.1) & (times < seconds - 0.1)]


@pytest.mark.parametrize(("turned", "belt"), [(0.0, False), (2.5, False), (0.4, True)])
def test_a_walker_is_measured_wherever_it_walks(turned: float, belt: bool) -> None:
    found = analyse(walker(turned_rad=turned, belt=belt), options=EXACT)
    assert found.task == "gait"
    assert ("belt" in found.why) == belt
    for side, lag in (("r", 0.0), ("l", 0.5)):
        own = {
            name: [e.time_s for e in found.events if (e.name, e.side) == (name, side)] for name in ("foot contact", "foot off")
        }
        true = contacts(6.0, lag)
        assert len(own["foot contact"]) == len(true)
        np.testing.assert_allclose(own["foot contact"], true, atol=0.02)
        np.testing.assert_allclose(np.diff(own["foot off"]), STRIDE_S, atol=0.005)
        assert found.parameter("stride_length", side).value == pytest.approx(STRIDE_M, rel=0.01)
        assert found.parameter("stride_time", side).value == pytest.approx(STRIDE_S, abs=0.003)
        assert found.parameter("step_length", side).value == pytest.approx(STRIDE_M / 2, rel=0.01)
        assert found.parameter("stance", side).value == pytest.approx(100 * STANCE, abs=4)
    assert found.parameter("speed").value == pytest.approx(STRIDE_M / STRIDE_S, rel=0.01)
    assert found.parameter("cadence").value == pytest.approx(120 / STRIDE_S, rel=0.005)
    assert found.parameter("step_width").value == pytest.approx(WIDTH_M, abs=0.003)
    assert found.parameter("symmetry_step_length").value == pytest.approx(0, abs=1)


def test_a_shorter_step_of_one_side_shows_in_the_symmetry() -> None:
    movement = walker()
    points = dict(movement.points_m)
    points |= {f"{name}_l": points[f"{name}_l"] + xyz(0.05, 0, 0) for name in ("heel", "toe", "ankle")}
    found = analyse(from_joint_centres(movement.time_s, points), options=EXACT)
    assert found.parameter("step_length", "l").value == pytest.approx(STRIDE_M / 2 + 0.05, abs=0.01)
    assert found.parameter("symmetry_step_length").value == pytest.approx(-100 * 0.1 / (STRIDE_M / 2), abs=1.5)


def test_events_do_not_depend_on_the_frame_rate() -> None:
    times = [[e.time_s for e in analyse(walker(3.7, rate), options=EXACT).events] for rate in (50.0, 100.0, 200.0)]
    assert len(times[0]) == len(times[1]) == len(times[2])
    np.testing.assert_allclose(times[0], times[2], atol=0.008)
    np.testing.assert_allclose(times[1], times[2], atol=0.004)


def test_a_gap_divides_the_motion_and_no_stride_spans_it() -> None:
    movement = walker(8.0)
    kept = (movement.time_s < 3.6) | (movement.time_s > 4.3)
    cut = from_joint_centres(movement.time_s[kept], {name: value[kept] for name, value in movement.points_m.items()})
    found = analyse(cut, options=EXACT)
    assert any("gaps" in note for note in found.notes)
    assert not [e for e in found.events if 3.6 < e.time_s < 4.3]
    spans = [span for cycles in found.cycles for span in cycles.spans]
    assert spans
    assert not [span for span in spans if span.start_s < 4.0 < span.end_s]
    assert found.parameter("stride_time", "r").value == pytest.approx(STRIDE_S, abs=0.01)


def test_force_plates_cut_the_cycles_where_they_are_given() -> None:
    model = hb.bsm()
    movement = squat_motion(model)
    time_s = np.arange(0, 6, 0.001)
    weight = model.mass_kg * 9.81
    up = np.where((time_s > 0.7035) & (time_s < 1.4025), weight, 0.0)
    force = np.stack([np.zeros_like(up), up, np.zeros_like(up)], axis=1)
    loads = loads_from_arrays(time_s, force, np.zeros_like(force), bodies=["calcn_r"])
    found = analyse(movement, model, loads=loads, options=hb.AnalysisOptions(task="gait", draws=0))
    plates = [(e.name, e.side, e.time_s) for e in found.events if e.evidence == "forces"]
    assert [p[:2] for p in plates] == [("foot contact", "r"), ("foot off", "r")]
    np.testing.assert_allclose([p[2] for p in plates], [0.7035, 1.4025], atol=0.001)
    both = analyse(movement, model, loads=loads, options=EXACT)
    assert both.task == "squat"
    assert [e.name for e in both.events if e.evidence == "motion"] == ["squat start", "squat bottom", "squat end"] * 2


DEPTH_RAD = 1.4
BOTTOMS_S = (1.5, 4.0)


def squat_motion(model) -> hb.OsimMotion:
    """Two squats of BSM with 1.4 rad of knee flexion, the feet on their places."""
    names = list(model.coordinates)
    time_s = np.arange(0, 6, 0.01)
    values = np.tile(model.default_si, (len(time_s), 1))
    depth = sum(0.5 + 0.5 * np.cos(np.pi * np.clip((time_s - at) / 1.0, -1, 1)) for at in BOTTOMS_S)
    for side in "rl":
        values[:, names.index(f"hip_flexion_{side}")] = 1.1 * depth
        values[:, names.index(f"knee_angle_{side}")] = DEPTH_RAD * depth
        values[:, names.index(f"ankle_angle_{side}")] = 0.6 * depth
    values[:, names.index("pelvis_tilt")] = -0.3 * depth
    tree = model.tree()
    foot_m = tree.forward(values).positions_m[:, tree.bodies.index("calcn_r")].numpy()
    values[:, names.index("pelvis_tx")] -= foot_m[:, 0]
    values[:, names.index("pelvis_ty")] -= foot_m[:, 1] - 0.03
    return hb.OsimMotion(time_s=time_s, coordinates=names, values_si=values, rotational=model.rotational)


@pytest.fixture(scope="module")
def squats() -> hb.OsimMotion:
    return squat_motion(hb.bsm())


def test_squats_are_counted_timed_and_measured(squats: hb.OsimMotion) -> None:
    found = analyse(squats, hb.bsm(), options=EXACT)
    assert found.task == "squat"
    times = {name: [e.time_s for e in found.events if e.name == f"squat {name}"] for name in ("start", "bottom", "end")}
    np.testing.assert_allclose(times["bottom"], BOTTOMS_S, atol=0.01)
    speed = np.gradient(squats.column("pelvis_ty"), squats.time_s)
    moving = np.flatnonzero(np.diff((np.abs(speed) > 0.05).astype(int)))  # down, bottom, up and again
    np.testing.assert_allclose(times["start"], squats.time_s[moving[[0, 4]]], atol=0.04)
    np.testing.assert_allclose(times["end"], squats.time_s[moving[[3, 7]]], atol=0.04)
    assert found.parameter("squats").value == 2
    for side in "rl":
        assert found.parameter("knee_flexion_at_bottom", side).value == pytest.approx(np.degrees(DEPTH_RAD), abs=0.1)
        assert found.parameter("hip_flexion_at_bottom", side).value == pytest.approx(np.degrees(1.1), abs=0.1)
    assert found.parameter("difference_knee_flexion_at_bottom").value == pytest.approx(0, abs=0.01)
    assert found.parameter("pelvis_shift").value == pytest.approx(0, abs=1)
    (cycles,) = found.cycles
    assert cycles.values_deg.shape[:2] == (2, 101)
    knee = cycles.mean_deg[:, cycles.angles.index("knee_flexion_r")]
    assert knee[50] == pytest.approx(np.degrees(DEPTH_RAD), abs=1)
    assert knee[0] == pytest.approx(knee[100], abs=3)


@pytest.mark.slow
def test_a_parameters_deviation_is_that_of_the_angle(squats: hb.OsimMotion) -> None:
    model = hb.bsm()
    deviation = np.where(model.rotational, np.radians(3.0), 0.0)
    known = replace(squats, sd_si=np.tile(deviation, (len(squats.time_s), 1)))
    found = analyse(known, model, options=hb.AnalysisOptions(draws=150))
    knee = found.parameter("knee_flexion_at_bottom", "r")
    assert 1.5 < knee.sd < 3.5  # 3 degrees of one frame; half of the variance is shared by both squats
    assert knee.low < np.degrees(DEPTH_RAD) < knee.high
    bottoms = [e for e in found.events if e.name == "squat bottom"]
    assert all(0.01 < e.sd_s < 0.2 for e in bottoms)
    taller = analyse(known, model, options=hb.AnalysisOptions(draws=150, height_sd_m=0.1))
    drop, wide = found.parameter("hip_drop"), taller.parameter("hip_drop")
    assert wide.sd > drop.sd
    assert wide.sd == pytest.approx(np.hypot(drop.sd, drop.value * 0.1 / 1.7), rel=0.3)


def test_slow_noise_has_unit_variance_and_lasts_a_third_of_a_second() -> None:
    noise = slow_noise(np.arange(3000) / 50, 40, np.random.default_rng(1))
    assert noise.std() == pytest.approx(1, abs=0.05)
    assert np.mean(noise[15:] * noise[:-15]) == pytest.approx(np.exp(-0.5), abs=0.06)
    assert np.mean(noise[60:] * noise[:-60]) == pytest.approx(0, abs=0.06)


def test_draws_have_the_deviations_of_the_angles_and_feet_that_stand(squats: hb.OsimMotion) -> None:
    model = hb.bsm()
    deviation = np.where(model.rotational, np.radians(4.0), 0.0)
    rows = slice(None, None, 10)
    known = replace(squats, time_s=squats.time_s[rows], values_si=squats.values_si[rows], sd_si=np.tile(deviation, (60, 1)))
    drawn = list(movement_draws(place(known, model), 80, np.random.default_rng(2)))
    for name in ("knee_flexion_r", "hip_flexion_l", "lumbar_bending"):
        spread = np.degrees(np.std([one.angles_rad[name] for one in drawn], axis=0)).mean()
        assert spread == pytest.approx(4.0, rel=0.15)
    feet = np.std([one.points_m["heel_r"] for one in drawn], axis=0).mean()
    assert feet < 0.02  # independent errors of 4 degrees of pelvis, hip and knee would move it by 8 cm


def test_without_deviations_a_parameter_of_one_repetition_has_none() -> None:
    found = analyse(walker(1.9), options=EXACT)
    assert found.parameter("stride_length", "r").count == 1
    assert found.parameter("stride_length", "r").sd is None
    assert any("no deviations" in note for note in found.notes)


RISES_S = (1.0, 5.5, 8.5)


def sitting() -> Movement:
    """Three rises from a seat, of 1 s each."""
    time_s = np.arange(1100) / 100
    up = sum(smooth(time_s, at) - smooth(time_s, at + 1.7) for at in RISES_S)
    lean = 0.6 * sum(np.exp(-(((time_s - at - 0.1) / 0.35) ** 2)) for at in RISES_S)
    hips = np.stack([-0.42 + 0.45 * up, 0.5 + 0.4 * up, np.zeros_like(up)], axis=1)
    points = {}
    for side, sign in (("r", 1.0), ("l", -1.0)):
        aside = np.array([0, 0, sign * 0.1])
        heel = np.tile([-0.05, 0.03, 0], (len(up), 1)) + aside
        points |= {f"heel_{side}": heel, f"toe_{side}": heel + xyz(0.17, -0.01, 0), f"ankle_{side}": heel + xyz(0.05, 0.05, 0)}
        points[f"hip_{side}"] = hips + aside
        points[f"knee_{side}"] = np.stack([0.08 - 0.02 * up, 0.48 + 0 * up, 0 * up], axis=1) + aside
        points[f"shoulder_{side}"] = hips + np.stack([0.5 * np.sin(lean), 0.5 * np.cos(lean), 0 * up], axis=1) + 1.5 * aside
    return from_joint_centres(time_s, points)


def smooth(time_s: np.ndarray, at_s: float) -> np.ndarray:
    x = np.clip(time_s - at_s, 0, 1)
    return x**3 * (10 - 15 * x + 6 * x**2)


def test_rises_from_a_seat_are_told_from_squats_and_timed() -> None:
    found = analyse(sitting(), options=EXACT)
    assert found.task == "sit-to-stand"
    assert "a seat carries the body" in found.why
    assert found.parameter("rises").value == 3
    assert found.parameter("failed_rises").value == 0
    starts = [e.time_s for e in found.events if e.name == "seat-off"]
    np.testing.assert_allclose(starts, np.add(RISES_S, 0.14), atol=0.06)  # 0.4 m in 1 s: 0.1 m/s after 0.1 s, 2 cm after 0.19 s
    assert found.parameter("rise_time").value == pytest.approx(0.75, abs=0.1)
    assert found.parameter("peak_up_speed").value == pytest.approx(0.4 * 1.875, rel=0.03)
    assert found.parameter("trunk_lean_peak").value == pytest.approx(np.degrees(0.6), abs=1)
    assert found.parameter("arms_used").value == 0


def test_a_rise_that_fails_is_counted_apart() -> None:
    movement = sitting()
    lift = 0.2 * (smooth(movement.time_s, 3.9) - smooth(movement.time_s, 4.3))
    points = {n: v + np.outer(lift, [0, 1, 0]) * n.startswith(("hip", "shoulder")) for n, v in movement.points_m.items()}
    found = analyse(from_joint_centres(movement.time_s, points), options=EXACT)
    assert found.parameter("rises").value == 3
    assert found.parameter("failed_rises").value == 1


def jumper(flight_s: float = 0.5) -> Movement:
    """A jump with a dip before it; the whole body moves as one."""
    time_s = np.arange(300) / 100
    off = 1.5
    speed = 9.80665 * flight_s / 2
    into = np.clip((time_s - (off - 0.6)) / 0.6, 0, 1)
    height = -0.25 * np.sin(np.pi * into) ** 2 * (into < 1)
    push = time_s - off
    air = (push >= 0) & (push <= flight_s)
    height = np.where(air, speed * push - 9.80665 / 2 * push**2, height)
    points = {}
    feet = np.where(air, height, 0.0)
    for side, sign in (("r", 1.0), ("l", -1.0)):
        aside = np.array([0, 0, sign * 0.1])
        for name, level, moves in (("heel", 0.03, feet), ("toe", 0.02, feet), ("ankle", 0.08, feet), ("hip", 0.9, height)):
            forward = 0.17 * (name == "toe")
            points[f"{name}_{side}"] = np.stack([0 * feet + forward, level + moves, 0 * feet], axis=1) + aside
        points[f"knee_{side}"] = (points[f"hip_{side}"] + points[f"ankle_{side}"]) / 2
        points[f"shoulder_{side}"] = points[f"hip_{side}"] + [0, 0.5, 0]
    return from_joint_centres(time_s, points)


def test_a_jump_has_the_height_of_its_flight() -> None:
    found = analyse(jumper(0.5), options=EXACT)
    assert found.task == "jump"
    assert found.parameter("flight_time").value == pytest.approx(0.5, abs=0.02)
    assert found.parameter("jump_height_flight").value == pytest.approx(0.306, abs=0.025)
    assert found.parameter("gravity_seen").value == pytest.approx(9.8, abs=0.8)
    assert [e.name for e in found.events] == ["take-off", "landing"]


def test_running_is_no_series_of_jumps() -> None:
    jump = jumper(0.4)
    flights = np.concatenate([np.arange(145, 195)] * 6)
    time_s = np.arange(len(flights)) / 100
    forward = np.outer(2.5 * time_s, [1, 0, 0])
    running = from_joint_centres(time_s, {name: value[flights] + forward for name, value in jump.points_m.items()})
    found = analyse(running, options=EXACT)
    assert found.task == "none"
    assert "running" in found.why


def test_standing_is_no_task_and_a_task_that_is_not_there_gives_no_parameters(squats: hb.OsimMotion) -> None:
    still = replace(squats, values_si=np.repeat(squats.values_si[:1], len(squats.time_s), axis=0))
    found = analyse(still, hb.bsm(), options=EXACT)
    assert found.task == "none"
    assert found.events == ()
    assert found.parameter("knee_flexion_range", "r").value == pytest.approx(0, abs=1e-9)
    for task in ("gait", "squat", "jump"):
        asked = analyse(still, hb.bsm(), options=hb.AnalysisOptions(task=task, draws=0))
        assert not [p for p in asked.parameters if p.value]
        assert any(f"no {task} was found" in note for note in asked.notes)


def test_the_signs_of_a_model_do_not_matter() -> None:
    text = hb.bsm().to_bytes().decode()
    tilt = text.index("<coordinates>pelvis_tilt</coordinates>")
    turned = text[:tilt] + text[tilt:].replace("<axis>0 0 1</axis>", "<axis>0 0 -1</axis>", 1)
    motion = squat_motion(hb.bsm())
    values = np.array(motion.values_si)
    values[:, motion.coordinates.index("pelvis_tilt")] *= -1
    for given, model in ((motion, text), (replace(motion, values_si=values), turned)):
        found = analyse(given, model.encode(), options=EXACT)
        assert found.parameter("pelvis_tilt_max").value == pytest.approx(np.degrees(0.3), abs=0.1)
        assert found.parameter("thigh_angle_at_bottom", "r").value == pytest.approx(90 - np.degrees(1.1 - 0.3), abs=2)


def test_an_odd_cycle_is_marked_and_left_out_of_the_mean() -> None:
    model = hb.bsm()
    motion = squat_motion(model)
    time_s = np.arange(0, 15, 0.01)
    values = np.tile(motion.values_si[:250], (6, 1))
    names = list(motion.coordinates)
    values[1000:1250, names.index("elbow_flexion_r")] += np.linspace(0, 2, 250)
    long = hb.OsimMotion(time_s=time_s, coordinates=names, values_si=values, rotational=motion.rotational)
    found = analyse(long, model, options=EXACT)
    (cycles,) = found.cycles
    assert len(cycles.spans) == 6
    assert [bool(span.note) for span in cycles.spans] == [False, False, False, False, True, False]
    assert cycles.mean_deg[:, cycles.angles.index("elbow_flexion_r")] == pytest.approx(0, abs=0.5)


def test_the_command_writes_tables_that_agree(
    squats: hb.OsimMotion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hb.write_mot(tmp_path / "deep.mot", squats)
    hb.bsm().write(tmp_path / "deep.osim")
    arguments = ["analyse", str(tmp_path / "deep.mot"), "-o", str(tmp_path / "out"), "--draws", "3", "--json"]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    stored = json.loads((tmp_path / "out" / "deep_analysis.json").read_text())
    assert printed["motions"] == [stored]
    with (tmp_path / "out" / "deep_parameters.csv").open() as file:
        rows = {(row["name"], row["side"]): row for row in csv.DictReader(file)}
    assert float(rows["knee_flexion_at_bottom", "r"]["value"]) == pytest.approx(np.degrees(DEPTH_RAD), abs=0.1)
    assert rows["hip_drop", ""]["unit"] == "m"
    assert rows["hip_drop", ""]["definition"]
    with (tmp_path / "out" / "deep_events.csv").open() as file:
        assert [row["event"] for row in csv.DictReader(file)] == ["squat start", "squat bottom", "squat end"] * 2
    with (tmp_path / "out" / "deep_cycles.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4 * 101
    assert main(arguments) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*arguments, "--side-forces", "--overwrite"]) == 0
    with (tmp_path / "out" / "deep_side_forces.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 600
    deep = str(tmp_path / "deep.mot")
    for words, message in (
        ([deep, "--side-forces"], "-o"),
        ([deep, deep, "-o", "x"], "same name"),
        ([deep, deep, "--loads", "y"], "one motion"),
    ):
        assert main(["analyse", *words]) == 1
        assert message in capsys.readouterr().err


def test_a_band_of_the_user_is_compared(squats: hb.OsimMotion, tmp_path: Path) -> None:
    found = analyse(squats, hb.bsm(), options=EXACT)
    (cycles,) = found.cycles
    knee = cycles.mean_deg[:, cycles.angles.index("knee_flexion_r")]
    path = tmp_path / "band.csv"
    rows = [f"{k},{value + 5},{2 if k < 50 else 10}" for k, value in enumerate(knee)]
    path.write_text("percent,knee_flexion_r_mean_deg,knee_flexion_r_sd_deg\n" + "\n".join(rows))
    (band,) = analyse(squats, hb.bsm(), band=path, options=EXACT).bands
    assert (band.angle, band.rms_deg) == ("knee_flexion_r", pytest.approx(5))
    assert band.inside_share == pytest.approx(51 / 101)
    assert band.offset_deg == pytest.approx(-5)
    path.write_text("percent,knee_mean\n0,1\n")
    with pytest.raises(hb.errors.FormatError, match="there is no <angle>_mean_deg"):
        read_band(path)


def test_two_motions_are_compared_at_their_best_shift(squats: hb.OsimMotion) -> None:
    values = np.array(squats.values_si)
    knee = squats.coordinates.index("knee_angle_r")
    values[:, knee] += np.radians(3)
    values[:, squats.coordinates.index("pelvis_rotation")] += 2 * np.pi
    later = replace(squats, time_s=np.asarray(squats.time_s) + 0.123, values_si=values)
    found = hb.compare(squats, later, models=(hb.bsm(), hb.bsm()), options=EXACT)
    assert found.lag_s == pytest.approx(-0.123, abs=0.003)
    by_name = {one.name: one for one in found.coordinates}
    assert by_name["knee_angle_r"].mean_difference == pytest.approx(3, abs=0.05)
    assert by_name["knee_angle_r"].rmse_without_mean == pytest.approx(0, abs=0.3)
    assert by_name["knee_angle_r"].correlation == pytest.approx(1, abs=1e-3)
    assert by_name["knee_angle_r"].limits_low < 3 < by_name["knee_angle_r"].limits_high
    assert by_name["pelvis_rotation"].mean_difference == pytest.approx(0, abs=1e-6)
    assert by_name["pelvis_rotation"].correlation is None
    deeper = {(p.name, p.side): p.difference for p in found.parameters}
    assert deeper["knee_flexion_at_bottom", "r"] == pytest.approx(3, abs=0.05)
    assert deeper["knee_flexion_at_bottom", "l"] == pytest.approx(0, abs=0.05)
    with_clock = hb.compare(squats, later, align="time")
    assert with_clock.lag_s == 0
    assert {one.name: one for one in with_clock.coordinates}["knee_angle_l"].rmse > 3
    assert any("without a model" in note for note in with_clock.notes)


def test_cycles_are_compared_where_the_times_differ(squats: hb.OsimMotion) -> None:
    slower = replace(squats, time_s=1.4 * np.asarray(squats.time_s))
    found = hb.compare(squats, slower, models=(hb.bsm(), hb.bsm()), align="events", options=EXACT)
    knee = next(one for one in found.coordinates if one.name == "knee_flexion_r squat")
    assert knee.rmse < 2
    assert found.curves.shape[:2] == (2, 101)
    with pytest.raises(hb.errors.InputError, match="needs models and cycles"):
        hb.compare(squats, slower, align="events")
    alone = hb.OsimMotion(time_s=squats.time_s, coordinates=("x_tx",), values_si=np.zeros((600, 1)), rotational=[False])
    with pytest.raises(hb.errors.InputError, match="no coordinate in common"):
        hb.compare(squats, alone)


def test_the_compare_command_writes_its_tables(squats: hb.OsimMotion, tmp_path: Path, capsys) -> None:
    for name in ("before", "after"):
        hb.write_mot(tmp_path / f"{name}.mot", squats)
    command = ["compare", str(tmp_path / "before.mot"), str(tmp_path / "after.mot"), "-o", str(tmp_path / "out"), "--json"]
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out)
    assert max(one["rmse"] for one in printed["coordinates"]) < 1e-3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(Path(file).name for file in printed["files"])


def standing_motion(shift_m: float = 0.0, noise_rad: float = 0.0) -> hb.OsimMotion:
    """BSM stands for 4 s with its feet on their places, the pelvis shifted to the right."""
    squat = squat_motion(hb.bsm())
    values = np.repeat(squat.values_si[:1], 400, axis=0)
    column = squat.coordinates.index
    tree = hb.bsm().tree()
    leg_m = float(tree.forward(values[:1]).positions_m[0, tree.bodies.index("femur_r"), 1]) - 0.1
    values[:, column("pelvis_tz")] += shift_m
    for side, sign in (("r", 1), ("l", -1)):
        values[:, column(f"hip_adduction_{side}")] += sign * np.arcsin(shift_m / leg_m)
    noise = np.random.default_rng(3).normal(0, noise_rad, (400, 3))
    for k, name in enumerate(("lumbar_bending", "lumbar_extension", "pelvis_list")):
        values[:, column(name)] += noise[:, k]
    return replace(squat, time_s=np.arange(400) / 100, values_si=values)


def test_somebody_who_stands_carries_half_the_weight_on_each_foot() -> None:
    forces = side_forces(standing_motion(noise_rad=0.01), hb.bsm())
    assert forces.task == "none"
    half = forces.weight_n / 2
    assert np.abs(forces.vertical_n - half).max() < 0.05 * half
    assert np.all(forces.sd_n > 0.02 * half)
    assert forces.to_frame().shape == (400, 10)


def test_a_shift_of_the_pelvis_shows_in_the_load() -> None:
    forces = side_forces(standing_motion(shift_m=0.03), hb.bsm())
    share = np.median(forces.vertical_n[:, 0]) / forces.weight_n
    assert 0.53 < share < 0.75
    assert np.nanmedian(forces.pressure_m[:, 0, 2]) > np.nanmedian(forces.pressure_m[:, 1, 2])


def test_a_symmetric_squat_loads_both_sides_alike(squats: hb.OsimMotion) -> None:
    forces = side_forces(squats, hb.bsm())
    assert forces.task == "squat"
    np.testing.assert_allclose(forces.vertical_n[:, 0], forces.vertical_n[:, 1], rtol=0.05)
    assert forces.vertical_n.sum(axis=1).mean() == pytest.approx(forces.weight_n, rel=0.03)
    speed = np.gradient(np.gradient(forces.vertical_n.sum(axis=1), squats.time_s), squats.time_s)
    assert np.abs(speed).max() < 100 * forces.weight_n  # no steps


@pytest.mark.assets
@pytest.mark.parametrize(
    ("folder", "motion", "model"),
    [("motion/s4_walk_grf", "ref.mot", "ref.osim"), ("dynamics/gait10dof_walk", "ik.mot", "model.osim")],
)
def test_side_forces_of_walking_agree_with_force_plates(shared: Path, folder: str, motion: str, model: str) -> None:
    trial = shared / "data" / folder
    forces = side_forces(trial / motion, trial / model)
    time_s = forces.time_s
    plates = {force.body[-1]: force for force in read_loads(trial / "external_loads.xml").forces}
    measured = [np.interp(time_s, plates[side].time_s, plates[side].force_n[:, 1]) for side in "rl"]
    seen = (time_s > 0.15) & (time_s < time_s[-1] - 0.05)  # before, a foot of s4 stands beside the plates
    for k in range(2):
        error = (forces.vertical_n[:, k] - measured[k])[seen] / forces.weight_n
        assert np.sqrt(np.mean(error**2)) <= 0.06
        carried = seen & (measured[k] > 0.1 * forces.weight_n) & np.isfinite(forces.pressure_m[:, k, 0])
        ahead = np.interp(time_s, plates["rl"[k]].time_s, plates["rl"[k]].point_m[:, 0])
        assert np.sqrt(np.mean((forces.pressure_m[:, k, 0] - ahead)[carried] ** 2)) <= 0.04


def test_the_report_shows_parameters_and_mean_cycles(squats: hb.OsimMotion) -> None:
    found = analyse(squats, hb.bsm(), options=hb.AnalysisOptions(draws=4))
    section = findings_section(found)
    depth = found.parameter("knee_flexion_at_bottom", "r")
    assert f"{depth.value:.1f} &plusmn; {depth.sd:.1f}" in section
    assert "the feet carry the body" in section
    assert section.count("<svg") == 4  # hip, knee, ankle, tilt: nothing else moves
    assert "100 %</text>" in section
    assert 'class="cursor"' not in section
    assert "cycles" not in findings_json(found)
    quiet = findings_section(analyse(standing_motion(), hb.bsm(), options=EXACT))
    assert "None: no flight" in quiet
    assert "<svg" not in quiet


@pytest.mark.parametrize(
    ("argument", "message"),
    [(["--task", "run"], "task must be one of"), (["--model", "no.osim"], "no.osim"), (["--draws", "-1"], "draws must be")],
)
def test_a_wrong_choice_is_one_line(argument: list[str], message: str, squats, tmp_path: Path, capsys) -> None:
    hb.write_mot(tmp_path / "deep.mot", squats)
    hb.bsm().write(tmp_path / "deep.osim")
    assert main(["analyse", str(tmp_path / "deep.mot"), *argument]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_a_model_without_legs_is_refused() -> None:
    model = hb.bsm().to_bytes().replace(b"calcn_l", b"foot_l")
    with pytest.raises(hb.errors.ModelError, match="calcn_l"):
        analyse(squat_motion(hb.bsm()), model, options=EXACT)


def test_results_are_short_in_a_notebook(squats: hb.OsimMotion) -> None:
    found = analyse(squats, hb.bsm(), options=EXACT, name="<ann>")
    assert repr(found).startswith("Analysis('<ann>': squat, 6 events, 2 cycles")
    assert repr(found.cycles[0]).startswith("Cycles(2 squats")
    shown = found._repr_html_()
    assert "&lt;ann&gt;" in shown and "knee_flexion_at_bottom" in shown
    assert len(repr(side_forces(squats, hb.bsm()))) < 100
    assert len(repr(hb.compare(squats, squats))) < 100


def test_names_of_files_are_those_of_the_clip(squats: hb.OsimMotion, tmp_path: Path) -> None:
    paths = write_analysis(tmp_path, analyse(squats, hb.bsm(), options=EXACT, name="ann"))
    assert sorted(path.name for path in paths) == sorted(path.name for path in tmp_path.iterdir())
    assert {path.name for path in paths} == {
        f"ann_{end}" for end in ("events.csv", "parameters.csv", "cycles.csv", "analysis.json")
    }


@pytest.mark.assets
@pytest.mark.parametrize(
    ("folder", "motion", "model"),
    [("motion/s4_walk_grf", "ref.mot", "ref.osim"), ("dynamics/gait10dof_walk", "ik.mot", "model.osim")],
)
def test_events_of_the_motion_agree_with_force_plates(shared: Path, folder: str, motion: str, model: str) -> None:
    trial = shared / "data" / folder
    found = analyse(trial / motion, trial / model, loads=trial / "external_loads.xml", options=EXACT)
    plates = [e for e in found.events if e.evidence == "forces"]
    own = [e for e in found.events if e.evidence == "motion"]
    errors = []
    for event in plates:
        near = [e.time_s - event.time_s for e in own if (e.name, e.side) == (event.name, event.side)]
        errors.append(min(map(abs, near)))
    assert len(plates) >= 4
    assert np.median(errors) <= 0.02
    assert np.percentile(errors, 90) <= 0.04
    assert len(own) - len(plates) == (1 if "s4" in folder else 0)  # the left foot of s4 leaves ground without a plate


@pytest.mark.assets
def test_five_rises_of_a_marker_trial_are_found(shared: Path) -> None:
    with np.load(shared / "data/video/opencap_markers/sit_to_stand/ref.npz") as stored:
        names, places = list(stored["joint_names"]), stored["joint_pos"].astype(float)
        found = analyse(from_joint_centres(stored["time"], {n: places[:, k] for k, n in enumerate(names)}), options=EXACT)
    assert found.task == "sit-to-stand"
    assert found.parameter("rises").value == 5
    assert found.parameter("rise_time").value == pytest.approx(0.78, abs=0.1)


@pytest.mark.assets
def test_the_depth_of_squats_comes_from_joint_centres_too(shared: Path) -> None:
    trial = shared / "data" / "motion" / "e1_squat"
    reference = analyse(trial / "ref.mot", options=EXACT)
    markers = hb.read_trc(trial / "keypoints_n10.trc")
    points = {name: markers.positions_m[:, k] for k, name in enumerate(markers.names)}
    found = analyse(from_joint_centres(markers.time_s, points), options=EXACT)
    assert reference.parameter("squats").value == found.parameter("squats").value == 3
    for side in "rl":
        depth = [one.parameter("knee_flexion_at_bottom", side).value for one in (reference, found)]
        assert depth[0] == pytest.approx(depth[1], abs=3)
