"""The code of the README runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from support import ROOT, in_process, run

README = (ROOT / "bindings-python" / "README.md").read_text()

BLOCKS = {
    heading: code
    for section in re.split(r"^## ", README, flags=re.MULTILINE)
    for heading, code in re.findall(r"\A(.*?)\n.*?^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
}
"""The first piece of code under each heading."""


def test_no_code_is_left_out() -> None:
    assert README.count("```python") == len(BLOCKS)


@pytest.mark.parametrize("heading", BLOCKS)
def test_the_code_runs(heading: str, tmp_path: Path) -> None:
    if "def test_" in BLOCKS[heading]:
        (tmp_path / "test_readme.py").write_text(BLOCKS[heading])
        command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", tmp_path]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
        assert ran.returncode == 0, ran.stdout
        return
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(BLOCKS[heading], f"README.md, {heading}", "exec"), names)
    app = names.get("app")
    if isinstance(app, FastAPI):
        run(answers(app))


async def answers(app: FastAPI) -> None:
    async with in_process(app) as client:
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.get("/flags")).status_code == 401
        assert (await client.get("/greeting")).json() == "Good day."
        assert "# TYPE readiness_up gauge" in (await client.get("/metrics")).text
