"""Free ports of this machine."""

import random
import socket
from contextlib import suppress

# Outside of what systems give to outgoing connections, which could take a port before a server does.
PORTS = range(10_000, 30_000)
_given: set[int] = set()


def free_port() -> int:
    """Return a port on which nothing listens, a different one in each call."""
    while True:
        port = random.choice(PORTS)  # noqa: S311
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            if port not in _given:
                _given.add(port)
                return port
