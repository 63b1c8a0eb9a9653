"""What operators do: sign in, add hotels and their numbers, throw switches."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from fastapi.security import OAuth2PasswordRequestForm
from posada import Claims, Permission, Tenant
from posada.fastapi import TOKEN_URL, CurrentPosada, peer, privileged_user, rate_limit, superuser
from posada.tenants import Channel, TenantStatus
from pydantic import BaseModel

router = APIRouter()
desk = APIRouter(prefix="/api/admin/tenants", dependencies=[Depends(superuser), Depends(rate_limit("60/minute"))])
support = APIRouter(prefix="/api/support", dependencies=[Depends(rate_limit("60/minute"))])


class NewTenant(BaseModel):
    """A hotel to be added."""

    tenant_id: str
    name: str
    status: TenantStatus = "active"


class TenantAnswer(NewTenant):
    """A hotel as it is stored."""

    @classmethod
    def of(cls, tenant: Tenant) -> "TenantAnswer":
        return cls(tenant_id=tenant.id, name=tenant.name, status=tenant.status)


class WhoWrote(BaseModel):
    """A guest, as a channel knows them."""

    guest: str


class NewIdentifier(BaseModel):
    """A number, address or host name by which guests reach a hotel."""

    identifier: str
    channel: Channel


@router.post(TOKEN_URL)
async def sign_in(
    p: CurrentPosada,
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    address: Annotated[str | None, Depends(peer)],
) -> dict[str, str]:
    """Signs in. posada slows down clients that guess: 429 with ``Retry-After``."""
    tokens = await p.auth.login(form.username, form.password, address=address)
    return {"access_token": tokens.access, "refresh_token": tokens.refresh, "token_type": "bearer"}


@desk.post("", status_code=201)
async def create(p: CurrentPosada, new: NewTenant) -> TenantAnswer:
    """Adds a hotel."""
    return TenantAnswer.of(await p.tenants.create(new.tenant_id, name=new.name, status=new.status))


@desk.get("")
async def list_all(p: CurrentPosada) -> list[TenantAnswer]:
    """All hotels."""
    return [TenantAnswer.of(tenant) for tenant in await p.tenants.list()]


@desk.post("/{tenant_id}/identifiers", status_code=201)
async def add_identifier(p: CurrentPosada, tenant_id: str, new: NewIdentifier) -> dict[str, str]:
    """Gives a hotel a number; answers it as it is stored."""
    identifier = await p.tenants.add_identifier(tenant_id, new.identifier, new.channel)
    return {"identifier": identifier.canonical, "tenant_id": tenant_id}


@desk.put("/{tenant_id}/flags/{flag}", status_code=204)
async def set_flag(p: CurrentPosada, tenant_id: str, flag: str, enabled: bool) -> None:
    """Throws a switch for one hotel."""
    await p.for_tenant(tenant_id).flags.set(flag, enabled)


@support.post("/tenants/{tenant_id}/conversations")
async def conversation(
    p: CurrentPosada, user: Annotated[Claims, Depends(privileged_user)], tenant_id: str, who: WhoWrote
) -> dict[str, Any]:
    """What a guest and a hotel said to each other: of one's own hotel, or of any for who stands above them.

    The audit of sign-in has who looked where, and who tried. The guest's number stands in the body, because paths are
    logged.
    """
    if user.tenant != tenant_id:
        user = await p.auth.act_across_tenants(user, tenant=tenant_id, reason="support reads a conversation")
    user.require_for(tenant_id, Permission.VIEW_REPORTS)
    session = await p.for_claims(user).sessions.get(who.guest)
    if session is None:
        raise HTTPException(404, "there is no such conversation")
    return session.document


router.include_router(desk)
router.include_router(support)
