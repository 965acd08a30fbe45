"""The page that plays a song: what is in it, and what it does in a real browser."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tunesmith.client import Song
from tunesmith.music import Frame

CHORDS: tuple[Frame, ...] = (
    *((48, 60, 64, 67),) * 4,
    *((53, 60, 65, 69),) * 4,
    *((),) * 2,
    *((55, 59, 62, 71),) * 6,
)
SONG = Song(CHORDS * 20, 5.0, model="tunesmith", model_version=3, seed=7)
HOSTILE = "</script><script>alert('x')</script> & \"§song\" <b>"

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--mute-audio",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
# Chromium speaks its debugging protocol on file descriptors 3 and 4.
ON_THREE_AND_FOUR = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3]]
for wanted, end in zip((3, 4), ends):
    os.dup2(end, wanted)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """A page in headless Chromium, over the debugging protocol: JSON ended by zero bytes."""

    def __init__(self, profile: Path) -> None:
        their_input, self._output = os.pipe()
        self._input, their_output = os.pipe()
        program = [sys.executable, "-c", ON_THREE_AND_FOUR, str(their_input), str(their_output)]
        self._process = subprocess.Popen(
            [*program, str(BROWSER), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(their_input, their_output),
            stderr=subprocess.DEVNULL,
        )
        os.close(their_input)
        os.close(their_output)
        self._received = b""
        self._calls = 0
        self._session = ""
        self.events: list[dict[str, Any]] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._output, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._calls:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            assert select.select([self._input], [], [], 120)[0], "the browser does not answer"
            part = os.read(self._input, 1 << 16)
            assert part, "the browser has ended"
            self._received += part
        message, self._received = self._received.split(b"\0", 1)
        return json.loads(message)

    def open(self, path: Path, width: int = 1000, height: int = 640) -> None:
        self.events.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=path.as_uri())
        self.until("document.readyState === 'complete' && document.getElementById('icon') !== null")

    def run(self, program: str) -> Any:
        """Return the value of an expression, as if the user had just clicked."""
        answer = self.call(
            "Runtime.evaluate",
            expression=program,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        deadline = time.monotonic() + 60
        while not self.run(condition):
            assert time.monotonic() < deadline, f"never came: {condition}"
            time.sleep(0.05)

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key)

    def picture(self) -> np.ndarray:
        content = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)

    def text(self, element: str) -> str:
        return self.run(f"document.getElementById('{element}').textContent")

    def close(self) -> None:
        self._session = ""
        self.call("Browser.close")
        self._process.wait(60)
        os.close(self._output)
        os.close(self._input)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if BROWSER is None:
        pytest.skip("no Chromium on this machine (Debian's package chromium)")
    page = Page(tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


@pytest.fixture
def page(browser: Page, tmp_path: Path) -> Page:
    SONG.write_player(tmp_path / "song.html")
    browser.open(tmp_path / "song.html")
    return browser


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="song">(.*?)</script>', page)
    assert found
    return json.loads(found[1])


def test_a_page_holds_the_song_and_stays_small() -> None:
    page = SONG.player()
    song = embedded(page)
    assert (song["speed"], song["frames"], song["tempo"]) == (5.0, 320, 75.0)
    assert [(pitch, start, start + length) for pitch, start, length, _ in song["notes"]] == [
        tuple(note) for note in SONG.notes
    ]
    assert [voice for *_, voice in song["notes"]][:4] == [2, 1, 1, 0]
    assert len(page) < 50_000
    assert SONG.summary() in page
    assert "tunesmith, version 3, seed 7" in page


def test_a_page_names_no_other_place() -> None:
    page = SONG.player(title="Rain")
    assert "://" not in page
    assert "default-src 'none'" in page
    assert not re.search(r"\b(src|import)\s*=|url\(|@import|fetch\(|XMLHttpRequest", page)


def test_a_title_is_text_whatever_is_in_it() -> None:
    page = SONG.player(title=HOSTILE)
    assert "<b>" not in page
    assert "alert('x')" not in page
    assert "&lt;/script&gt;" in page
    assert embedded(page) == embedded(SONG.player())


def test_how_it_is_to_be_played_reaches_the_page() -> None:
    song = embedded(SONG.player(tempo=90, velocity=(110, 60), frames_per_second=8.0))
    assert (song["tempo"], song["velocity"], song["speed"]) == (90, [110, 60], 8.0)


def names(frame: Frame) -> str:
    known = {48: "C3", 53: "F3", 55: "G3", 59: "B3", 60: "C4", 62: "D4", 64: "E4", 65: "F4"}
    known |= {67: "G4", 69: "A4", 71: "B4"}
    return "  ".join(known[pitch] for pitch in frame)


def test_the_keys_of_each_frame_go_down(page: Page) -> None:
    for index in range(16):
        page.run(f"moveTo({(index + 0.5) / 5})")
        assert page.text("sounding") == names(CHORDS[index])


def test_playing_moves_on_lights_keys_and_pauses_without_a_complaint(page: Page) -> None:
    still = page.picture()
    page.run("document.getElementById('play').click()")
    page.until("audible && heardPlace() > 0.3")
    assert page.run("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    page.until("document.getElementById('sounding').textContent.length > 0")
    page.until("piano.struck.size > 0")
    page.press(" ")
    page.until("!playing")
    assert page.run("piano.struck.size") == 0
    assert 0.3 < page.run("place()") < 60
    assert (np.abs(page.picture() - still).sum(axis=2) > 60).mean() > 0.01
    complaints = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
    assert not [event for event in page.events if event["method"] in complaints]
    asked = [
        event["params"]["request"]["url"]
        for event in page.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert all(url.startswith(("file:", "data:")) for url in asked)


def test_the_keyboard_and_the_sliders_control_it(page: Page) -> None:
    page.press("ArrowRight")
    assert page.run("place()") == 5
    page.press("ArrowLeft")
    assert page.run("place()") == 0
    page.press("End")
    assert page.run("place()") == pytest.approx(64)
    page.press("Home")
    page.press("ArrowUp")
    assert page.text("percent") == "105 %"
    page.run(
        "(() => { const seek = document.getElementById('seek'); seek.value = 30;"
        " seek.dispatchEvent(new Event('input')); })()"
    )
    assert page.text("now") == "0:30"
    assert page.run("document.getElementById('seek').getAttribute('aria-valuetext')") == (
        "0:30 of 1:04"
    )


def test_a_song_that_has_ended_begins_again(page: Page) -> None:
    page.run("(moveTo(63.9), document.getElementById('speed').value = 200, setRate(2), play())")
    page.until("!playing && anchorPlace === duration")
    page.run("play()")
    page.until("playing && place() < 30")
    page.run("pause()")


@pytest.mark.parametrize(("width", "height"), [(390, 780), (780, 360), (1400, 800)])
@pytest.mark.parametrize(
    "song", [SONG, Song(((),) * 10, 5.0), Song(((0,), (127,)), 5.0)], ids=["song", "rest", "wide"]
)
def test_it_fits_any_screen(
    browser: Page, tmp_path: Path, song: Song, width: int, height: int
) -> None:
    song.write_player(tmp_path / "song.html", title="A title that is quite long, as titles may be")
    browser.open(tmp_path / "song.html", width, height)
    assert browser.run("[document.body.scrollWidth, document.body.scrollHeight]") == [width, height]
    picture = browser.picture()
    assert picture.shape[:2] == (height, width)
    # A keyboard: white and black in one row of pixels.
    rows = ((picture.min(axis=2) > 200).mean(axis=1) > 0.3) & (
        (picture.max(axis=2) < 70).mean(axis=1) > 0.1
    )
    assert rows.sum() > 15
    assert not [event for event in browser.events if event["method"] == "Runtime.exceptionThrown"]


def test_a_tone_has_its_pitch_and_begins_and_ends_in_silence(page: Page) -> None:
    for pitch in (48, 69):
        tone = np.array(page.run(f"Array.from(renderTone({pitch}))"))
        assert np.abs(tone).max() == pytest.approx(1)
        assert max(np.abs(tone[:3]).max(), np.abs(tone[-3:]).max()) < 0.001
        size = 1 << 19
        spectrum = np.abs(np.fft.rfft(tone[: 44_100 * 2] * np.hanning(44_100 * 2), size))
        peak = np.fft.rfftfreq(size, 1 / 44_100)[spectrum.argmax()]
        assert abs(1200 * np.log2(peak / (440 * 2 ** ((pitch - 69) / 12)))) < 5
