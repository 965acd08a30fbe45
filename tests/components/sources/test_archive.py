"""Archives of MIDI files: the same songs as from a folder, and nothing that harms."""

from __future__ import annotations

import copy
import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.components.artifacts import MidiArchive
from tunesmith.components.errors import NoSongs
from tunesmith.components.example_gen.component import ExampleGenParameters
from tunesmith.components.example_gen.read_ahead import ReadAhead
from tunesmith.components.example_gen.reading import Reading, start_reading
from tunesmith.components.example_gen.song_files import Rejection, Song, read_song_file
from tunesmith.components.preprocess import run_preprocess
from tunesmith.components.sources.source import ListedSongs, list_songs, read_source
from tunesmith.components.transform.component import TransformParameters
from tunesmith.music.reading import LARGEST_FILE

WriteScale = Callable[[Path, int, int], Path]

READING = ExampleGenParameters()
KINDS = ("zip", "tar", "tar.gz", "tar.xz", "tar.bz2")
_FORMATS = {"tar.gz": "gztar", "tar.xz": "xztar", "tar.bz2": "bztar"}


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory, write_scale: WriteScale) -> Path:
    """A folder of songs, some in a folder below, one of them broken."""
    folder = tmp_path_factory.mktemp("corpus") / "songs"
    for number in range(12):
        place = folder / ("more" if number % 3 else ".")
        write_scale(place / f"scale {number}.mid", 50 + number, 20 + number)
    (folder / "broken.mid").write_bytes(b"MThd and nothing")
    (folder / "notes.txt").write_text("no song")
    return folder


def pack(folder: Path, kind: str, target: Path, inside: bool = True) -> Path:
    """Pack what is in a folder, or the folder itself; return the archive's path."""
    base, below = (folder, ".") if inside else (folder.parent, folder.name)
    return Path(
        shutil.make_archive(str(target / folder.name), _FORMATS.get(kind, kind), base, below)
    )


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def outcomes(listed: ListedSongs) -> dict[bytes, Song | Rejection]:
    source = listed.source.open()
    found = [read_song_file(*file, READING, source) for file in listed.files]
    return {each.song_id: each for each in found}


@pytest.mark.parametrize("inside", [True, False], ids=["its files", "the folder itself"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_holds_the_songs_of_the_folder(
    songs: Path, tmp_path: Path, kind: str, inside: bool
) -> None:
    archive = pack(songs, kind, tmp_path, inside)
    expected, found = list_songs(songs), list_songs(archive)
    assert found.source.name == "archive"
    assert {song for song, _ in found.files} == {song for song, _ in expected.files}
    assert outcomes(found) == outcomes(expected)
    artifact = read_source(archive)
    assert isinstance(artifact, MidiArchive)
    assert artifact.digest == read_source(songs).digest


@pytest.mark.parametrize("kind", ["zip", "tar.xz"])
def test_records_vocabulary_and_statistics_are_the_folders_byte_for_byte(
    songs: Path, tmp_path: Path, kind: str
) -> None:
    written = []
    for number, path in enumerate((songs, pack(songs, kind, tmp_path, inside=False))):
        output = tmp_path / str(number)
        output.mkdir()
        with start_reading(list_songs(path), READING, ()) as reading:
            run_preprocess(reading, output, TransformParameters())
        kept = (each for each in output.iterdir() if each.suffix != ".html")
        written.append({each.name: each.read_bytes() for each in kept})
    assert {"vocabulary.json", "statistics.json", "rejected.jsonl"} <= written[0].keys()
    assert written[0] == written[1]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_processes_that_read_ahead_open_the_archive_themselves(
    songs: Path, tmp_path: Path, kind: str
) -> None:
    listed = list_songs(pack(songs, kind, tmp_path))
    with ReadAhead(listed, READING, 3) as ahead:
        found = {each.song_id: each for each in ahead.results()}
    assert found == outcomes(listed)


def test_workers_of_beam_open_the_archive_themselves(songs: Path, tmp_path: Path) -> None:
    listed = list_songs(pack(songs, "tar.gz", tmp_path))
    workers = ("--runner=FnApiRunner", "--direct_running_mode=multi_processing")
    output = tmp_path / "output"
    output.mkdir()
    counters = run_preprocess(
        Reading(listed, READING, (*workers, "--direct_num_workers=2"), None),
        output,
        TransformParameters(),
    )
    assert (counters["songs_read"], counters["rejected_malformed"]) == (12, 1)


def test_members_that_could_harm_are_rejected_each_by_itself(songs: Path, tmp_path: Path) -> None:
    song = (songs / "scale 0.mid").read_bytes()
    path = tmp_path / "mixed.zip"
    write_zip(
        path,
        {
            "good.mid": song,
            "../up.mid": song,
            "/etc/root.mid": song,
            "a/../../b.mid": song,
            "bomb.mid": bytes(LARGEST_FILE * 2),
            "large.mid": os.urandom(LARGEST_FILE + 10),
            "__MACOSX/._good.mid": b"resource fork",
        },
    )
    with zipfile.ZipFile(path, "a") as file:
        link = zipfile.ZipInfo("link.mid")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "good.mid")
    found = outcomes(list_songs(path))
    assert isinstance(found.pop(b"good.mid"), Song)
    assert found.pop(b"large.mid")[1] == "too large"
    assert {name: each[1:] for name, each in found.items()} == {
        b"../up.mid": ("unreadable", "its name leads out of the archive"),
        b"/etc/root.mid": ("unreadable", "its name leads out of the archive"),
        b"a/../../b.mid": ("unreadable", "its name leads out of the archive"),
        b"bomb.mid": ("too large", "it expands more than 200 times"),
        b"link.mid": ("unreadable", "not a regular file"),
    }
    assert sorted(each.name for each in tmp_path.iterdir()) == ["mixed.zip"]


def test_an_encrypted_member_is_rejected(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"secret.mid": b"MThd"})
    content = bytearray(path.read_bytes())
    # The flag in the member's own header and in the directory.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert outcomes(list_songs(path))[b"secret.mid"][1:] == ("unreadable", "it is encrypted")


def test_links_and_names_that_lead_out_of_a_tar_are_rejected(songs: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        file.add(songs / "scale 0.mid", "good.mid")
        for name, kind in (("soft.mid", tarfile.SYMTYPE), ("hard.mid", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            file.addfile(info)
        file.addfile(tarfile.TarInfo("../up.mid"), io.BytesIO())
        pipe = tarfile.TarInfo("pipe.mid")
        pipe.type = tarfile.FIFOTYPE
        file.addfile(pipe)
    found = outcomes(list_songs(path))
    assert isinstance(found.pop(b"good.mid"), Song)
    assert {name: each[2] for name, each in found.items()} == {
        b"soft.mid": "not a regular file",
        b"hard.mid": "not a regular file",
        b"pipe.mid": "not a regular file",
        b"../up.mid": "its name leads out of the archive",
    }


def test_a_zip_that_has_one_piece_of_data_under_many_names_is_one_line(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"0.mid": os.urandom(2**16)})
    with zipfile.ZipFile(path, "a") as file:
        for number in range(1, 9):
            again = copy.copy(file.getinfo("0.mid"))
            again.filename = f"{number}.mid"
            file.filelist.append(again)
        file.writestr("readme.txt", b"")
    with pytest.raises(NoSongs, match="cannot be read as an archive: its members overlap"):
        list_songs(path)


def test_a_tar_that_expands_without_end_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        info = tarfile.TarInfo("a.mid")
        info.size = 2**27
        file.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(NoSongs, match=r"bomb\.tar\.gz cannot be read .*: it expands more than 200"):
        list_songs(path)


def test_a_tar_header_that_would_fill_the_memory_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33 - 512
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(NoSongs, match="cannot be read as an archive: a header of"):
        list_songs(path)


def test_the_last_member_of_a_name_counts(songs: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as file:
        for number in (0, 3):
            file.add(songs / f"scale {number}.mid", "same.mid")
    (found,) = outcomes(list_songs(path)).values()
    expected = outcomes(list_songs(songs))[b"scale 3.mid"]
    assert isinstance(found, Song)
    assert isinstance(expected, Song)
    assert found.digest == expected.digest


def test_names_are_the_bytes_that_the_archive_has(songs: Path, tmp_path: Path) -> None:
    content = (songs / "scale 0.mid").read_bytes()
    path = write_zip(tmp_path / "a.zip", {"Füge.mid": content})
    assert [song for song, _ in list_songs(path).files] == ["Füge.mid".encode()]
    name = b"caf\xe9.mid".decode("utf-8", "surrogateescape")
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as file:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        file.addfile(info, io.BytesIO(content))
    assert [song for song, _ in list_songs(tmp_path / "a.tar").files] == [b"caf\xe9.mid"]


@pytest.mark.parametrize("kind", KINDS)
def test_half_an_archive_is_one_line(songs: Path, tmp_path: Path, kind: str) -> None:
    archive = pack(songs, kind, tmp_path)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(NoSongs) as caught:
        read_source(archive)
    assert f"{archive} cannot be read as an archive: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_archive_without_songs_is_one_line(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"readme.txt": b"nothing"})
    with pytest.raises(NoSongs, match=r"a\.zip has no MIDI files \(\.mid, \.midi\)"):
        list_songs(path)
