"""``python -m fastapi_app``; options are uvicorn's, such as ``--port 8002``."""

import sys

import uvicorn

uvicorn.main(["fastapi_app.app:app", *sys.argv[1:]])
