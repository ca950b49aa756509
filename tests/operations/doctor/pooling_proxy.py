"""A small pooler: clients share its connections to the server as PgBouncer's do."""

import socket
import struct
import threading
from collections import deque
from contextlib import suppress
from typing import Self

from sqlalchemy import make_url

from temporal_pipeline.database import Database

WITHOUT_ENCRYPTION = (80877103, 80877104)
MADE_UP_PID = 4711
# The messages after which a server answers until it is ready for the next query: Query, Sync.
ENDS_A_QUESTION = (b"Q", b"S")
IDLE = b"I"
# Authentication: done; the server's last message, to which the client says nothing.
LOGGED_IN, LAST_WORD = 0, 12


class Stream:
    """Messages of the protocol, to and from one side."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        if connection.family == socket.AF_INET:
            # A message that is held back until the last one is acknowledged costs 40 ms.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def take(self, length: int) -> bytes:
        taken = b""
        while len(taken) < length:
            piece = self.connection.recv(length - len(taken))
            if not piece:
                raise ConnectionError
            taken += piece
        return taken

    def message(self) -> tuple[bytes, bytes]:
        kind, length = self.take(1), self.take(4)
        return kind, kind + length + self.take(struct.unpack("!I", length)[0] - 4)

    def startup(self) -> bytes:
        """The first message of a client, which has no kind; requests for encryption are declined."""
        while True:
            length = self.take(4)
            body = self.take(struct.unpack("!I", length)[0] - 4)
            if struct.unpack("!I", body[:4])[0] not in WITHOUT_ENCRYPTION:
                return length + body
            self.connection.sendall(b"N")


class PoolingProxy:
    """Listens on a port of its own for clients of a database.

    Up to `size` clients bring a connection to the server with them; later ones share those. With `sessions`
    each client keeps its own. A transaction gets the connection that was last used, or with `in_turn` the
    one that has been idle for longest. Everybody is greeted with a process number that is made up, unless
    `honest`.
    """

    def __init__(
        self,
        database: Database,
        *,
        size: int = 1,
        sessions: bool = False,
        in_turn: bool = False,
        honest: bool = False,
    ) -> None:
        self.upstream = make_url(database.url)
        self.size = size
        self.sessions = sessions
        self.in_turn = in_turn
        self.honest = honest
        self.open: list[socket.socket] = []
        self.idle: deque[Stream] = deque()
        self.brought = 0
        self.greeting: list[bytes] = []
        self.change = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0))

    @property
    def database(self) -> Database:
        """The database as it is reached through the proxy."""
        url = self.upstream.set(host="127.0.0.1", port=self.listener.getsockname()[1], query={})
        return Database(url.render_as_string(hide_password=False))

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        # A thread that waits in accept() keeps the socket open; shut down, it wakes.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _start(self, work: object, *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()  # type: ignore[arg-type]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.open.append(client)
                self._start(self._serve, Stream(client))

    def _serve(self, client: Stream) -> None:
        with suppress(ConnectionError, OSError):
            startup = client.startup()
            own = None
            if self.sessions or self.brought < self.size:
                self.brought += 1
                own = self._admit(client, startup)
                if not self.sessions:
                    self._give_back(own)
            else:
                client.connection.sendall(b"".join(self.greeting))
            while True:
                self._transaction(client, own if self.sessions else None)

    def _admit(self, client: Stream, startup: bytes) -> Stream:
        """Let the client log in at the server itself, and remember the greeting for those who share."""
        server = Stream(self._connect())
        server.connection.sendall(startup)
        self.greeting = []
        while True:
            kind, message = server.message()
            if kind == b"K" and not self.honest:
                message = message[:5] + struct.pack("!I", MADE_UP_PID) + message[9:]
            request = struct.unpack("!I", message[5:9])[0] if kind == b"R" else LOGGED_IN
            if request == LOGGED_IN:
                self.greeting.append(message)
            client.connection.sendall(message)
            if request not in (LOGGED_IN, LAST_WORD):
                server.connection.sendall(client.message()[1])
            if kind == b"Z":
                return server

    def _connect(self) -> socket.socket:
        folder, port = self.upstream.query.get("host"), self.upstream.query.get("port", "5432")
        if folder is not None:
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{folder}/.s.PGSQL.{port}")
        else:
            server = socket.create_connection((self.upstream.host or "localhost", self.upstream.port or 5432))
        self.open.append(server)
        return server

    def _transaction(self, client: Stream, own: Stream | None) -> None:
        """Pass messages on until the server is idle again, on one connection to it."""
        kind, message = client.message()
        if kind == b"X":
            raise ConnectionError
        server = own or self._lend()
        try:
            while True:
                server.connection.sendall(message)
                if kind in ENDS_A_QUESTION and self._answer(server, client) == IDLE:
                    return
                kind, message = client.message()
        finally:
            if own is None:
                self._give_back(server)

    def _answer(self, server: Stream, client: Stream) -> bytes:
        while True:
            kind, message = server.message()
            client.connection.sendall(message)
            if kind == b"Z":
                return message[5:6]

    def _lend(self) -> Stream:
        with self.change:
            self.change.wait_for(lambda: self.idle)
            return self.idle.popleft() if self.in_turn else self.idle.pop()

    def _give_back(self, server: Stream) -> None:
        with self.change:
            self.idle.append(server)
            self.change.notify()
