"""The artifacts that components hand on: a typed name for a folder and what lies in it.

Each type says what of it counts as content (:meth:`Artifact.content_digest`): records without their
order, weights, tables and findings; no times, no drawings. So an execution that leaves what another
one left has an artifact of the same digest, and what depends on it is not executed again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tunesmith.components.errors import ComponentError

if TYPE_CHECKING:
    from tunesmith.components.encodings.encoding import TokenVocabulary
    from tunesmith.music import CorpusSettings
    from tunesmith.music.note_counts import NoteCounts

Split = Literal["train", "eval", "test"]
"""Songs to train on, songs to stop by and to judge by, and songs that only judge."""

SPLITS: tuple[Split, ...] = ("train", "eval")
"""Those that are always there."""

NATS = "eval nats"
"""Figure: mean negative log likelihood of a frame of the eval split."""

LOSS = "cut loss"
"""Figure: loss of the epoch that was kept, on the training songs that were set aside."""

ORIGIN_FILE = "assets.extra/tunesmith_origin.json"
"""Where a published version says what it is; servers only read warm-up requests there."""


@dataclass(frozen=True)
class Artifact:
    """A folder that one execution wrote or, for the first input, that the user brought.

    Args:
        path: the folder.
        digest: names the content: equal digests mean equal content.
    """

    path: Path
    digest: str

    REPORT: ClassVar[str] = ""
    """The template that draws it in a report (pipeline/templates/artifacts/); empty for none."""

    def figures(self) -> Mapping[str, float]:
        """Return what runs are compared by: numbers that the artifact measures, by name.

        Raises:
            OSError: the folder is not there, or incomplete.
            ValueError, LookupError, TypeError: it is written in another form.
        """
        return {}

    def content_digest(self) -> str:
        """Return a digest of what counts in the folder, 32 hex digits.

        Raises:
            OSError: something in it cannot be read.
        """
        return folder_digest(self.path)

    def modules(self) -> tuple[str, ...]:
        """Return the modules that reading it needs beyond those that a reader imports.

        They count as the code of every component that it is an input of.
        """
        return ()


class MidiFolder(Artifact):
    """A folder of MIDI files, the user's own; never written to."""


class _SplitRecords(Artifact):
    COUNTS: ClassVar[tuple[str, ...]] = ()
    """Files beside the records that count as content."""

    def shards(self, split: Split) -> list[Path]:
        """The TFRecord files of `split`, in order."""
        return sorted(
            path
            for path in self.path.iterdir()
            if path.name.startswith(f"{split}-") and path.suffix == ".tfrecord"
        )

    def content_digest(self) -> str:
        """Return a digest of the records of each split, in any order, and of the tables."""
        import hashlib

        from tunesmith.components.records.tfrecord import read_records

        parts: list[bytes] = []
        for split in ("train", "eval", "test"):
            records = (
                hashlib.blake2b(record, digest_size=16).digest()
                for shard in self.shards(split)
                for record in read_records(shard)
            )
            parts += [split.encode(), *sorted(records)]
        for name in self.COUNTS:
            parts += [name.encode(), _canonical(_read_json(self.path / name))]
        return digest_of(parts)


class Sequences(_SplitRecords):
    """Songs as frames, split, each music once; ExampleGen writes it.

    ``train-*.tfrecord``, ``eval-*.tfrecord`` and, where asked for, ``test-*.tfrecord`` of
    tf.train.Example (see :func:`tunesmith.components.records.songs.write_frames`),
    ``rejected.jsonl``, ``summary.json``, ``notes.json``, ``corpus.json``.
    """

    COUNTS = ("summary.json", "corpus.json")
    REPORT = "sequences.html"

    def figures(self) -> Mapping[str, float]:
        """Return the number of songs and of rejected files."""
        summary = self.summary()
        return {
            "songs": sum(summary["songs"].values()),
            "rejected files": sum(summary["rejected"].values()),
        }

    def summary(self) -> dict[str, Any]:
        """Read ``summary.json``: songs by split, and rejected files by reason.

        With ``notes``, what became of the songs' notes (``notes.json``, see
        :class:`tunesmith.music.note_counts.NoteCounts`), unless an older version read them. They
        are no content: the same frames make the same tokens, whatever notes they came from.
        """
        summary = _read_json(self.path / "summary.json")
        try:
            return summary | {"notes": _read_json(self.path / "notes.json")}
        except FileNotFoundError:
            return summary

    def notes(self) -> NoteCounts | None:
        """Return what became of the songs' notes; None where an older version read them."""
        from tunesmith.music.note_counts import NoteCounts

        notes = self.summary().get("notes")
        return None if notes is None else NoteCounts(**notes)

    def corpus(self) -> CorpusSettings:
        """Read ``corpus.json``: the track and the grid that the songs were read with.

        Raises:
            OldArtifact: release 0.1.0 wrote the songs.
            MusicError: the file holds something else.
        """
        from tunesmith.music import CorpusSettings

        try:
            content = _read_json(self.path / "corpus.json")
        except FileNotFoundError as error:
            raise OldArtifact(self.path, "how its songs were read", "ExampleGen") from error
        return CorpusSettings.from_dict(content)


class Examples(_SplitRecords):
    """Songs as tokens, and the vocabulary; Transform writes it.

    ``train-*.tfrecord``, ``eval-*.tfrecord`` and, where asked for, ``test-*.tfrecord`` of
    tf.train.Example (``song_id`` bytes, ``tokens`` int64 [n], ``frames_per_second`` float),
    ``vocabulary.json``, ``statistics.json``, ``report.html``.
    """

    COUNTS = ("vocabulary.json", "statistics.json")
    REPORT = "examples.html"

    def figures(self) -> Mapping[str, float]:
        """Return the size of the vocabulary, and the share of eval frames outside of it."""
        statistics = self.statistics()
        return {
            "vocabulary size": statistics["vocabulary_size"],
            "eval mapped share": statistics["splits"]["eval"]["mapped_share"],
        }

    def vocabulary(self) -> TokenVocabulary:
        """Read ``vocabulary.json``.

        Raises:
            MusicError: the file holds something else.
            ParameterError: its encoding is not installed.
        """
        from tunesmith.components.encodings.encoding import read_vocabulary

        return read_vocabulary((self.path / "vocabulary.json").read_text("utf-8"))

    def modules(self) -> tuple[str, ...]:
        """Return the module of the encoding that the songs are in."""
        from tunesmith.components.encodings.encoding import encoding_modules
        from tunesmith.music.corpus import FRAMES

        corpus = _read_json(self.path / "vocabulary.json")["corpus"]
        return encoding_modules(corpus.get("encoding", FRAMES))

    def statistics(self) -> dict[str, Any]:
        """Read ``statistics.json``."""
        return _read_json(self.path / "statistics.json")


class TrainedModel(Artifact):
    """A trained network; Trainer writes it: ``saved_model/``, ``history.json``, ``loss.png``.

    ``content.json`` holds digests of what the SavedModel computes, see
    :mod:`tunesmith.components.trainer.export.content`; its files are never the same twice.
    """

    REPORT = "training.html"

    def figures(self) -> Mapping[str, float]:
        """Return the losses of the epoch that was kept, and how many there were."""
        history = self.history()
        best = next(each for each in history["epochs"] if each["epoch"] == history["best_epoch"])
        return {
            LOSS: best["cut_loss"],
            "train loss": best["train_loss"],
            "epochs": len(history["epochs"]),
            "weights": history["model_parameters"],
        }

    @property
    def saved_model(self) -> Path:
        """The SavedModel's folder."""
        return self.path / "saved_model"

    def history(self) -> dict[str, Any]:
        """Read ``history.json``: settings, losses by epoch, the epoch kept.

        Earlier releases chose the epoch by the loss on the eval split, ``eval_loss``; it counts as
        that on the songs set aside.
        """
        history = _read_json(self.path / "history.json")
        for epoch in history["epochs"]:
            if "eval_loss" in epoch:
                epoch.setdefault("cut_loss", epoch.pop("eval_loss"))
        return history

    def content_digest(self) -> str:
        """Return a digest of what the model computes; of its files if there is no content.json."""
        content = self.path / "content.json"
        if content.is_file():
            return digest_of([_canonical(_read_json(content))])
        return folder_digest(self.saved_model)


class ExampleStatistics(Artifact):
    """All that ExampleValidator looks at; StatisticsGen writes it: ``statistics.json``."""

    def content(self) -> dict[str, Any]:
        """Read ``statistics.json``."""
        return _read_json(self.path / "statistics.json")

    def content_digest(self) -> str:
        """Return a digest of the statistics, without the notes: see :meth:`Sequences.summary`."""
        content = self.content()
        content.pop("notes", None)
        return digest_of([_canonical(content)])


@dataclass(frozen=True)
class Check:
    """One condition of a gate.

    Args:
        name: stable, for programs.
        passed: whether it is met.
        why: what was found, one line for people.
        value: what was measured; None if it is no number.
        threshold: what `value` was held against.
        bound: whether `value` must be at least or at most `threshold`; None without one.
        skipped: there was nothing to check, which counts as passed.
    """

    name: str
    passed: bool
    why: str
    value: float | None = None
    threshold: float | None = None
    bound: Literal["least", "most"] | None = None
    skipped: bool = False


class Blessing(Artifact):
    """What a gate found: its checks, and whether all are passed.

    A gate writes its artifact whether it blesses or refuses; the runner and Pusher read it here.
    """

    FILE: ClassVar[str]
    """The JSON file that holds the finding."""

    REPORT = "blessing.html"

    ADVICE: ClassVar[str] = ""
    """What a user can do about a refusal."""

    def content(self) -> dict[str, Any]:
        """Read the finding."""
        return _read_json(self.path / self.FILE)

    def checks(self) -> list[Check]:
        """Return the checks, in order."""
        names = set(Check.__dataclass_fields__)
        return [
            Check(**{name: value for name, value in each.items() if name in names})
            for each in self.content()["checks"]
        ]

    @property
    def blessed(self) -> bool:
        """Whether every check is passed."""
        return all(check.passed for check in self.checks())

    @property
    def model_digest(self) -> str | None:
        """The digest of the model that was checked; None where the finding is of no model."""
        found = self.content().get("model_digest")
        return None if found is None else str(found)

    def objection(self, models: Sequence[TrainedModel]) -> str | None:
        """Return one line that says why this finding stops a component; None if it does not.

        Args:
            models: those that the component is given beside this finding; it must be of one of
                them, if it is of a model at all and there are any.
        """
        if not self.blessed:
            return self.refusal()
        checked = self.model_digest
        if checked is not None and models and checked not in [model.digest for model in models]:
            given = ", ".join(str(model.path) for model in models)
            return (
                f"{self.path} is about another model than {given}: give the blessings of this one"
            )
        return None

    def refusal(self) -> str:
        """Return one line that says which checks failed and what to do."""
        failed = "; ".join(check.why for check in self.checks() if not check.passed)
        return f"{self._subject()} ({failed}){self.ADVICE}"

    def _subject(self) -> str:
        return "refused"

    def content_digest(self) -> str:
        """Return a digest of the finding, without what it took to find out."""
        content = self.content()
        for name in ("seconds", "log"):
            content.pop(name, None)
        return digest_of([_canonical(content)])


class ExampleAnomalies(Blessing):
    """What is wrong with the examples; ExampleValidator writes it: ``anomalies.json``."""

    FILE = "anomalies.json"

    def checks(self) -> list[Check]:
        """Return a check for each anomaly that was found."""
        return [
            Check(
                each["name"],
                each["allowed"] or not each["stops"],
                f"{each['name']}: {each['message']}",
                each["value"],
                each["threshold"],
            )
            for each in self.content()["anomalies"]
        ]

    def refusal(self) -> str:
        """Return one line: every anomaly that stops the run, and how to allow it."""
        failed = [check for check in self.checks() if not check.passed]
        names = sorted({check.name for check in failed})
        return (
            f"{'; '.join(check.why for check in failed)} (or allow it by name: {', '.join(names)})"
        )


class ModelEvaluation(Blessing):
    """How well a model predicts held-out songs; Evaluator writes it: ``evaluation.json``, songs."""

    FILE = "evaluation.json"
    REPORT = "evaluation.html"
    ADVICE = (
        ": to publish it all the same, run again with --beat and --require that ask for less "
        "(--beat none asks for nothing); it is not trained again"
    )

    @property
    def model_digest(self) -> str:
        """The digest of the model that was measured.

        Raises:
            OldArtifact: release 0.1.0 wrote the finding.
        """
        return _model_digest(self, "Evaluator")

    def figures(self) -> Mapping[str, float]:
        """Return what was measured on the eval split."""
        found = self.content()["splits"]["eval"]
        names = {NATS: "nats", "eval perplexity": "perplexity", "eval first guess right": "top1"}
        return {name: found[key] for name, key in names.items() if found[key] is not None}

    def _subject(self) -> str:
        return "the model is not blessed"


class InfraBlessing(Blessing):
    """How the serving engine took the model; InfraValidator writes it: ``infra.json``."""

    FILE = "infra.json"

    @property
    def engine(self) -> str:
        """The engine that served the model."""
        return str(self.content()["engine"])

    @property
    def model_digest(self) -> str:
        """The digest of the model that was served.

        Raises:
            OldArtifact: release 0.1.0 wrote the finding.
        """
        return _model_digest(self, "InfraValidator")

    def checks(self) -> list[Check]:
        """Return the checks, in order.

        Raises:
            OldArtifact: release 0.1.0 wrote them.
        """
        try:
            return super().checks()
        except TypeError as error:
            raise OldArtifact(self.path, "why a check failed", "InfraValidator") from error

    def refusal(self) -> str:
        """Return one line: the engine, and each check that failed."""
        failed = [f"{check.name}: {check.why}" for check in self.checks() if not check.passed]
        return f"the model failed validation on {self.engine}: {'; '.join(failed)}"

    def content_digest(self) -> str:
        """Return a digest of the engine and of which checks passed: the rest is times."""
        content = self.content()
        found = {
            "engine": content["engine"],
            "model_digest": content.get("model_digest"),
            "checks": {check.name: check.passed for check in self.checks()},
        }
        return digest_of([_canonical(found)])


class PushedModel(Artifact):
    """A version that a server can load, ``<model>/<version>/``; Pusher publishes it."""

    @property
    def version(self) -> int:
        """The version's number."""
        return int(self.path.name)

    def content_digest(self) -> str:
        """Return the digest of the model that was published; of the files where it is unknown."""
        try:
            model = _read_json(self.path / ORIGIN_FILE).get("model")
        except FileNotFoundError:
            model = None
        return str(model) if model else folder_digest(self.path, without=(ORIGIN_FILE,))


class OldArtifact(ComponentError):
    """An artifact was written by release 0.1.0, and lacks something.

    Args:
        path: its folder.
        what: what it does not say.
        component: the component that makes it.
    """

    def __init__(self, path: Path, what: str, component: str) -> None:
        super().__init__(
            f"{path} was written by release 0.1.0 and does not say {what}: execute {component} "
            "again"
        )


def _model_digest(blessing: Blessing, component: str) -> str:
    found = blessing.content().get("model_digest")
    if found is None:
        raise OldArtifact(blessing.path, "which model it is about", component)
    return str(found)


def digest_of(parts: Iterable[bytes | str]) -> str:
    """Return a digest of a list of texts or bytes, 32 hex digits."""
    # It loads OpenSSL, and a --help imports this module.
    import hashlib

    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        content = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def folder_digest(folder: Path, without: Collection[str] = ()) -> str:
    """Return a digest of the names and contents of all regular files below a folder.

    Args:
        folder: the folder.
        without: paths below it that are left out.

    Raises:
        OSError: something in it cannot be read.
    """
    parts: list[bytes] = []
    for directory, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(directory, name)
            below = path.relative_to(folder)
            if path.is_file() and str(below) not in without:
                parts += [os.fsencode(below), file_digest(path)]
    return digest_of(parts)


def file_digest(path: Path) -> bytes:
    """Return the BLAKE2b digest of a file's content, 64 bytes, as ``b2sum`` prints it.

    Raises:
        OSError: it cannot be read.
    """
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.blake2b).digest()


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content
