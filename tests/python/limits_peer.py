"""The Python package `limits` behind a pipe: one JSON request a line in, one JSON answer a line out."""

import json
import sys

import limits
from limits.storage import RedisStorage

storage = RedisStorage(sys.argv[1])
limiters = {name: kind(storage) for name, kind in limits.strategies.STRATEGIES.items()}

for line in sys.stdin:
    request = json.loads(line)
    limiter = limiters[request["strategy"]]
    item = limits.parse(request["limit"])
    who = request["identifiers"]
    if request["operation"] == "hit":
        answer = {"allowed": limiter.hit(item, *who, cost=request["cost"])}
    elif request["operation"] == "test":
        answer = {"allowed": limiter.test(item, *who, cost=request["cost"])}
    else:
        stats = limiter.get_window_stats(item, *who)
        answer = {"reset": stats.reset_time, "remaining": stats.remaining}
    print(json.dumps(answer), flush=True)
