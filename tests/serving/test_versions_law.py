"""After any change of a model's folder, versions that load and are named are served."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tunesmith.serving.errors import LabelNotAssignable, ModelNotLoadable, ModelVersionMissing
from tunesmith.serving.model import HostedModel
from tunesmith.serving.model_config import ModelConfig, VersionPolicy
from tunesmith.serving.runtime import tf
from tunesmith.serving.servable import Servable
from tunesmith.serving.versions import State

NUMBERS = st.integers(1, 5)
POLICIES = st.one_of(
    st.integers(1, 3).map(VersionPolicy.latest),
    st.just(VersionPolicy.every()),
    st.frozensets(NUMBERS, min_size=1).map(lambda chosen: VersionPolicy.specific(*chosen)),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["publish", "break", "remove"]), NUMBERS),
        st.tuples(st.just("configure"), st.tuples(POLICIES, st.none() | NUMBERS)),
        st.tuples(st.sampled_from(["lease", "return"]), st.none()),
    ),
    min_size=4,
    max_size=14,
)


class Doubler(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def double(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": 2.0 * x}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model"
    module = Doubler()
    tf.saved_model.save(module, str(path), signatures={"double": module.double})
    return path


class Loads:
    """Real servables, counted from loading to closing."""

    def __init__(self) -> None:
        self.open = 0

    def __call__(self, _name: str, version: int, path: Path) -> Servable:
        # The first session of a process settles its threads; these are a server's own.
        servable = Servable(version, path, inter_op=2, intra_op=1)
        self.open += 1
        close = servable.close

        def counted() -> None:
            self.open -= 1
            close()

        servable.close = counted  # type: ignore[method-assign]
        return servable


def expected(policy: VersionPolicy, disk: dict[int, bool], before: set[int]) -> set[int]:
    """Return the numbers that are to serve; `disk` says of each version there whether it loads."""
    asked = {number for number in disk if policy.numbers is None or number in policy.numbers}
    sound = sorted((number for number in asked if disk[number]), reverse=True)
    chosen = set(sound[: policy.limit])
    return chosen or (set(sorted(before)[-1:]) if asked else set())


def available(model: HostedModel) -> set[int]:
    """Return the numbers that GetModelStatus calls available."""
    return {each.version for each in model.versions.statuses() if each.state is State.AVAILABLE}


@settings(max_examples=50, deadline=None)
@given(first=POLICIES, steps=STEPS)
@example(first=VersionPolicy.latest(), steps=[("publish", 1), ("break", 2), ("remove", 1)])
@example(
    first=VersionPolicy.every(),
    steps=[("publish", 1), ("lease", None), ("remove", 1), ("publish", 1), ("return", None)],
)
def test_what_serves_is_what_is_asked_for_and_loads(
    exported: Path, first: VersionPolicy, steps: list[tuple[str, Any]]
) -> None:
    loads = Loads()
    model = HostedModel("m", loads)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as leases:
        base = Path(folder)
        disk: dict[int, bool] = {}
        model.config = ModelConfig("m", base, first)
        held: list[tuple[ExitStack, Servable]] = []
        serving: set[int] = set()
        for what, argument in steps:
            if what in ("publish", "break", "remove"):
                shutil.rmtree(base / str(argument), ignore_errors=True)
                disk.pop(argument, None)
                model.refresh()
                serving = expected(model.config.policy, disk, serving)
            if what in ("publish", "break"):
                disk[argument] = what == "publish"
                shutil.copytree(exported, base / str(argument))
                if what == "break":
                    (base / str(argument) / "saved_model.pb").write_bytes(b"no graph")
            if what == "configure":
                policy, labelled = argument
                labels = {} if labelled is None else {"stable": labelled}
                config = ModelConfig("m", base, policy, labels)
                asked = {number for number in disk if number in (policy.numbers or disk)}
                try:
                    model.commit(model.prepare(config, retry=True))
                except ModelVersionMissing:
                    assert not asked
                except ModelNotLoadable:
                    assert asked
                    assert not any(disk[number] for number in asked)
                except LabelNotAssignable:
                    assert labelled not in expected(policy, disk, set())
                else:
                    serving = expected(policy, disk, set())
            if what == "lease" and serving:
                own = leases.enter_context(ExitStack())
                held.append((own, own.enter_context(model.versions.lease(None, None))))
            if what == "return" and held:
                held.pop(0)[0].close()
                assert available(model) == serving
            model.refresh()
            serving = expected(model.config.policy, disk, serving)
            assert set(model.versions.serving()) == serving
            assert available(model) == serving
            in_use = {id(servable) for _, servable in held}
            in_use |= {id(each.servable) for each in model.versions.serving().values()}
            assert loads.open == len(in_use), "one that nobody needs is open, or the reverse"
            for _, servable in held:
                answer = servable.run("double", {"x": np.ones(1, np.float32)}, ["y"])
                assert answer["y"].tolist() == [2.0]
        model.close()
        while held:
            held.pop()[0].close()
        assert loads.open == 0
        assert {each.state for each in model.versions.statuses()} <= {State.END}
