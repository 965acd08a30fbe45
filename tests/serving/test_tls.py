"""TLS and mutual TLS, with certificates made for the test."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from google.protobuf import text_format

from tunesmith.client import Composer, ServerUnavailable
from tunesmith.serving import EmbeddedServer, ServerOptions
from tunesmith.serving.errors import ConfigInvalid
from tunesmith.serving.protos.ssl_config_pb2 import SslConfig
from tunesmith.serving.tls import read_certificates


class Identity:
    """A key and a certificate for this machine, by an authority."""

    def __init__(self, authority: trustme.CA, *names: str) -> None:
        issued = authority.issue_cert(*(names or ("localhost", "127.0.0.1")))
        self.key = issued.private_key_pem.bytes().decode()
        self.chain = b"".join(part.bytes() for part in issued.cert_chain_pems).decode()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def identity(authority: trustme.CA) -> Identity:
    return Identity(authority)


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(server_key=…, …)`` is the path of an SSLConfig in protobuf's own notation."""

    def config(**fields: Any) -> Path:
        path = tmp_path / "ssl.config"
        path.write_text(text_format.MessageToString(SslConfig(**fields)))
        return path

    return config


def test_a_file_is_read_as_protobuf_writes_it_and_as_people_paste_it(
    authority: trustme.CA, identity: Identity, write: Write, tmp_path: Path
) -> None:
    canonical = read_certificates(
        write(
            server_key=identity.key,
            server_cert=identity.chain,
            custom_ca=pem(authority),
            client_verify=True,
        )
    )
    pasted = tmp_path / "pasted.config"
    pasted.write_text(
        f'# it\'s the "server"\nserver_key: "{identity.key}"\n'
        f"server_cert: '{identity.chain}'\n"
        f'custom_ca: "{pem(authority)}"\nclient_verify: true\n'
    )
    assert read_certificates(pasted) == canonical
    assert canonical.key == identity.key.encode()
    assert canonical.client_authorities == pem(authority).encode()


def test_an_authority_is_for_clients_that_are_verified(identity: Identity, write: Write) -> None:
    path = write(server_key=identity.key, server_cert=identity.chain, custom_ca="not looked at")
    assert read_certificates(path).client_authorities is None


def encrypted(key: str) -> str:
    return (
        serialization.load_pem_private_key(key.encode(), None)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        .decode()
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found.update(server_key=""), "does not set server_key"),
        (lambda found: found.update(server_cert=""), "does not set server_cert"),
        (lambda found: found.update(server_key="/etc/tls/key.pem"), ", not a path"),
        (lambda found: found.update(server_key=Identity(trustme.CA()).key), "does not belong to"),
        (
            lambda found: found.update(server_key=found["server_cert"]),
            "OpenSSL cannot read server_key",
        ),
        (lambda found: found.update(server_key=encrypted(found["server_key"])), "is encrypted"),
        (lambda found: found.update(client_verify=True), "client_verify requires it"),
        (
            lambda found: found.update(client_verify=True, custom_ca="-----BEGIN CERTIFICATE-----"),
            "custom_ca",
        ),
    ],
)
def test_what_cannot_serve_is_refused_in_one_line(
    identity: Identity, write: Write, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    fields: dict[str, Any] = {"server_key": identity.key, "server_cert": identity.chain}
    change(fields)
    path = write(**fields)
    with pytest.raises(ConfigInvalid) as caught:
        read_certificates(path)
    message = str(caught.value)
    assert words in message
    assert str(path) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('server_key: "secret', "in protobuf's text format (line 1)"),
        ('\nserver_certificate: "secret"', "in protobuf's text format (line 2)"),
        (None, "No such file"),
        (b"\xff\xfe", "not a text file"),
    ],
)
def test_a_file_of_another_kind_is_refused_without_quoting_it(
    tmp_path: Path, text: str | bytes | None, words: str
) -> None:
    path = tmp_path / "ssl.config"
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigInvalid) as caught:
        read_certificates(path)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def credentials(authority: trustme.CA, client: Identity | None = None) -> grpc.ChannelCredentials:
    shown = (client.key.encode(), client.chain.encode()) if client else (None, None)
    return grpc.ssl_channel_credentials(authority.cert_pem.bytes(), *shown)


def compose(server: EmbeddedServer, shown: grpc.ChannelCredentials | None) -> list[Any]:
    """Return three frames, drawn by the product's own client."""
    with Composer(server.address, deadline=5, credentials=shown) as composer:
        return list(composer.generate(steps=3, seed=7).frames)


def test_a_server_with_a_certificate_talks_to_who_trusts_it(
    shared_server: EmbeddedServer, authority: trustme.CA, identity: Identity, write: Write
) -> None:
    path = write(server_key=identity.key, server_cert=identity.chain)
    with EmbeddedServer(
        shared_server.model_dir, ServerOptions(port=0, ssl_config_file=path)
    ) as server:
        assert len(compose(server, credentials(authority))) == 3
        for stranger in (None, credentials(trustme.CA())):
            with pytest.raises(ServerUnavailable):
                compose(server, stranger)


def test_a_server_that_verifies_its_clients_refuses_those_without_a_certificate(
    shared_server: EmbeddedServer, authority: trustme.CA, identity: Identity, write: Write
) -> None:
    clients = trustme.CA()
    path = write(
        server_key=identity.key,
        server_cert=identity.chain,
        custom_ca=pem(clients),
        client_verify=True,
    )
    options = ServerOptions(port=0, ssl_config_file=path)
    with EmbeddedServer(shared_server.model_dir, options) as server:
        assert len(compose(server, credentials(authority, Identity(clients)))) == 3
        for refused in (None, Identity(authority)):
            with pytest.raises(ServerUnavailable):
                compose(server, credentials(authority, refused))


def shown_serial(server: EmbeddedServer) -> int:
    """Return the serial number of the certificate that a new connection is shown."""
    text = ssl.get_server_certificate(("127.0.0.1", server.port or 0), timeout=10)
    return x509.load_pem_x509_certificate(text.encode()).serial_number


def serial(identity: Identity) -> int:
    return x509.load_pem_x509_certificate(identity.chain.encode()).serial_number


def test_a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_is_not(
    shared_server: EmbeddedServer,
    authority: trustme.CA,
    identity: Identity,
    write: Write,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write(server_key=identity.key, server_cert=identity.chain)
    options = ServerOptions(port=0, ssl_config_file=path)
    with EmbeddedServer(shared_server.model_dir, options) as server:
        assert shown_serial(server) == serial(identity)
        path.write_text("half-writ")
        assert shown_serial(server) == serial(identity)
        assert "certificates kept" in caplog.text
        renewed = Identity(authority)
        write(server_key=renewed.key, server_cert=renewed.chain)
        assert shown_serial(server) == serial(renewed)
        assert len(compose(server, credentials(authority))) == 3


def test_bad_certificates_are_refused_before_tensorflow_is_imported(
    shared_server: EmbeddedServer, tmp_path: Path
) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tunesmith.serving import EmbeddedServer, ServerOptions, ServingError\n"
        "try: EmbeddedServer(sys.argv[1], ServerOptions(port=0, "
        "ssl_config_file=Path(sys.argv[2]))).start()\n"
        "except ServingError as error: print(error, 'tensorflow' in sys.modules)\n"
    )
    arguments = [str(shared_server.model_dir), str(tmp_path / "none.config")]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("cannot read the TLS configuration ")
    assert done.stdout.endswith("No such file or directory False\n")
