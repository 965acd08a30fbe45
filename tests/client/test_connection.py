"""Servers that are away, slow, of another kind, or wrong: each has a named, one-line error."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import pytest
import trustme

from tunesmith.client import (
    BadAddress,
    BadOption,
    BadResponse,
    Composer,
    ComposerError,
    ModelNotFound,
    NotAComposer,
    ServerBusy,
    ServerError,
    ServerTooSlow,
    ServerUnavailable,
    VersionGone,
    tls_credentials,
)
from tunesmith.client.connection import Connection, ModelVersion
from tunesmith.music import TrackChoice


def fails_with(kind: type[ComposerError], text: str, address: str, **options: object) -> None:
    with (
        Composer(address, **options) as composer,
        pytest.raises(kind, match=text) as caught,
    ):
        composer.generate(steps=3)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_nobody_there() -> None:
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{placeholder.getsockname()[1]}"
        fails_with(ServerUnavailable, f"no server answers at {address}: .*tunesmith serve", address)


@pytest.mark.parametrize("address", ["localhost", "localhost:", "localhost:http", ""])
def test_an_address_without_a_port(address: str) -> None:
    with pytest.raises(BadAddress, match="HOST:PORT"):
        Composer(address)


def test_a_deadline_must_be_positive() -> None:
    with pytest.raises(BadOption, match="deadline"):
        Composer("localhost:8500", deadline=0)


def test_an_unknown_model_or_version_on_the_real_server(server_address: str) -> None:
    fails_with(ModelNotFound, "does not serve bach", server_address, model="bach")
    fails_with(ModelNotFound, "tunesmith version 99", server_address, version=99)


def test_the_real_server_says_which_versions_it_serves(server_address: str) -> None:
    connection = Connection(server_address)
    assert connection.available_versions("tunesmith") == [1]
    connection.close()


def test_available_versions_leave_out_what_is_unloaded(address: str) -> None:
    connection = Connection(address)
    assert connection.available_versions("tunesmith") == [3]
    connection.close()


def test_a_closed_composer_says_so(address: str) -> None:
    composer = Composer(address)
    composer.close()
    with pytest.raises(ServerUnavailable, match="closed"):
        composer.generate(steps=1)


def test_unavailable_is_tried_again(address: str, contract) -> None:
    contract.refusals = [grpc.StatusCode.UNAVAILABLE] * 2
    with Composer(address) as composer:
        assert len(composer.generate(steps=2).frames) == 2
    assert not contract.refusals


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ServerBusy),
        (grpc.StatusCode.INTERNAL, ServerError),
        (grpc.StatusCode.INVALID_ARGUMENT, ServerError),
    ],
)
def test_a_refusal_is_named(
    address: str, contract, status: grpc.StatusCode, kind: type[ComposerError]
) -> None:
    contract.refusals = [status]
    fails_with(kind, "as the test wants it", address, patience=0)


def test_a_server_that_never_answers_meets_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        # gRPC may call a connection that was never completed either.
        expected = pytest.raises((ServerTooSlow, ServerUnavailable))
        with Composer(address, deadline=0.3) as composer, expected:
            composer.generate(steps=1)


def test_a_slow_answer_is_named(address: str, contract) -> None:
    def slow(tokens):
        time.sleep(0.6)
        return contract.next_token(tokens)

    contract.probabilities = slow
    fails_with(ServerTooSlow, "within 0.2 s", address, deadline=0.2)


def test_a_grpc_server_of_another_kind() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    fails_with(NotAComposer, "is not a model server", f"127.0.0.1:{port}")
    server.stop(None).wait()


@pytest.mark.parametrize("signature", ["serving_default", "vocabulary", "settings"])
def test_a_model_of_another_kind(address: str, contract, signature: str) -> None:
    contract.missing_signature = signature
    fails_with(NotAComposer, f"no signature {signature}", address)


NONSENSE = {
    "too narrow": (lambda n: np.full((n, 4), 0.25), r"\[1, 4\] instead of shape \[1, 5\]"),
    "a row too many": (lambda n: np.full((n + 1, 5), 0.2), r"\[2, 5\] instead of shape \[1, 5\]"),
    "not a number": (lambda n: np.full((n, 5), np.nan), "NaN for 1 of 1"),
    "no sum of one": (lambda n: np.full((n, 5), 0.3), "sum of a row 1.5"),
    "negative": (lambda _: np.array([[-0.5, 1.5, 0, 0, 0]]), "smallest value -0.5"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_named(address: str, contract, name: str) -> None:
    answer, message = NONSENSE[name]
    contract.probabilities = lambda tokens: answer(len(tokens))
    fails_with(BadResponse, message, address)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (["e", "60", "60"], "must all be different"),
        (["60", "e"], "must be the rest"),
        (["e", "C4"], "not a frame"),
        (["e", ""], "not a frame"),
        (["e", "♪"], "invalid vocabulary"),
    ],
)
def test_a_vocabulary_that_makes_no_sense(
    address: str, contract, frames: list[str], message: str
) -> None:
    contract.frames = frames
    fails_with(BadResponse, message, address)


def test_a_large_vocabulary_is_read_in_chunks(address: str, contract) -> None:
    contract.frames = ["e", *(f"{low},{high}" for high in range(128) for low in range(high))][:700]
    with Composer(address) as composer:
        assert composer.model().vocabulary.names == tuple(contract.frames)
    assert contract.vocabulary_calls == [256, 256, 188]


def test_settings_of_speed_alone_mean_the_first_track_and_the_piano(address: str) -> None:
    with Composer(address) as composer:
        settings = composer.model().settings
    assert settings.frames_per_second == 8.0
    assert settings.track == TrackChoice("first")
    assert settings.program == 0


def test_a_song_stays_on_the_version_it_began_with(address: str, contract) -> None:
    with Composer(address) as composer:
        frames = composer.stream(steps=10)
        next(frames)
        contract.version = 4
        with pytest.raises(VersionGone, match="tunesmith version 3 is no longer served"):
            next(frames)
        assert composer.generate(steps=1).model_version == 4


def test_a_named_version_is_asked_for(address: str) -> None:
    connection = Connection(address)
    servable, _ = connection.signatures(ModelVersion("tunesmith", 3))
    assert servable == ModelVersion("tunesmith", 3)
    with pytest.raises(ModelNotFound, match="tunesmith version 2"):
        connection.signatures(ModelVersion("tunesmith", 2))
    connection.close()


def test_a_unix_socket(serve: Callable[..., str], tmp_path: Path) -> None:
    with Composer(serve(socket=str(tmp_path / "server"))) as composer:
        assert len(composer.generate(steps=2).frames) == 2


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def key_and_certificate(authority: trustme.CA, name: str) -> tuple[bytes, bytes]:
    issued = authority.issue_cert(name)
    chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
    return issued.private_key_pem.bytes(), chain


def test_tls(serve: Callable[..., str], authority: trustme.CA, tmp_path: Path) -> None:
    pair = key_and_certificate(authority, "localhost")
    address = serve(grpc.ssl_server_credentials([pair]))
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Composer(address, credentials=tls_credentials(tmp_path / "ca.pem")) as composer:
        assert len(composer.generate(steps=2).frames) == 2
    fails_with(ServerUnavailable, "TLS certificates", address, credentials=tls_credentials())


def test_mutual_tls(serve: Callable[..., str], authority: trustme.CA, tmp_path: Path) -> None:
    root = authority.cert_pem.bytes()
    pair = key_and_certificate(authority, "localhost")
    address = serve(
        grpc.ssl_server_credentials([pair], root_certificates=root, require_client_auth=True)
    )
    names = ("ca.pem", "key.pem", "certificate.pem")
    for name, content in zip(names, (root, *key_and_certificate(authority, "me")), strict=True):
        (tmp_path / name).write_bytes(content)
    ca, key, certificate = (tmp_path / name for name in names)
    with Composer(address, credentials=tls_credentials(ca, certificate, key)) as composer:
        assert len(composer.generate(steps=2).frames) == 2
    fails_with(ServerUnavailable, "TLS certificates", address, credentials=tls_credentials(ca))


def test_tls_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"cannot read the TLS file .*absent"):
        tls_credentials(tmp_path / "absent.pem")
    with pytest.raises(BadOption, match="give both"):
        tls_credentials(certificate=tmp_path / "mine.pem")
