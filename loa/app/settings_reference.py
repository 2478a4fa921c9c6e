"""The settings of the core, each in words: what it is, what is allowed, and how the environment names it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen

from loa.config import CoreConfig

ENV_PREFIX = "LOA_"
_VIETNAMESE = {
    "role": "all: mọi việc trên một máy; core: lõi của nhiều tiến trình; api: HTTP bên cạnh lõi.",
    "data_dir": "Thư mục cơ sở dữ liệu, khóa và âm thanh.",
    "database_url": "Địa chỉ cơ sở dữ liệu; trống: `loa.sqlite` trong data_dir.",
    "redis_url": "Địa chỉ Redis mà các tiến trình dùng chung; trống: chỉ có một tiến trình.",
    "core_url": "Nơi tiến trình api gặp lõi: http://host:port.",
    "cluster_secret_file": "Tệp chứa khóa chung, từ 32 byte, của lõi và các tiến trình api.",
    "audio_dir": "Thư mục chương trình, nhiều tiến trình dùng chung được; trống: `audio` trong data_dir.",
    "http_host": "Địa chỉ mạng mà cổng HTTP lắng nghe.",
    "http_port": "Cổng HTTP; 0 là cổng trống bất kỳ.",
    "tls_cert": "Chứng thư của cổng HTTP (PEM, cả chuỗi): có nó thì nói HTTPS.",
    "tls_key": "Khóa của chứng thư (PEM, không mật khẩu).",
    "behind_proxy": "TLS kết thúc ở máy chủ trung gian phía trước.",
    "media_host": "Địa chỉ mạng của cổng phát tiếng.",
    "media_port": "Cổng UDP phát tiếng; 0 là cổng trống bất kỳ.",
    "media_threads": "Số luồng phát tiếng; 0: mỗi nhân xử lý một luồng, nhiều nhất 8.",
    "media_advertise": "Tên máy phát tiếng báo cho loa; trống: máy mà loa đã kết nối.",
    "play_delay_ms": "Từ lúc gửi một khung tiếng đến lúc nghe thấy, mili giây.",
    "listen_page_ms": "Lượng tiếng trong một trang của `/listen`, mili giây: ngắn thì nhanh, dài thì nhẹ.",
    "listen_burst_ms": "Phần tiếng vừa phát mà người nghe nhận ngay khi vào, mili giây.",
    "listeners_most": "Số người nghe qua HTTP cùng một lúc, của mọi buổi phát.",
    "sign_sound": "Ký mọi âm thanh, không chỉ khẩn cấp.",
    "target_lufs": "Độ to của chương trình, EBU R128.",
    "true_peak_dbtp": "Giới hạn đỉnh thật của chương trình.",
    "bitrate_bps": "Tốc độ bit Opus của chương trình.",
    "max_upload_bytes": "Tệp âm thanh lớn nhất được nhận, byte.",
    "max_programme_s": "Âm thanh dài nhất được nhận, giây.",
    "uploads_at_once": "Số tệp được nhận cùng một lúc.",
    "uploads_per_caller": "Và của một người gọi.",
    "audio_quota_bytes": "Tổng dung lượng các chương trình, byte; 0: đến khi hết đĩa.",
    "disk_reserve_bytes": "Phần đĩa mà việc nhận tệp để dành, byte: nhiều hơn min_free_bytes.",
    "programme_kept_days": "Giữ âm thanh của chương trình đã xóa bao nhiêu ngày.",
    "events_kept_days": "Giữ các sự kiện để theo dõi tiếp bao nhiêu ngày.",
    "keys_kept_hours": "Giữ khóa Idempotency-Key bao nhiêu giờ.",
    "enrolments_kept_days": "Hiện mã đăng ký đã hết giá trị bao nhiêu ngày.",
    "tokens_kept_days": "Hiện mã truy cập đã hết giá trị bao nhiêu ngày.",
    "receipts_kept_days": "Sau bao nhiêu ngày biên nhận gộp thành số liệu theo địa bàn; 0: không bao giờ.",
    "api_requests_per_s": "Số yêu cầu mỗi giây, trung bình, của một người gọi.",
    "api_burst": "Và số yêu cầu cùng một lúc.",
    "session_idle_s": "Phiên trình duyệt hết khi không dùng bao lâu, giây.",
    "session_absolute_s": "Và hết sau bao lâu trong mọi trường hợp, giây.",
    "trusted_proxies": "Các máy chủ trung gian phía trước, cách nhau bằng dấu phẩy: chúng báo ai gọi.",
    "enrolment_valid_s": "Mã đăng ký có giá trị bao lâu, giây.",
    "drain_s": "Khi dừng: chờ các yêu cầu dở dang bao lâu, giây.",
    "min_free_bytes": "Đĩa của data_dir còn ít hơn thế thì không sẵn sàng, byte.",
    "log_level": "Mức nhật ký vận hành.",
    "log_format": "Dạng nhật ký vận hành; auto: console trên màn hình, json ở nơi khác.",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `allowed`: in Vietnamese and in English; `secret`: its value is shown nowhere."""

    name: str
    default: str
    allowed: tuple[str, str]
    vietnamese: str
    english: str
    secret: bool

    @property
    def variable(self) -> str:
        """How the environment names it."""
        return ENV_PREFIX + self.name.upper()


def all_settings() -> dict[str, Setting]:
    """Every setting of the core, by its name, in the order they are declared in."""
    found = {}
    for name, field in CoreConfig.model_fields.items():
        found[name] = Setting(
            name,
            "" if field.default is None else _shown(field.default),
            _allowed(field.annotation, field.metadata),
            _VIETNAMESE.get(name, ""),
            field.description or "",
            secret=not field.repr,
        )
    return found


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _allowed(kind: Any, metadata: list[Any]) -> tuple[str, str]:
    if get_origin(kind) is Literal:
        words = ", ".join(str(value) for value in get_args(kind))
        return f"một trong: {words}", f"one of {words}"
    if get_origin(kind) in (Union, type(int | None)):
        (kind,) = [each for each in get_args(kind) if each is not type(None)]
    if kind is bool:
        return "true hoặc false", "true or false"
    if kind is Path:
        return "một đường dẫn", "a path"
    if kind is str:
        most = [each.max_length for each in metadata if isinstance(each, MaxLen)]
        if most:
            return f"chuỗi dài nhất {most[0]} ký tự", f"text of up to {most[0]} characters"
        return "một chuỗi", "text"
    nouns = ("số nguyên", "integer") if kind is int else ("số", "number")
    bounds = list(_bounds(metadata))
    return " ".join([nouns[0], *(vi for vi, _ in bounds)]), " ".join([nouns[1], *(en for _, en in bounds)])


def _bounds(metadata: list[Any]) -> Iterator[tuple[str, str]]:
    for bound in metadata:
        match bound:
            case Ge(ge=low):
                yield f"từ {low}", f"from {low}"
            case Gt(gt=low):
                yield f"lớn hơn {low}", f"above {low}"
            case Le(le=high) if high != math.inf:
                yield f"đến {high}", f"to {high}"
            case Lt(lt=high):
                yield f"nhỏ hơn {high}", f"below {high}"
            case _:
                continue


def reference_table() -> str:
    """The table of docs/settings.md, as Markdown."""
    lines = ["| tên · name | mặc định · default | cho phép · allowed | |", "|---|---|---|---|"]
    for each in all_settings().values():
        allowed = f"{each.allowed[0]} · {each.allowed[1]}"
        what = " · ".join(filter(None, (each.vietnamese, each.english)))
        lines.append(f"| `{each.name}` | `{each.default}` | {allowed} | {what} |")
    return "\n".join(lines) + "\n"


def example() -> str:
    """A settings file in which everything stands as it is without one."""
    lines = [
        "# Cấu hình của loa serve. Dòng bắt đầu bằng # là giá trị mặc định: bỏ dấu # để đổi.",
        "# Settings of loa serve. What begins with # is the default: take the # away to change it.",
        "# Biến môi trường đứng trên tệp này · The environment stands above this file: LOA_HTTP_PORT=8080",
    ]
    for each in all_settings().values():
        lines += ["", *(f"# {line}" for line in (each.vietnamese, each.english) if line)]
        lines.append(f"# {each.allowed[0]} · {each.allowed[1]}")
        lines.append(f"#{each.name} = {_toml(each)}")
    return "\n".join(lines) + "\n"


def _toml(setting: Setting) -> str:
    default = CoreConfig.model_fields[setting.name].default
    if default is None:
        return '"…"'
    return setting.default if isinstance(default, bool | int | float) else f'"{setting.default}"'
