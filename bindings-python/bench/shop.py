"""A shop that gives every question the same answer: one guest. Says its address, and serves until it is killed."""

from __future__ import annotations

import asyncio
import json

GUEST = {"id": 7, "deleted": 0, "lastname": "Pérez", "firstname": "Ana", "email": "ana@example.com", "phone": "549"}
BODY = json.dumps({"customers": [{**GUEST, "note": "x" * 300}]}).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + str(len(BODY)).encode() + b"\r\n\r\n"
) + BODY


class Shop(asyncio.Protocol):
    """Answers whenever the head of a request has ended; no client here sends a body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._left = b""

    def data_received(self, data: bytes) -> None:
        """Answers every head that is complete."""
        *heads, self._left = (self._left + data).split(b"\r\n\r\n")
        self._transport.write(ANSWER * len(heads))


async def main() -> None:
    """Serves on a free port."""
    server = await asyncio.get_running_loop().create_server(Shop, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


asyncio.run(main())
