"""Time and memory of ``tunesmith preprocess``, including start-up, for growing collections.

    python benchmarks/preprocess.py ../shared/data/pop909 --sizes 200 800 3200 16000

Prints for each size: wall time, time per additional song, peak memory of all processes together,
and the ratio to the paper's way (pretty_midi and get_piano_roll in one process), measured on a
sample of the same songs in the same run. Collections larger than the folder contain its songs at
other tempos, so that there are no duplicates. Arguments after ``--`` are passed to Beam.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import plain_reading

TEMPO_EVENT = b"\xff\x51\x03"


def at_tempo(data: bytes, factor: float) -> bytes:
    """Return a MIDI file with every tempo event scaled."""
    parts = data.split(TEMPO_EVENT)
    scaled = [
        min(round(int.from_bytes(part[:3], "big") * factor), 2**24 - 1).to_bytes(3, "big")
        + part[3:]
        for part in parts[1:]
    ]
    return TEMPO_EVENT.join([parts[0], *scaled])


def collection(songs: list[Path], size: int, folder: Path) -> None:
    """Write `size` songs, of changed content from the second round on."""
    folder.mkdir()
    for index in range(size):
        turn, at = divmod(index, len(songs))
        # One part in a hundred a turn: after a minute of music every frame has moved.
        data = at_tempo(songs[at].read_bytes(), 1 + turn / 100)
        (folder / f"{turn:03d}-{songs[at].name}").write_bytes(data)


def paper_way(songs: list[Path], track: str) -> float:
    """Return seconds a song of pretty_midi in one process."""
    sample = songs[:: max(1, len(songs) // 100)]
    start = time.perf_counter()
    for song in sample:
        parsed = plain_reading.parse(song.read_bytes())
        plain_reading.read(plain_reading.choose(parsed, track))
    return (time.perf_counter() - start) / len(sample)


def resident(pid: int) -> int:
    """Return the resident bytes of a process and all below it."""
    total = 0
    waiting = [pid]
    while waiting:
        at = Path("/proc", str(waiting.pop()))
        try:
            total += 4096 * int((at / "statm").read_text().split()[1])
            for task in (at / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, ValueError):
            continue  # It has just ended.
    return total


def measure(midi: Path, output: Path, options: list[str]) -> tuple[float, int, str]:
    """Return wall seconds, peak bytes and the first line that the command says of its songs."""
    command = [sys.executable, "-m", "tunesmith.cli.main", "preprocess", "--midi-dir", str(midi)]
    command += ["--output", str(output), *options]
    start = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        assert process.stderr is not None
        said = process.stderr.read().splitlines()
    if process.returncode:
        raise SystemExit("\n".join(said))
    return seconds, peak, next((line for line in said if "songs:" in line), "")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("../shared/data/pop909"),
        help="folder of MIDI files",
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[200, 800, 3200], help="numbers of songs"
    )
    parser.add_argument("--track", default="first", help="track choice")
    parser.add_argument("--transpose", default="0..0", help="transposition range of preprocess")
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    told, beam = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    options = ["--track", told.track, "--transpose", told.transpose, "--", *beam]
    songs = sorted(told.folder.rglob("*.mid"))
    if not songs:
        raise SystemExit(f"no *.mid below {told.folder}")
    paper = paper_way(songs, told.track)
    print(f"track {told.track}; the paper's way: {1000 * paper:.1f} ms a song")
    print("songs    wall s   ms a song   ms a further song   ratio of that   peak MiB")
    before: tuple[int, float] = (0, 0.0)
    with tempfile.TemporaryDirectory() as work:
        for size in sorted(told.sizes):
            midi = Path(work, "midi")
            collection(songs, size, midi)
            seconds, peak, said = measure(midi, Path(work, "out"), options)
            further = (seconds - before[1]) / (size - before[0])
            steady = f"{1000 * further:17.2f}   {paper / further:13.1f}" if before[0] else " " * 33
            print(
                f"{size:5d}   {seconds:7.2f}   {1000 * seconds / size:9.2f}   {steady}   "
                f"{peak / 2**20:8.0f}   ({said})",
                flush=True,
            )
            before = size, seconds
            shutil.rmtree(midi)


if __name__ == "__main__":
    main()
