"""PostgreSQL with PostGIS for tests: a cluster of its own on a free port, run by an unprivileged user."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BINARIES = Path("/usr/lib/postgresql/15/bin")
POSTGIS = Path("/usr/share/postgresql/15/extension/postgis.control")
TEMPLATE = "pgstac_template"
FAST = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=60 -c jit=off"


def missing() -> str | None:
    """Say what has to be installed, None when all is there."""
    return None if (BINARIES / "initdb").exists() and POSTGIS.exists() else "apt-get install postgresql-15-postgis-3"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Cluster:
    """A running PostgreSQL.

    ``initdb`` refuses root, so root hands the folder and the processes over to the user ``postgres``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self._user = "postgres" if os.getuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        self._run("initdb", "--pgdata", self.data, "--username", "postgres", "--auth", "trust", "--no-sync")

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [BINARIES / program, *arguments],
            user=self._user,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        options = f"{FAST} -p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        self._run("pg_ctl", "start", "-w", "-s", "-D", self.data, "-l", self.folder / "log", "-o", options)

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "stop", "-w", "-s", "-D", self.data, "-m", mode)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres:trusted@127.0.0.1:{self.port}/{database}"

    def execute(self, sql: str) -> None:
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql)  # type: ignore[call-overload]

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """Give a new database, a copy of the template."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")
