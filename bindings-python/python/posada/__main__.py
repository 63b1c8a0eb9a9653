"""``python -m posada doctor`` and ``python -m posada migrate``."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys

from posada._posada import Applied, Posada
from posada.doctor import Diagnosis
from posada.errors import PosadaError
from posada.settings import Settings

_STATUS = {"ok": 0, "warning": 1, "error": 2}
_DATABASE = ("DATABASE_URL", "POSTGRES_URL", "POSTGRES_HOST", "SUPABASE_DATABASE_URL")


def main() -> int:
    """Runs a command. The exit status of ``doctor`` is 0, 1 for warnings, or 2 for errors; of ``migrate`` 0 or 2."""
    parser = argparse.ArgumentParser(prog="python -m posada", description="posada from the command line")
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser(
        "doctor",
        help="look for what usually is wrong with an installation",
        description="Examines what the environment describes (DATABASE_URL, REDIS_URL, …). It writes nothing and shows "
        "no secret. The exit status is 0, 1 for warnings, or 2 for errors.",
    )
    doctor.add_argument("--json", action="store_true", help="for programs")
    commands.add_parser(
        "migrate",
        help="bring the database to the state that this version needs",
        description="Creates and changes the tables of the database that the environment describes (DATABASE_URL, …), "
        "as the role that owns them. It may run again, and from several machines at once. The exit status is 0, or 2 "
        "when the database was left as it is.",
    )
    options = parser.parse_args()
    return _migrate() if options.command == "migrate" else _doctor(options.json)


def _doctor(as_json: bool) -> int:
    diagnosis = asyncio.run(Diagnosis.from_env())
    print(json.dumps(diagnosis.to_dict(), ensure_ascii=False, indent=2) if as_json else diagnosis)
    return _STATUS[diagnosis.severity]


def _migrate() -> int:
    if not any(os.environ.get(name) or os.environ.get(name.lower()) for name in _DATABASE):
        print(f"there is no database to migrate: set {_DATABASE[0]}", file=sys.stderr)
        return 2
    try:
        applied = asyncio.run(_migrated())
    except PosadaError as error:
        print(error, file=sys.stderr)
        return 2
    for migration in applied.migrations:
        print(f"applied {migration}")
    print(f"the database is at version {applied.version}")
    return 0


async def _migrated() -> Applied:
    async with Posada.build(Settings.from_env()) as posada:
        return await posada.migrate()


if __name__ == "__main__":
    sys.exit(main())
