"""Videos as phones, camcorders and the web make them: upright, in time, nothing left out in silence, or one clear line."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.io.video import open_video

WIDTH, HEIGHT = 64, 48
CORNERS = "rgb."
"""Of ``corner_picture``: top left, top right, bottom left, bottom right."""


def corner_picture(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Red top left, green top right, blue bottom left, dark bottom right."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    h, w = height // 2, width // 2
    picture[:h, :w], picture[:h, w:], picture[h:, :w] = (220, 20, 20), (20, 220, 20), (20, 20, 220)
    return picture


def corners_of(rgb: np.ndarray) -> str:
    h, w = rgb.shape[0] // 4, rgb.shape[1] // 4
    pixels = [rgb[y, x].astype(int) for y in (h, 3 * h) for x in (w, 3 * w)]
    return "".join("." if pixel.max() < 110 else "rgb"[int(pixel.argmax())] for pixel in pixels)


def grey(level: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), level, dtype=np.uint8)


def write_video(
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    stamps_ms: Sequence[int] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rate: int = 30,
    field_order: str = "",
    metadata: dict[str, str] | None = None,
    **options: str,
) -> Path:
    """Encode pictures, RGB or RGBA, with stamps of 1/1000 s; a field order makes them interlaced."""
    muxing = {name: options.pop(name) for name in ("movflags",) if name in options}
    try:
        av.Codec(codec, "w")
    except av.error.FFmpegError:
        pytest.skip(f"this PyAV cannot write {codec}")
    with av.open(str(path), "w", options=muxing) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = Fraction(1, rate if codec == "mpeg2video" else 1000)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba" if picture.shape[2] == 4 else "rgb24")
            frame = frame.reformat(format=pixels)
            frame.time_base = stream.codec_context.time_base
            stamp_s = stamps_ms[number] / 1000 if stamps_ms else number / rate
            frame.pts = round(stamp_s / frame.time_base)
            container.mux(stream.encode(marked_interlaced(frame, field_order) if field_order else frame))
        container.mux(stream.encode())
    return path


def marked_interlaced(frame: av.VideoFrame, field_order: str) -> av.VideoFrame:
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    mark, sink = graph.add("setfield", field_order), graph.add("buffersink")
    source.link_to(mark)
    mark.link_to(sink)
    graph.configure()
    graph.push(frame)
    return graph.pull()


def mux_pictures(path: Path, codec: str, codes: Sequence[bytes], *, pixels: str = "rgb24") -> Path:
    """Put encoded pictures into a container as they are."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        container.start_encoding()
        for number, code in enumerate(codes):
            packet = av.Packet(code)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 30)
            container.mux(packet)
    return path


def set_display_matrix(path: Path, matrix: tuple[float, float, float, float]) -> None:
    """Write (a, b, c, d) into the track header of an MP4, as phones do instead of turning the picture."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4
    a, b, c, d = (round(value * 65536) for value in matrix)
    content[start + 40 : start + 76] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def spoil(path: Path, packets: Sequence[int]) -> None:
    """Overwrite the data of some packets."""
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for number in packets:
        start, size = places[number]
        content[start : start + size] = bytes([0xFF]) * size
    path.write_bytes(content)


def times_of(path: Path, **options: float) -> list[float]:
    return [frame.time_s for frame in open_video(path, **options)]


def levels_of(path: Path, **options: float) -> list[int]:
    return [round(float(frame.rgb.mean())) for frame in open_video(path, **options)]


# photos


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tiff"])
def test_a_photo_is_turned_and_mirrored_as_its_exif_says(tmp_path: Path, ending: str) -> None:
    stored = Image.fromarray(corner_picture())
    turned = {2: "gr.b", 3: ".bgr", 4: "b.rg", 5: "rbg.", 6: "br.g", 7: ".gbr", 8: "g.rb"}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x010F], exif[0x0112] = "a maker", orientation
        path = tmp_path / f"photo{orientation}.{ending}"
        stored.save(path, exif=exif)
        video = open_video(path)
        (frame,) = video
        assert corners_of(frame.rgb) == turned.get(orientation, CORNERS), f"orientation {orientation}"
        assert video.info.image_size_px == ((HEIGHT, WIDTH) if orientation > 4 else (WIDTH, HEIGHT))


def test_a_jpeg_is_turned_whose_exif_comes_after_another_segment(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    code = io.BytesIO()
    Image.fromarray(corner_picture()).save(code, "jpeg", exif=exif)
    content = code.getvalue()
    (tmp_path / "photo.jpg").write_bytes(content[:2] + b"\xff\xe1\x00\x0cnot of Exif"[:14] + content[2:])
    (frame,) = open_video(tmp_path / "photo.jpg")
    assert corners_of(frame.rgb) == "br.g"


NINE = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0\0\0\0\0"
"""One directory with one entry: orientation 9, which means nothing."""


@pytest.mark.parametrize(
    "content", [NINE, b"", b"II*\0", b"MM\0*\0\0\0\x08\0\x09", b"MM\0*\xff\xff\xff\xff", b"no TIFF at all"]
)
def test_a_photo_with_damaged_exif_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    code = io.BytesIO()
    Image.fromarray(corner_picture()).save(code, "jpeg")
    block = b"Exif\0\0" + content
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block
    (tmp_path / "photo.jpg").write_bytes(code.getvalue()[:2] + segment + code.getvalue()[2:])
    (frame,) = open_video(tmp_path / "photo.jpg")
    assert corners_of(frame.rgb) == CORNERS


def test_a_webp_is_turned_whose_exif_comes_after_a_chunk_of_odd_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    code = io.BytesIO()
    Image.fromarray(corner_picture()).save(code, "webp", exif=exif)
    content = code.getvalue()
    odd = b"odd " + struct.pack("<I", 3) + b"abc\0"
    at = content.index(b"EXIF", 12)
    content = content[:4] + struct.pack("<I", len(content) + len(odd) - 8) + content[8:at] + odd + content[at:]
    (tmp_path / "photo.webp").write_bytes(content)
    (frame,) = open_video(tmp_path / "photo.webp")
    assert corners_of(frame.rgb) == "br.g"


def _png_with_profile(exif: Image.Exif | None = None) -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    code = io.BytesIO()
    Image.fromarray(corner_picture()).save(code, "png", icc_profile=profile, **({} if exif is None else {"exif": exif}))
    return code.getvalue()


@pytest.mark.slow
def test_a_named_colour_profile_does_not_end_the_interpreter(tmp_path: Path) -> None:
    """In a process of its own: reading the side data of such a frame ends it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "photo.png").write_bytes(_png_with_profile(exif))
    mux_pictures(tmp_path / "clip.mov", "png", [_png_with_profile()] * 2)
    script = "import sys, gc; from hsmr_bio.io.video import open_video\n"
    script += "for path in sys.argv[1:]: print(*(frame.rgb.shape for frame in open_video(path)), gc.collect() * '')"
    command = [sys.executable, "-c", script, str(tmp_path / "photo.png"), str(tmp_path / "clip.mov")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split("\n")[0].strip()) == (0, f"({WIDTH}, {HEIGHT}, 3)"), done.stderr
    (first, second) = open_video(tmp_path / "clip.mov")
    assert corners_of(first.rgb) == corners_of(second.rgb) == CORNERS


# pictures in videos


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (-1, 0, 0, 1)], ids=["quarter", "mirrored"])
def test_an_odd_size_is_turned_too(tmp_path: Path, matrix: tuple[float, float, float, float]) -> None:
    path = write_video(tmp_path / "odd.mp4", [corner_picture(63, 47)] * 3, pixels="yuv444p")
    set_display_matrix(path, matrix)
    video = open_video(path)
    assert video.info.image_size_px == ((47, 63) if matrix[0] == 0 else (63, 47))
    assert [corners_of(frame.rgb) for frame in video] == ["br.g" if matrix[0] == 0 else "gr.b"] * 3


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "alpha"),
    [
        ("ten_bits.mp4", "libx265", "yuv420p10le", False),
        ("prores.mov", "prores_ks", "yuva444p10le", True),
        ("vp9.webm", "libvpx-vp9", "yuva420p", True),
        ("pictures.mov", "png", "rgba", True),
        ("lossless.mkv", "ffv1", "yuv420p", False),
        ("motion_jpeg.avi", "mjpeg", "yuvj420p", False),
        ("dvd.mpg", "mpeg2video", "yuv420p", False),
        ("animation.gif", "gif", "rgb8", False),
    ],
)
def test_codecs_and_pixel_formats(tmp_path: Path, name: str, codec: str, pixels: str, alpha: bool) -> None:
    picture = corner_picture()
    picture = np.dstack([picture, np.full_like(picture[..., :1], 255)]) if alpha else picture
    options = {"profile": "4444"} if codec == "prores_ks" else {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = write_video(tmp_path / name, [picture] * 5, codec=codec, pixels=pixels, rate=25, **options)
    video = open_video(path)
    frames = list(video)
    assert [corners_of(frame.rgb) for frame in frames] == [CORNERS] * 5
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(5) / 25, atol=2e-3)
    assert video.notes == ()


def test_a_gif_keeps_its_uneven_times(tmp_path: Path) -> None:
    pictures = [Image.fromarray(grey(60 * i)) for i in range(4)]
    pictures[0].save(tmp_path / "some.gif", save_all=True, append_images=pictures[1:], duration=[100, 50, 200, 100])
    np.testing.assert_allclose(times_of(tmp_path / "some.gif"), [0, 0.1, 0.15, 0.35])


def test_a_video_of_one_frame(tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "one.mp4", [corner_picture()]))
    (frame,) = video
    assert (frame.time_s, corners_of(frame.rgb), video.notes) == (0.0, CORNERS, ())


def _with_cover(path: Path, *, marked: bool) -> Path:
    """A video with a JPEG in a stream before it."""
    code = io.BytesIO()
    Image.fromarray(grey(255)).save(code, "jpeg")
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=30)
        cover.width, cover.height, cover.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        if marked:
            cover.disposition = av.stream.Disposition.attached_pic.value
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        container.start_encoding()
        packet = av.Packet(code.getvalue())
        packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 30)
        container.mux(packet)
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(grey(40 * number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(("name", "marked"), [("cover.mp4", True), ("cover.mkv", False)])
def test_a_cover_picture_is_not_the_video(tmp_path: Path, name: str, marked: bool) -> None:
    np.testing.assert_allclose(levels_of(_with_cover(tmp_path / name, marked=marked)), np.arange(5) * 40, atol=4)


def test_sound_with_a_cover_picture_is_refused(tmp_path: Path) -> None:
    code = io.BytesIO()
    Image.fromarray(grey(255)).save(code, "jpeg")
    with av.open(str(tmp_path / "song.mp3"), "w") as container:
        sound = container.add_stream("libmp3lame", rate=8000, layout="mono")
        cover = container.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic.value
        container.start_encoding()
        packet = av.Packet(code.getvalue())
        packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 30)
        container.mux(packet)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), dtype=np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    with pytest.raises(FormatError, match=r"song\.mp3: there is only a cover picture, no video, in this file"):
        open_video(tmp_path / "song.mp3")


def test_a_second_video_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "two.mp4"), "w") as container:
        streams = [container.add_stream("libx264", rate=30) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(5):
            for stream, level in zip(streams, (40, 200), strict=True):
                frame = av.VideoFrame.from_ndarray(grey(level), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 30)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    assert levels_of(tmp_path / "two.mp4") == pytest.approx([40] * 5, abs=3)
    assert open_video(tmp_path / "two.mp4").notes == (
        "there are 2 videos in the file: one of them was read, the others were not",
    )


def test_an_unknown_codec_is_one_clear_line(tmp_path: Path) -> None:
    path = write_video(tmp_path / "odd.mp4", [corner_picture()] * 3)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(FormatError, match=r"odd\.mp4: its video is coded in a way that FFmpeg's libraries here do not know"):
        open_video(path)


def test_texts_in_no_encoding_do_not_matter(tmp_path: Path) -> None:
    path = write_video(tmp_path / "title.mp4", [corner_picture()] * 3, metadata={"title": "a title of some sort"})
    path.write_bytes(path.read_bytes().replace(b"a title of some sort", b"\xfe\xc4 title of some sort"[:20]))
    assert len(times_of(path)) == 3


def test_damaged_files_end_in_one_line(shared: Path) -> None:
    found = sorted((shared / "cases" / "hostile").glob("video_*"))
    if not found:
        pytest.skip("the hostile videos are not in ../shared")
    for path in found:
        with pytest.raises(FormatError, match=rf"{path.name}: there is no[^\n]*$"):
            list(open_video(path))


# interlaced


def _bar_in_fields(count: int, odd_first: bool) -> list[np.ndarray]:
    """A white bar that moves by 4 px from field to field."""
    pictures = [np.zeros((96, 128, 3), dtype=np.uint8) for _ in range(count)]
    for number, picture in enumerate(pictures):
        for field, lines in enumerate((1, 0) if odd_first else (0, 1)):
            x = 4 * (2 * number + field)
            picture[lines::2, x : x + 16] = 255
    return pictures


@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("camcorder.mpg", "mpeg2video", {"flags": "+ilme+ildct", "b": "4M"}),
        ("camcorder.ts", "libx264", {"bf": "2"}),
        ("camcorder.mp4", "libx264", {}),
    ],
)
def test_interlaced_video_is_deinterlaced(tmp_path: Path, name: str, codec: str, options: dict[str, str], order: str) -> None:
    more = {"x264-params": f"{order}=1"} if codec == "libx264" else {}
    pictures = _bar_in_fields(12, order == "bff")
    path = write_video(tmp_path / name, pictures, codec=codec, rate=25, field_order=order, **options, **more)
    video = open_video(path)
    frames = list(video)
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(12) / 25, atol=2e-3)
    for number, frame in enumerate(frames[2:-1], start=2):
        lines = frame.rgb[..., 0].astype(int)
        assert np.abs(np.diff(lines, axis=0)).mean() < 3, "no comb"
        centre = np.average(np.arange(128), weights=lines.sum(axis=0))
        assert centre == pytest.approx(8 * number + 7.5, abs=1.0), "the first field is that of the frame's time"
    assert video.notes == ("the video is interlaced: its frames were de-interlaced",)
    part = list(open_video(path, start_s=0.2, end_s=0.36))
    assert len(part) == 5
    np.testing.assert_allclose(part[2].rgb, frames[7].rgb, atol=8)


def test_an_interlaced_video_is_turned_too(tmp_path: Path) -> None:
    path = write_video(tmp_path / "turned.mp4", [corner_picture()] * 4, field_order="tff", **{"x264-params": "tff=1"})
    set_display_matrix(path, (0, 1, -1, 0))
    assert [corners_of(frame.rgb) for frame in open_video(path)] == ["br.g"] * 4


def test_one_interlaced_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "one.mp4", [corner_picture()], field_order="tff", **{"x264-params": "tff=1"})
    (frame,) = open_video(path)
    assert corners_of(frame.rgb) == CORNERS


# time


def _joined(path: Path, *parts: Sequence[int], first_ms: Sequence[int] = ()) -> Path:
    """Transport streams of grey levels, one behind the other; the stamps of each begin at 0, or as told."""
    content = b""
    for number, levels in enumerate(parts):
        start = first_ms[number] if first_ms else 0
        stamps = [start + round(1000 * i / 30) for i in range(len(levels))]
        part = write_video(path.with_name(f"part{number}.ts"), [grey(level) for level in levels], stamps_ms=stamps, bf="2")
        content += part.read_bytes()
    path.write_bytes(content)
    return path


def test_time_goes_on_where_the_stamps_begin_again(tmp_path: Path) -> None:
    first, second, third = range(0, 80, 4), range(80, 160, 4), range(160, 240, 4)
    path = _joined(tmp_path / "joined.ts", first, second, third)
    video = open_video(path)
    frames = list(video)
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(60) / 30, atol=3e-3)
    np.testing.assert_allclose([frame.rgb.mean() for frame in frames], np.arange(0, 240, 4), atol=3)
    (note,) = video.notes
    assert "begin again 2 times, from 0.67 to 1.33 s of the file" in note
    for start_s, end_s in ((1.0, 1.5), (0.1, 0.3), (1.6, None)):
        part = list(open_video(path, start_s=start_s, end_s=end_s))
        expected = [f for f in frames if start_s - 5e-3 <= f.time_s and (end_s is None or f.time_s <= end_s + 5e-3)]
        assert abs(len(part) - len(expected)) <= 1
        np.testing.assert_allclose(part[3].rgb.mean(), 4 * round(30 * start_s) + 12, atol=6)


@pytest.mark.parametrize(("name", "codec"), [("long.ts", "libx264"), ("long.mpg", "mpeg2video"), ("long.mkv", "libx264")])
def test_a_start_in_the_middle_gives_the_same_frames(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / name, [grey(2 * i) for i in range(100)], codec=codec, rate=25, bf="2", g="12")
    whole = list(open_video(path))
    for first in (3, 36, 47, 60, 71, 72, 73, 95):
        part = list(open_video(path, start_s=whole[first].time_s))
        assert len(part) == 100 - first
        for ours, expected in zip(part, whole[first:], strict=True):
            np.testing.assert_array_equal(ours.rgb, expected.rgb)


def test_the_shared_joined_stream(shared: Path) -> None:
    path = shared / "cases" / "public" / "video-ts-restart" / "joined.ts"
    if not path.is_file():
        pytest.skip("the joined stream is not in ../shared")
    times = times_of(path)
    np.testing.assert_allclose(times, np.arange(72) / 30, atol=2e-3)


def test_frames_whose_time_is_not_later_are_counted(tmp_path: Path) -> None:
    path = _joined(tmp_path / "overlap.ts", [100] * 60, [200] * 60, first_ms=(0, 1900))
    video = open_video(path)
    times = [frame.time_s for frame in video]
    assert (np.diff(times) > 0).all()
    (note,) = video.notes
    assert note.startswith(f"{120 - len(times)} of 120 frames were left out, as their time stamp is not after the one before: ")
    assert "1.97 s of the file" in note


def test_a_last_frame_whose_time_is_not_later_is_counted(tmp_path: Path) -> None:
    video = open_video(_joined(tmp_path / "overlap.ts", [100] * 60, [200], first_ms=(0, 100)))
    assert len(list(video)) == 60
    assert video.notes[0].startswith("1 of 61 frames were left out, as their time stamp is not after the one before: at 1.97 s")


def test_equal_stamps_of_many_frames_are_refused(tmp_path: Path) -> None:
    stamps = [0, 33, 67, 67, 67, 67, 67, 100, 133, 167]
    path = write_video(tmp_path / "equal.mkv", [grey(20 * i) for i in range(10)], stamps_ms=stamps, codec="ffv1")
    with pytest.raises(FormatError, match=r"4 of 10 frames cannot be used \(4, as their time stamp is not after .* 0\.07 s of"):
        list(open_video(path))


def test_a_long_time_without_pictures_is_noted(tmp_path: Path) -> None:
    stamps = [*range(0, 1000, 40), *range(3000, 4000, 40)]
    video = open_video(write_video(tmp_path / "gap.mp4", [grey(9)] * len(stamps), stamps_ms=stamps))
    np.testing.assert_allclose([frame.time_s for frame in video], np.array(stamps) / 1000, atol=2e-3)
    assert video.notes == ("no picture from 0.96 to 3.00 s of the file",)


@pytest.mark.parametrize(("name", "codec"), [("some.mp4", "libx264"), ("some.mov", "png")])
def test_pictures_that_cannot_be_decoded_are_counted_with_their_place(tmp_path: Path, name: str, codec: str) -> None:
    options = {"g": "1", "bf": "0"} if codec == "libx264" else {"pixels": "rgb24"}
    path = write_video(tmp_path / name, [corner_picture()] * 60, codec=codec, **options)
    spoil(path, [30, 31, 40])
    video = open_video(path)
    times = np.array([frame.time_s for frame in video])
    np.testing.assert_allclose(times, np.delete(np.arange(60), [30, 31, 40]) / 30, atol=2e-3)
    (note,) = video.notes
    assert note.startswith("3 of 60 frames were left out, as they ")
    assert note.endswith(": 3 times, from 1.00 to 1.33 s of the file")
    part = open_video(path, end_s=0.9)
    list(part)
    assert part.notes == (), "outside the part that is read"
    part = open_video(path, start_s=1.2)
    list(part)
    assert [note.split(":")[1] for note in part.notes] == [" at 1.33 s of the file"]
    spoil(path, range(5, 15))
    with pytest.raises(FormatError, match=r"13 of 60 frames cannot be used .* Copy or convert the file again, or choose"):
        list(open_video(path))


def test_a_damaged_beginning_is_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "start.mp4", [corner_picture()] * 60, g="1", bf="0")
    spoil(path, [0, 1])
    video = open_video(path)
    np.testing.assert_allclose([frame.time_s for frame in video], np.arange(58) / 30, atol=2e-3)
    assert [note.split(",")[0] for note in video.notes] == ["2 of 60 frames were left out"]
    spoil(path, range(60))
    with pytest.raises(FormatError, match="not a single frame in this file that can be decoded"):
        open_video(path)


def test_lost_pictures_of_interlaced_video_are_counted(tmp_path: Path) -> None:
    options = {"x264-params": "tff=1", "g": "1", "bf": "0"}
    path = write_video(tmp_path / "some.mp4", [corner_picture()] * 60, field_order="tff", **options)
    spoil(path, [30, 59])
    video = open_video(path)
    times = [frame.time_s for frame in video]
    np.testing.assert_allclose(times, np.delete(np.arange(60), [30, 59]) / 30, atol=2e-3)
    assert video.notes[1].endswith(": 2 times, from 1.00 to 1.97 s of the file")


def test_frames_outside_an_edit_list_are_not_shown_and_not_missed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.mp4", [grey(4 * i) for i in range(60)], g="20", bf="2")
    content = bytearray(path.read_bytes())
    entry = content.index(b"elst") + 12
    _, media_time = struct.unpack_from(">II", content, entry)
    with av.open(str(path)) as container:
        ticks = int(0.5 / container.streams.video[0].time_base)
    struct.pack_into(">II", content, entry, 1000, media_time + ticks)
    path.write_bytes(content)
    video = open_video(path)
    frames = list(video)
    assert [round(float(frame.rgb.mean())) for frame in frames] == pytest.approx(4 * np.arange(15, 45), abs=3)
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(30) / 30, atol=2e-3)
    assert video.notes == ()
    part = list(open_video(path, start_s=0.5))
    assert [round(float(frame.rgb.mean())) for frame in part] == pytest.approx(4 * np.arange(30, 45), abs=3)


@pytest.mark.slow
def test_the_shared_clip_with_an_edit_list(shared: Path) -> None:
    path = shared / "data" / "video" / "opencap_markers" / "sit_to_stand" / "video.mp4"
    if not path.is_file():
        pytest.skip("the marker clips are not in ../shared")
    video = open_video(path, max_side_px=64)
    times = [frame.time_s for frame in video]
    with av.open(str(path)) as container:
        discarded = sum(packet.is_discard for packet in container.demux(video=0))
    assert discarded == 841 - 798
    assert (times[0], len(times), video.notes) == (0.0, 798, ())


# slow motion


def _slow(path: Path, filmed_hz: str = "", count: int = 40, rate: int = 30) -> Path:
    said = {"com.android.capture.fps": filmed_hz} if filmed_hz else {}
    pictures = [grey(5 * i) for i in range(count)]
    return write_video(path, pictures, rate=rate, metadata=said, movflags="use_metadata_tags")


def test_the_camera_rate_that_a_file_states_is_that_of_time(tmp_path: Path) -> None:
    path = _slow(tmp_path / "slow.mp4", "240.000000")
    video = open_video(path)
    assert video.info.rate_hz == pytest.approx(240)
    assert video.info.duration_s == pytest.approx(40 / 240)
    np.testing.assert_allclose([frame.time_s for frame in video], np.arange(40) / 240, atol=1e-4)
    (note,) = video.notes
    assert note.startswith("the file says that it was filmed at 240 frames/s; it plays at 30: time is that of the filming")
    real = open_video(path, slow_motion=1)
    np.testing.assert_allclose([frame.time_s for frame in real], np.arange(40) / 30, atol=1e-3)
    assert real.notes == ()


def test_start_and_end_are_counted_as_the_file_plays(tmp_path: Path) -> None:
    path = _slow(tmp_path / "slow.mp4", "240")
    part = list(open_video(path, start_s=0.5, end_s=1.0))
    assert open_video(path, start_s=0.5, end_s=1.0).info.frame_count == len(part) == 16
    np.testing.assert_allclose([frame.rgb.mean() for frame in part], 5 * np.arange(15, 31), atol=3)
    np.testing.assert_allclose([frame.time_s for frame in part], np.arange(16) / 240, atol=1e-4)
    clock = next(iter(open_video(path, start_s=0.5, source_clock=True)))
    assert clock.time_s == pytest.approx(0.5 / 8, abs=1e-3)
    with pytest.raises(FormatError, match=r"it is only 1\.33 s long"):
        list(open_video(path, start_s=2.0))


def test_the_users_word_on_slow_motion(tmp_path: Path) -> None:
    path = _slow(tmp_path / "plain.mp4")
    for options, said in (({"fps_hz": 120.0}, "120 frames/s (--fps)"), ({"slow_motion": 4.0}, "divided by 4 (--slow-motion)")):
        video = open_video(path, **options)
        np.testing.assert_allclose([frame.time_s for frame in video], np.arange(40) / 120, atol=1e-3)
        assert said in video.notes[0]
    with pytest.raises(InputError, match="give one of them"):
        open_video(path, fps_hz=120, slow_motion=4)
    for options in ({"fps_hz": 0.0}, {"slow_motion": float("nan")}):
        with pytest.raises(InputError, match="must be positive"):
            open_video(path, **options)
    Image.fromarray(corner_picture()).save(tmp_path / "one.png")
    with pytest.raises(InputError, match="slow motion"):
        open_video(tmp_path / "one.png", slow_motion=4)


@pytest.mark.parametrize(("filmed_hz", "rate"), [("30.0", 30), ("30", 24), ("240", 240), ("nan", 30), ("junk", 30), ("0", 30)])
def test_an_ordinary_video_stays_as_it_is(tmp_path: Path, filmed_hz: str, rate: int) -> None:
    path = _slow(tmp_path / "plain.mp4", filmed_hz, rate=rate)
    video = open_video(path)
    assert (len(list(video)), video.slow_motion, video.notes) == (40, 1.0, ())


def test_a_rate_that_may_mean_poor_light_is_only_noted(tmp_path: Path) -> None:
    video = open_video(_slow(tmp_path / "dark.mp4", "60"))
    assert video.slow_motion == 1.0
    assert "taken for real time. If it is slow motion, say --slow-motion 2" in video.notes[0]


def test_a_time_lapse_takes_as_long_as_it_was_filmed(tmp_path: Path) -> None:
    times = times_of(_slow(tmp_path / "lapse.mp4", "2"))
    np.testing.assert_allclose(times, np.arange(40) / 2, atol=1e-2)
