"""What is put under load: an SQLite file and a pgstac database behind servers, and a folder that writers share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import requests

_STARTED_WITHIN = 120.0


class Place:
    """A catalog and its servers.

    Parameters
    ----------
    folder
        Where all of it is.
    servers
        How many share it.
    """

    kind = "folder"

    def __init__(self, folder: Path, servers: int) -> None:
        self.folder = folder
        self.key = ""
        self.ports = [0] * servers
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * servers
        self._log = (folder / "servers.log").open("ab")

    def __enter__(self) -> Self:
        """Make the catalog, and start its servers."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what runs."""
        self.stop()
        self._log.close()

    @property
    def hrefs(self) -> list[str]:
        """Return where the catalog is, for clients."""
        return [str(self.folder / "catalog")]

    @property
    def artifacts(self) -> Path:
        """Return the folder of the files."""
        return self.folder / "files"

    def arguments(self) -> list[str]:
        """Return the options of the commands that look after the catalog."""
        return []

    def variables(self) -> dict[str, str]:
        """Return the environment of these commands."""
        return {}

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``modelstac``."""
        return subprocess.run(
            [sys.executable, "-m", "modelstac", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | self.variables(),
        )

    def start(self, number: int) -> None:
        """Start a server, on the port that it had."""
        options = ["--port", str(self.ports[number]), "--keys", str(self.folder / "keys.json"), *self.arguments()]
        log = self.folder / f"server-{number}-{time.monotonic_ns()}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "modelstac", "serve", *options], stderr=out, env=os.environ | self.variables()
            )
        self._processes[number] = process
        end = time.monotonic() + _STARTED_WITHIN
        while time.monotonic() < end and process.poll() is None:
            for line in log.read_text().splitlines():
                if '"message": "listening on ' in line:
                    self.ports[number] = int(json.loads(line)["message"].rpartition(":")[2])
                    return
            time.sleep(0.1)
        raise RuntimeError(f"a server did not start: {log.read_text()[-500:]}")

    def kill(self, number: int) -> None:
        """End a server at once, and start another in its place."""
        process = self._processes[number]
        if process is not None:
            process.kill()
            process.wait()
            self.start(number)

    def restart_database(self) -> bool:
        """End the database at once, and start it again; tell whether there is one."""
        return False

    def collect(self, older_than: str) -> str:
        """Collect garbage, and return what was said."""
        if self.kind == "folder":
            return ""
        done = self.command("gc", "--older-than", older_than, *self.arguments())
        return done.stdout if done.returncode == 0 else f"gc failed: {done.stderr[-300:]}"

    def answers(self) -> list[str]:
        """Return the lines of the servers' logs that tell of something unexpected."""
        lines = [line for log in sorted(self.folder.glob("server-*.log")) for line in log.read_text().splitlines()]
        return [line[:2000] for line in lines if '"level": "error"' in line or '"status": 500' in line]

    def stop(self) -> None:
        """End the servers as they are ended."""
        for number, process in enumerate(self._processes):
            if process is not None:
                process.send_signal(signal.SIGTERM)
                process.wait()
                self._processes[number] = None


class Served(Place):
    """A catalog behind servers."""

    def __enter__(self) -> Self:
        """Make a key, and start the servers."""
        made = self.command("keys", "--keys", str(self.folder / "keys.json"), "add", "soak", "--json")
        self.key = json.loads(made.stdout)["key"]
        try:
            for number in range(len(self.ports)):
                self.start(number)
                requests.get(f"{self.hrefs[number]}/healthz", timeout=_STARTED_WITHIN).raise_for_status()
        except BaseException:
            self.stop()
            raise
        return self

    @property
    def hrefs(self) -> list[str]:
        """Return the addresses of the servers."""
        return [f"http://127.0.0.1:{port}" for port in self.ports]


class Embedded(Served):
    """An SQLite file behind servers."""

    kind = "embedded"

    def arguments(self) -> list[str]:
        """Return the options that name the file."""
        return ["--catalog", str(self.folder / "models.sqlite"), "--artifacts", str(self.artifacts)]


class Pgstac(Served):
    """A pgstac database behind servers."""

    kind = "pgstac"

    def __enter__(self) -> Self:
        """Start PostgreSQL, migrate a database, and start the servers."""
        from tests.catalog.server import postgres

        self._stack = ExitStack()
        data = self.folder / "postgres"
        data.mkdir()
        # PostgreSQL runs as a user of its own.
        self.folder.chmod(0o755)
        self.cluster = postgres.Cluster(data)
        self.cluster.start()
        self._stack.callback(self.cluster.stop, "immediate")
        try:
            self.cluster.execute("CREATE DATABASE soak")
            self.url = self.cluster.url("soak")
            done = self.command("database", "migrate", "--wait", "10")
            assert done.returncode == 0, done.stderr
            # The tests' clusters acknowledge before they write; what is acknowledged here survives.
            self.cluster.execute("ALTER DATABASE soak SET synchronous_commit = on")
            return super().__enter__()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *ended: object) -> None:
        """End the servers and PostgreSQL."""
        super().__exit__(*ended)
        self._stack.close()

    def arguments(self) -> list[str]:
        """Return the options that name the files."""
        return ["--artifacts", str(self.artifacts)]

    def variables(self) -> dict[str, str]:
        """Return the environment that names the database."""
        return {"MODELSTAC_DATABASE": self.url}

    def restart_database(self) -> bool:
        """End PostgreSQL at once, and start it again."""
        self.cluster.stop("immediate")
        self.cluster.start()
        return True


PLACES: dict[str, type[Place]] = {"embedded": Embedded, "pgstac": Pgstac, "folder": Place}


def settings_of(place: Place) -> dict[str, Any]:
    """Return what writers and readers have to know."""
    return {
        "hrefs": place.hrefs,
        "key": place.key,
        "journals": str(place.folder / "journals"),
        "made": str(place.folder / "made"),
        "stop": str(place.folder / "stop"),
    }
