"""Calls that take something which has to be given back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["Taking"]

Taken = TypeVar("Taken")


class Taking(Coroutine[Any, Any, Taken]):
    """A call on its way to take something: ``await`` it, or enter it with ``async with``, which also gives it back.

    >>> async with p.locks.acquire("housekeeping:101", wait=5) as lock:
    ...     ...
    >>> lock = await p.locks.acquire("housekeeping:101", wait=5)

    It is a coroutine like any other, so a task can be made of it. Like any other it does nothing before that.
    """

    __slots__ = ("_call", "_give_back", "_taken")

    _taken: Taken

    def __init__(self, call: Coroutine[Any, Any, Taken], give_back: Callable[[Taken], Awaitable[object]]) -> None:
        self._call = call
        self._give_back = give_back

    def __await__(self) -> Generator[Any, Any, Taken]:
        return self._call.__await__()

    def send(self, value: Any, /) -> Any:
        """A step of the call, for the task that drives it."""
        return self._call.send(value)

    def throw(self, *error: Any) -> Any:
        """A step of the call that begins with an error, for the task that drives it."""
        return self._call.throw(*error)

    def close(self) -> None:
        """Gives the call up."""
        self._call.close()

    async def __aenter__(self) -> Taken:
        self._taken = await self._call
        return self._taken

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._give_back(self._taken)
