"""The core is compromised: every key and code that was good on it is good for nothing any more."""

from __future__ import annotations

import asyncio
from pathlib import Path

from loa.app.ceremonies.desk import (
    confirm,
    keys_folder,
    note_ring,
    now_ms,
    now_s,
    open_ring,
    read_file,
    say,
    say_in_force,
    stopped_core,
    write_file,
)
from loa.app.ceremonies.exchange import confirmed_root, say_request
from loa.app.ceremonies.shut_out import check_audit, revoke_all_tokens, shut_out
from loa.app.shell_act import shell_act
from loa.app.store import has_store
from loa.broadcast.orders import key_exchange, key_files
from loa.broadcast.orders.key_report import key_report
from loa.config import CoreConfig
from loa.errors import AuditError, ConfigError


def core_compromised(
    core: CoreConfig,
    *,
    root: Path | None,
    request: Path | None,
    grant: Path | None,
    root_fingerprint: str | None,
    yes: bool,
) -> None:
    """Shut everybody out, on a stopped core. ConfigError; StoreError; AuditError, after all else is done."""
    folder = keys_folder(core)
    with stopped_core(core):
        confirm(
            "Máy này đã được cài lại, hoặc là máy khác? Không đưa khóa gốc vào máy bị xâm nhập. Tiếp tục?",
            "Is this machine installed anew, or another? The root must not come to one that is not clean. Go on?",
            yes,
        )
        if request is not None:
            data = key_exchange.make_request(folder, now_s(), revoke_all=True)
            write_file(request, data)
            say_request(request, data)
            say(
                "Ký với --revoke-others, rồi chạy lại với --grant",
                "sign it with --revoke-others, then --grant here",
            )
            return
        audit = _look_at_audit(core)
        if grant is not None:
            _install_that_revokes(folder, read_file(grant), root_fingerprint)
            ring = open_ring(folder, None)
        else:
            ring = open_ring(folder, root)
            ring.revoke_all(now_s())
        note_ring(core, "keys.core_compromised", ring)
        for key_id in ring.key_list.revoked:
            say(f"Đã thu hồi khóa {key_id.hex()}", "revoked")
        say_in_force(ring)
        _shut_out(core)
    say("Bây giờ khởi động máy chủ: kỷ nguyên mới, bí mật mới", "now start the core: a new epoch, new secrets")
    say(
        "Đổi cả mật khẩu hệ điều hành, khóa TLS, khóa sao lưu", "change the system's passwords, TLS and backup keys"
    )
    if audit:
        raise AuditError(audit)


def _install_that_revokes(folder: Path, data: bytes, root_fingerprint: str | None) -> None:
    """Take a grant that revokes all that was good before; ConfigError for one that leaves something."""
    if not (folder / key_files.ROOT_PUBLIC).exists():
        root_fingerprint = confirmed_root(data, root_fingerprint)
    granted, key_list = key_exchange.open_grant(data)
    path = folder / key_files.KEY_LIST
    in_force = path.exists() and path.read_bytes() == granted.envelope
    before = {key.id for key in key_report(folder, now_s()).keys}
    if not in_force and (left := before - set(key_list.revoked)):
        raise ConfigError(f"the list leaves {min(left).hex()} good: sign the request with --revoke-others")
    key_exchange.install_grant(folder, data, now_s(), root_fingerprint=root_fingerprint)


def _look_at_audit(core: CoreConfig) -> str:
    """What is wrong with the audit log, before anything is added to it; empty when it holds."""
    if not has_store(core):
        return ""
    try:
        last = asyncio.run(check_audit(core))
    except AuditError as error:
        say(
            f"NHẬT KÝ ĐÃ BỊ SỬA: {error}. Giữ một bản của kho",
            "THE AUDIT LOG WAS CHANGED: keep a copy of the store",
        )
        return str(error)
    seq, shown = (0, "-") if last is None else (last.seq, last.hash.hex())
    say(f"Nhật ký nguyên vẹn: {seq} mục, {shown}", "the audit log holds: compare with the digest kept elsewhere")
    return ""


def _shut_out(core: CoreConfig) -> None:
    if not has_store(core):
        say("Không có kho ở đây: không có mã truy cập nào", "there is no store here, and no token")
        return
    done = asyncio.run(shut_out(core, shell_act(now_ms())))
    say(f"{done.tokens} mã truy cập đã thu hồi", f"{done.tokens} tokens revoked")
    say(f"{done.codes} mã đăng ký đã hủy", f"{done.codes} enrolment codes ended")
    say(
        f"{done.users} người dùng cần mật khẩu mới: loa users reset-password",
        f"{done.users} users need a new password: loa users reset-password",
    )
    say(f"Mã truy cập mới ở {core.data_dir / 'admin.token'}", "the administrator's new token is there")


def revoke_tokens(core: CoreConfig, *, yes: bool) -> None:
    """Revoke every token, and make a new administrator's. ConfigError; StoreError."""
    keys_folder(core)
    if not has_store(core):
        raise ConfigError(f"{core.data_dir} holds no store")
    confirm(
        "Mọi chương trình và người dùng API sẽ bị ngắt. Tiếp tục?", "All users of the API are shut out. Go on?", yes
    )
    count = asyncio.run(revoke_all_tokens(core, shell_act(now_ms())))
    say(f"{count} mã truy cập đã thu hồi", f"{count} tokens revoked")
    say(f"Mã quản trị mới: {core.data_dir / 'admin.token'}", "the administrator's new token is in that file")
