"""README and docs say what is true: links lead somewhere, commands exist, what is shown runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click import Group
from docs import diagram, hooks, tables

import modelstac
from modelstac.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "references").rglob("*.md")])
SHOWN = re.compile(r"^(?:\$ |    )(?:[A-Z_]+=\S+ )*(modelstac [a-z].*)$", re.M)
COMMANDS = [line for page in PAGES for line in SHOWN.findall(page.read_text("utf-8").replace("\\\n", ""))]
PYTHON = {"PYTHONPATH": str(Path(modelstac.__file__).parents[1])}
ELSEWHERE = {"MODELSTAC_TEST_KILLS", "MODELSTAC_FUZZ", "MODELSTAC_BENCH_ITEMS", "MODELSTAC_BENCH_TURNS"}
"""Variables of tests and benchmarks, which are documented where these are."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    dead = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not dead


@pytest.mark.parametrize("line", sorted(set(COMMANDS)))
def test_commands_that_are_shown_exist_with_their_options(line):
    words = shlex.split(re.split(r" \| | {2,}|: ", line)[0], comments=True)[1:]
    command = main
    while isinstance(command, Group) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command {words[0]}"
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    shown = {word.split("=")[0] for word in words if re.match(r"--[a-z]|-[a-z]$", word)}
    assert shown <= known | {"--help", "-h"}


NOT_RUN = {
    "make ": "is what runs these tests, or calls what other tests run",
    "pip install": "CI and the tests of packaging install",
    "docker ": "no container engine in the tests: tests/catalog/server runs what it starts",
    "cp deploy/example.env": "for docker compose",
    "pytest ": "are these tests; that the files exist is tested",
    "python -m benchmarks": "hours; that the benchmark exists is tested",
    "dask ": "tests/jobs/test_cluster.py and tests/dask_cluster.py start them from Python",
    "export KNMI_API_KEY": "a key of one's own",
    "modelstac data download knmi": "tests/training/test_open_data.py, against a server that speaks as KNMI's",
    "modelstac data prepare radar/ rain.zarr --preset reference": "tests/training/test_store.py, smaller",
    "modelstac train rain.zarr --preset reference": "days: tests/training/test_store.py trains on a store",
    "modelstac data publish rain.zarr": "of that store: tests/training/test_store.py",
    "modelstac publish raw.keras …": "with all of its options: tests/cli/test_publish_model.py",
    "modelstac check item.json": "tests/registry/test_checking.py",
    "modelstac train my_package:train": "tests/pipeline/test_functions.py",
    "modelstac publish fused.keras …": "the same",
    "modelstac publish --from-mlflow": "tests/registry/exchange/test_mlflow.py, from MLflow's own server",
    "modelstac push land-cover-3.0.0-keras mlflow:shared": "the same",
    "export MLFLOW_TRACKING_URI": "the same",
    "modelstac publish --from-hf": "tests/registry/exchange/test_hub.py, against a stand-in of the Hub",
    "modelstac push land-cover-1.0.0-onnx hf://": "the same",
    "modelstac publish package/rdf.yaml": "tests/registry/exchange/test_bioimageio.py, with packages of its own",
    "modelstac publish https://example.org/package.zip": "the same",
    "modelstac export crop-1.0.0-keras": "what tf2onnx cannot convert: tests/exporters/test_keras_routes.py",
    "modelstac export raw-1.0.0-keras": "a tolerance that is asked for: tests/exporters/test_precision.py",
    "modelstac export field-1.0.0-torch-export": "installs a PyTorch: tests/exporters/test_programs.py",
    "modelstac export series-1.0.0-keras": "a recurrence of any length: tests/exporters/test_several_tensors.py",
    "modelstac train catalog/knmi-rain": "of that store: tests/training/test_store.py",
    "modelstac train frames --preset reference": "days: python -m benchmarks.thesis, on a smaller grid",
    "modelstac train frames --variant torch --preset tiny": "the tutorial runs it for one epoch",
    "modelstac pipeline pipeline.yaml --jobs 2": "tests/pipeline run smaller grids",
    "modelstac pipeline pipeline.yaml --scheduler": "tests/jobs/test_cluster.py",
    "modelstac pipeline pipeline.yaml --cluster": "tests/jobs/test_cluster.py",
    "modelstac matrix": "tests/cli/test_matrix.py, with environments of its own",
    'modelstac search --runs-with "keras 3.15"': "of the catalog of that study: catalog/testing searches so",
    "modelstac adopt": "tests/registry/test_adopt.py, from a local server",
    "modelstac predict https://example.com": "tests/registry/test_trusted.py, from a local server",
    "modelstac lock update https://example.com": "tests/registry/test_foreign.py, from a local server",
    "modelstac env create": "downloads gigabytes: tests/registry/test_isolated.py makes small ones",
    "modelstac predict change": "on two dates: tests/cli/test_scene_kinds.py",
    "modelstac predict landcover --from": "from a search: tests/registry/scenes/test_reading_items.py",
    "modelstac sign rain-1.0.0-onnx-from-torch --sigstore": "a person: tests/registry/test_sigstore.py",
    "modelstac verify rain-1.0.0-onnx-from-torch --key sigstore:": "the same",
    "modelstac serve": "the guides are run against a server that is started with a port of its own",
    "modelstac database migrate": "tests/catalog/server/conftest.py does it, on PostgreSQL",
    "modelstac keys add ci": "of that database: tests/catalog/server/test_server.py",
    "modelstac keys add hydro-ci": "of that database: tests/catalog/server/test_teams.py",
    "modelstac index --catalog s3://": "tests/catalog/test_objects.py",
    "modelstac sync models.sqlite s3://": "tests/catalog/test_objects.py",
    "MODELSTAC_KEY=msk_… modelstac sync catalog/ http://127.0.0.1:8080": "the page on teams runs it",
    "modelstac export --matrix --catalog .demo/catalog": "the guide on conversions runs it on smaller networks",
}
"""Documented commands that the tests do not run as they stand, by how they begin, and why or where instead."""
EVERY = re.compile(
    r"^(?:\$ |    )((?:[A-Z_]+=\S+ )*(?:modelstac|make|pip|python|pytest|docker|dask|cp|export|openssl) .+)$", re.M
)


def documented():
    """Give every command of every page, one line each, without comments."""
    for page in PAGES:
        if "decisions" not in page.parts and page.name != "CHANGELOG.md":
            for line in EVERY.findall(page.read_text("utf-8").replace("\\\n", "")):
                yield " ".join(re.split(r"  +#|  +\(", line)[0].split())


def run_part(folder, part):
    """Run a part of the pages; return the error of each, empty where it ran, and the commands that were run."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MODELSTAC_", "KERAS_BACKEND"))}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("docs_process.py"), ROOT / "docs", part],
        cwd=folder,
        env=clean | PYTHON | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def tutorial_pages(tmp_path_factory):
    return run_part(tmp_path_factory.mktemp("tutorial"), "tutorial")


@pytest.fixture(scope="module")
def scene_pages(tmp_path_factory):
    return run_part(tmp_path_factory.mktemp("scenes"), "scenes")


@pytest.fixture(scope="module")
def guide_pages(tmp_path_factory):
    return run_part(tmp_path_factory.mktemp("guides"), "guides")


@pytest.mark.parametrize(
    "page", ["tutorial", "readme", "predict", "forecasts", "resolve", "thesis", "interop", "catalogs", "server"]
)
def test_what_a_page_shows_runs(tutorial_pages, page):
    assert not tutorial_pages["outcome"][page], tutorial_pages["outcome"][page]


@pytest.mark.parametrize("page", ["landcover", "model_pages", "maps", "evaluate", "kinds"])
def test_what_a_page_on_scenes_shows_runs(scene_pages, page):
    assert not scene_pages["outcome"][page], scene_pages["outcome"][page]


@pytest.mark.parametrize(
    "page",
    ["models", "publish", "conversions", "signing", "cache", "isolated", "resolve_guide", "data", "pipeline"],
)
def test_what_a_guide_shows_runs(guide_pages, page):
    assert not guide_pages["outcome"][page], guide_pages["outcome"][page]


def test_every_documented_command_runs_here_or_is_said_to_run_elsewhere(tutorial_pages, scene_pages, guide_pages):
    ran = {*tutorial_pages["ran"], *scene_pages["ran"], *guide_pages["ran"]}
    left = {line for line in documented() if line not in ran}
    unexplained = sorted(line for line in left if not line.startswith(tuple(NOT_RUN)))
    assert not unexplained
    stale = [start for start in NOT_RUN if not any(line.startswith(start) for line in left)]
    assert not stale, "these are run or not documented any more"


def test_what_is_named_instead_of_a_run_exists():
    named = {name for text in (*NOT_RUN.values(), *documented()) for name in re.findall(r"tests/[\w/.]+\w", text)}
    assert not [name for name in named if not (ROOT / name).exists()]
    benchmarks = {line.split()[2].partition(".")[::2] for line in documented() if line.startswith("python -m benchm")}
    names = {name or line for line, name in benchmarks}
    folder = ROOT / "benchmarks"
    assert all((folder / f"{n}.py").exists() or (folder / n / "__main__.py").exists() for n in names - {"benchmarks"})


def test_the_examples_of_a_runtime_and_a_backend_keep_their_contracts(tmp_path):
    text = (ROOT / "docs" / "extend.md").read_text("utf-8")
    files = dict(re.findall(r'^```\w+ title="([\w.]+)"\n(.*?)^```', text, re.S | re.M))
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    # As pip leaves a package: its entry points in a folder of metadata.
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    groups = re.findall(r'\[project\.entry-points\."([\w.]+)"\]\n(\w+) = "([\w:]+)"', files["pyproject.toml"])
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{name} = {place}\n" for group, name, place in groups))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            "--rootdir",
            tmp_path,
            tmp_path,
        ],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{PYTHON['PYTHONPATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert len(groups) == 2
    assert "skipped" not in done.stdout


def test_a_dead_link_breaks_the_build_of_the_site():
    """MkDocs counts no warning that its option --quiet has silenced, and strict then means nothing."""
    build = re.search(r"mkdocs build (.*)", (ROOT / "Makefile").read_text("utf-8"))[1].split()
    assert build == ["--strict"]


def test_the_diagram_is_that_of_the_imports():
    assert diagram.PICTURE.read_text("utf-8") == diagram.draw(), "run: python -m docs.diagram"


def test_every_wing_is_explained_in_the_order_of_the_diagram():
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w+/\w+)` \|", page, re.M) == diagram.wings()


def test_every_setting_is_documented_and_no_other():
    sources = [
        p
        for room in ("catalog", "registry", "training", "exporters", "src/modelstac")
        for p in (ROOT / room).rglob("*.py")
    ]
    known = {name for path in sources for name in re.findall(r'"(MODELSTAC_[A-Z_]+[A-Z])"', path.read_text("utf-8"))}
    page = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    made = (tables.server_settings(), tables.inference_settings())
    server = set(re.findall(r"`(MODELSTAC_[A-Z_]+)`", "".join(made)))
    assert set(re.findall(r"MODELSTAC_[A-Z_]+[A-Z]", page)) == known - server | {"MODELSTAC_CATALOG"}
    rows = [row for table in made for row in table.splitlines()]
    assert all(row.count("|") == 4 and row.split("|")[3].strip() for row in rows)
    for other in PAGES:
        named = set(re.findall(r"MODELSTAC_[A-Z_]+[A-Z]", other.read_text("utf-8")))
        assert named <= known | server | ELSEWHERE, other


def test_pages_install_what_there_is():
    """From a checkout, since the name is not ours on the package index yet, and extras that exist."""
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    for page in PAGES:
        text = " ".join(page.read_text("utf-8").split())
        named = {name for names in re.findall(r"'(?:\.|modelstac)\[([a-z,]+)\]'", text) for name in names.split(",")}
        assert named | set(re.findall(r"[Tt]he extra `(\w+)`", text)) <= extras, page
        assert not re.search(r"pip install (?!--no-index )'?modelstac", text), page


def test_what_the_site_takes_from_elsewhere_is_there():
    assert all((ROOT / source).exists() for source in hooks.SHOWN)
    used = {name for page in PAGES for name, _ in hooks._MADE_OF.findall(page.read_text("utf-8"))}
    assert used == hooks.TABLES.keys()
