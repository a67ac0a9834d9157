"""A process beside this one that is asked and answers in lines of JSON (:mod:`modelstac.registry.isolated.answers`)."""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from modelstac.catalog import errors
from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.messages import Note, Report, ignore


def ended(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path | None, seconds: float | None
) -> subprocess.CompletedProcess[str]:
    """Run a program that is asked nothing more to its end, and keep what it says.

    Raises
    ------
    subprocess.TimeoutExpired
        If it takes longer.
    OSError
        If it cannot be started.
    """
    return subprocess.run(  # noqa: S603 - whoever calls has made the arguments
        arguments,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=seconds,
        check=False,
    )


class WorkerProcess:
    """One process; it ends when this object is closed, or when its parent does.

    Parameters
    ----------
    command
        What to run.
    environment
        All of its environment variables.
    log
        File for what it prints.
    what
        Its name in errors: "the process that runs …".
    failure
        Error to raise for errors of classes that are not ours.
    ended
        Error to raise when it ends or does not answer; by default the same.
    folder
        Where it runs; by default where this process does.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        what: str,
        failure: type[ModelStacError],
        ended: type[ModelStacError] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._what, self._failure, self._log = what, failure, log
        self._ended_by = ended or failure
        with log.open("wb") as printed:
            self._process = subprocess.Popen(  # noqa: S603 - what is run is ours
                list(command),
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                text=True,
                encoding="utf-8",
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests: IO[str] = self._process.stdin
        self._answers: IO[str] = self._process.stdout
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._unread = 0  # answers to what it was told, which nobody waits for
        # A pipe cannot be read with a time limit on every system; a queue can.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(
        self, verb: str, content: Mapping[str, Any], *, report: Report = ignore, timeout: float | None = None
    ) -> Any:
        """Ask for something and wait for the answer; notes on the way go to ``report``.

        Raises
        ------
        ModelStacError
            What the worker raised; the error named ``ended`` if it ends, or sends nothing for
            ``timeout`` seconds and so is killed.
        """
        self._send(verb, content)
        while True:
            try:
                line = self._lines.get(timeout=timeout)
            except queue.Empty:
                self.kill()
                raise self._ended_by(f"{self._what} did not answer for {timeout:g} s and was ended") from None
            except BaseException:
                self.kill()  # its answer would be taken for that to the next request
                raise
            if line is None:
                raise self._ended()
            answer = json.loads(line)
            if self._unread:
                self._unread -= "note" not in answer
            elif "note" in answer:
                report(Note(answer["note"]))
            elif "error" in answer:
                raise self._error(answer["error"], answer["message"])
            else:
                return answer["result"]

    def tell(self, verb: str, content: Mapping[str, Any]) -> None:
        """Ask for something that is only made ready, and wait for no answer; what fails fails again when it is needed.

        Raises
        ------
        ModelStacError
            The error named ``ended`` if it has ended.
        """
        self._send(verb, content)
        self._unread += 1

    def _send(self, verb: str, content: Mapping[str, Any]) -> None:
        request = json.dumps({"verb": verb, **content}) + "\n"
        try:
            self._requests.write(request)
            self._requests.flush()
        except (OSError, ValueError) as error:  # the second: it was closed when the process ended
            raise self._ended() from error

    def close(self) -> None:
        """Let the process end by closing what it reads; wait for it, and kill one that does not listen.

        One that may still make ready what nobody asked for is killed at once.
        """
        if self._unread:
            self.kill()
            return
        with contextlib.suppress(OSError):
            self._requests.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._finish()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        with contextlib.suppress(OSError):
            self._requests.close()
        self._finish()

    def _finish(self) -> None:
        self._process.wait()
        self._reader.join(timeout=10)
        self._answers.close()

    def _read(self) -> None:
        for line in self._answers:
            self._lines.put(line)
        self._lines.put(None)

    def _ended(self) -> ModelStacError:
        with contextlib.suppress(OSError):
            self._requests.close()
        self._finish()
        code = self._process.returncode
        name = f" ({signal.Signals(-code).name})" if -code in set(signal.Signals) else ""
        said = self._log.read_bytes()[-20_000:].decode(errors="replace").strip().splitlines()
        last = f": {said[-1]}" if said else ""
        return self._ended_by(f"{self._what} ended with exit code {code}{name}{last}")

    def _error(self, name: str, message: str) -> ModelStacError:
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, ModelStacError):
            return kind(message)
        return self._failure(f"{name}: {message}")
