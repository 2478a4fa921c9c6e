"""`loa users`: whoever has the core's shell lets a locked-out administrator in, while the core runs."""

from __future__ import annotations

import re
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from loa import config as settings
from loa.app.api_client import ApiClient
from loa.app.core import Core
from tests.control_api.browsers import PASSWORD, Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def core(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Core]:
    folder = tmp_path_factory.mktemp("desk") / "data"
    async with Core(settings.load(data_dir=folder, http_port=0, media_port=0)) as running:
        yield running


async def loa(*arguments: str | Path) -> tuple[int, str, str]:
    """Run the command; its exit code and what it said."""
    process = await create_subprocess_exec(sys.executable, "-m", "loa", *arguments, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def users(core: Core, *arguments: str) -> str:
    """`loa users …` on the core's store; what it printed."""
    code, out, err = await loa("users", *arguments, "--data-dir", core.config.data_dir)
    assert code == 0, err
    return out


def shown_password(out: str, login: str) -> str:
    found = re.match(rf"{login}: ([a-z2-9-]+)\n", out)
    assert found is not None, out
    return found[1]


async def test_a_locked_out_administrator_gets_in_again(core: Core) -> None:
    url = f"http://127.0.0.1:{core.http_port}"
    await core.welcome(lambda _login, _password: None)
    first = shown_password(await users(core, "reset-password", "admin"), "admin")
    async with Browser(url) as browser:
        assert (await browser.sign_in("admin", first)).status == 200
        await browser.good("POST", "/api/v1/me/password", {"current": first, "new": PASSWORD})
        for _ in range(12):
            refused = await browser.sign_in("admin", "sai mật khẩu rồi")
        assert refused.slug == "proof-locked"
        again = shown_password(await users(core, "reset-password", "Admin", "--forget-app"), "Admin")
        # What was open has ended, and the lock-out with it.
        assert (await browser.ask("GET", "/api/v1/me")).status == 401
        assert (await browser.sign_in("admin", again)).body["withheld"] == "password-change"


async def test_users_are_made_listed_and_unlocked_from_the_shell(core: Core) -> None:
    token = core.admin_token_file.read_text().strip()
    async with ApiClient(f"http://127.0.0.1:{core.http_port}", token) as api:
        area = await api.create_area("Xã An", "commune")
        out = await users(core, "add", "lan", "--name", "Nguyễn Lan", "--grant", f"officer@{area}")
        password = shown_password(out, "lan")
        (shown,) = [u for u in (await api.call("GET", "/api/v1/users"))["items"] if u["login"] == "lan"]
        assert shown["grants"] == [{"role": "officer", "area_id": area}]
        async with api._session.patch(
            f"{api.url}/api/v1/users/{shown['id']}", json={"disabled": True}, headers={"If-Match": "*"}
        ) as answer:
            assert answer.status == 200
        listed = await users(core, "list")
        assert re.search(rf"^lan\tofficer@{area}\tkhóa·disabled.*\tNguyễn Lan$", listed, re.MULTILINE)
        await users(core, "unlock", "lan")
        async with Browser(api.url) as browser:
            assert (await browser.sign_in("lan", password)).status == 200
        audit = (await api.call("GET", f"/api/v1/audit?subject=user:{shown['id']}"))["items"]
        by_shell = [entry["action"] for entry in audit if entry["actor"].startswith("shell:")]
        assert sorted(by_shell) == ["user.create", "user.unlock"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("unlock", "khong.co"), "no user 'khong.co'"),
        (("add", "x", "--name", "X"), "a login name has 2 to 64"),
        (("add", "moi", "--name", "X", "--grant", "king"), "'king': a role"),
        (("add", "moi", "--name", "X", "--grant", "viewer@nowhere"), "an area's identifier"),
        (("add", "moi", "--name", "X", "--language", "fr"), "'fr': one of vi, en"),
    ],
)
async def test_what_cannot_be_done_is_one_line(core: Core, arguments: tuple[str, ...], said: str) -> None:
    code, _, err = await loa("users", *arguments, "--data-dir", core.config.data_dir)
    assert code == 1
    assert said in err
    assert "Traceback" not in err


async def test_where_there_is_no_store_none_is_made(tmp_path: Path) -> None:
    code, _, err = await loa("users", "list", "--data-dir", tmp_path / "none")
    assert code == 1
    assert "holds no store" in err
    assert not (tmp_path / "none").exists()
