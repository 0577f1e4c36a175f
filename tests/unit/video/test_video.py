import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import av
import numpy as np
import pytest
from clips import read_clip, write_clip

from stargan_rt import InputError, LabelError, StarGANError
from stargan_rt.faces import Face, FaceDetector
from stargan_rt.quality import psnr
from stargan_rt.video import VideoOptions, translate_video
from stargan_rt.video.schedule import Schedule

PROGRAM = (sys.executable, "-c", "from stargan_rt.cli import entry; entry()")


class Still(FaceDetector):
    """Finds one face, always at the same place."""

    face = Face.of((180, 60, 260, 140), [(205, 90), (235, 90), (220, 108), (220, 122)], 0.9)

    def find(self, image, min_size=32):
        return [self.face]

    def follow(self, image, face):
        return self.face


class Blind(Still):
    def find(self, image, min_size=32):
        return []


def test_frames_times_and_sound_are_kept(engine, clip, tmp_path):
    source, times = clip
    report = translate_video(engine, VideoOptions(str(source), "happy", tmp_path / "out.mp4"), Still())
    before, times_before, sound_before = read_clip(source)
    frames, times_after, sound = read_clip(tmp_path / "out.mp4")
    assert report.frames == report.with_faces == len(frames) == len(before) == 80
    assert times_before == times_after == times
    assert sound == sound_before
    assert all(psnr(a[:, 300:], b[:, 300:]) > 34 for a, b in zip(frames, before, strict=True))
    assert psnr(frames[0][80:120, 200:240], before[0][80:120, 200:240]) < 25
    assert {stage.name for stage in report.stages} == {"decode", "find", "translate", "blend", "encode"}
    assert all(stage.items == 80 for stage in report.stages)
    assert 0 < report.share_of_slowest <= 1


def test_real_faces_are_found_and_followed(engine, clip, tmp_path, detector):
    report = translate_video(engine, VideoOptions(str(clip[0]), "happy", tmp_path / "out.mkv", every=40), detector)
    assert report.with_faces >= 76


def test_without_a_face_frames_pass_through(engine, clip, tmp_path):
    report = translate_video(engine, VideoOptions(str(clip[0]), "happy", tmp_path / "out.mp4"), Blind())
    assert (report.frames, report.with_faces) == (80, 0)
    frames, before = read_clip(tmp_path / "out.mp4")[0], read_clip(clip[0])[0]
    assert all(psnr(a, b) > 34 for a, b in zip(frames, before, strict=True))


def test_a_schedule(engine, clip, tmp_path):
    options = VideoOptions(str(clip[0]), "1:happy 2:Blond_Hair", tmp_path / "out.mp4")
    report = translate_video(engine, options, Still())
    assert report.with_faces == sum(seconds >= 1 for seconds in clip[1])
    with pytest.raises(LabelError):
        translate_video(engine, VideoOptions(str(clip[0]), "0:hapy", tmp_path / "no.mp4"), Still())
    assert not (tmp_path / "no.mp4").exists()


def test_schedules_are_read():
    schedule = Schedule.parse("0:happy 3.5:Blond_Hair, sad 10:RaFD:angry")
    assert schedule.entries == ((0, "happy"), (3.5, "Blond_Hair, sad"), (10, "RaFD:angry"))
    assert [schedule.at(t) for t in (0, 3.4, 3.5, 99)] == ["happy", "happy", "Blond_Hair, sad", "RaFD:angry"]
    assert Schedule.parse("2:happy").at(1) is None
    assert Schedule.parse("RaFD:angry").at(0) == "RaFD:angry"
    for bad in ("", "0:", "3:a 1:b", "0:a 0:b"):
        with pytest.raises(InputError):
            Schedule.parse(bad)


def test_memory_stays_level(engine, clip, tmp_path):
    seen = []

    def progress(report):
        if report.frames % 20 == 0:
            with open("/proc/self/statm") as file:
                seen.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

    if not os.path.exists("/proc/self/statm"):
        pytest.skip("this system does not say how much memory a process has")
    translate_video(engine, VideoOptions(str(clip[0]), "happy", tmp_path / "out.mp4"), Still(), progress)
    assert seen[-1] - seen[0] < 20 * 640 * 360 * 3  # fewer than the frames in between


def test_phones_turn_their_clips(engine, tmp_path, scenery):
    source = tmp_path / "phone.mp4"
    write_clip(source, [scenery()] * 5, sound=False)
    data = bytearray(source.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the display matrix of version 0
    width, height = (int.from_bytes(data[at + 36 + 4 * i : at + 40 + 4 * i], "big") >> 16 for i in (0, 1))
    assert (width, height) == (640, 360)
    one = 1 << 16
    matrix = [0, one, 0, -one & 0xFFFFFFFF, 0, 0, height << 16, 0, 1 << 30]  # a quarter turn clockwise
    data[at : at + 36] = b"".join(value.to_bytes(4, "big") for value in matrix)
    source.write_bytes(data)
    translate_video(engine, VideoOptions(str(source), "happy", tmp_path / "out.mp4"), Blind())
    assert psnr(read_clip(tmp_path / "out.mp4")[0][0], np.rot90(scenery(), -1)) > 30


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_source_that_is_cut_off(engine, tmp_path, scenery, suffix):
    source = tmp_path / f"whole{suffix}"
    write_clip(source, (scenery(number % 50) for number in range(60)))
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(source.read_bytes()[: int(source.stat().st_size * 0.8)])
    with pytest.raises(InputError, match=r"cut off|can't be opened"):
        translate_video(engine, VideoOptions(str(cut), "happy", tmp_path / "out.mp4"), Still())
    if suffix == ".mkv":
        assert len(read_clip(tmp_path / "out.mp4")[0]) > 20
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_stream_that_breaks_off(engine, tmp_path, scenery):
    source = tmp_path / "stream.ts"
    write_clip(source, (scenery(number % 50) for number in range(60)), sound=False)
    data = source.read_bytes()
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = server.accept()
        with server, connection:
            for start in range(0, int(len(data) * 0.8), 20_000):
                connection.sendall(data[start : start + 20_000])
                time.sleep(0.01)

    thread = threading.Thread(target=serve, daemon=True)
    port = server.getsockname()[1]
    thread.start()
    options = VideoOptions(f"tcp://127.0.0.1:{port}", "happy", tmp_path / "out.mp4")
    with pytest.raises(StarGANError, match=r"broke off|ended") as raised:
        translate_video(engine, options, Still())
    assert not isinstance(raised.value, InputError)
    thread.join()
    frames, times, _ = read_clip(tmp_path / "out.mp4")
    assert frames
    assert times == sorted(set(times))


def test_slow_work_on_a_live_source_drops_frames(engine, tmp_path, scenery):
    from stargan_rt.video.stages import Stages

    def source():
        for number in range(50):
            time.sleep(0.002)
            yield [number]

    stages = Stages(("decode", source()), [("find", lambda item: time.sleep(0.02))], newest=True)
    numbers = [item[0] for item in stages.results()]
    assert numbers == sorted(numbers)
    assert stages.dropped > 10
    assert stages.dropped + len(numbers) == 50
    assert numbers[-1] == 49


def test_an_error_of_a_stage_ends_the_others():
    from stargan_rt.video.stages import Stages

    def fails(item):
        if item == [3]:
            raise InputError("three")

    stages = Stages(("decode", ([number] for number in range(10**9))), [("find", fails), ("blend", lambda _: None)])
    results = stages.results()
    assert [next(results) for _ in range(3)] == [[0], [1], [2]]
    with pytest.raises(InputError, match="three"):
        list(results)


def run(*arguments, **options):
    return subprocess.run(
        [*PROGRAM, "video", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300, **options
    )


def test_the_command(model, clip, tmp_path, detector_file):
    out = tmp_path / "out.mp4"
    line = ("--source", clip[0], "--label", "happy", "--output", out, "--engine", model, "--detector", detector_file)
    done = run(*line, "--json")
    assert done.returncode == 0, done.stderr
    assert '"frames": 80' in done.stdout
    assert "translate" in run(*line, "--roi", "0,0,10,10", "--faces", "largest").stdout


def test_misuse(model, clip, tmp_path, detector_file):
    common = ("--label", "happy", "--engine", model, "--detector", detector_file)

    def refused(code, words, *arguments):
        done = run(*common, *arguments)
        assert done.returncode == code, done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr

    refused(2, "nowhere to put the frames", "--source", clip[0])
    refused(2, "must end in one of .mp4, .mov, .mkv", "--source", clip[0], "--output", tmp_path / "x.avi")
    refused(2, "no clip at", "--source", tmp_path / "x.mp4", "--output", tmp_path / "y.mp4")
    refused(2, "camera 63 can't be opened", "--source", 63, "--output", tmp_path / "y.mp4")
    refused(2, "not x,y,width,height", "--source", clip[0], "--output", tmp_path / "y.mp4", "--roi", "1,2")
    (tmp_path / "text.mp4").write_text("not a clip")
    refused(2, "can't be opened as a video", "--source", tmp_path / "text.mp4", "--output", tmp_path / "y.mp4")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits and signals")
def test_a_full_disk(model, clip, tmp_path, detector_file):
    import resource

    out = tmp_path / "out.mp4"
    done = run(
        *("--source", clip[0], "--label", "happy", "--output", out, "--engine", model, "--detector", detector_file),
        preexec_fn=lambda: (
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
            resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
        ),
    )
    assert done.returncode == 2, done.stderr
    assert "can't write" in done.stderr
    assert "Traceback" not in done.stderr
    with av.open(str(out)) as container:
        assert next(container.decode(video=0)).width == 640


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c(model, tmp_path, scenery, detector_file):
    source, out = tmp_path / "long.mp4", tmp_path / "out.mp4"
    write_clip(source, (scenery(number % 200) for number in range(600)), sound=False)
    line = ("--source", source, "--label", "happy", "--output", out, "--engine", model, "--detector", detector_file)
    process = subprocess.Popen([*PROGRAM, "video", *map(str, line)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any(p.stat().st_size > 40_000 for p in tmp_path.glob(".*.mp4")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "Traceback" not in said
    assert 0 < len(read_clip(out)[0]) < 600


def test_the_clip_says_that_its_faces_were_generated(engine, clip, tmp_path):
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")

    def tags(path):
        done = subprocess.run(["exiftool", "-j", str(path)], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)[0]

    for suffix in (".mp4", ".mov"):
        options = VideoOptions(str(clip[0]), "happy", tmp_path / f"out{suffix}")
        translate_video(engine, options, Still())
        found = tags(options.output)
        assert found["DigitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
        assert found["AISystemUsed"].startswith("latest.pt")
        assert "Contains faces generated by latest.pt" in found["Comment"]
        assert "Warning" not in found
    options = VideoOptions(str(clip[0]), "happy", tmp_path / "plain.mp4", mark=False)
    translate_video(engine, options, Still())
    assert not {"DigitalSourceType", "Comment"} & set(tags(options.output))
