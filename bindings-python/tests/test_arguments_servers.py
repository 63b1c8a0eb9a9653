"""What people send and nobody means is refused before it reaches a server, on real ones."""

from __future__ import annotations

import posada
from support import run, server_settings
from test_arguments import HALF, HOSTILE, broken, every_call, mistaken


def test_no_text_makes_a_call_on_servers_fail_as_nobodys_request_may() -> None:
    async def job() -> None:
        async with posada.Posada.connect(server_settings()) as p:
            await p.migrate()
            calls = await every_call(p)
            assert await broken(calls, (*HOSTILE, HALF)) == []
            assert await mistaken(calls) == []

    run(job())
