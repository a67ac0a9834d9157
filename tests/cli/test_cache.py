import hashlib
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from modelstac.cli import main
from modelstac.registry.files.cache import Cache


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two files of 1000 bytes, the older one first."""
    monkeypatch.setenv("MODELSTAC_CACHE", str(tmp_path))
    digests = []
    for content, used in ((bytes(1000), 1e9), (bytes(999) + b"x", 1.1e9)):
        digest = hashlib.sha256(content).hexdigest()
        path = Cache().path(digest)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        os.utime(path, (used, used))
        digests.append(digest)
    return digests


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["cache", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_ls(kept: list[str]) -> None:
    assert "2 files, 2,000 of" in run("ls")
    first = json.loads(run("ls", "--json"))[0]
    assert first == {"sha256": kept[0], "size": 1000, "used": "2001-09-09T01:46:40Z", "complete": True}


def test_prune(kept: list[str]) -> None:
    assert "0 files removed" in run("prune")
    assert json.loads(run("prune", "--limit", "1kB", "--json"))[0]["sha256"] == kept[0]
    assert kept[1] in run("ls")


def test_prune_to_nonsense() -> None:
    result = CliRunner().invoke(main, ["cache", "prune", "--limit", "much"])
    assert result.exit_code == 2
    assert "'much' is no size" in result.output


def test_verify(kept: list[str]) -> None:
    Cache().path(kept[0]).write_bytes(b"poison")
    assert run("verify") == f"removed {kept[0]}\n1 files removed\n"
    assert run("verify") == "0 files removed\n"
