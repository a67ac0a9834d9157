"""docker-compose.yml without Docker: it keeps the Compose specification, and its commands are ours and work."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests.catalog.seaweedfs import storage
from tests.catalog.server.conftest import Server, run, serving
from tests.catalog.server.postgres import BINARIES, Cluster

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.testing import Examples

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_it_keeps_the_specification(compose: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    validator = jsonschema.Draft7Validator(schema)
    assert not list(validator.iter_errors(compose))
    broken = compose | {"services": compose["services"] | {"api": {"comand": "x"}}}
    assert list(validator.iter_errors(broken))


def test_no_secret_is_in_it(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in re.findall(r"\b\w*(?:PASSWORD|SECRET)\w*\b: (\S.*)", text):
        assert re.match(r"\$\{\w+:\?", name), f"{name} should come from the environment"
    assert all(line.endswith("=") for line in (ROOT / "deploy/example.env").read_text().splitlines() if "=" in line)


def test_every_setting_is_one_of_the_server(compose: dict[str, Any]) -> None:
    from modelstac.catalog.server.settings import ServerSettings

    names = {name.removeprefix("MODELSTAC_").lower() for name in compose["x-modelstac"]["environment"]}
    ours = {name for name in names if not name.startswith("aws_")}
    assert ours <= ServerSettings.model_fields.keys()


def test_its_commands_work_bare(compose: dict[str, Any], cluster: Cluster, tmp_path: Path) -> None:
    services = {name: service for name, service in compose["services"].items() if service.get("image") == "modelstac"}
    assert services.keys() == {"migrate", "api", "api-behind-auth"}
    assert services["api-behind-auth"]["command"] == services["api"]["command"]
    assert "ports" not in services["api-behind-auth"], "it asks for no key"
    cluster.execute("CREATE DATABASE compose")
    url = cluster.url("compose")
    _, ready = compose["services"]["database"]["healthcheck"]["test"]
    host = {"PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "PATH": f"{BINARIES}:/usr/bin:/bin"}
    for variables, code in ((host, 0), (host | {"PGPORT": "1"}, 2)):
        assert subprocess.run(ready, shell=True, env=variables, check=False, capture_output=True).returncode == code
    program, *arguments = services["migrate"]["command"]
    assert program == "modelstac"
    for _ in range(2):  # the job runs at every start
        done = run(*arguments, MODELSTAC_DATABASE=url)
        assert (done.returncode, done.stdout.split()[0]) == (0, "pgstac"), done.stderr
    program, *arguments = services["api"]["command"]
    assert (program, arguments) == ("modelstac", ["serve"])
    settings = {name: value for name, value in compose["x-modelstac"]["environment"].items() if "${" not in value}
    settings |= {"MODELSTAC_DATABASE": url, "MODELSTAC_HOST": "127.0.0.1", "AWS_SECRET_ACCESS_KEY": "sesame and more"}
    del settings["MODELSTAC_KEYS"]
    key = compose["services"]["storage"]["environment"]["AWS_ACCESS_KEY_ID"]
    with (
        storage(tmp_path / "storage", key=key, secret=settings["AWS_SECRET_ACCESS_KEY"]) as place,
        serving(tmp_path, **(settings | {"AWS_ENDPOINT": place})) as server,
    ):
        assert isinstance(server, Server)
        item = ApiCatalog(server.href, key=server.key).publish(Examples(tmp_path / "made").item())
        assert server.get(item.assets["model"].href.removeprefix(f"{server.href}/")).content == b"weights"
        *_, code = services["api"]["healthcheck"]["test"]
        assert "http://localhost:8080/healthz" in code
        for address, healthy in ((server.href, True), (f"{server.href}/none", False)):
            done = subprocess.run(
                [sys.executable, "-c", code.replace("http://localhost:8080", address)], check=False, capture_output=True
            )
            assert (done.returncode == 0) is healthy
    cluster.execute("DROP DATABASE compose WITH (FORCE)")


def test_the_image_is_unprivileged_and_leaves_its_tools_behind() -> None:
    *_, last = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    assert last.startswith("python:3.11-slim\n")
    assert "\nUSER modelstac\n" in last
    assert not re.search(r"^(ADD|COPY (?!--from=))|pip install|apt-get|npm", last, re.MULTILINE)
