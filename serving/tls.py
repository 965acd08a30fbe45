"""TLS and mutual TLS, from a file in TensorFlow Serving's own text format.

The file holds an ``SSLConfig`` (tensorflow_serving/config/ssl_config.proto) whose fields are PEM
text. It is checked, key against certificate, without TensorFlow, so that a server fails at once and
in one line; and it is read again when it changes, so that certificates are renewed without a
restart. No message says anything of what the file holds: one part of it is a private key.
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

# A comment or a string, in either kind of quotes, over as many lines as it takes.
_COMMENT_OR_STRING = re.compile(r"#[^\n]*|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", re.DOTALL)

_Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Certificates:
    """What a server shows and whom it takes; every text is PEM.

    Attributes:
        key: the private key.
        chain: the certificate, followed by those that lead to its authority.
        client_authorities: whose clients are taken; None takes every client.
    """

    key: bytes
    chain: bytes
    client_authorities: bytes | None = None


def read_certificates(path: Path) -> Certificates:
    """Read and check an SSLConfig file.

    Raises:
        ConfigInvalid: the file cannot be read or parsed, a field that is needed is missing or no
            PEM, or the key is not the certificate's.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigInvalid(f"cannot read the TLS configuration {path}: {reason}") from error
    try:
        config = text_format.Parse(_on_one_line_each(text), SslConfig())
    except text_format.ParseError as error:
        # The parser's own words quote the line, which may be the key's.
        where = f" (line {error.GetLine()})" if error.GetLine() else ""
        raise ConfigInvalid(
            f"{path} is no SSLConfig in protobuf's text format{where}: it sets server_key, "
            "server_cert, custom_ca and client_verify"
        ) from None
    _check(path, config)
    authorities = config.custom_ca.encode() if config.client_verify else None
    return Certificates(config.server_key.encode(), config.server_cert.encode(), authorities)


def server_credentials(path: Path) -> grpc.ServerCredentials:
    """Return credentials that follow the file: what it holds at a handshake is what is shown.

    Whether clients need a certificate is settled now. A file that goes bad is logged, once, and
    what was read before stays.

    Raises:
        ConfigInvalid: what :func:`read_certificates` raises.
    """
    source = _Followed(path)
    return grpc.dynamic_ssl_server_credentials(
        _configuration(source.certificates),
        source.changed,
        require_client_authentication=source.certificates.client_authorities is not None,
    )


class _Followed:
    """The certificates of a file, read again when the file is another one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self.certificates = read_certificates(path)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the new configuration, or None where there is none; called at each handshake."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            found = read_certificates(self._path)
            if (found.client_authorities is None) != (self.certificates.client_authorities is None):
                raise ConfigInvalid(f"{self._path} changes client_verify, which needs a restart")
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
    """Write the line breaks inside strings as escapes.

    TensorFlow Serving's parser takes them as they are, and so PEM is usually pasted; Python's does
    not.
    """

    def escaped(found: re.Match[str]) -> str:
        part = found[0]
        return part if part.startswith("#") else part.replace("\r", "").replace("\n", "\\n")

    return _COMMENT_OR_STRING.sub(escaped, text)


def _check(path: Path, config: SslConfig) -> None:
    """Let OpenSSL judge the PEM texts.

    Raises:
        ConfigInvalid: it would not serve with them.
    """
    needed = ["server_key", "server_cert", *(["custom_ca"] if config.client_verify else [])]
    for field in needed:
        value = getattr(config, field)
        if not value:
            why = " (client_verify needs it)" if field == "custom_ca" else ""
            raise ConfigInvalid(f"{path} sets no {field}{why}: give it as PEM text")
        if "-----BEGIN " not in value:
            raise ConfigInvalid(
                f"{field} in {path} is no PEM text: it begins with -----BEGIN, and is not a path"
            )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_chain(context, path, config)
    if config.client_verify:
        try:
            context.load_verify_locations(cadata=config.custom_ca)
        except ssl.SSLError as error:
            raise ConfigInvalid(
                f"custom_ca in {path} is no certificate that OpenSSL can read ({error.reason})"
            ) from error


def _load_chain(context: ssl.SSLContext, path: Path, config: SslConfig) -> None:
    def no_password() -> str:
        raise ConfigInvalid(f"server_key in {path} is encrypted: give it without a pass phrase")

    # Python's OpenSSL reads these from files alone; the folder is for its owner's eyes.
    with tempfile.TemporaryDirectory() as folder:
        key, chain = Path(folder, "key.pem"), Path(folder, "chain.pem")
        key.write_text(config.server_key)
        chain.write_text(config.server_cert)
        try:
            context.load_cert_chain(chain, key, password=no_password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                message = f"server_key in {path} is not the key of its server_cert"
            else:
                message = (
                    f"server_key or server_cert in {path} is not what OpenSSL can read "
                    f"({error.reason or error.strerror or 'no PEM'})"
                )
            raise ConfigInvalid(message) from error
