"""Reading videos, images and folders: upright, in time, in one pass, with one clear line when it cannot be done."""

from __future__ import annotations

import struct
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.io.thumbnails import Thumbnails, rgb_of
from hsmr_bio.io.video import VideoFrame, open_video

WIDTH, HEIGHT = 64, 48


def corner_picture(width: int = WIDTH, height: int = HEIGHT, level: int = 0) -> np.ndarray:
    """A picture whose corners tell how it was turned: red top left, green top right, blue bottom left."""
    picture = np.full((height, width, 3), level, dtype=np.uint8)
    h, w = height // 2, width // 2
    picture[:h, :w] = (255, 0, 0)
    picture[:h, w:] = (0, 255, 0)
    picture[h:, :w] = (0, 0, 255)
    return picture


def write_video(
    path: Path, pictures: list[np.ndarray], stamps: list[int] | None = None, codec: str = "libx264", **options: str
) -> Path:
    """A small video with 1/1000 s stamps (30 Hz unless given)."""
    flags = {name: value for name, value in options.items() if name == "movflags"}
    with av.open(str(path), "w", options=flags) as container:
        stream = container.add_stream(codec, rate=30, options={k: v for k, v in options.items() if k not in flags})
        stream.width, stream.height = pictures[0].shape[1], pictures[0].shape[0]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = stamps[number] if stamps else round(number * 1000 / 30)
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def set_display_matrix(path: Path, matrix: tuple[float, float, float, float]) -> None:
    """Write (a, b, c, d) into the track header of an MP4, as phones do instead of turning the picture."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4
    assert content[start] == 0, "a version 0 track header was expected"
    a, b, c, d = (round(value * 65536) for value in matrix)
    content[start + 40 : start + 76] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def colour_at(rgb: np.ndarray, right: bool, bottom: bool) -> str:
    y, x = (int(rgb.shape[0] * (0.75 if bottom else 0.25)), int(rgb.shape[1] * (0.75 if right else 0.25)))
    pixel = rgb[y, x].astype(int)
    return "dark" if pixel.max() < 90 else "rgb"[int(pixel.argmax())]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", [corner_picture(level=3 * i) for i in range(20)])


def test_frames_come_in_order_with_their_times(clip: Path) -> None:
    video = open_video(clip)
    frames = list(video)
    assert video.info.image_size_px == (WIDTH, HEIGHT)
    assert video.info.frame_count == 20
    assert [f.index for f in frames] == list(range(20))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(20) / 30, atol=6e-4)
    assert frames[0].rgb.shape == (HEIGHT, WIDTH, 3)
    assert frames[0].scale == (1.0, 1.0)
    assert [f.time_s for f in video] == [f.time_s for f in frames], "a second pass gives the same"


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    stamps = [0, 33, 50, 133, 140, 400, 433]
    path = write_video(tmp_path / "vfr.mp4", [corner_picture()] * len(stamps), stamps)
    np.testing.assert_allclose([f.time_s for f in open_video(path)], np.array(stamps) / 1000, atol=1e-3)


@pytest.mark.parametrize(
    ("matrix", "size", "corners"),
    [
        ((1, 0, 0, 1), (WIDTH, HEIGHT), "rgb"),
        ((0, 1, -1, 0), (HEIGHT, WIDTH), "br."),
        ((-1, 0, 0, -1), (WIDTH, HEIGHT), ".bg"),
        ((0, -1, 1, 0), (HEIGHT, WIDTH), "g.r"),
        ((-1, 0, 0, 1), (WIDTH, HEIGHT), "gr."),
    ],
    ids=["upright", "quarter", "half", "three quarters", "mirrored"],
)
def test_rotation_flags_are_applied(clip: Path, matrix: tuple[float, ...], size: tuple[int, int], corners: str) -> None:
    """Corners: top left, top right, bottom left ('.' is the dark corner)."""
    set_display_matrix(clip, matrix)
    video = open_video(clip)
    rgb = next(iter(video)).rgb
    assert video.info.image_size_px == size
    assert (rgb.shape[1], rgb.shape[0]) == size
    seen = [colour_at(rgb, right, bottom) for right, bottom in ((False, False), (True, False), (False, True))]
    assert [s if s != "dark" else "." for s in seen] == list(corners)


def test_a_rotation_that_is_no_quarter_turn_is_refused(clip: Path) -> None:
    angle = np.radians(30)
    set_display_matrix(clip, (np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)))
    with pytest.raises(FormatError, match="rotation of 30 degrees"):
        open_video(clip)


def test_start_and_end_cut(clip: Path) -> None:
    video = open_video(clip, start_s=0.2, end_s=0.4)
    frames = list(video)
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(7) / 30, atol=2e-3)
    assert video.info.frame_count == 7
    source = list(open_video(clip, start_s=0.2, end_s=0.4, source_clock=True))
    assert source[0].time_s == pytest.approx(0.2, abs=2e-3)
    np.testing.assert_array_equal(source[0].rgb, frames[0].rgb)


def test_start_in_the_middle_of_a_long_gap_between_key_frames(tmp_path: Path) -> None:
    pictures = [np.full((HEIGHT, WIDTH, 3), 2 * i, dtype=np.uint8) for i in range(100)]
    path = write_video(tmp_path / "long.mp4", pictures, bf="3")
    whole = list(open_video(path))
    for first in range(70, 80):  # also between pictures that no other one needs
        part = list(open_video(path, start_s=whole[first].time_s))
        assert len(part) == 100 - first
        for ours, expected in zip(part, whole[first:], strict=True):
            np.testing.assert_array_equal(ours.rgb, expected.rgb)


@pytest.mark.parametrize("told", [True, False], ids=["length known", "length unknown"])
@pytest.mark.parametrize("count", [1, 5, 130, 1000])
def test_thumbnails_are_few_and_spread_over_a_clip_of_any_length(count: int, told: bool) -> None:
    thumbnails = Thumbnails(count / 30 if told else None)
    for i in range(count):
        thumbnails.update(VideoFrame(i, i / 30, np.full((90, 160, 3), 250 * i // count, dtype=np.uint8), (12.0, 12.0)))
    every = np.arange(count) / 30
    found = thumbnails.of(every)
    assert 1 <= len(found) <= 6
    times = np.array([thumbnail.time_s for thumbnail in found])
    if count > 100:
        assert len(found) == 6 or not told
        assert np.diff([0, *times, every[-1]]).max() < 0.3 * every[-1]
    for thumbnail in found:
        picture = rgb_of(thumbnail)
        assert picture is not None and picture.shape == (90, 160, 3)
        np.testing.assert_allclose(picture, 250 * round(thumbnail.time_s * 30) // count, atol=3)
        assert thumbnail.scale == (12.0, 12.0)
    late = every[every > 0.5 * every[-1]]
    assert all(thumbnail.time_s in late for thumbnail in thumbnails.of(late)), "only where the person is seen"
    assert thumbnails.of(every[:0]) == ()


def test_thumbnails_are_small_and_say_so() -> None:
    thumbnails = Thumbnails(None)
    thumbnails.update(VideoFrame(0, 0.0, np.zeros((1920, 1080, 3), dtype=np.uint8), (2.0, 2.0)))
    (thumbnail,) = thumbnails.of(np.zeros(1))
    picture = rgb_of(thumbnail)
    assert picture is not None and picture.shape == (720, 405, 3)
    assert thumbnail.scale == pytest.approx((2 * 1080 / 405, 2 * 1920 / 720))
    assert rgb_of(replace(thumbnail, jpeg=thumbnail.jpeg[:20])) is None


@pytest.mark.slow
def test_large_frames_are_made_smaller_and_say_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "8k.mp4", [corner_picture(7680, 4320)], preset="ultrafast")
    video = open_video(path, max_side_px=1920)
    frame = next(iter(video))
    assert video.info.image_size_px == (7680, 4320)
    assert frame.rgb.shape == (1080, 1920, 3)
    assert frame.scale == (4.0, 4.0)


def test_hevc_and_two_frames() -> None:
    frames = list(open_video(Path(__file__).parent / "golden" / "two_frames_hevc.mov"))
    assert [frame.time_s for frame in frames] == pytest.approx([0, 1 / 30])
    np.testing.assert_allclose(frames[1].rgb[10, 10], (255, 0, 0), atol=30)


def test_one_image(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(corner_picture()).save(tmp_path / "one.png")
    video = open_video(tmp_path / "one.png")
    frames = list(video)
    assert video.info.kind == "image"
    assert [f.time_s for f in frames] == [0.0]
    np.testing.assert_array_equal(frames[0].rgb, corner_picture())


def test_a_folder_of_images_in_natural_order(tmp_path: Path) -> None:
    from PIL import Image

    for number in (1, 2, 10, 9):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), 20 * number, dtype=np.uint8)).save(tmp_path / f"img{number}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    frames = list(open_video(tmp_path, fps_hz=50))
    assert [int(f.rgb[0, 0, 0]) for f in frames] == [20, 40, 180, 200]
    np.testing.assert_allclose([f.time_s for f in frames], [0, 0.02, 0.04, 0.06])
    assert len(list(open_video(tmp_path, fps_hz=50, start_s=0.02, end_s=0.04))) == 2


def test_images_of_different_size_are_refused(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(corner_picture()).save(tmp_path / "a.png")
    Image.fromarray(corner_picture(32, 32)).save(tmp_path / "b.png")
    with pytest.raises(FormatError, match=r"b\.png: this image is 32 x 32, but the first one is 64 x 48"):
        list(open_video(tmp_path, fps_hz=30))


def test_a_text_file_is_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("I am not a video. " * 100)
    with pytest.raises(FormatError, match=r"text\.mp4: this is not a video or image"):
        open_video(path)


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_video(tmp_path / "nothing.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(FormatError, match="not a video"):
        open_video(tmp_path / "empty.mp4")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="no image in this folder"):
        open_video(tmp_path / "folder", fps_hz=30)


def test_a_video_without_its_index_is_refused(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:-200])
    with pytest.raises(FormatError, match=r"clip\.mp4"):
        list(open_video(clip))


def test_a_video_that_breaks_off_is_refused_with_the_place(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(60)]
    path = write_video(tmp_path / "broken.mp4", noise, movflags="faststart")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    with pytest.raises(FormatError, match=r"ends after \d\.\d+ s of 2\.00 s.*--end"):
        list(open_video(path))
    assert len(list(open_video(path, end_s=0.5))) == 16, "what is there can be used"


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), dtype=np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(FormatError, match="no picture"):
        open_video(path)


def test_a_start_behind_the_end_is_refused(clip: Path) -> None:
    with pytest.raises(FormatError, match=r"between 5 s and its end: it is only .* s long"):
        list(open_video(clip, start_s=5.0))
    with pytest.raises(InputError, match="start"):
        open_video(clip, start_s=2.0, end_s=1.0)
    for start_s, end_s in ((float("nan"), None), (float("inf"), None), (0.0, float("nan"))):
        with pytest.raises(InputError, match="start"):
            open_video(clip, start_s=start_s, end_s=end_s)


def test_a_video_of_no_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        container.start_encoding()
    with pytest.raises(FormatError, match=r"none\.avi"):
        list(open_video(path))


def test_the_decoding_thread_ends_with_its_consumer(clip: Path) -> None:
    def decoding() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith("decode")]

    frames = iter(open_video(clip))
    next(frames)
    assert decoding()
    frames.close()  # type: ignore[attr-defined]
    assert not decoding()
