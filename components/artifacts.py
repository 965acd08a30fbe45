"""The artifacts of components: typed folders.

Each type defines which parts count as content (:meth:`Artifact.content_digest`): records without
their order, weights, tables and findings; no times, no drawings. So two executions with the same
result have artifacts of the same digest, and consumers of the artifact are not executed again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tunesmith.components.errors import ComponentError

if TYPE_CHECKING:
    from tunesmith.components.encodings.encoding import TokenVocabulary
    from tunesmith.components.sources.source import ListedSongs
    from tunesmith.music import CorpusSettings
    from tunesmith.music.note_counts import NoteCounts

Split = Literal["train", "eval", "test"]
"""Songs for training, for evaluation, and for an independent test."""

SPLITS: tuple[Split, ...] = ("train", "eval")
"""The splits that always exist."""

NATS = "eval nats"
"""Figure: mean negative log likelihood of a frame of the eval split."""

LOSS = "cut loss"
"""Figure: validation loss of the best epoch, on the training songs held out by Trainer."""

ORIGIN_FILE = "assets.extra/tunesmith_origin.json"
"""Origin file of a published version; of that folder servers only read warm-up requests."""


@dataclass(frozen=True)
class Artifact:
    """A folder that an execution wrote, or a folder of the user.

    Args:
        path: the folder.
        digest: of the content: equal digests mean equal content.
    """

    path: Path
    digest: str

    REPORT: ClassVar[str] = ""
    """Template of its section in a report (pipeline/templates/); empty for none."""

    def figures(self) -> Mapping[str, float]:
        """Return the figures of the artifact by name, for the comparison of runs.

        Raises:
            OSError: the folder is missing or incomplete.
            ValueError, LookupError, TypeError: its files have another format.
        """
        return {}

    def content_digest(self) -> str:
        """Return a digest of the content of the folder, 32 hex digits.

        Raises:
            OSError: a file cannot be read.
        """
        return folder_digest(self.path)

    def modules(self) -> tuple[str, ...]:
        """Return the modules that are needed to read the artifact and that readers do not import.

        They count as code of every component with this input.
        """
        return ()


@dataclass(frozen=True)
class SongFiles(Artifact):
    """The user's own songs, as a source reads them; never written to.

    Args:
        listed: what the source found; None where it has not looked.
    """

    listed: ListedSongs | None = field(default=None, repr=False, compare=False)

    def modules(self) -> tuple[str, ...]:
        """Return the module of the source."""
        from tunesmith.components.sources.source import source_modules

        return () if self.listed is None else source_modules(self.listed.source.name)


class MidiFolder(SongFiles):
    """A folder of MIDI files."""


class MidiArchive(SongFiles):
    """A zip or tar archive of MIDI files."""


class Scores(SongFiles):
    """A folder or an archive of scores: MusicXML, ABC."""


class _SplitRecords(Artifact):
    COUNTS: ClassVar[tuple[str, ...]] = ()
    """Files besides the records that count as content."""

    def shards(self, split: Split) -> list[Path]:
        """Return the TFRecord files of `split`, in order."""
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
    """Songs as frames, split and without duplicates; ExampleGen writes it.

    ``train-*.tfrecord``, ``eval-*.tfrecord`` and, with a test fraction, ``test-*.tfrecord`` of
    tf.train.Example (see :func:`tunesmith.components.records.songs.write_frames`),
    ``rejected.jsonl``, ``summary.json``, ``notes.json``, ``corpus.json``, ``source.json``.
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

        ``notes`` has the counts of kept and lost notes (``notes.json``, see
        :class:`tunesmith.music.note_counts.NoteCounts`), unless an older version wrote the
        artifact. They do not count as content: the tokens depend on the frames alone.
        """
        summary = _read_json(self.path / "summary.json")
        try:
            return summary | {"notes": _read_json(self.path / "notes.json")}
        except FileNotFoundError:
            return summary

    def source(self) -> dict[str, str] | None:
        """Read ``source.json``: ``name`` of the source and ``path`` of the songs; None if absent.

        It is no content: the same songs make the same frames, wherever they come from.
        """
        path = self.path / "source.json"
        return _read_json(path) if path.is_file() else None

    def notes(self) -> NoteCounts | None:
        """Return the counts of kept and lost notes; None if an older version wrote the artifact."""
        from tunesmith.music.note_counts import NoteCounts

        notes = self.summary().get("notes")
        return None if notes is None else NoteCounts(**notes)

    def corpus(self) -> CorpusSettings:
        """Read ``corpus.json``: track and grid of the songs.

        Raises:
            OldArtifact: release 0.1.0 wrote the artifact.
            MusicError: the file has another format.
        """
        from tunesmith.music import CorpusSettings

        try:
            content = _read_json(self.path / "corpus.json")
        except FileNotFoundError as error:
            raise OldArtifact(self.path, "the track and grid of its songs", "ExampleGen") from error
        return CorpusSettings.from_dict(content)


class Examples(_SplitRecords):
    """Songs as tokens, and the vocabulary; Transform writes it.

    ``train-*.tfrecord``, ``eval-*.tfrecord`` and, with a test fraction, ``test-*.tfrecord`` of
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
            MusicError: the file has another format.
            ParameterError: its encoding is not installed.
        """
        from tunesmith.components.encodings.encoding import read_vocabulary

        return read_vocabulary((self.path / "vocabulary.json").read_text("utf-8"))

    def modules(self) -> tuple[str, ...]:
        """Return the module of the songs' encoding."""
        from tunesmith.components.encodings.encoding import encoding_modules
        from tunesmith.music.corpus import FRAMES

        corpus = _read_json(self.path / "vocabulary.json")["corpus"]
        return encoding_modules(corpus.get("encoding", FRAMES))

    def statistics(self) -> dict[str, Any]:
        """Read ``statistics.json``."""
        return _read_json(self.path / "statistics.json")


class TrainedModel(Artifact):
    """A trained network; Trainer writes it: ``saved_model/`` and ``history.json``.

    ``content.json`` has digests of the computation of the SavedModel, see
    :mod:`tunesmith.components.trainer.export.content`; its files differ between equal exports.
    """

    REPORT = "training.html"

    def figures(self) -> Mapping[str, float]:
        """Return the losses of the best epoch, and the numbers of epochs and weights."""
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
        """Read ``history.json``: parameters, losses by epoch, the best epoch.

        Earlier releases chose the epoch by the loss on the eval split, ``eval_loss``, which counts
        as the validation loss, ``cut_loss``.
        """
        history = _read_json(self.path / "history.json")
        for epoch in history["epochs"]:
            if "eval_loss" in epoch:
                epoch.setdefault("cut_loss", epoch.pop("eval_loss"))
        return history

    def content_digest(self) -> str:
        """Return a digest of the model's computation; of its files without ``content.json``."""
        content = self.path / "content.json"
        if content.is_file():
            return digest_of([_canonical(_read_json(content))])
        return folder_digest(self.saved_model)


class ExampleStatistics(Artifact):
    """Statistics for ExampleValidator; StatisticsGen writes it: ``statistics.json``."""

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
        passed: whether the condition is met.
        why: the finding, one line for people.
        value: the measured value; None if it is not a number.
        threshold: the bound of `value`.
        bound: whether `value` must be at least or at most `threshold`; None without a bound.
        skipped: the check did not apply, which counts as passed.
    """

    name: str
    passed: bool
    why: str
    value: float | None = None
    threshold: float | None = None
    bound: Literal["least", "most"] | None = None
    skipped: bool = False


class Blessing(Artifact):
    """The result of a gate: its checks, and whether all are passed.

    A gate writes its artifact whether it blesses or refuses; the runner and Pusher read it.
    """

    FILE: ClassVar[str]
    """The JSON file of the result."""

    REPORT = "blessing.html"

    ADVICE: ClassVar[str] = ""
    """Advice to the user on a refusal."""

    def content(self) -> dict[str, Any]:
        """Read the JSON file."""
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
        """True if every check is passed."""
        return all(check.passed for check in self.checks())

    @property
    def model_digest(self) -> str | None:
        """The digest of the checked model; None if the gate checks no model."""
        found = self.content().get("model_digest")
        return None if found is None else str(found)

    def objection(self, models: Sequence[TrainedModel]) -> str | None:
        """Return one line that says why this blessing stops a component; None if it does not.

        Args:
            models: the models among the other inputs of the component. The blessing of a model
                must be that of one of them.
        """
        if not self.blessed:
            return self.refusal()
        checked = self.model_digest
        if checked is not None and models and checked not in [model.digest for model in models]:
            given = ", ".join(str(model.path) for model in models)
            return (
                f"{self.path} is the blessing of another model than {given}: give its own blessings"
            )
        return None

    def refusal(self) -> str:
        """Return one line: the failed checks, and what to do."""
        failed = "; ".join(check.why for check in self.checks() if not check.passed)
        return f"{self._subject()} ({failed}){self.ADVICE}"

    def _subject(self) -> str:
        return "refused"

    def content_digest(self) -> str:
        """Return a digest of the result, without times and logs."""
        content = self.content()
        for name in ("seconds", "log"):
            content.pop(name, None)
        return digest_of([_canonical(content)])


class ExampleAnomalies(Blessing):
    """The anomalies of the examples; ExampleValidator writes it: ``anomalies.json``."""

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
        """Return one line: every anomaly that stops the run, and how to ignore it."""
        failed = [check for check in self.checks() if not check.passed]
        names = sorted({check.name for check in failed})
        return (
            f"{'; '.join(check.why for check in failed)} (to ignore: example_validator.allow "
            f"{','.join(names)})"
        )


class ModelEvaluation(Blessing):
    """The evaluation of a model on held-out songs; Evaluator writes it: ``evaluation.json``,
    songs."""

    FILE = "evaluation.json"
    REPORT = "evaluation.html"
    ADVICE = (
        ": to publish it anyway, run again with fewer evaluator.blessing.beat and "
        "evaluator.blessing.require (none requires nothing); it is not trained again"
    )

    @property
    def model_digest(self) -> str:
        """The digest of the evaluated model.

        Raises:
            OldArtifact: release 0.1.0 wrote the artifact.
        """
        return _model_digest(self, "Evaluator")

    def figures(self) -> Mapping[str, float]:
        """Return the figures of the eval split."""
        found = self.content()["splits"]["eval"]
        names = {NATS: "nats", "eval perplexity": "perplexity", "eval first guess right": "top1"}
        return {name: found[key] for name, key in names.items() if found[key] is not None}

    def _subject(self) -> str:
        return "the model is not blessed"


class InfraBlessing(Blessing):
    """The validation of a served model; InfraValidator writes it: ``infra.json``."""

    FILE = "infra.json"

    @property
    def engine(self) -> str:
        """The engine that served the model."""
        return str(self.content()["engine"])

    @property
    def model_digest(self) -> str:
        """The digest of the served model.

        Raises:
            OldArtifact: release 0.1.0 wrote the artifact.
        """
        return _model_digest(self, "InfraValidator")

    def checks(self) -> list[Check]:
        """Return the checks, in order.

        Raises:
            OldArtifact: release 0.1.0 wrote the artifact.
        """
        try:
            return super().checks()
        except TypeError as error:
            raise OldArtifact(
                self.path, "the reasons of failed checks", "InfraValidator"
            ) from error

    def refusal(self) -> str:
        """Return one line: the engine, and each check that failed."""
        failed = [f"{check.name}: {check.why}" for check in self.checks() if not check.passed]
        return f"the model failed validation on {self.engine}: {'; '.join(failed)}"

    def content_digest(self) -> str:
        """Return a digest of the engine and of the outcome of each check, without times."""
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
        """Return the digest of the published model; of the files if it is unknown."""
        try:
            model = _read_json(self.path / ORIGIN_FILE).get("model")
        except FileNotFoundError:
            model = None
        return str(model) if model else folder_digest(self.path, without=(ORIGIN_FILE,))


class OldArtifact(ComponentError):
    """An artifact of release 0.1.0 lacks information.

    Args:
        path: its folder.
        missing: the information that it lacks.
        component: the component that writes it.
    """

    def __init__(self, path: Path, missing: str, component: str) -> None:
        super().__init__(
            f"{path} was written by release 0.1.0 and lacks {missing}: execute {component} again"
        )


def _model_digest(blessing: Blessing, component: str) -> str:
    found = blessing.content().get("model_digest")
    if found is None:
        raise OldArtifact(blessing.path, "the digest of its model", component)
    return str(found)


def digest_of(parts: Iterable[bytes | str]) -> str:
    """Return a digest of a list of texts or bytes, 32 hex digits."""
    # hashlib loads OpenSSL, and --help imports this module.
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
        without: relative paths that are left out.

    Raises:
        OSError: a file cannot be read.
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
        OSError: the file cannot be read.
    """
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.blake2b).digest()


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content
