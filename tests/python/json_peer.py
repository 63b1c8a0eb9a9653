"""Answers each line, a text as hexadecimal UTF-8, with what `json` makes of it, or with `!`."""

import json
import sys

for line in sys.stdin:
    try:
        answer = json.dumps(json.loads(bytes.fromhex(line).decode("utf-8")))
    except (ValueError, RecursionError):
        answer = "!"
    print(answer, flush=True)
