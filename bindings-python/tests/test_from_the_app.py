"""FROM-THE-APP.md does what it says, as it stands there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from posada import compat
from posada.fastapi import add_error_handlers
from support import ROOT, run

PAGE = (ROOT / "bindings-python" / "FROM-THE-APP.md").read_text()
SHELL = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def piece(blocks: list[str], word: str) -> str:
    """The only piece of code that has a word."""
    (found,) = (block for block in blocks if word in block)
    return found


IMPORTS = {
    "app/main.py": (
        "from .services.dynamic_tenant_service import dynamic_tenant_service\n"
        "from .services.feature_flag_service import get_feature_flag_service\n"
        "from .core.redis_client import get_redis\n",
        "from posada.compat.dynamic_tenant_service import dynamic_tenant_service\n"
        "from posada.compat.feature_flag_service import get_feature_flag_service\n"
        "from .core.redis_client import get_redis\n",
    ),
    "app/routers/webhooks.py": (
        "from ..services.session_manager import SessionManager\n"
        "from ..services.lock_service import LockService\n"
        "from ..core.security import get_current_user\n",
        "from posada.compat.session_manager import SessionManager\n"
        "from posada.compat.lock_service import LockService\n"
        "from posada.compat.security import get_current_user\n",
    ),
    "app/services/orchestrator.py": (
        "from .session_manager import SessionManager\n"
        "        from .feature_flag_service import DEFAULT_FLAGS\n"
        "            from app.services.lock_service import get_lock_service\n"
        "from app.core.tenant_context import set_tenant_id, reset_tenant_id\n"
        "from .tenant_context import tenant_context_service\n",
        "from posada.compat.session_manager import SessionManager\n"
        "        from posada.compat.feature_flag_service import DEFAULT_FLAGS\n"
        "            from posada.compat.lock_service import get_lock_service\n"
        "from posada.compat.tenant_context import set_tenant_id, reset_tenant_id\n"
        "from .tenant_context import tenant_context_service\n",
    ),
    "app/core/middleware.py": (
        "        from .tenant_context import set_tenant_id, clear_tenant_id\nfrom .settings import settings\n",
        "        from posada.compat.tenant_context import set_tenant_id, clear_tenant_id\n"
        "from .settings import settings\n",
    ),
    "scripts/seed_admin_user.py": (
        "from app.security.password_policy import get_password_policy\n",
        "from posada.compat.password_policy import get_password_policy\n",
    ),
}


def test_the_commands_change_every_import_and_nothing_else(tmp_path: Path) -> None:
    for name, (before, _) in IMPORTS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(before)
    command = piece(SHELL, "find app scripts").replace("git diff --stat\n", "")
    subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True, timeout=30)
    for name, (_, after) in IMPORTS.items():
        assert (tmp_path / name).read_text() == after, name


def test_the_tests_of_the_app_are_changed_too(tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_sessions.py").write_text(
        "from app.services.session_manager import SessionManager\n"
        'patch("app.services.session_manager.session_save_retries")\n'
        "from app.core.security import create_access_token\n"
    )
    subprocess.run(["bash", "-ec", piece(SHELL, "grep -rlE")], cwd=tmp_path, check=True, timeout=30)
    assert (tests / "test_sessions.py").read_text() == (
        "from posada.compat.session_manager import SessionManager\n"
        'patch("posada.compat.session_manager.session_save_retries")\n'
        "from posada.compat.security import create_access_token\n"
    )


def test_the_first_user_signs_in_and_adds_a_hotel(monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory, through the routes of the page."""
    variables = {
        "DATABASE_URL": "memory:",
        "REDIS_URL": "memory:",
        "SECRET_KEY": "the key of the tests, long enough for HS256",
    }
    compat.use(variables)
    password = "el loro pinta mapas de cobre"
    router: dict[str, Any] = {"__name__": "hotels"}
    exec(compile(piece(PYTHON, "APIRouter"), "FROM-THE-APP.md, hotels", "exec"), router)
    app = FastAPI()
    includes = piece(PYTHON, "include_router").replace("from app.routers import hotels\n", "")
    routers = type("Routers", (), {name: router[name] for name in ("sign_in", "hotels")})
    exec(includes, {"hotels": routers, "app": app, "add_error_handlers": add_error_handlers})

    async def job() -> None:
        p = compat.environment()
        app.state.posada = p
        monkeypatch.setattr("posada.Posada.build", lambda _: _Lent(p))
        await _first_user(piece(PYTHON, "first_user.py"), password)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
            refused = await http.post("/api/admin/tenants", json={"tenant_id": "hotel-test", "name": "Hotel Test"})
            assert refused.status_code == 401
            signed_in = await http.post("/admin/token", data={"username": "admin", "password": password})
            assert signed_in.status_code == 200, signed_in.text
            http.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"
            test_1 = {"tenant_id": "hotel-test", "name": "Hotel Test", "status": "active"}
            made = await http.post("/api/admin/tenants", json={**test_1, "business_hours_start": 9})
            assert (made.status_code, made.json()) == (200, {"status": "created", "tenant_id": "hotel-test"})
            assert (await http.post("/admin/tenants", json=test_1)).status_code == 409
            number = {"identifier": "+5491112345678"}
            assert (await http.post("/admin/tenants/hotel-test/identifiers", json=number)).status_code == 200
            assert (await p.tenants.resolve("5491112345678", channel="whatsapp")).tenant.id == "hotel-test"
            await http.patch("/admin/tenants/hotel-test", json={"name": "Hotel Uno", "status": "inactive"})
            hotel = await p.tenants.get("hotel-test")
            assert (hotel.name, hotel.is_active, hotel.business_hours_start) == ("Hotel Uno", False, 9)
            gone = await http.delete("/admin/tenants/hotel-test/identifiers/+5491112345678")
            assert gone.status_code == 200, gone.text
        await compat.close()

    try:
        run(job())
    finally:
        compat.use({})


class _Lent:
    """A handle that is not closed by who borrows it."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def __aenter__(self) -> Any:
        return self._handle

    async def __aexit__(self, *_: object) -> None:
        pass


async def _first_user(program: str, password: str) -> None:
    names: dict[str, Any] = {"__name__": "first_user"}
    exec(program.replace("asyncio.run(main(*sys.argv[1:]))", ""), names)
    names["getpass"].getpass = lambda: password
    await names["main"]("admin", "admin@hotel.example")
