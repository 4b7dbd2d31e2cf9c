"""How bytes reach an R process and come back: two pipes, or where there are none (Windows) a socket of this machine."""

from __future__ import annotations

import os
import secrets
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Literal

Kind = Literal["pipes", "socket"]
DEFAULT: Kind = "pipes" if os.name == "posix" else "socket"

_AT_ONCE = 2**20  # bytes read in one go


class Transport(ABC):
    """One end of a connection to R."""

    #: Told to R on its command line.
    arguments: list[str]
    #: Variables that R is given.
    environment: dict[str, str]
    #: Descriptors that R inherits.
    inherited: tuple[int, ...] = ()

    @abstractmethod
    def started(self, alive: Callable[[], bool], seconds: float) -> None:
        """Do what is left to do once the process runs; raises EOFError where it does not come."""

    @abstractmethod
    def fileno(self) -> int:
        """Return the descriptor that answers come on."""

    @abstractmethod
    def write(self, data: bytes | memoryview) -> None:
        """Send all of some bytes; raises OSError when nobody reads them."""

    @abstractmethod
    def read(self, n: int) -> bytes:
        """Return at most `n` bytes, as soon as there are any; none when the other side has closed."""

    @abstractmethod
    def close(self) -> None:
        """Close this end."""

    def ready(self, seconds: float) -> bool:
        """Return whether something can be read; waits for it at most that long."""
        return bool(wait([self.fileno()], seconds))


class Pipes(Transport):
    """Two pipes, whose other ends R inherits."""

    def __init__(self) -> None:
        theirs, self._out = os.pipe()
        self._in, their_out = os.pipe()
        self.inherited = (theirs, their_out)
        self.arguments = ["pipes", str(theirs), str(their_out)]
        self.environment = {}
        self._open = True

    def started(self, alive: Callable[[], bool], seconds: float) -> None:  # noqa: D102
        for descriptor in self.inherited:  # R has its own copies; with ours open, the end of R would not show
            os.close(descriptor)
        self.inherited = ()

    def fileno(self) -> int:  # noqa: D102
        return self._in

    def write(self, data: bytes | memoryview) -> None:  # noqa: D102
        left = memoryview(data)
        while left:
            left = left[os.write(self._out, left) :]

    def read(self, n: int) -> bytes:  # noqa: D102
        return os.read(self._in, min(n, _AT_ONCE))

    def close(self) -> None:  # noqa: D102
        if self._open:
            self._open = False
            for descriptor in (self._in, self._out, *self.inherited):
                os.close(descriptor)


class Socket(Transport):
    """A socket on the loopback, which R connects to; a token tells it from any other process of this machine."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=1)
        self._connection: socket.socket | None = None
        self._token = secrets.token_hex(16)
        self.arguments = ["socket", str(self._server.getsockname()[1])]
        self.environment = {"ADVERSCARIAL_TOKEN": self._token}

    def started(self, alive: Callable[[], bool], seconds: float) -> None:  # noqa: D102
        self._server.settimeout(0.2)
        while self._connection is None:
            try:
                connection = self._server.accept()[0]
            except TimeoutError:
                seconds -= 0.2
                if not alive() or seconds < 0:
                    raise EOFError from None
                continue
            connection.settimeout(None)
            if _token(connection, len(self._token)) == self._token:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connection = connection
            else:
                connection.close()  # another process of this machine
        self._server.close()

    @property
    def _open(self) -> socket.socket:
        if self._connection is None:
            raise EOFError
        return self._connection

    def fileno(self) -> int:  # noqa: D102
        return self._open.fileno()

    def write(self, data: bytes | memoryview) -> None:  # noqa: D102
        self._open.sendall(data)

    def read(self, n: int) -> bytes:  # noqa: D102
        return self._open.recv(min(n, _AT_ONCE))

    def close(self) -> None:  # noqa: D102
        self._server.close()
        if self._connection is not None:
            self._connection.close()


def _token(connection: socket.socket, size: int) -> str:
    """Return what a new connection sends first; empty if that is not enough within a second."""
    connection.settimeout(1)
    found = b""
    try:
        while len(found) < size and (piece := connection.recv(size - len(found))):
            found += piece
    except OSError:
        return ""
    finally:
        connection.settimeout(None)
    return found.decode("ascii", "replace")


def transport(kind: Kind) -> Transport:
    """Return a new connection."""
    return Pipes() if kind == "pipes" else Socket()
