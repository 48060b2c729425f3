"""Two real servers that a push can go to: sshd, and git http-backend behind a web server.

Both listen on 127.0.0.1 at a port of their own, with keys and names that only a test knows.
"""

import base64
import os
import pwd
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from repository import ENVIRONMENT

SEARCH = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
PASSWORD = "correct-horse"


def missing_sshd() -> str:
    """Why there is no ssh server to test with; empty if there is one."""
    if shutil.which("sshd", path=SEARCH) and shutil.which("ssh-keygen"):
        return ""
    return "no sshd here: apt-get install openssh-server"


@contextmanager
def ssh_server(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The beginning of a URL on a running sshd, and the variables that let git log in."""
    folder.mkdir(mode=0o700)
    for name in ("host", "person"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)],
            check=True,
        )
    user = pwd.getpwuid(os.getuid()).pw_name
    keys, known = folder / "authorized_keys", folder / "known_hosts"
    shutil.copy(folder / "person.pub", keys)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # Where root's sshd locks itself in.
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    host_key = (folder / "host.pub").read_text()
    known.write_text(f"[127.0.0.1]:{port} {host_key}")
    lines = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": keys,
        "PidFile": "none",
        "UsePAM": "no",
        "StrictModes": "no",
        "PermitRootLogin": "prohibit-password",
        "PasswordAuthentication": "no",
    }
    file = folder / "sshd_config"
    file.write_text("".join(f"{key} {value}\n" for key, value in lines.items()))
    program = shutil.which("sshd", path=SEARCH)
    server = subprocess.Popen(
        [str(program), "-D", "-e", "-f", str(file)], stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    said = [server.stderr.readline()]
    while said[-1] and "Server listening" not in said[-1]:
        said.append(server.stderr.readline())
    drain = threading.Thread(target=server.stderr.read)
    drain.start()
    try:
        assert server.poll() is None, "".join(said)
        ssh = f"ssh -F /dev/null -i {folder}/person -o IdentitiesOnly=yes -o BatchMode=yes"
        ssh += f" -o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes"
        yield f"ssh://{user}@127.0.0.1:{port}", {"GIT_SSH_COMMAND": ssh}
    finally:
        server.terminate()
        server.wait(timeout=10)
        drain.join()
        server.stderr.close()


class _Backend(BaseHTTPRequestHandler):
    """Hands a request to `git http-backend`, as a web server does by CGI."""

    root: Path

    def _serve(self) -> None:
        name = self._name()
        path, _, query = self.path.partition("?")
        if name is None and "receive-pack" in self.path:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        done = subprocess.run(
            ["git", "http-backend"],
            env={
                **ENVIRONMENT,
                "GIT_PROJECT_ROOT": str(self.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GATEWAY_INTERFACE": "CGI/1.1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                **({"REMOTE_USER": name} if name else {}),
            },
            input=self.rfile.read(int(self.headers.get("Content-Length", "0"))),
            capture_output=True,
            timeout=60,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((value for key, value in fields if key == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for key, value in fields:
            if key != "Status":
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _serve

    def _name(self) -> str | None:
        """Who logged in; None without the right password."""
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        name, _, password = base64.b64decode(given).decode().partition(":")
        return name if password == PASSWORD else None

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def http_server(root: Path) -> Iterator[int]:
    """The port of a web server for the repositories in a folder."""
    handler = type("Handler", (_Backend,), {"root": root})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
