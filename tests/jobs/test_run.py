"""Jobs run once each, whatever becomes of the others and of the processes that run them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.dask_cluster import wait_for

from modelstac.catalog.errors import NotFoundError, SpecError, UnavailableError
from modelstac.catalog.messages import Advanced, Note
from modelstac.jobs.attempt import attempt
from modelstac.jobs.job import Job
from modelstac.jobs.perform import perform
from modelstac.jobs.pools import LocalPool
from modelstac.jobs.run import run
from modelstac.jobs.table import as_text

RUN_ONE = """
import signal
import sys
from modelstac.jobs.job import Job
from modelstac.jobs.pools import LocalPool
from modelstac.jobs.run import run

signal.signal(signal.SIGINT, signal.default_int_handler)  # which whoever runs tests in the background may ignore
with LocalPool() as pool:
    run([Job.from_json(sys.argv[1])], pool)
"""


def test_what_can_be_done_is_done_and_only_what_is_missing_is_done_again(make, runs, tmp_path):
    first = make("first", value=1)
    second = make("second", first, value=10)
    crashed = make("crashed", first, how=["SIGSEGV"], value=100)
    hangs = make("hangs", how=["hang", "hang", "hang"], timeout=1.5)
    wrong = make("wrong", first, how=["data", "data"])
    buggy = make("buggy", how=["bug", "bug"])
    after = make("after-what-is-wrong", wrong, second)
    jobs = [first, second, crashed, hangs, wrong, buggy, after]
    messages = []
    with LocalPool(2) as pool:
        outcomes = {one.job.name: one for one in run(jobs, pool, retries=1, pause=0.1, report=messages.append)}
    states = {name: one.state for name, one in outcomes.items()}
    assert states == {
        "first": "done",
        "second": "done",
        "crashed": "done",
        "hangs": "failed",
        "wrong": "failed",
        "buggy": "failed",
        "after-what-is-wrong": "skipped",
    }
    assert [outcomes[name].result["value"] for name in ("first", "second", "crashed")] == [1, 11, 101]
    assert [runs(job) for job in jobs if job != hangs] == [1, 1, 2, 1, 2, 0]  # what is wrong is not tried again
    assert outcomes["wrong"].reason == "the frames make no sense"
    assert outcomes["buggy"].reason == "ZeroDivisionError: by nothing"
    assert outcomes["after-what-is-wrong"].reason == "needs wrong, which failed"
    notes = [message.text for message in messages if isinstance(message, Note)]
    assert "crashed crashed (SIGSEGV); attempt 2 of 2 in 0.1 s" in notes
    assert "hangs took longer than 1.5 s and was ended; attempt 2 of 2 in 0.1 s" in notes
    assert sum(isinstance(message, Advanced) for message in messages) == len(jobs)

    log = Path(outcomes["buggy"].log).read_text()
    assert log.count("ZeroDivisionError: by nothing") >= 2  # the tracebacks of both attempts
    text = as_text(list(outcomes.values()))
    assert max(map(len, text.splitlines()[:10])) <= 80
    assert "buggy: ZeroDivisionError: by nothing" in text
    assert text.endswith("3 done, 3 failed, 1 skipped")

    with LocalPool(2) as pool:
        again = run(jobs, pool, retries=0)
    assert [one.state for one in again] == ["there", "there", "there", "failed", "failed", "done", "skipped"]
    assert [runs(job) for job in jobs if job != hangs] == [1, 1, 2, 2, 3, 0]
    json.dumps([one.to_dict() for one in again])


def test_two_that_want_the_same_at_once_do_it_once(make, runs):
    job = make("slow", how=["slow"])
    results = []
    threads = [threading.Thread(target=lambda: results.append(attempt(job))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runs(job) == 1
    assert results[0].result == results[1].result
    assert "another process works in" in (job.folder / "log.txt").read_text()


def test_a_job_ends_with_the_process_that_waits_for_it(make):
    job = make("hangs", how=["hang"])
    program = "import sys; from modelstac.jobs.job import Job; from modelstac.jobs.attempt import attempt;"
    program += "attempt(Job.from_json(sys.argv[1]))"
    waits = subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(job.to_dict())],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    path = job.folder / "runs.txt"
    while not path.exists() or not path.read_text():
        assert waits.poll() is None
        time.sleep(0.05)
    waits.kill()
    waits.wait()
    pid = int(path.read_text().split()[0])
    until = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < until, "the job goes on without anybody who waits"
        time.sleep(0.05)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_the_key_is_what_the_result_depends_on(make):
    first = make("first")
    assert make("first", timeout=5, resources={"GPU": 1}, environment={"A": "b"}).key == first.key
    assert make("first", value=2).key != first.key
    assert make("second", first).key != make("second", make("first", value=2)).key
    assert Job.from_json(json.dumps(first.to_dict())) == first


def test_a_job_waits_for_the_results_that_it_needs(make):
    with pytest.raises(UnavailableError, match=r"second needs the result of first, .* run that job first"):
        perform(make("second", make("first")))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"name": "a/b"}, SpecError, "job name 'a/b'"),
        ({"needs": {"x": 1}}, SpecError, "needs of the job 'first' make no sense"),
        ({"timeout": 0}, SpecError, "timeout of the job"),
        ({"colour": 1}, SpecError, "unknown field 'colour'"),
        ({"work": ""}, SpecError, "work of the job"),
        ({"kind": "trian"}, NotFoundError, "did you mean 'train'"),
        ({"kind": "modelstac.nothing"}, NotFoundError, "there is no module modelstac.nothing"),
        ({"kind": "modelstac.report"}, SpecError, "needs the functions find and run"),
    ],
)
def test_what_is_no_job_is_refused(make, fields, error, message):
    with pytest.raises(error, match=message):
        perform(Job.from_json(json.dumps(make("first").to_dict() | fields)))


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_what_is_no_job_at_all_is_refused(text):
    with pytest.raises(SpecError, match="the job"):
        Job.from_json(text)


def test_jobs_that_do_not_fit_together_are_refused(make):
    first, other = make("first"), make("first", value=2)
    with LocalPool() as pool:
        for jobs, message in (
            ([first, other], "two jobs are called 'first'"),
            ([make("second", first)], "needs 'first', which is not among the jobs before it"),
            ([make("second", first), first], "needs 'first', which is not among the jobs before it"),
        ):
            with pytest.raises(SpecError, match=message):
                run(jobs, pool)


def test_the_program_says_in_one_line_why_it_fails(make, tmp_path):
    job = make("wrong", how=["data"])
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job.to_dict()))
    done = subprocess.run(
        [sys.executable, "-m", "modelstac.job", path],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, "error: the frames make no sense\n")
    assert json.loads(done.stdout) == {"error": "DataError", "message": "the frames make no sense"}


def test_an_interruption_ends_what_runs(make, runs):
    job = make("hangs", how=["hang"])
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN_ONE, json.dumps(job.to_dict())], env=variables, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: runs(job) == 1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert said.endswith("KeyboardInterrupt\n")
    assert not is_alive(int((job.folder / "runs.txt").read_text().split()[0]))
