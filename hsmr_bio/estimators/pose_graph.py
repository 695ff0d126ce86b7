"""MediaPipe's pose networks, called with a region of interest that we choose ourselves.

``mp.solutions.pose`` follows one person of its own choice and smooths the landmarks with a delay. Its two parts, the
person detector and the landmark network, are registered subgraphs of the wheel and run here separately: several people,
no smoothing, no hidden state. The wheel contains both models; there is no download.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import require
from hsmr_bio.io.silence import no_stderr
from hsmr_bio.io.upright import RgbImage
from hsmr_bio.types import FloatArray

_Packet = Any
"""A packet of MediaPipe's Python binding."""
_Message = Any
"""A protobuf message or extension of MediaPipe."""
LANDMARKS = 33
"""Landmarks per person."""
SHOULDERS, HIPS, KNEES, ANKLES = [11, 12], [23, 24], [25, 26], [27, 28]
"""Landmarks of the left and right joint."""
FIRST_BODY_LANDMARK = 11
"""The landmarks before are of the face."""
_FEATURE = "the blazepose estimator"
_WARM_UP_PX = 64
"""Side of the black picture of the first, discarded run."""
ROI_MARGIN = 1.25
"""Enlargement of the square around a person (MediaPipe, pose_landmarks_to_roi.pbtxt)."""
_DETECT = """
input_stream: "image"
output_stream: "detections"
node { calculator: "PoseDetectionCpu" input_stream: "IMAGE:image" output_stream: "DETECTIONS:detections" }
"""
_LANDMARK = """
input_stream: "image"
input_stream: "roi"
output_stream: "landmarks"
output_stream: "auxiliary"
output_stream: "world"
node {
  calculator: "PoseLandmarkByRoiCpu"
  input_stream: "IMAGE:image"
  input_stream: "ROI:roi"
  output_stream: "LANDMARKS:landmarks"
  output_stream: "AUXILIARY_LANDMARKS:auxiliary"
  output_stream: "WORLD_LANDMARKS:world"
}
"""


@dataclass(frozen=True, eq=False)
class Region:
    """A rotated square around one person, in pixels."""

    center_px: FloatArray
    """(2,) middle of the hips."""
    side_px: float
    rotation_rad: float
    """Clockwise lean of the person in the picture."""

    @classmethod
    def around(cls, hips_px: FloatArray, reach_px: FloatArray) -> Region:
        """Make the square around the hips that contains the circle around the whole body.

        Args:
            hips_px: (2,) middle of the hips.
            reach_px: (2,) a point on that circle; in an upright person it is above the hips.

        Returns:
            The square, enlarged by ``ROI_MARGIN``.

        Source:
            MediaPipe, AlignmentPointsRectsCalculator: the line from hips to reach points up in an upright person.
        """
        line = np.asarray(reach_px) - np.asarray(hips_px)
        rotation = np.pi / 2 - np.arctan2(-line[1], line[0])
        rotation = (rotation + np.pi) % (2 * np.pi) - np.pi
        return cls(np.asarray(hips_px, dtype=np.float64), float(2 * ROI_MARGIN * np.hypot(*line)), float(rotation))


@dataclass(frozen=True, eq=False)
class Detection:
    """One person found by the detector."""

    region: Region
    score: float


@dataclass(frozen=True, eq=False)
class Landmarks:
    """One person's 33 landmarks in one picture."""

    px: FloatArray
    """(33, 2)."""
    world_m: FloatArray
    """(33, 3) relative to the middle of the hips: x right, y down, z forward."""
    visibility: FloatArray
    """(33,) in [0, 1]."""
    region: Region
    """The square to search for the same person in the next picture."""


class PoseGraph:
    """The detector and the landmark network; close it, or use it in a ``with`` statement.

    Args:
        min_score: lowest score of a detection, in (0, 1).
        min_presence: lowest probability of a person for which landmarks are given, in (0, 1).
    """

    def __init__(self, *, min_score: float = 0.5, min_presence: float = 0.5) -> None:
        self._mp = require("mediapipe", feature=_FEATURE)
        from mediapipe.python._framework_bindings import resource_util

        resource_util.set_resource_dir(str(Path(str(self._mp.__file__)).resolve().parents[1]))
        with no_stderr():  # the interpreters print a message when they are made and when they first run
            self._detect = _Graph(_DETECT, {"TensorsToDetectionsCalculator": ("min_score_thresh", min_score)})
            self._landmark = _Graph(_LANDMARK, {"ThresholdingCalculator": ("threshold", min_presence)})
            black = np.zeros((_WARM_UP_PX, _WARM_UP_PX, 3), dtype=np.uint8)
            self.detect(black)
            self.landmarks(black, Region(np.full(2, _WARM_UP_PX / 2), _WARM_UP_PX, 0.0))

    def __enter__(self) -> PoseGraph:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the networks."""
        self._detect.close()
        self._landmark.close()

    def detect(self, rgb: RgbImage, *, origin_px: tuple[int, int] = (0, 0)) -> list[Detection]:
        """Find people in a picture; the network reduces it to 224 x 224 pixels, so small people need a part of the picture.

        Args:
            rgb: (H, W, 3).
            origin_px: (x, y) of ``rgb`` in the whole picture; added to the results.

        Returns:
            The detections, in pixels of the whole picture.
        """
        output = self._detect.run(image=_image_packet(rgb))
        if "detections" not in output:
            return []
        size = np.array([rgb.shape[1], rgb.shape[0]], dtype=np.float64)
        found = []
        for detection in _messages(output["detections"], several=True):
            points = np.array([(k.x, k.y) for k in detection.location_data.relative_keypoints]) * size + origin_px
            found.append(Detection(Region.around(points[0], points[1]), float(detection.score[0])))
        return found

    def landmarks(self, rgb: RgbImage, region: Region) -> Landmarks | None:
        """Estimate the landmarks of the person in a region.

        Args:
            rgb: (H, W, 3) the whole picture.
            region: in its pixels.

        Returns:
            The landmarks, or None if there is no person.
        """
        if not (region.side_px > 0 and np.isfinite(region.side_px) and np.isfinite(region.center_px).all()):
            return None
        output = self._landmark.run(image=_image_packet(rgb), roi=_region_packet(region, rgb.shape))
        if "landmarks" not in output or "world" not in output or "auxiliary" not in output:
            return None
        size = np.array([rgb.shape[1], rgb.shape[0]], dtype=np.float64)
        landmarks = _messages(output["landmarks"]).landmark
        auxiliary = _rows(_messages(output["auxiliary"]).landmark, "xy") * size
        return Landmarks(
            px=_rows(landmarks, "xy") * size,
            world_m=_rows(_messages(output["world"]).landmark, "xyz"),
            visibility=np.array([p.visibility for p in landmarks]),
            region=Region.around(auxiliary[0], auxiliary[1]),
        )


def _messages(packet: _Packet, *, several: bool = False) -> _Message:
    """Read a packet, without the deprecation warning of a protobuf function that MediaPipe calls."""
    from mediapipe.python import packet_getter

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype", category=UserWarning)
        return packet_getter.get_proto_list(packet) if several else packet_getter.get_proto(packet)


def _rows(points: Sequence[_Message], fields: str) -> FloatArray:
    return np.array([[getattr(p, name) for name in fields] for p in points], dtype=np.float64)


def _image_packet(rgb: RgbImage) -> _Packet:
    from mediapipe.python import packet_creator
    from mediapipe.python._framework_bindings import image_frame

    return packet_creator.create_image_frame(image_format=image_frame.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))


def _region_packet(region: Region, shape: tuple[int, ...]) -> _Packet:
    from mediapipe.framework.formats import rect_pb2
    from mediapipe.python import packet_creator

    height, width = shape[:2]
    return packet_creator.create_proto(
        rect_pb2.NormalizedRect(
            x_center=region.center_px[0] / width,
            y_center=region.center_px[1] / height,
            width=region.side_px / width,
            height=region.side_px / height,
            rotation=region.rotation_rad,
        )
    )


class _Graph:
    """A running MediaPipe graph: packets in, packets out, one at a time.

    Args:
        config: the graph as text.
        options: calculator name -> (option, value) to change in it.
    """

    def __init__(self, config: str, options: dict[str, tuple[str, float]]) -> None:
        from google.protobuf import text_format
        from mediapipe.framework import calculator_pb2
        from mediapipe.python._framework_bindings import calculator_graph, validated_graph_config

        validated = validated_graph_config.ValidatedGraphConfig()
        validated.initialize(graph_config=text_format.Parse(config, calculator_pb2.CalculatorGraphConfig()))
        expanded = calculator_pb2.CalculatorGraphConfig.FromString(validated.binary_config)
        for node in expanded.node:
            if node.calculator in options:
                name, value = options[node.calculator]
                setattr(node.options.Extensions[_options_of(node.calculator)], name, value)
        self._graph = calculator_graph.CalculatorGraph(graph_config=expanded)
        self._output: dict[str, _Packet] = {}
        for name in expanded.output_stream:
            self._graph.observe_output_stream(name, self._output.__setitem__)
        self._graph.start_run()
        self._step = 0

    def run(self, **inputs: _Packet) -> dict[str, _Packet]:
        self._output.clear()
        self._step += 1
        for name, packet in inputs.items():
            self._graph.add_packet_to_input_stream(name, packet.at(self._step))
        self._graph.wait_until_idle()
        return self._output

    def close(self) -> None:
        self._graph.close()


def _options_of(calculator: str) -> _Message:
    from mediapipe.calculators.tensor import tensors_to_detections_calculator_pb2
    from mediapipe.calculators.util import thresholding_calculator_pb2

    return {
        "TensorsToDetectionsCalculator": tensors_to_detections_calculator_pb2.TensorsToDetectionsCalculatorOptions.ext,
        "ThresholdingCalculator": thresholding_calculator_pb2.ThresholdingCalculatorOptions.ext,
    }[calculator]
