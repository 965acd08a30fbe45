"""TLS and mutual TLS, configured in TensorFlow Serving's text format.

The file contains an ``SSLConfig`` (tensorflow_serving/config/ssl_config.proto) whose fields are PEM
texts. It is checked without TensorFlow (for example, that the key belongs to the certificate), so
that an invalid file is reported at once. A changed file is read again, so that certificates can be
renewed without a restart. No error message quotes the file, because it contains a private key.
"""

from __future__ import annotations

import logging
import re
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf import text_format

from tunesmith.serving.errors import ConfigInvalid
from tunesmith.serving.protos.ssl_config_pb2 import SslConfig

_LOG = logging.getLogger(__name__)

# A comment, or a string in single or double quotes, which can span several lines.
_COMMENT_OR_STRING = re.compile(r"#[^\n]*|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", re.DOTALL)

_Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Certificates:
    """Private key, certificate chain and client CA of a server, as PEM texts.

    Attributes:
        key: private key of the server.
        chain: certificate of the server, followed by intermediate certificates.
        client_authorities: certificates of the client CA; None does not verify clients.
    """

    key: bytes
    chain: bytes
    client_authorities: bytes | None = None


def read_certificates(path: Path) -> Certificates:
    """Read and check an SSLConfig file.

    Raises:
        ConfigInvalid: the file cannot be read or parsed, a required field is missing or not PEM, or
            the key does not belong to the certificate.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ConfigInvalid(f"cannot read the TLS configuration {path}: {reason}") from error
    try:
        config = text_format.Parse(_on_one_line_each(text), SslConfig())
    except text_format.ParseError as error:
        # The parser's message would quote the line, which may be part of the key.
        where = f" (line {error.GetLine()})" if error.GetLine() else ""
        raise ConfigInvalid(
            f"{path} is not an SSLConfig in protobuf's text format{where}: its fields are "
            "server_key, server_cert, custom_ca and client_verify"
        ) from None
    _check(path, config)
    authorities = config.custom_ca.encode() if config.client_verify else None
    return Certificates(config.server_key.encode(), config.server_cert.encode(), authorities)


def server_credentials(path: Path) -> grpc.ServerCredentials:
    """Return server credentials that are read again when the file changes.

    The file is checked for a change at each handshake. An invalid new file is logged once, and the
    previous certificates stay in use. `client_verify` cannot change while the server runs.

    Raises:
        ConfigInvalid: as :func:`read_certificates`.
    """
    source = _ReloadedCertificates(path)
    return grpc.dynamic_ssl_server_credentials(
        _configuration(source.certificates),
        source.changed,
        require_client_authentication=source.certificates.client_authorities is not None,
    )


class _ReloadedCertificates:
    """Certificates of a file, read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self.certificates = read_certificates(path)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the new configuration, or None if unchanged; called at each handshake."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            found = read_certificates(self._path)
            if (found.client_authorities is None) != (self.certificates.client_authorities is None):
                raise ConfigInvalid(
                    f"{self._path} changes client_verify: restart the server to apply it"
                )
        except ConfigInvalid as error:
            _LOG.warning("certificates kept", extra={"reason": error})
            return None
        self.certificates = found
        _LOG.info("certificates renewed", extra={"path": self._path})
        return _configuration(found)


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(certificates.key, certificates.chain)], certificates.client_authorities
    )


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _on_one_line_each(text: str) -> str:
    """Escape the line breaks inside strings.

    TensorFlow Serving's parser allows line breaks in strings, and PEM texts are usually pasted with
    them; Python's parser does not.
    """

    def escaped(found: re.Match[str]) -> str:
        part = found[0]
        return part if part.startswith("#") else part.replace("\r", "").replace("\n", "\\n")

    return _COMMENT_OR_STRING.sub(escaped, text)


def _check(path: Path, config: SslConfig) -> None:
    """Check the PEM texts with OpenSSL.

    Raises:
        ConfigInvalid: a field is missing, or OpenSSL does not accept it.
    """
    needed = ["server_key", "server_cert", *(["custom_ca"] if config.client_verify else [])]
    for field in needed:
        value = getattr(config, field)
        if not value:
            why = " (client_verify requires it)" if field == "custom_ca" else ""
            raise ConfigInvalid(f"{path} does not set {field}{why}: set it to a PEM text")
        if "-----BEGIN " not in value:
            raise ConfigInvalid(
                f"{field} in {path} is not a PEM text: it must contain -----BEGIN, not a path"
            )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_chain(context, path, config)
    if config.client_verify:
        try:
            context.load_verify_locations(cadata=config.custom_ca)
        except ssl.SSLError as error:
            raise ConfigInvalid(
                f"OpenSSL cannot read the certificates of custom_ca in {path} ({error.reason})"
            ) from error


def _load_chain(context: ssl.SSLContext, path: Path, config: SslConfig) -> None:
    def no_password() -> str:
        raise ConfigInvalid(f"server_key in {path} is encrypted: use a key without a pass phrase")

    # Python's ssl module reads these only from files. Only the owner can read the folder.
    with tempfile.TemporaryDirectory() as folder:
        key, chain = Path(folder, "key.pem"), Path(folder, "chain.pem")
        key.write_text(config.server_key)
        chain.write_text(config.server_cert)
        try:
            context.load_cert_chain(chain, key, password=no_password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                message = f"server_key in {path} does not belong to its server_cert"
            else:
                message = (
                    f"OpenSSL cannot read server_key or server_cert in {path} "
                    f"({error.reason or error.strerror or 'not PEM'})"
                )
            raise ConfigInvalid(message) from error
