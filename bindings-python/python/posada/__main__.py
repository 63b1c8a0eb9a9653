"""``python -m posada doctor``."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from posada.doctor import Diagnosis

_STATUS = {"ok": 0, "warning": 1, "error": 2}


def main() -> int:
    """Runs a command. The exit status of ``doctor`` is 0, 1 for warnings, or 2 for errors."""
    parser = argparse.ArgumentParser(prog="python -m posada", description="posada from the command line")
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser(
        "doctor",
        help="look for what usually is wrong with an installation",
        description="Examines what the environment describes (DATABASE_URL, REDIS_URL, …). It writes nothing and shows "
        "no secret. The exit status is 0, 1 for warnings, or 2 for errors.",
    )
    doctor.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()

    diagnosis = asyncio.run(Diagnosis.from_env())
    print(json.dumps(diagnosis.to_dict(), ensure_ascii=False, indent=2) if options.json else diagnosis)
    return _STATUS[diagnosis.severity]


if __name__ == "__main__":
    sys.exit(main())
