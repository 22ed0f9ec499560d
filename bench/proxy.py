"""A TCP proxy that can go deaf, as behind a dead router: held bytes stay, nothing passes, new connections wait."""

from __future__ import annotations

import selectors
import socket
import threading

CHUNK = 256 * 1024


class Proxy:
    """Forwards from an address, any free one unless it is given, to a target, in threads of its own."""

    def __init__(self, target: tuple[str, int], address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._target = target
        self._listener = socket.create_server(address)
        self._open = threading.Event()
        self._open.set()
        self._closing = False

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(near,), daemon=True).start()

    def _forward(self, near: socket.socket) -> None:
        self._open.wait()
        with near, selectors.DefaultSelector() as selector:
            try:
                far = socket.create_connection(self._target)
            except OSError:
                return
            with far:
                selector.register(near, selectors.EVENT_READ, far)
                selector.register(far, selectors.EVENT_READ, near)
                try:
                    while self._pass(selector):
                        pass
                except OSError:
                    return

    def _pass(self, selector: selectors.BaseSelector) -> bool:
        """One round; False when either side has closed."""
        ready = selector.select()
        self._open.wait()
        for key, _ in ready:
            source = key.fileobj
            assert isinstance(source, socket.socket)
            data = source.recv(CHUNK)
            if not data:
                return False
            key.data.sendall(data)
        return True
