"""What the package takes: bytes of the wheel, shortest time of an import, memory after the first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

IMPORT = """
import asyncio, dataclasses, datetime, decimal, json, time, typing, urllib.parse
begun = time.perf_counter()
import {module}
print(time.perf_counter() - begun)
"""

MEMORY = """
import asyncio, datetime, json

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("WHICH:"))

before = resident()
import posada
async def main():
    async with posada.Posada.embedded() as p:
        await p.sessions.get_or_create("549", "web")
        await p.sessions.delete("549")
        p.flags.is_enabled("canary.enabled")
        async with p.locks.acquire("x"):
            return resident()
print((asyncio.run(main()) - before) / 1024)
"""


def footprint(wheel: Path) -> None:
    """Prints it, with the promises."""
    print(f"wheel      {wheel.stat().st_size / 1e6:6.2f} MB   promise <= 6 MB      {wheel.name}")
    ours, theirs = ("posada", "posada._native"), ("redis.asyncio", "glide")
    for module in (*ours, *theirs):
        seconds = min(_ask(IMPORT.format(module=module)) for _ in range(9))
        said = "promise <= 10 ms" if module in ours else "for comparison"
        print(f"import     {seconds * 1000:6.2f} ms   {said:<17}    {module}, beyond asyncio and the like")
    if sys.platform == "linux":
        for which, said in (
            ("VmRSS", "promise <= 6 MB      resident after the first use, beyond asyncio"),
            ("RssAnon", "part of it           the process's own; the rest is the library, which all share"),
        ):
            print(f"memory     {_ask(MEMORY.replace('WHICH', which)):6.2f} MB   {said}")


def _ask(program: str) -> float:
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)
