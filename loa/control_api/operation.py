"""One route as it is declared: what it needs, takes and answers. The OpenAPI document is made of these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from pydantic import BaseModel

from loa.broadcast.people.rights import Right


@dataclass(frozen=True, slots=True)
class Operation:
    """A method and path, and the handler behind it.

    `right`: what the caller must have somewhere; None when the route is open to all, or, with `own`, to
    everybody who has shown who they are, for what is their own. Where a right must hold is for the handler to
    ask, who knows which area is meant (control_api/reach.py).
    `body`, `form`: the JSON body, or the fields of a multipart form, which ends with the part `file`.
    `most_bytes`: how long a JSON body may be.
    `upload`: the form's file is kept: it can be watched while it comes (`Upload-Id`), and may find no room.
    `query`: the query; without one the route takes no query.
    `answer`: the model of the answer, or its media type; None when there is no body (204).
    `many`: the answer is a page of `answer`; `beside`: what the page says beside its items.
    `once`: takes an `Idempotency-Key`.
    `versioned`: the answer has an `ETag`; a change must name it in `If-Match`.
    `urgent`: is counted apart by the rate limits, so that nothing else holds it up.
    `at_core`: needs the core itself; a process without one hands it over (control_api/hand_over.py).
    `refusals`: statuses of problems beside those that any route of its kind may answer.
    """

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    right: Right | None
    own: bool = False
    body: type[BaseModel] | None = None
    most_bytes: int = 65_536
    form: type[BaseModel] | None = None
    upload: bool = False
    query: type[BaseModel] | None = None
    answer: type[BaseModel] | str | None = None
    status: int = 200
    many: bool = False
    beside: type[BaseModel] | None = None
    once: bool = False
    versioned: bool = False
    urgent: bool = False
    at_core: bool = False
    refusals: tuple[int, ...] = ()

    @property
    def open(self) -> bool:
        """Whether it is open to all."""
        return self.right is None and not self.own

    @property
    def route(self) -> tuple[str, str]:
        """Method and path, which name the operation."""
        return self.method, self.path

    @property
    def changes(self) -> bool:
        """Whether it may change something."""
        return self.method not in ("GET", "HEAD")


OPERATION = web.RequestKey("operation", Operation)
