"""MediaPipe's own pose graphs, the reference of our runtime: the detector, and the landmark network on a given region.

Needs the package ``mediapipe`` 0.10.14, which the project itself does not.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hsmr_bio.estimators.regions import Detection, Landmarks, Region
from hsmr_bio.io.silence import no_stderr
from hsmr_bio.io.upright import RgbImage
from hsmr_bio.types import FloatArray

_Packet = Any
"""A packet of MediaPipe's Python binding."""
_Message = Any
"""A protobuf message or extension of MediaPipe."""
_WARM_UP_PX = 64
"""Side of the black picture of the first, discarded run."""
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


class PoseGraph:
    """The detector and the landmark network; close it, or use it in a ``with`` statement.

    Args:
        heavy: the heavy landmark network (``pose_landmark_heavy.tflite``) in place of the wheel's full one.
        min_score: lowest score of a detection, in (0, 1).
        min_presence: lowest probability of a person for which landmarks are given, in (0, 1).
        kernel: cells per side of the window in which landmarks are refined; 7 in MediaPipe's graph. Its Python binding sends
            the graph as text, in which this option is lost unless its module is imported; then it is 9.
    """

    def __init__(
        self, heavy: Path | None = None, *, min_score: float = 0.5, min_presence: float = 0.5, kernel: int = 7
    ) -> None:
        import mediapipe
        from mediapipe.python._framework_bindings import resource_util

        self._folder = TemporaryDirectory()
        modules = Path(str(mediapipe.__file__)).resolve().parent / "modules"
        for name in ("pose_detection", "pose_landmark"):
            shutil.copytree(modules / name, Path(self._folder.name) / "mediapipe" / "modules" / name)
        if heavy is not None:
            target = Path(self._folder.name) / "mediapipe" / "modules" / "pose_landmark" / "pose_landmark_full.tflite"
            shutil.copyfile(heavy, target)
        resource_util.set_resource_dir(self._folder.name)
        with no_stderr():  # the interpreters print a message when they are made and when they first run
            self._detect = _Graph(_DETECT, {"TensorsToDetectionsCalculator": ("min_score_thresh", min_score)})
            self._landmark = _Graph(
                _LANDMARK,
                {
                    "ThresholdingCalculator": ("threshold", min_presence),
                    "RefineLandmarksFromHeatmapCalculator": ("kernel_size", kernel),
                },
            )
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
        self._folder.cleanup()

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
        if not region.usable:
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
    from mediapipe.calculators.util import refine_landmarks_from_heatmap_calculator_pb2, thresholding_calculator_pb2

    return {
        "TensorsToDetectionsCalculator": tensors_to_detections_calculator_pb2.TensorsToDetectionsCalculatorOptions.ext,
        "ThresholdingCalculator": thresholding_calculator_pb2.ThresholdingCalculatorOptions.ext,
        "RefineLandmarksFromHeatmapCalculator": (
            refine_landmarks_from_heatmap_calculator_pb2.RefineLandmarksFromHeatmapCalculatorOptions.ext
        ),
    }[calculator]
