"""The doctor: in memory, on servers, and from the command line."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from urllib.parse import urlsplit

import posada
from posada.doctor import FINDING_CODES
from support import ROOT, run, server_settings

SECRET = "HUNTER2-the-wrong-password"


def command_line(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "posada", *arguments],
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_codes_are_those_of_the_crate() -> None:
    listed = (ROOT / "tests" / "parity" / "findings.toml").read_text()
    assert dict(re.findall(r'^"([^"]+)" = "(.*)"$', listed, re.MULTILINE)) == FINDING_CODES


def test_in_memory_nothing_is_wrong_and_nothing_stays() -> None:
    async def work() -> None:
        async with posada.Posada.embedded() as p:
            found = await p.doctor()
            assert (found.is_healthy, found.severity) == (True, "warning")
            memory = found.finding("redis.memory")
            assert memory is not None
            assert memory.severity == "warning"
            assert memory.remedy
            assert found.finding("redis.eviction") is None
            assert found.to_dict()["findings"][0]["code"] == found.findings[0].code
            assert str(found).endswith(f"{sum(each.severity == 'ok' for each in found.findings)} ok.")
            assert pickle.loads(pickle.dumps(found)) == found

    run(work())


def test_a_wrong_password_is_named_and_not_shown_and_the_other_server_is_examined() -> None:
    server = urlsplit(os.environ["DATABASE_URL"])
    url = server._replace(netloc=f"{server.username}:{SECRET}@{server.hostname}:{server.port}").geturl()

    async def work() -> None:
        async with posada.Posada.build(server_settings(postgres_url=url)) as p:
            found = await p.doctor()
            await p.close()
            closed = await p.doctor()
        assert closed.finding("posada.closed") is not None
        assert not found.is_healthy
        worst = found.findings[0]
        assert (worst.code, worst.severity) == ("postgres.wrong_password", "error"), str(found)
        assert worst.remedy
        assert found.finding("redis.version") is not None
        assert all(SECRET not in text for text in (str(found), repr(found), json.dumps(found.to_dict())))

    run(work())


def test_the_command_line_prints_the_report_and_ends_with_its_severity() -> None:
    memory = command_line("doctor")
    assert memory.returncode == 1, memory.stderr
    assert "redis.memory" in memory.stdout
    broken = command_line("doctor", "--json", REDIS_URL="redis://:HUNTER2@127.0.0.1:1/0")
    assert broken.returncode == 2, broken.stderr
    findings = json.loads(broken.stdout)["findings"]
    assert findings[0]["severity"] == "error"
    assert findings[0]["remedy"]
    unusable = command_line("doctor", ENVIRONMENT="production", SECRET_KEY="HUNTER2")
    assert unusable.returncode == 2, unusable.stderr
    assert "settings.refused" in unusable.stdout
    assert "DATABASE_URL" in unusable.stdout
    assert all("HUNTER2" not in done.stdout + done.stderr for done in (broken, unusable))
    assert command_line().returncode == 2


def test_the_command_line_migrates_once_and_says_what_is_wrong() -> None:
    url = os.environ["DATABASE_URL"]
    for _ in range(2):
        done = command_line("migrate", DATABASE_URL=url, REDIS_URL="redis://127.0.0.1:1")
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert re.fullmatch(r"the database is at version \d+\n", done.stdout), "the second time there is nothing to do"
    server = urlsplit(url)
    wrong = server._replace(netloc=f"{server.username}:{SECRET}@{server.hostname}:{server.port}").geturl()
    forgotten = command_line("migrate")
    assert (forgotten.returncode, forgotten.stdout) == (2, "")
    assert "DATABASE_URL" in forgotten.stderr
    refused = command_line("migrate", DATABASE_URL=wrong)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "postgres." in refused.stderr
    assert SECRET not in refused.stderr
    assert "Traceback" not in refused.stderr
