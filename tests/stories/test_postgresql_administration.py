"""What docs/scaling.md tells an administrator to do with a database works as it says."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import postgresql_server
import pytest
from home import Home
from postgresql_server import Server

from runner.contract import audit_check, errors
from runner.contract.kinds import Key

pytestmark = pytest.mark.story

# As docs/scaling.md gives it.
GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO orloj_run;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO orloj_run;
REVOKE UPDATE, DELETE ON audit_entry, schema_version FROM orloj_run;
"""


def agent(home: Home) -> Key:
    script = {"clerk": [{"reply": "done"}]}
    home.record(
        "ModelEndpoint",
        "default",
        {"provider": "mock", "default_model": "m", "script": script},
    )
    return home.record("Agent", "clerk", {"model": "m"})


def work(home: Home, count: int = 3) -> list[str]:
    """Some tasks, run to their end by a real runner."""
    tasks = home.submit(agent(home), count)
    with home.runner(workers=1):
        home.wait(tasks, {"succeeded"})
    return tasks


def holds(home: Home) -> bool:
    with home.database.read() as connection:
        return audit_check.verify(connection).holds


def orloj(folder: Path, url: str, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        env={"PATH": os.environ["PATH"], "ORLOJ_HOME": str(folder), "ORLOJ_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that speaks TLS as well."""
    if reason := postgresql_server.missing():
        pytest.skip(reason)
    if shutil.which("openssl") is None:
        pytest.skip("no certificate can be made here: sudo apt-get install openssl")
    with Server() as server:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            + ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
            + ["-addext", "subjectAltName=DNS:localhost"]
            + ["-keyout", str(server.data / "server.key")]
            + ["-out", str(server.data / "server.crt")],
            check=True,
            capture_output=True,
        )
        for name in ("server.key", "server.crt"):
            owner = server.data.stat()
            os.chown(server.data / name, owner.st_uid, owner.st_gid)
            (server.data / name).chmod(0o600)
        server.execute("ALTER SYSTEM SET ssl = on")
        server.restart()
        yield server


def test_a_role_that_cannot_rewrite_the_log_is_enough_to_run(
    server: Server, tmp_path: Path
) -> None:
    Home(tmp_path / "owner", server.create("granted")).close()
    server.execute(f"CREATE ROLE orloj_run LOGIN PASSWORD '{server.password}'")
    server.execute(GRANTS, database="granted")
    url = server.url("granted").replace("//orloj:", "//orloj_run:")
    with closing(Home(tmp_path / "home", url)) as home:
        work(home)
        assert holds(home)
        orloj(home.folder, url, "audit", "checkpoint")  # That role signs, too.
        assert json.loads(orloj(home.folder, url, "audit", "verify", "--json"))["holds"]
        with (
            pytest.raises(errors.DatabaseUnavailable, match="denied for table audit_entry"),
            home.database.write() as connection,
        ):
            connection.exec_driver_sql("UPDATE audit_entry SET task = 'x'")


def test_the_url_says_how_tls_is_checked(server: Server, tmp_path: Path) -> None:
    url = server.create("secret").replace("127.0.0.1", "localhost")
    url += f"?sslmode=verify-full&sslrootcert={server.data / 'server.crt'}"
    with closing(Home(tmp_path / "home", url)) as home:
        work(home)
        encrypted = home.rows("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert encrypted == [(True,)]


def test_the_password_may_stand_in_a_file_of_its_own(server: Server, tmp_path: Path) -> None:
    url = server.create("passfile").replace(f":{server.password}@", "@")
    passwords = tmp_path / "pgpass"
    passwords.touch(mode=0o600)
    passwords.write_text(f"127.0.0.1:{server.port}:*:orloj:{server.password}\n")
    with closing(Home(tmp_path / "home", f"{url}?passfile={passwords}")) as home:
        work(home)


def test_the_url_may_name_several_servers(server: Server, tmp_path: Path) -> None:
    server.create("failover")
    url = (
        f"postgresql://orloj:{server.password}@/failover?host=127.0.0.1:1"
        f"&host=127.0.0.1:{server.port}&target_session_attrs=read-write"
    )
    with closing(Home(tmp_path / "home", url)) as home:
        work(home)


def test_a_dump_restores_to_a_state_that_verifies_and_goes_on(
    server: Server, tmp_path: Path
) -> None:
    with closing(Home(tmp_path / "home", server.create("dumped"))) as home:
        tasks = work(home)
    dump = tmp_path / "state.dump"
    pg_dump = ["pg_dump", "--format=custom", f"--file={dump}", server.url("dumped")]
    subprocess.run([str(server.programs / pg_dump[0]), *pg_dump[1:]], check=True)
    url = server.create("restored")
    restore = ["--no-owner", "--exit-on-error", f"--dbname={url}", str(dump)]
    subprocess.run([str(server.programs / "pg_restore"), *restore], check=True)
    with closing(Home(tmp_path / "home", url)) as home:
        assert [row[0] for row in home.rows("SELECT id FROM task ORDER BY id")] == sorted(tasks)
        assert holds(home)
        work(home)
        assert holds(home)


def test_a_copy_of_the_sqlite_file_is_whole_while_the_runner_writes(tmp_path: Path) -> None:
    with closing(Home(tmp_path / "home")) as home:
        clerk = agent(home)
        with home.runner(workers=1):
            tasks = home.submit(clerk, 300)
            home.wait(tasks[:20], {"succeeded"})
            copy = tmp_path / "copy" / "orloj.db"
            copy.parent.mkdir()
            statement = f"VACUUM INTO '{copy}'"
            program = [
                "import sqlite3, sys",
                "sqlite3.connect(sys.argv[1]).execute(sys.argv[2])",
            ]
            subprocess.run(
                [
                    sys.executable,
                    "-c",
                    "\n".join(program),
                    str(home.folder / "orloj.db"),
                    statement,
                ],
                check=True,
            )
            home.wait(tasks, {"succeeded"})
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with closing(Home(copy.parent)) as restored:
        assert restored.rows("SELECT count(*) FROM task") == [(300,)]
        assert holds(restored)
        with restored.runner(workers=1):
            restored.wait(tasks, {"succeeded"})
