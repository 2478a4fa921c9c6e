"""Is this machine as the settings need it: addresses, certificate, folder, disk, ports, clock?"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from loa.app.checks.clock_sync import clock_is_synchronised
from loa.app.checks.findings import Finding, error, ok, warning
from loa.app.tls import ServerTls
from loa.broadcast.air.media_socket import BUFFER_BYTES, enlarge
from loa.broadcast.backup.target import unfinished
from loa.broadcast.orders import key_files
from loa.broadcast.store.address import parse
from loa.config import CoreConfig
from loa.errors import ConfigError, FolderBusy
from loa.folder_lock import folder_lock

_SECRETS = ("admin.token", "loa.sqlite", "keys/root.key", "keys/order.key", "keys/order.key.next")
_SOON_DAYS = 14
_ROOMY = 10
"""So many times the least free space is comfortable."""


def check_machine(config: CoreConfig) -> list[Finding]:
    """All that is to be said. Nothing is changed; ports are tried and given back."""
    found = [*_addresses(config), *_certificate(config), *_database(config), *_folder(config)]
    runs = _runs(config.data_dir)
    if runs:
        found.append(ok("data_dir", "một máy chủ đang chạy trên đó", "a core runs on it"))
    else:
        found += _ports(config)
    return [*found, *_socket_buffers(), *_disk(config), *_clock()]


def _addresses(config: CoreConfig) -> Iterator[Finding]:
    if _leaves_the_machine(config.http_host) and config.tls_cert is None and not config.behind_proxy:
        yield error(
            "http_host",
            f"{config.http_host} ra ngoài máy này mà không có TLS: mật khẩu và mã truy cập đi trần trên mạng. "
            "Đặt tls_cert và tls_key, hoặc behind_proxy = true, hoặc 127.0.0.1",
            "it leaves this machine without TLS: passwords and tokens go bare over the network. "
            "Set tls_cert and tls_key, or behind_proxy = true, or 127.0.0.1",
        )
    if config.behind_proxy and not config.trusted_proxies:
        yield warning(
            "trusted_proxies",
            "không tin máy chủ trung gian nào: mọi người gọi mang một địa chỉ, và bị giới hạn như một người",
            "no proxy is trusted: all callers have its address, and are slowed as if they were one",
        )
    if not _leaves_the_machine(config.media_host):
        yield warning(
            "media_host",
            f"{config.media_host}: không loa nào ở máy khác nghe được",
            "no speaker on another machine can hear it",
        )
    elif config.media_port == 0:
        yield warning(
            "media_port",
            "mỗi lần chạy một cổng khác: tường lửa không biết mở cổng nào",
            "another port at each start: the firewall cannot know which to open",
        )


def _leaves_the_machine(host: str) -> bool:
    """Whether others can reach what listens there: by any of a name's addresses, or if nobody knows the name."""
    try:
        addresses = [ipaddress.ip_address(host)]
    except ValueError:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return True
        addresses = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
    return any(not address.is_loopback for address in addresses)


def _certificate(config: CoreConfig) -> Iterator[Finding]:
    if config.tls_cert is None or config.tls_key is None:
        return
    try:
        ServerTls(config.tls_cert, config.tls_key)
        (first, *_) = x509.load_pem_x509_certificates(config.tls_cert.read_bytes())
        mode = config.tls_key.stat().st_mode & 0o777
    except (ConfigError, OSError, ValueError) as fault:
        yield error("tls_cert", "không dùng được", f"it cannot be used: {fault}")
        return
    if mode & 0o077:
        yield error(
            "tls_key", f"{config.tls_key} mở cho người khác (mode {mode:04o})", "others can read it: chmod 600"
        )
    left = first.not_valid_after_utc - datetime.now(UTC)
    until = first.not_valid_after_utc.strftime("%Y-%m-%d")
    if left.total_seconds() <= 0:
        yield error("tls_cert", f"đã hết hạn ngày {until}", "it has expired: endpoints refuse it")
    elif left.days < _SOON_DAYS:
        yield warning("tls_cert", f"sắp hết hạn: {until}", "it expires soon: renew it")
    else:
        yield ok("tls_cert", f"có giá trị đến {until}", "good until then")


def _database(config: CoreConfig) -> Iterator[Finding]:
    if config.database_url:
        try:
            parse(config.database_url)
        except ConfigError as fault:
            yield error("database_url", "không phải địa chỉ cơ sở dữ liệu", str(fault))


def _folder(config: CoreConfig) -> Iterator[Finding]:
    folder = config.data_dir
    try:
        status = folder.stat()
    except FileNotFoundError:
        yield ok("data_dir", f"{folder} chưa có: lần chạy đầu sẽ tạo", "not there yet: the first start makes it")
        return
    except OSError as fault:
        yield error("data_dir", f"{folder} không dùng được", f"it cannot be used: {fault.strerror}")
        return
    if not stat.S_ISDIR(status.st_mode):
        yield error("data_dir", f"{folder} không phải thư mục", "it is no folder")
        return
    mode = stat.S_IMODE(status.st_mode)
    if mode & stat.S_ISVTX:
        yield error("data_dir", f"{folder} là thư mục dùng chung", "a folder that all share: name one in it")
    elif mode & 0o077:
        yield warning("data_dir", f"{folder} mở cho người khác (mode {mode:04o})", "open to others: chmod 700")
    if status.st_uid != os.geteuid():
        yield warning(
            "data_dir", f"{folder} thuộc người dùng {status.st_uid}", "another user's: check as that user"
        )
    for name in _SECRETS:
        yield from _secret(folder / name)
    if (folder / "keys" / key_files.ROOT_KEY).exists():
        yield warning(
            "keys", "khóa gốc còn nằm trên máy chủ: loa keys take-root-away", "the root key lies on the core"
        )
    if unfinished(folder):
        yield error(
            "data_dir", "một lần khôi phục bị ngắt: chạy lại loa restore", "a restore was cut off: do it again"
        )


def _secret(path: Path) -> Iterator[Finding]:
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        return
    if mode & 0o077:
        yield error(path.name, f"{path} mở cho người khác (mode {mode:04o})", "open to others: chmod 600")


def _runs(folder: Path) -> bool:
    """Whether a core, or something else that works there alone, holds the folder."""
    try:
        with folder_lock(folder):
            return False
    except FolderBusy:
        return True
    except OSError:
        return False


def _ports(config: CoreConfig) -> Iterator[Finding]:
    for name, host, port, kind in (
        ("http", config.http_host, config.http_port, socket.SOCK_STREAM),
        ("media", config.media_host, config.media_port, socket.SOCK_DGRAM),
    ):
        if fault := _bind_fault(host, port, kind):
            words = f"{host}:{port} không dùng được"
            yield error(f"{name}_host, {name}_port", words, f"it cannot be used: {fault}")


def _bind_fault(host: str, port: int, kind: socket.SocketKind) -> str:
    """Why nobody can listen there; empty when one can."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError, OverflowError) as fault:
        return str(getattr(fault, "strerror", None) or fault)
    return ""


def _socket_buffers() -> Iterator[Finding]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        granted = min(enlarge(probe))
    size = f"{granted // 1024:,} KiB"
    if granted < BUFFER_BYTES:
        yield warning(
            "net.core.rmem_max, wmem_max",
            f"bộ đệm mạng chỉ được {size}: phát cho nhiều loa sẽ mất gói; dùng deploy/systemd/sysctl.d/loa.conf",
            f"socket buffers of {size}: packets to many speakers get lost; use deploy/systemd/sysctl.d/loa.conf",
        )
    else:
        yield ok("net.core.rmem_max, wmem_max", f"bộ đệm mạng {size}", "the socket buffers are large enough")


def _disk(config: CoreConfig) -> Iterator[Finding]:
    folder = config.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    room = f"{free / 2**30:.1f} GiB"
    if free < config.min_free_bytes:
        yield error("min_free_bytes", f"đĩa chỉ còn {room}", "the disk has less left than that: it is never ready")
    elif free < config.min_free_bytes * _ROOMY:
        yield warning("min_free_bytes", f"đĩa còn {room}", "the disk has little left")
    else:
        yield ok("data_dir", f"đĩa còn {room}", "the disk has room")


def _clock() -> Iterator[Finding]:
    synchronised = clock_is_synchronised()
    if synchronised is False:
        yield warning(
            "clock",
            "đồng hồ máy không được đồng bộ (NTP): lệnh và lịch phát có thể sai giờ",
            "the clock is not synchronised (NTP): orders and schedules may be at the wrong time",
        )
    elif synchronised:
        yield ok("clock", "đồng hồ máy được đồng bộ", "the clock is synchronised")
