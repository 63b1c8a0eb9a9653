"""Whose guest is it? The test of the setup guide, with posada: ``python tenant_resolution.py``."""

import asyncio
import os

from posada import Posada


async def test_tenant_resolution() -> None:
    """Gives a hotel a number and resolves it."""
    async with Posada.from_env() if "DATABASE_URL" in os.environ else Posada.embedded() as p:
        await p.migrate()
        if await p.tenants.get("hotel-test") is None:
            await p.tenants.create("hotel-test", name="Hotel Test")

        await p.tenants.add_identifier("hotel-test", "+5491112345678", "whatsapp")

        tenant = (await p.tenants.resolve("+5491112345678", "whatsapp")).tenant
        assert tenant is not None
        print(f"Tenant resolved: {tenant.id}")


if __name__ == "__main__":
    asyncio.run(test_tenant_resolution())
