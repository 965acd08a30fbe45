"""Draws a song in a terminal while it is composed: a line a frame, a column a pitch.

python stream_to_terminal.py localhost:8500
"""

import sys

from tunesmith.client import Composer

LOW, HIGH = 36, 96
STEPS = 60


def line(frame):
    """Return a frame as a line: a block for what sounds, a dot for each C."""
    columns = ["·" if pitch % 12 == 0 else " " for pitch in range(LOW, HIGH + 1)]
    for pitch in frame:
        columns[min(max(pitch, LOW), HIGH) - LOW] = "█"
    return "".join(columns).rstrip()


def main(address):
    with Composer(address) as composer:
        for frame in composer.stream(steps=STEPS, start_note=72, max_rests=8):
            print(line(frame), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
