"""StatisticsGen's executor: statistics of the Examples for ExampleValidator.

Transform counts over single songs while it writes them. These statistics compare songs: the largest
songs, the drift between splits, held-out songs that are copied from training songs. numpy alone,
two passes over the held-out records, and one more over the training records for each held-out
split.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.artifacts import SPLITS, Examples, Sequences, Split
from tunesmith.components.component import Context
from tunesmith.components.encodings.encoding import TokenVocabulary, sounding_numbers
from tunesmith.components.records.tfrecord import SongTokens, read_songs
from tunesmith.components.statistics_gen.component import (
    StatisticsGenInputs,
    StatisticsGenParameters,
)
from tunesmith.components.statistics_gen.drift import TokenCounts, measure_drift, pitch_class_table
from tunesmith.music.copying import known_stretches, match_lengths

STATISTICS_FILE = "statistics.json"


class _Song(NamedTuple):
    """One record, counted; its id, and the name that copies of the song in other keys share."""

    song_id: bytes
    name: bytes
    shifted: bool
    frames: int
    rests: int
    tokens: NDArray[np.int64]
    counts: NDArray[np.int64]


def execute(
    inputs: StatisticsGenInputs, parameters: StatisticsGenParameters, context: Context
) -> None:
    """Write ``statistics.json`` of an ExampleStatistics artifact into the output folder.

    ``splits`` holds, by split, songs, frames, the shares of Transform's own statistics, the largest
    songs with their share of the split (copies in other keys count as one song), songs of which
    nothing but rests is left and songs of one frame held all along; ``drift`` and ``copies``, by
    held-out split, what :class:`tunesmith.components.statistics_gen.drift.Drift` and
    :func:`tunesmith.music.copying.known_stretches` say of it; ``files`` what became of the MIDI
    files, ``notes`` what of their notes. Drift is measured against the training songs in their own
    key.

    Raises:
        ComponentError: the records are damaged.
        OSError: a file is missing or cannot be written.
    """
    examples = inputs.examples
    vocabulary = examples.vocabulary()
    transform = examples.statistics()
    names: list[Split] = list(transform["splits"])
    read = partial(_read, examples, vocabulary)
    counted = partial(_counted, vocabulary)
    with context.progress.task("computing statistics of the splits"):
        # In the order of their ids, so that the result does not depend on the shards.
        songs = {name: sorted(map(counted, read(name)), key=_id_of) for name in names}
        held_out = [name for name in names if name != "train"]
        content = {
            "vocabulary_size": len(vocabulary),
            "distinct_sounding_frames": transform["distinct_sounding_frames"],
            "files": _files(inputs.sequences),
            **_notes(inputs.sequences),
            "splits": {
                name: _describe_split(songs[name], transform["splits"][name], parameters)
                for name in names
            },
            "drift": {
                name: _drift(songs["train"], songs[name], vocabulary, parameters)
                for name in held_out
            },
            "copies": {
                name: _copies(examples, name, sounding_numbers(vocabulary), parameters)
                for name in held_out
            },
        }
    (context.output / STATISTICS_FILE).write_text(json.dumps(content, indent=2), "utf-8")


def _read(
    examples: Examples, vocabulary: TokenVocabulary, split: Split
) -> Iterable[tuple[SongTokens, bytes]]:
    """Yield the songs of a split, each with its name, which copies in other keys share."""
    low, high = vocabulary.corpus.transpose
    for song in read_songs(examples.shards(split)):
        name = song.song_id
        found = re.fullmatch(rb"(.*)@([+-]\d+)", name, re.DOTALL)
        # A file may be called so; only a shift that Transform was asked for is one.
        if split == "train" and found and low <= int(found[2]) <= high:
            name = found[1]
        yield song, name


def _counted(vocabulary: TokenVocabulary, song: tuple[SongTokens, bytes]) -> _Song:
    record, name = song
    tokens, counts = np.unique(record.tokens, return_counts=True)
    shifted = name != record.song_id
    rests = int(counts[np.isin(tokens, vocabulary.rests)].sum())
    return _Song(
        record.song_id,
        name,
        shifted,
        len(record.tokens),
        rests,
        tokens.astype(np.int64),
        counts,
    )


def _id_of(song: _Song) -> bytes:
    return song.song_id


def _files(sequences: Sequences) -> dict[str, Any]:
    summary = sequences.summary()
    rejected: dict[str, int] = summary["rejected"]
    return {
        "found": sum(summary["songs"].values()) + sum(rejected.values()),
        "rejected": sum(rejected.values()),
        "rejected_by_reason": rejected,
    }


def _notes(sequences: Sequences) -> dict[str, Any]:
    """Return ``notes``, unless the songs were read by a version that did not count them."""
    notes = sequences.notes()
    return {} if notes is None else {"notes": {"total": notes.total} | notes._asdict()}


def _describe_split(
    songs: Sequence[_Song], transform: dict[str, Any], parameters: StatisticsGenParameters
) -> dict[str, Any]:
    sizes: dict[bytes, int] = {}
    for song in songs:
        sizes[song.name] = sizes.get(song.name, 0) + song.frames
    frames = sum(sizes.values())
    largest = sorted(sizes.items(), key=lambda each: (-each[1], each[0]))
    tokens = {token for song in songs for token in song.tokens.tolist()}
    of_song = [song.rests / song.frames for song in songs if song.frames]
    return {
        "songs": len(sizes),
        "records": len(songs),
        "frames": frames,
        "distinct_tokens": len(tokens),
        **{name: transform[name] for name in ("mapped_share", "repeated_share")},
        # Of the tokens, not of the frames that were read: the vocabulary may lack what sounded.
        "rest_share": sum(song.rests for song in songs) / frames if frames else 0.0,
        "highest_rest_share_of_a_song": max(of_song, default=0.0),
        "largest_songs": [
            {"song_id": os.fsdecode(name), "frames": size, "share": size / frames}
            for name, size in largest[: parameters.listed_songs]
            if frames
        ],
        "songs_of_rests": _named((s for s in songs if s.rests == s.frames), parameters),
        "songs_of_one_frame": _named(
            (s for s in songs if len(s.tokens) == 1 and not s.rests), parameters
        ),
    }


def _named(songs: Iterable[_Song], parameters: StatisticsGenParameters) -> dict[str, Any]:
    names = sorted({song.name for song in songs})
    listed = names[: parameters.listed_songs]
    return {"count": len(names), "first": [os.fsdecode(name) for name in listed]}


def _drift(
    training: Sequence[_Song],
    held_out: Sequence[_Song],
    vocabulary: TokenVocabulary,
    parameters: StatisticsGenParameters,
) -> dict[str, Any]:
    """Return the drift of tokens and of pitch classes, null where a split has no songs."""
    # Copies in other keys would set the training songs apart from any held-out ones. Where no
    # song is learned in its own key there is nothing better.
    own_key = [song for song in training if not song.shifted] or training
    counts = TokenCounts.of([(song.tokens, song.counts) for song in (*own_key, *held_out)])
    apart = np.repeat([False, True], [len(own_key), len(held_out)])
    measure = partial(
        measure_drift, counts, apart, parameters.divisions, parameters.seed, size=len(vocabulary)
    )
    found = {"tokens": measure(), "pitch_classes": measure(table=pitch_class_table(vocabulary))}
    return {name: None if drift is None else asdict(drift) for name, drift in found.items()}


def _copies(
    examples: Examples,
    split: Split,
    sounding: NDArray[np.int32],
    parameters: StatisticsGenParameters,
) -> Any:
    """Return how much of the held-out songs occurs in the training songs, by length.

    Frames are compared by the number of what they sound, however it is struck.
    """
    songs = list(read_songs(examples.shards(split)))
    frames = [sounding[song.tokens] for song in songs]
    training = (sounding[song.tokens] for song in read_songs(examples.shards(SPLITS[0])))
    matches = match_lengths(frames, training, max(parameters.stretches))
    found = []
    for length in parameters.stretches:
        known = [known_stretches(*each, length) for each in zip(frames, matches, strict=True)]
        stretches = sum(each.stretches for each in known)
        ordered = sorted(
            zip(known, songs, strict=True), key=lambda each: (-each[0].share, each[1].song_id)
        )
        found.append(
            {
                "frames": length,
                "stretches": stretches,
                "known_share": sum(each.known for each in known) / stretches if stretches else 0.0,
                "most_known_songs": [
                    {"song_id": os.fsdecode(song.song_id), "known_share": each.share}
                    for each, song in ordered[: parameters.listed_songs]
                ],
            }
        )
    return found
