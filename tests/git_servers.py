"""Real servers of a repository on 127.0.0.1: https that wants a token, and ssh with a key.

    with https_server(tmp_path / "tls", repository.origin) as server: server.url, .authority
    with ssh_server(tmp_path / "ssh", repository.origin) as server: server.url, .hosts, .key

Behind https stands git's own `http-backend`, behind ssh the host's own `sshd`, started for
each connection.
"""

import base64
import getpass
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from local_server import Answer, LocalServer, Received

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def sshd_missing() -> str:
    """Why there can be no ssh server here; empty when there can."""
    if SSHD is None:
        return "sshd is missing. On Debian: apt-get install openssh-server"
    return ""


# https


@dataclass
class HttpsServer:
    """A server that answers only to `username` and `token`; both may be changed."""

    url: str
    authority: Path
    requests: list[Received]
    username: str = "git"
    token: str = "right-canary"
    during: Callable[[], None] = field(default=lambda: None)
    """Called while git waits for an answer."""
    redirect: str = ""
    """Where everything is sent instead."""

    def answer(self, request: Received, origin: Path) -> Answer:
        self.during()
        if self.redirect:
            return Answer(302, headers={"Location": self.redirect + request.path})
        pair = base64.b64encode(f"{self.username}:{self.token}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {pair}":
            return Answer(401, headers={"WWW-Authenticate": 'Basic realm="git"'})
        return _backend(request, origin)


@contextmanager
def https_server(folder: Path, origin: Path) -> Iterator[HttpsServer]:
    """An https server of a repository, whose certificate `authority` vouches for."""
    folder.mkdir(exist_ok=True)
    served: list[HttpsServer] = []
    web = LocalServer(lambda request: served[0].answer(request, origin))
    web.secure(_certified(folder))
    with web.running():
        served.append(
            HttpsServer(f"{web.url}/{origin.name}", folder / "authority.pem", web.received)
        )
        yield served[0]


def _backend(request: Received, origin: Path) -> Answer:
    """What git's CGI program answers."""
    path, _, query = request.path.partition("?")
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(origin.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
    }
    done = subprocess.run(
        ["git", "http-backend"], env=environment, input=request.body, capture_output=True
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
    status = int(headers.pop("Status", "200").split()[0])
    return Answer(status, body, headers)


def _certified(folder: Path) -> ssl.SSLContext:
    """A context with a certificate for 127.0.0.1, signed by an authority made just now."""
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = f"Authority of {folder.name}"
    authority = _certificate(issuer, authority_key, issuer, authority_key)
    certificate = _certificate("127.0.0.1", server_key, issuer, authority_key)
    (folder / "authority.pem").write_bytes(_pem(authority))
    chain, key = folder / "server.pem", folder / "server.key"
    chain.write_bytes(_pem(certificate))
    key.write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    now = datetime.now(UTC)
    own = name == issuer
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=own, path_length=None), critical=True)
    )
    if not own:
        names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(name))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


# ssh


@dataclass
class SshServer:
    """A server of this user's, and the files that a client needs."""

    url: str
    folder: Path
    port: int

    @property
    def key(self) -> Path:
        """The private key that may come in."""
        return self.folder / "key"

    @property
    def hosts(self) -> Path:
        """A known_hosts file with the server's key."""
        return self.folder / "known_hosts"

    def write_hosts(self) -> None:
        """Write down the key that the server has now."""
        public = (self.folder / "host.pub").read_text().split()
        self.hosts.write_text(f"[127.0.0.1]:{self.port} {public[0]} {public[1]}\n")

    def change_host_key(self) -> None:
        """Be another server from now on."""
        for name in ("host", "host.pub"):
            (self.folder / name).unlink()
        _keygen(self.folder / "host")


@contextmanager
def ssh_server(folder: Path, origin: Path) -> Iterator[SshServer]:
    """An ssh server of the repository; one `sshd -i` for each connection."""
    folder.mkdir(exist_ok=True)
    _keygen(folder / "host")
    _keygen(folder / "key")
    (folder / "authorized").write_bytes((folder / "key.pub").read_bytes())
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    (folder / "config").write_text(
        f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nStrictModes no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
        "PermitRootLogin prohibit-password\nPidFile none\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{origin}"
        children: list[subprocess.Popen[bytes]] = []
        thread = threading.Thread(target=_accept, args=(listening, folder, children))
        thread.start()
        server = SshServer(url, folder, port)
        server.write_hosts()
        try:
            yield server
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for child in children:
                child.terminate()
                child.wait()


def _accept(
    listening: socket.socket, folder: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return  # The server is closed.
        with connection, (folder / "log").open("ab") as log:
            children.append(
                subprocess.Popen(
                    [str(SSHD), "-i", "-e", "-f", str(folder / "config")],
                    stdin=connection,
                    stdout=connection,
                    stderr=log,
                )
            )


def _keygen(file: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
