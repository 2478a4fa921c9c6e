"""A small city with devices, for tests of places."""

from __future__ import annotations

from dataclasses import dataclass

from loa.broadcast.journal.act import Act, system
from loa.broadcast.people.rights import Role
from loa.broadcast.records import Area, Endpoint, Token
from loa.broadcast.registry.areas import Areas
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store.database import Database
from loa.broadcast.store.tokens import Tokens
from loa.model import EndpointKind, new_id

NOW_MS = 1_790_000_000_000
MINUTE_MS = 60_000


def at(minutes: int) -> Act:
    """An act so many minutes after NOW_MS."""
    return system(NOW_MS + minutes * MINUTE_MS)


async def device(db: Database, area: Area, name: str, minutes: int = 0) -> Endpoint:
    """An endpoint in the area, enrolled then."""
    at_ms = NOW_MS + minutes * MINUTE_MS
    endpoint = Endpoint(new_id(at_ms), EndpointKind.SPEAKER, name, area.id, b"k" * 32, at_ms, None, 1)
    async with db.write() as connection:
        await stored_endpoints.insert(connection, endpoint)
    return endpoint


async def token(db: Database, area: Area, name: str) -> Token:
    """An officer's token for the area."""
    made = Token(new_id(NOW_MS), name, Role.OFFICER, name.encode().ljust(32, b"."), NOW_MS, area_id=area.id)
    await Tokens(db).create(made, system(NOW_MS))
    return made


@dataclass(frozen=True)
class City:
    """Hải Phòng: two districts, two communes in each, one hamlet, and a speaker in each commune and the hamlet."""

    top: Area
    kien_an: Area
    cat_hai: Area
    phu_lien: Area
    van_dau: Area
    phu_long: Area
    gia_luan: Area
    hamlet: Area
    speakers: dict[str, Endpoint]


async def city(db: Database) -> City:
    """The city, made at NOW_MS."""
    areas = Areas(db)
    top = await areas.create(None, "Hải Phòng", "city", "31", at(0))
    kien_an = await areas.create(top.id, "Kiến An", "district", "307", at(0))
    cat_hai = await areas.create(top.id, "Cát Hải", "district", "317", at(0))
    phu_lien = await areas.create(kien_an.id, "Phù Liễn", "commune", "11359", at(0))
    van_dau = await areas.create(kien_an.id, "Văn Đẩu", "commune", "11356", at(0))
    phu_long = await areas.create(cat_hai.id, "Phù Long", "commune", "11923", at(0))
    gia_luan = await areas.create(cat_hai.id, "Gia Luận", "commune", "11926", at(0))
    hamlet = await areas.create(phu_lien.id, "Thôn Đồng", "hamlet", None, at(0))
    places = {
        "phu_lien": phu_lien,
        "van_dau": van_dau,
        "phu_long": phu_long,
        "gia_luan": gia_luan,
        "hamlet": hamlet,
    }
    speakers = {name: await device(db, area, f"Loa {name}") for name, area in places.items()}
    return City(top, kien_an, cat_hai, phu_lien, van_dau, phu_long, gia_luan, hamlet, speakers)
