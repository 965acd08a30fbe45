"""The protocol of networks, and the networks there are: one folder each, found by its name.

A folder ``networks/<name>/`` with a ``network.py`` is a network. That module has an object
``NETWORK`` that implements :class:`Network`; ``sizes.py`` beside it has a subclass of
:class:`NetworkSizes` under the name ``SIZES`` and imports neither numpy nor TensorFlow, nor does
this module, so that ``--help`` is quick. Nothing else names a network: the choices of ``--network``
and the options of its sizes follow from its folder.

A plug-in of the kind ``networks`` (:mod:`tunesmith.plugins`) is such an object, or its class, and
names its sizes itself: ``sizes = MySizes``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from tunesmith.components import networks
from tunesmith.components.component import ParameterError, ParameterSet, parameter
from tunesmith.plugins import PluginError, find_plugin, is_reference, load_plugin, plugin_names

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray

KIND = "networks"

WINDOW = 50
"""Frames that a network sees before the one it predicts (the paper's sequence length)."""


@dataclass(frozen=True)
class NetworkSizes(ParameterSet):
    """Base of every network's sizes; more fields are declared with ``parameter()``."""

    window: int = parameter(
        WINDOW, "Frames that the network sees before the one it predicts.", least=1, unit="frames"
    )


class EveryPosition(Protocol):
    """The predictor of a causal network at each position of a window."""

    def __call__(self, tokens: tf.Tensor, training: bool) -> tf.Tensor:
        """Return logits float32 [batch, window, V] for tokens int32 [batch, window].

        Position t predicts token t + 1 from tokens 0 to t alone; the last one predicts the token
        after the window.
        """


class WarmStart(NamedTuple):
    """The part of a network that is causal by itself.

    Attributes:
        every_position: what the part predicts at each position of a window.
        weights: the Keras variables that it learns.
    """

    every_position: EveryPosition
    weights: list[Any]


class ExportedNetwork(NamedTuple):
    """A trained network as it was read back from an exported model.

    Attributes:
        sizes: of the network; what an export does not hold, such as dropout, as by default.
        weights: float32, for ``set_weights`` of what :meth:`Network.build` returns. The first is
            the embedding [V, width], the last two are kernel [units, V] and bias [V] of the output
            layer.
    """

    sizes: NetworkSizes
    weights: list[NDArray[np.float32]]


class Network(Protocol):
    """A network: how it is built, what it learns from, and how it is served."""

    def build(self, vocabulary_size: int, sizes: Any) -> keras.Model:
        """Return the untrained network with its weights, for training.

        Called with tokens int32 [batch, window] it returns float32 [batch, V], rows that sum to
        one: the distribution of the token after the window. The Trainer sets Keras's dtype policy,
        random seed and distribution strategy before.

        Args:
            vocabulary_size: V, tokens known.
            sizes: the network's :class:`NetworkSizes`.
        """

    def every_position(self, model: keras.Model) -> EveryPosition | None:
        """Return what gives a prediction at each position of a window; None if nothing does.

        A network that has it learns from a target at each position, any other from the token after
        the window alone. Either is judged and served by what `model` returns, which has to be the
        softmax of the last position.

        Args:
            model: what :meth:`build` returned.
        """
        del model
        return None

    def warm_start(self, model: keras.Model) -> WarmStart | None:
        """Return the part of the network that is causal by itself; None if there is none.

        It can be trained first, with a target at each position of a window, where the whole network
        has one. The weights of `model` are set so that the whole network returns what the part
        predicts, and they go on doing so while the part alone learns.

        Args:
            model: what :meth:`build` returned, untrained.
        """
        del model
        return None

    def for_serving(self, model: keras.Model, vocabulary_size: int, sizes: Any) -> tf.Module:
        """Return the trained network as it is exported, in float32.

        The module owns its variables and can be called inside a ``tf.function``: tokens int32
        [batch, window], each in range, to probabilities float32 [batch, V]. The graph has stock
        operations alone, without Python functions and XLA, and runs on a machine with a GPU and on
        one without. Unless a network brings its own, it is that of the Keras model.

        Args:
            model: what :meth:`build` returned, trained.
            vocabulary_size: see :meth:`build`.
            sizes: see :meth:`build`.
        """
        from tunesmith.components.networks.portable_graph import PortableGraph

        return PortableGraph(lambda: self.build(vocabulary_size, sizes), model.get_weights())

    def from_export(
        self, variables: Mapping[str, NDArray[np.float32]], window: int
    ) -> ExportedNetwork | None:
        """Return the network that :meth:`for_serving` made these variables of; None if it did not.

        Args:
            variables: of the exported module by name, such as ``_dense/0``.
            window: frames that it sees.
        """
        del variables, window
        return None


_chosen: list[str] = []
"""The plug-ins that :func:`choose_network` has chosen in this process."""


def network_names() -> tuple[str, ...]:
    """Return the names of the built-in networks, sorted."""
    folders = [folder for path in networks.__path__ for folder in Path(path).iterdir()]
    return tuple(sorted({each.name for each in folders if (each / "network.py").is_file()}))


def choose_network(name: str) -> None:
    """Declare the sizes of a network, so that they are options and keys of a configuration.

    Nothing happens for a built-in network, whose sizes always are, and for a name that is none.

    Raises:
        PluginError: the plug-in cannot be loaded.
    """
    if name not in _chosen and _is_plugin(name):
        _plugin(name)
        _chosen.append(name)


def chosen_networks() -> tuple[str, ...]:
    """Return the plug-ins among the networks whose sizes are declared."""
    return tuple(_chosen)


class _Sizes(Mapping[str, type[NetworkSizes]]):
    """The sizes of each network: all built-in and chosen ones, and any other that is looked up."""

    def __getitem__(self, name: str) -> type[NetworkSizes]:
        if name in network_names():
            kind: type[NetworkSizes] = importlib.import_module(_module(name, "sizes")).SIZES
            return kind
        if not _is_plugin(name):
            raise KeyError(name)
        return _plugin(name)[1]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in network_names() or _is_plugin(name))

    def __iter__(self) -> Iterator[str]:
        return iter((*network_names(), *_chosen))

    def __len__(self) -> int:
        return len(network_names()) + len(_chosen)


def sizes_kinds() -> Mapping[str, type[NetworkSizes]]:
    """Return the parameter set of each network's sizes, by the network's name."""
    return _Sizes()


def load_network(name: str) -> Network:
    """Import a network.

    Args:
        name: a built-in network, an installed plug-in or ``module:object``.

    Raises:
        ParameterError: there is no such network.
        PluginError: the plug-in cannot be loaded.
    """
    if name not in network_names() and _is_plugin(name):
        return _plugin(name)[0]
    return cast("Network", importlib.import_module(_module(name, "network")).NETWORK)


def network_modules(name: str) -> tuple[str, ...]:
    """Return the modules that define a network; what they import is its code, too.

    Raises:
        ParameterError: there is no such network.
        PluginError: there is no such plug-in.
    """
    if name not in network_names() and _is_plugin(name):
        return (find_plugin(KIND, name).module,)
    return _module(name, "network"), _module(name, "sizes")


def _is_plugin(name: str) -> bool:
    return is_reference(name) or (name in plugin_names(KIND) and name not in network_names())


def _plugin(name: str) -> tuple[Network, type[NetworkSizes]]:
    found = load_plugin(KIND, name)
    if isinstance(found, type):
        found = found()
    sizes = getattr(found, "sizes", None)
    if Network not in type(found).__mro__:
        raise PluginError(f"{name} is not a network: derive its class from {__name__}.Network")
    if not (isinstance(sizes, type) and issubclass(sizes, NetworkSizes)):
        raise PluginError(
            f"{name} does not say its sizes: set sizes to a class derived from "
            f"{__name__}.NetworkSizes"
        )
    return cast("Network", found), sizes


def _module(name: str, part: str) -> str:
    if name not in network_names():
        known = ", ".join(network_names())
        raise ParameterError("network", f"must be one of {known}, not {name!r}")
    return f"{networks.__name__}.{name}.{part}"
