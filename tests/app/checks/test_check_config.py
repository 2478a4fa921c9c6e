"""`loa check config` says in words what is wrong: file, line, key, and what is allowed; all of it at once."""

from __future__ import annotations

import json
import os
import re
import socket
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loa.app.checks.config import check_config
from loa.app.checks.findings import Finding, Grade
from loa.app.settings_reference import all_settings, example, reference_table
from loa.cli import app
from loa.config import CoreConfig
from loa.folder_lock import folder_lock
from tests.certificates import Authority

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of this machine's environment counts; `loa-data` is below an empty folder."""
    for name in list(os.environ):
        if name.startswith("LOA_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(text: str, path: Path = Path("loa.toml")) -> list[Finding]:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return check_config(path)


def errors(found: list[Finding]) -> dict[str, Finding]:
    return {each.about: each for each in found if each.grade is Grade.ERROR}


def warnings(found: list[Finding]) -> dict[str, Finding]:
    return {each.about: each for each in found if each.grade is Grade.WARNING}


def test_all_mistakes_are_told_each_with_its_line() -> None:
    found = errors(
        checked(
            '# settings\nhttp_port = 80800\nlog_level = "loud"\n\n  "bitrate_bps" = "fast"\nhtpp_host = "x"\n'
            "sign_sound = 7\ntarget_lufs = -3\n"
        )
    )
    assert {about: each.where for about, each in found.items()} == {
        "http_port": "loa.toml:2",
        "log_level": "loa.toml:3",
        "bitrate_bps": "loa.toml:5",
        "htpp_host": "loa.toml:6",
        "sign_sound": "loa.toml:7",
        "target_lufs": "loa.toml:8",
    }
    assert found["http_port"].english == "the value 80800 cannot be used; allowed: integer from 0 to 65535"
    assert found["http_port"].vietnamese == "giá trị 80800 không dùng được; cho phép: số nguyên từ 0 đến 65535"
    assert found["log_level"].english.endswith("one of debug, info, warning, error")
    assert found["htpp_host"].english == "there is no such setting; did you mean http_host?"
    assert found["target_lufs"].english.endswith("number from -31 to -9")


def test_a_file_that_is_no_toml_is_told_with_its_line() -> None:
    (found,) = checked("http_port = 8080\nhttp_host = 127.0.0.1\n")
    assert (found.grade, found.where) == (Grade.ERROR, "loa.toml:2")
    (found,) = check_config(Path("none.toml"))
    assert "No such file" in found.english
    Path("latin.toml").write_bytes(b"# \xff\n")
    (found,) = check_config(Path("latin.toml"))
    assert "UTF-8" in found.english


def test_a_table_or_a_list_is_told(folder: Path) -> None:
    found = errors(checked("[http_host]\nname = 'x'\n[[broadcast]]\n"))
    assert found["http_host"].where == "loa.toml:1"
    assert found["broadcast"].where == "loa.toml:3"


def test_the_environment_is_told_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOA_HTTP_PORT", "many")
    monkeypatch.setenv("LOA_HTTP_HOTS", "127.0.0.1")
    monkeypatch.setenv("LOA_TOKEN", "loa_x")
    found = checked("http_port = 1\n")
    assert errors(found)["http_port"].where == "LOA_HTTP_PORT"
    assert warnings(found)["LOA_HTTP_HOTS"].english == "nobody reads it; did you mean LOA_HTTP_HOST?"
    assert "LOA_TOKEN" not in warnings(found)


def test_a_secret_is_never_shown(folder: Path) -> None:
    for text in ('database_url = "mysql://loa:geheim@host/loa"', 'database_url = ["geheim"]'):
        found = checked(text)
        assert "database_url" in errors(found)
        assert "geheim" not in repr(found)
    path = folder / "loa.toml"
    path.write_text('database_url = "postgresql://loa:geheim@host/loa"\n')
    path.chmod(0o644)
    found = check_config(path)
    assert "chmod 600" in warnings(found)["config"].english
    path.chmod(0o666)
    assert "chmod go-w" in errors(check_config(path))["config"].english


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7"])
def test_an_address_that_leaves_the_machine_needs_tls(host: str, folder: Path) -> None:
    text = f'http_host = "{host}"\nhttp_port = 0\n'
    assert "without TLS" in errors(checked(text))["http_host"].english
    found = checked(text + "behind_proxy = true\n")
    assert "http_host" not in errors(found)
    assert "as if they were one" in warnings(found)["trusted_proxies"].english
    assert "trusted_proxies" not in warnings(checked(text + 'behind_proxy = true\ntrusted_proxies = "10.0.0.1"\n'))
    cert, key = Authority(folder).issue("core")
    found = checked(text + f'tls_cert = "{cert}"\ntls_key = "{key}"\n')
    assert "http_host" not in errors(found)
    assert any(each.about == "tls_cert" and each.grade is Grade.OK for each in found)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_an_address_of_the_machine_itself_needs_none(host: str) -> None:
    assert "http_host" not in errors(checked(f'http_host = "{host}"\nhttp_port = 0\n'))


def test_a_certificate_is_looked_at(folder: Path) -> None:
    authority = Authority(folder)
    cert, key = authority.issue("soon", days=3)
    text = f'tls_cert = "{cert}"\ntls_key = "{key}"\n'
    assert "expires soon" in warnings(checked(text))["tls_cert"].english
    key.chmod(0o640)
    assert "chmod 600" in errors(checked(text))["tls_key"].english
    cert, key = authority.issue("gone", days=-1)
    assert "expired" in errors(checked(f'tls_cert = "{cert}"\ntls_key = "{key}"\n'))["tls_cert"].english
    assert "no certificate" in errors(checked(f'tls_cert = "{key}"\ntls_key = "{cert}"\n'))["tls_cert"].english
    assert "belong together" in errors(checked(f'tls_cert = "{cert}"\n'))["config"].english


def test_ports_that_are_taken_are_told_unless_by_this_core(folder: Path) -> None:
    (folder / "loa-data").mkdir(mode=0o700)
    with socket.create_server(("127.0.0.1", 0)) as http, socket.socket(type=socket.SOCK_DGRAM) as media:
        media.bind(("127.0.0.1", 0))
        text = f"http_port = {http.getsockname()[1]}\nmedia_port = {media.getsockname()[1]}\n"
        assert {"http_host, http_port", "media_host, media_port"} <= errors(checked(text)).keys()
        with folder_lock(folder / "loa-data"):
            assert errors(checked(text)) == {}
    assert errors(checked(text)) == {}


def test_the_folder_is_looked_at(folder: Path) -> None:
    data = folder / "loa-data"
    data.mkdir(mode=0o700)
    assert errors(checked("")) == {}
    data.chmod(0o755)
    assert "chmod 700" in warnings(checked(""))["data_dir"].english
    (data / "keys").mkdir()
    (data / "keys" / "order.key").write_bytes(bytes(32))
    (data / "keys" / "order.key").chmod(0o644)
    (data / "keys" / "root.key").write_bytes(bytes(32))
    (data / "keys" / "root.key").chmod(0o600)
    found = checked("")
    assert "chmod 600" in errors(found)["order.key"].english
    assert "the root key lies on the core" in warnings(found)["keys"].english
    (data / "restoring" / "keys").mkdir(parents=True)
    assert "cut off" in errors(checked(""))["data_dir"].english
    shared = folder / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    assert "share" in errors(checked(f'data_dir = "{shared}"'))["data_dir"].english
    assert "no folder" in errors(checked(f'data_dir = "{folder}/loa.toml"'))["data_dir"].english


def test_a_disk_without_room_is_told() -> None:
    assert "min_free_bytes" in errors(checked(f"min_free_bytes = {1 << 60}"))
    assert "min_free_bytes" not in errors(checked("min_free_bytes = 1"))


def test_nothing_is_left_behind(folder: Path) -> None:
    checked("")
    assert sorted(path.name for path in folder.iterdir()) == ["loa.toml"]


def test_exit_codes_and_json(folder: Path) -> None:
    (folder / "good.toml").write_text("http_port = 0\n")
    good = CliRunner().invoke(app, ["check", "config", "good.toml", "--json"])
    assert (good.exit_code, json.loads(good.output)["ok"]) == (0, True)
    (folder / "bad.toml").write_text("http_port = -1\n")
    bad = CliRunner().invoke(app, ["check", "config", "bad.toml", "--json"])
    said = json.loads(bad.output)
    assert (bad.exit_code, said["ok"]) == (1, False)
    assert said["findings"][-1]["where"] == "bad.toml:1"
    plain = CliRunner().invoke(app, ["check", "config", "bad.toml"])
    assert "[LỖI · ERROR] bad.toml:1: http_port: " in plain.output


def test_the_example_is_accepted_and_says_what_the_defaults_are(folder: Path) -> None:
    text = CliRunner().invoke(app, ["config", "example"]).output
    assert text == example()
    assert tomllib.loads(text) == {}
    assert errors(checked(text)) == {}
    given = re.sub(r'^#(?=\w+ = (?!"…"))', "", text, flags=re.MULTILINE)
    values = tomllib.loads(given)
    assert CoreConfig(**values) == CoreConfig()
    assert set(values) == {name for name, field in CoreConfig.model_fields.items() if field.default is not None}


@pytest.mark.parametrize("granted", [(212_992, 4 << 20), (4 << 20, 212_992)])
def test_socket_buffers_that_are_too_small_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, granted: tuple[int, int]
) -> None:
    monkeypatch.setattr("loa.app.checks.machine.enlarge", lambda _sock: granted)
    found = warnings(checked(""))["net.core.rmem_max, wmem_max"]
    assert "208 KiB" in found.vietnamese
    assert "208 KiB" in found.english
    monkeypatch.setattr("loa.app.checks.machine.enlarge", lambda _sock: (4 << 20, 4 << 20))
    assert "net.core.rmem_max, wmem_max" not in warnings(checked(""))


def test_the_settings_that_are_shipped_are_accepted() -> None:
    found = check_config(ROOT / "deploy" / "loa.toml")
    assert errors(found).keys() <= {"media_host, media_port", "http_host, http_port", "min_free_bytes"}


def test_the_reference_names_everything() -> None:
    assert CliRunner().invoke(app, ["config", "reference"]).output == reference_table()
    for name, setting in all_settings().items():
        assert f"| `{name}` | `{setting.default}` | " in reference_table()
        assert setting.english.endswith("."), name
    assert all_settings()["http_port"].variable == "LOA_HTTP_PORT"


def test_what_a_role_needs_is_told(tmp_path: Path) -> None:
    found = errors(checked('role = "core"\n'))
    assert found["database_url"].english == "role core needs it: all processes of a city share one PostgreSQL"
    secret = tmp_path / "secret"
    secret.write_text("short", encoding="utf-8")
    secret.chmod(0o600)
    found = errors(checked(f'cluster_secret_file = "{secret}"\n'))
    assert found["cluster_secret_file"].english.endswith("has 5 bytes: it needs 32")
