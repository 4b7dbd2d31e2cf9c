"""One R process: started, asked, interrupted, ended. What the messages mean is not its business."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from adverscarial.classifiers.adapters.r.protocol import Reply, reply
from adverscarial.classifiers.adapters.r.transport import Kind, Transport, transport

_HERE = Path(__file__).parent
_LINES = 20  # that R printed last, kept for messages
_LOOK = 0.5  # seconds between looks at the process while an answer is waited for
_GRACE = 5.0  # seconds that R has to stop after an interrupt
_BACKLOG = 2.0  # seconds that its last words may take after it ended


class Ended(Exception):
    """The R process is no more; the text says with which status, and what it printed last.

    Attributes
    ----------
    status
        Its exit status; None where it lives, and closed the connection.
    said
        What it printed last.
    """

    def __init__(self, text: str, status: int | None, said: str) -> None:
        super().__init__(text)
        self.status, self.said = status, said


class Late(Exception):
    """R gave no answer in time."""


class RProcess:
    """An R process that runs ``bridge.R``.

    Parameters
    ----------
    rscript
        The program Rscript.
    options
        Its options.
    kind
        How to talk to it.
    seconds
        How long it may take to start.
    """

    def __init__(self, rscript: str, options: Iterable[str], kind: Kind, seconds: float) -> None:
        self._transport = transport(kind)
        self._last_lines: deque[str] = deque(maxlen=_LINES)
        self._python = os.getpid()
        command = [rscript, *options, str(_HERE / "bridge.R"), str(_HERE), *self._transport.arguments]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._transport.environment},
                pass_fds=self._transport.inherited,
                start_new_session=True,  # Ctrl-C is for Python, which decides
            )
        except BaseException:
            self._transport.close()
            raise
        assert self._process.stdout is not None
        self._listener = threading.Thread(target=_listen, args=(self._process.stdout, self._last_lines), daemon=True)
        self._listener.start()
        self._end = weakref.finalize(self, _end, self._process, self._transport, self._python)
        try:
            self._transport.started(lambda: self._process.poll() is None, seconds)
        except EOFError:
            raise self._ended() from None

    @property
    def alive(self) -> bool:
        """Whether it can be asked, by this process; a fork has only a copy of the parent's."""
        return self._end.alive and self._python == os.getpid() and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def ask(self, pieces: Iterable[bytes | memoryview], seconds: float) -> Reply:
        """Send a request, and return what R answers.

        Raises
        ------
        Ended
            If the process ended before it answered.
        Late
            If it did not answer in time; it may still do so.
        """
        try:
            for piece in pieces:
                self._transport.write(piece)
        except OSError:
            raise self._ended() from None
        return self.answer(seconds)

    def answer(self, seconds: float) -> Reply:
        """Return the answer to a request that was sent; raises as :meth:`ask`."""
        until = time.monotonic() + seconds
        return reply(lambda n: self._read(n, until))

    def _read(self, n: int, until: float) -> bytearray:
        found = bytearray()
        while len(found) < n:
            left = until - time.monotonic()
            if left <= 0:
                raise Late
            try:
                if not self._transport.ready(min(left, _LOOK)):
                    # a child that R forked may hold the connection open: look at R itself, too
                    if self._process.poll() is None:
                        continue
                    if not self._transport.ready(0):
                        raise self._ended()
                piece = self._transport.read(n - len(found))
            except OSError:
                piece = b""
            if not piece:
                raise self._ended()
            found += piece
        return found

    def interrupt(self) -> Reply | None:
        """Interrupt what R does, as Ctrl-C does in R; return its answer, or None if it gave none."""
        if os.name != "posix":
            return None
        try:
            self._process.send_signal(signal.SIGINT)
            return self.answer(_GRACE)
        except (Late, Ended):
            return None

    def end(self) -> None:
        """End it, whatever it does."""
        self._end()

    def _ended(self) -> Ended:
        """Return the exception that tells how it ended."""
        try:
            status = self._process.wait(_BACKLOG)
        except subprocess.TimeoutExpired:  # it closed the connection, and lives
            status = None
        self._listener.join(_BACKLOG)
        said = " | ".join(line for line in list(self._last_lines)[-5:] if line)
        self.end()
        if status is None:
            text = "the R process closed its connection, as closeAllConnections() does"
        elif status < 0:
            text = f"the R process was ended by {signal.Signals(-status).name}"
        else:
            text = f"the R process ended (status {status})"
        return Ended(f"{text}; {f'it printed last: {said}' if said else 'it printed nothing'}", status, said)


def _listen(stream: IO[bytes], said: deque[str]) -> None:
    """Read all that R prints, so that it never waits for a reader, and keep the last lines."""
    with stream:
        for line in iter(lambda: stream.readline(2000), b""):
            said.append(line.decode("utf-8", "replace").strip())


def _end(process: subprocess.Popen[bytes], connection: Transport, python: int) -> None:
    """Close a connection, and end the process; a fork only closes its copies."""
    connection.close()
    if python == os.getpid():
        process.kill()
        process.wait()
