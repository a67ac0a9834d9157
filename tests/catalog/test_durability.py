"""Publishing while the disk fills, permission lacks, the process is killed, or others publish at the same time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pystac
import pytest
from tests.needs import left_out

from modelstac.catalog import ModelDescription, StaticCatalog, open_catalog
from modelstac.catalog.errors import StorageError, TooLargeError
from modelstac.catalog.items.digests import from_multihash, sha256
from modelstac.catalog.items.validation import validate
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.server.files.artifacts import ArtifactStore

Describe = Callable[..., ModelDescription]

PROGRAM = Path(__file__).parent / "publish_process.py"
CRASHES = PROGRAM.with_name("crash_process.py")
SOURCES = Path(__file__).resolve().parents[2] / "src"


def start(
    catalog: Path | str, descriptions: list[ModelDescription], *limit: str, listed_in: Path | None = None
) -> subprocess.Popen[str]:
    listed = (listed_in or Path(catalog).parent) / f"{random.getrandbits(64):x}.json"
    listed.write_text(json.dumps([d.model_dump(mode="json") for d in descriptions]))
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(catalog), str(listed), *limit],
        env=os.environ | {"PYTHONPATH": str(SOURCES)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def tree(folder: Path) -> dict[str, bytes]:
    """Return path and content of all that a reader of the catalog can see."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.relative_to(folder).as_posix().startswith("."))
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def check(folder: Path) -> set[str]:
    """Assert that a catalog is whole, as pystac sees it, and return its item ids."""
    root = pystac.Catalog.from_file(str(folder / "catalog.json"))
    validate(root)
    for collection in root.get_children():
        validate(collection)
    found = []
    for item in root.get_items(recursive=True):
        validate(item)
        found.append(item.id)
        for asset in item.assets.values():
            path = Path(asset.get_absolute_href() or "")
            assert sha256(path) == from_multihash(asset.extra_fields["file:checksum"])
    assert len(found) == len(set(found))
    return set(found)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or mount is None or subprocess.run(command, check=False, capture_output=True).returncode:
        left_out("the right to mount a small disk", "run the tests as root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_catalog_as_it_was(describe: Describe, small_disk: Path, tmp_path: Path) -> None:
    catalog = StaticCatalog(small_disk / "catalog", create=True)
    catalog.publish(write_item(describe()))
    before = tree(small_disk)
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(400_000))
    with pytest.raises(StorageError, match=r"cannot copy .*no space left on device; free some space") as caught:
        catalog.publish(write_item(describe(version="1.1.0", artifact=large)))
    assert "\n" not in str(caught.value)
    assert tree(small_disk) == before
    assert list((small_disk / "catalog" / ".staging").iterdir()) == []
    assert check(small_disk / "catalog") == {"convlstm-knmi-1.0.0-torch"}


def test_an_upload_that_is_not_kept_keeps_no_place(small_disk: Path) -> None:
    async def sent(data: bytes, limit: int) -> bool:
        async def body() -> AsyncIterator[bytes]:
            for start in range(0, len(data), 50_000):
                yield data[start : start + 50_000]

        digest = hashlib.sha256(data).hexdigest()
        store = ArtifactStore(str(small_disk), limit=limit)
        return await store.write(f"{digest[:2]}/{digest}/x.bin", body(), start=0, total=None)

    with pytest.raises(StorageError, match="full disk"):
        asyncio.run(sent(os.urandom(400_000), limit=1_000_000))
    with pytest.raises(TooLargeError):
        asyncio.run(sent(os.urandom(200_000), limit=100_000))
    assert asyncio.run(sent(os.urandom(200_000), limit=1_000_000))
    assert list((small_disk / ".uploads").iterdir()) == []


@pytest.mark.parametrize("name", ["convlstm-knmi", "another"])
def test_a_disk_that_fills_at_any_moment_leaves_the_old_or_the_new_catalog(
    describe: Describe, small_disk: Path, tmp_path: Path, name: str
) -> None:
    folder = small_disk / "catalog"
    catalog = StaticCatalog(folder, create=True)
    catalog.publish(write_item(describe()))
    item = write_item(describe(name=name, version="1.1.0"))
    outcomes = set()
    for pages_left in range(16):
        shutil.copytree(folder, tmp_path / "copy")
        (small_disk / "filler").write_bytes(bytes((_free_pages(small_disk) - pages_left) * 4096))
        before = tree(folder)
        try:
            catalog.publish(item)
        except StorageError:
            outcomes.add("refused")
            assert tree(folder) == before
        else:
            outcomes.add("published")
        assert check(folder) >= {"convlstm-knmi-1.0.0-torch"}
        (small_disk / "filler").unlink()
        shutil.rmtree(folder)
        shutil.move(tmp_path / "copy", folder)
    assert outcomes == {"refused", "published"}


def _free_pages(folder: Path) -> int:
    return shutil.disk_usage(folder).free // 4096


def test_a_limit_on_file_size_leaves_the_catalog_as_it_was(describe: Describe, tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    StaticCatalog(folder, create=True).publish(write_item(describe()))
    before = tree(folder)
    # Large enough for the artifact, too small for the item's document.
    _, errors = (process := start(folder, [describe(version="1.1.0")], "file-size=1000")).communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("StorageError: cannot write convlstm-knmi-1.1.0-torch.json")
    assert errors.count("\n") == 1
    assert tree(folder) == before
    assert list((folder / ".staging").iterdir()) == []


@pytest.fixture
def others_folder() -> Iterator[Path]:
    """Return a folder that anybody may read, outside pytest's, which only the user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path
        for found in [path, *path.rglob("*")]:
            found.chmod(0o755 if found.is_dir() else 0o644)


@pytest.fixture
def readable(describe: Describe, tmp_path: Path) -> Iterator[ModelDescription]:
    """Return a model whose files anybody may read."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(tmp_path / "made", folder, dirs_exist_ok=True)
        made = describe(version="1.1.0").model_dump_json().replace(str(tmp_path / "made"), folder)
        yield ModelDescription(**json.loads(made))


@pytest.mark.parametrize("exists", [True, False])
def test_without_write_permission_nothing_is_written(
    describe: Describe, readable: ModelDescription, others_folder: Path, tmp_path: Path, exists: bool
) -> None:
    folder = others_folder / "catalog"
    if exists:
        StaticCatalog(folder, create=True).publish(write_item(describe()))
    for path in [*others_folder.rglob("*"), others_folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = tree(others_folder)
    limit = ["nobody"] if os.geteuid() == 0 else []
    process = start(folder, [readable], *limit, listed_in=tmp_path)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    assert errors.startswith("StorageError: cannot ")
    assert "permission denied; ask for write permission there, or name another catalog" in errors
    assert errors.count("\n") == 1
    assert tree(others_folder) == before


@pytest.mark.parametrize("case", ["new catalog", "new collection", "next item"])
def test_a_process_that_dies_at_any_step_leaves_the_old_or_the_new_catalog(
    describe: Describe, tmp_path: Path, case: str
) -> None:
    base, copies = tmp_path / "base", tmp_path / "copies"
    before = set()
    if case != "new catalog":
        before = {StaticCatalog(base, create=True).publish(write_item(describe())).id}
    made = describe(name="another" if case == "new collection" else "convlstm-knmi", version="1.1.0")
    listed = tmp_path / "description.json"
    listed.write_text(made.model_dump_json())
    command = [sys.executable, str(CRASHES), str(base), str(listed), str(copies)]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(SOURCES)}, check=True, timeout=120)
    steps = sorted((int(copy.name) for copy in copies.iterdir()), reverse=True)
    # The last child came through; the others died, early ones before the commit and late ones after it.
    published = []
    for step in steps[:-1]:
        folder = copies / str(step)
        present = check(folder) if (folder / "catalog.json").exists() else set()
        assert present in (before, before | {made.id}), f"killed before step {step}"
        published.append(made.id in present)
        # Whatever was left behind is in nobody's way, and gone after the next item.
        assert open_catalog(folder, create=True).publish(write_item(made)).id == made.id
        after = open_catalog(folder).publish(write_item(describe(version="1.2.0")))
        assert check(folder) == before | {made.id, after.id}
        assert list((folder / ".staging").iterdir()) == []
    assert published[0]
    assert not published[-1]
    assert len(published) > 20


def test_a_process_killed_at_any_moment_leaves_the_old_or_the_new_catalog(describe: Describe, tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    acknowledged: set[str] = set()
    wanted: list[ModelDescription] = []
    interrupted = 0
    chance = random.Random(0)
    for turn in range(5):
        # Every turn publishes into a collection of its own and into one that is there already.
        names = (f"model-{turn}", "convlstm-knmi")
        descriptions = [describe(name=name, version=f"{turn}.{minor}.0") for minor in range(8) for name in names]
        wanted += descriptions
        process = start(folder, descriptions)
        assert process.stdout is not None
        # Wait for the first answer, so that the kill falls into the publishing and not into the imports.
        first = process.stdout.readline()
        time.sleep(chance.uniform(0, 0.15))
        process.kill()
        rest, _ = process.communicate()
        answers = (first + rest).split()
        interrupted += 0 < len(answers) < len(descriptions)
        acknowledged |= set(answers)
        assert check(folder) >= acknowledged
    assert interrupted >= 2
    process = start(folder, wanted)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert check(folder) == {d.id for d in wanted}
    assert list((folder / ".staging").iterdir()) == []


def test_four_processes_publishing_at_once_lose_nothing(describe: Describe, tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    # Each has items of its own in a shared collection, items in a collection of its own, and items that all publish.
    processes = []
    expected = set()
    for writer in range(4):
        descriptions = [describe(version=f"{writer}.{minor}.0") for minor in range(6)]
        descriptions += [describe(name=f"model-{writer}", version=f"1.{minor}.0") for minor in range(2)]
        descriptions += [describe(name="everybodys", version=f"1.{minor}.0") for minor in range(3)]
        expected |= {d.id for d in descriptions}
        random.Random(writer).shuffle(descriptions)
        processes.append(start(folder, descriptions))
    seen: set[str] = set()
    while any(process.poll() is None for process in processes):
        # A reader sees whole documents at any moment, and what it has seen does not go away.
        if (folder / "catalog.json").exists():
            now = set(open_catalog(folder).ids())
            assert now >= seen
            seen = now
    for process in processes:
        answers, errors = process.communicate()
        assert process.returncode == 0, errors
        assert len(answers.split()) == 11
    assert check(folder) == expected


def test_a_lock_dies_with_its_owner(describe: Describe, tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom modelstac.catalog.backends.storage import Folder\n"
        "with Folder(Path(sys.argv[1])).lock():\n    print('locked', flush=True)\n    time.sleep(600)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        env=os.environ | {"PYTHONPATH": str(SOURCES)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "locked\n"
    process = start(folder, [describe()])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=2)
    owner.kill()
    owner.communicate()
    answers, errors = process.communicate(timeout=60)
    assert answers == "convlstm-knmi-1.0.0-torch\n", errors
