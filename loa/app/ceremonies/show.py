"""How the keys stand, and what is to be done next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from loa.app.ceremonies.desk import now_s, say, utc_text
from loa.broadcast.orders.key_report import Advice, KeyReport, key_report
from loa.codecs.authority import Right
from loa.config import CoreConfig

NEXT: dict[Advice, tuple[str, str]] = {
    Advice.NO_KEYS: (
        "Chưa có khóa. Chạy loa serve để tạo tại đây, hoặc loa keys request nếu khóa gốc ở máy ngoại tuyến",
        "No keys yet. Run loa serve to make them here, or loa keys request when the root is on an offline machine",
    ),
    Advice.SIGN_REQUEST: (
        "Ký yêu cầu ở máy giữ khóa gốc (loa keys sign), rồi loa keys install tại đây",
        "Sign the request where the root key is (loa keys sign), then loa keys install here",
    ),
    Advice.NEEDS_ROOT_NOW: (
        "Loa không nhận lệnh nữa. Cần khóa gốc ngay: loa keys rotate --root …, hoặc request, sign, install",
        "Speakers obey no more. The root key is needed now: loa keys rotate --root …, or request, sign, install",
    ),
    Advice.RENEW_SOON: (
        "Đã quá nửa thời hạn: gia hạn trong những ngày tới (loa keys renew, hoặc request --renew, sign, install)",
        "Half of its life is over: renew it in the coming days (loa keys renew, or request --renew, sign, install)",
    ),
    Advice.RENEW_URGENT: (
        "Sắp hết hạn: gia hạn ngay (loa keys renew, hoặc request --renew, sign, install)",
        "It ends soon: renew it now (loa keys renew, or request --renew, sign, install)",
    ),
    Advice.TAKE_ROOT_AWAY: (
        "Khóa gốc còn nằm trên máy chủ: cất nó đi, hai bản (loa keys export, loa keys take-root-away)",
        "The root key lies on the core: take it away, in two copies (loa keys export, loa keys take-root-away)",
    ),
    Advice.REQUEST_OPEN: (
        "Có một yêu cầu đang chờ ký: loa keys sign, rồi loa keys install",
        "A request waits to be signed: loa keys sign, then loa keys install",
    ),
    Advice.NOTHING: ("Không có việc gì phải làm", "Nothing is to be done"),
}


def show(core: CoreConfig, *, as_json: bool) -> None:
    """Tell how the keys stand. ConfigError."""
    folder = core.data_dir / "keys"
    report = key_report(folder, now_s())
    if as_json:
        print(json.dumps(_values(folder, report), indent=2))
    else:
        _tell(folder, report)


def _tell(folder: Path, report: KeyReport) -> None:
    print(f"Thư mục · Folder:             {folder}")
    here = "đang ở đây · is here" if report.root_is_here else "không ở đây · is not here"
    print(f"Khóa gốc · Root key:          {report.root_fingerprint or '-'}   (root.key {here})")
    if report.replaced_ms is not None:
        print(f"Thay khóa gốc · Replaced:     {utc_text(report.replaced_ms // 1000)}")
    if report.key_list is not None:
        issued, expires = utc_text(report.key_list.issued_s), utc_text(report.key_list.expires_s)
        print(f"Danh sách khóa · Key list:    {report.key_list.version}, {issued} → {expires}")
        for key in report.keys:
            used = "   đang dùng · in use" if key.in_use else ""
            rights = "|".join(str(right.name) for right in Right if right in key.rights)
            print(f"  Khóa lệnh · Order key       {key.id.hex()}  {rights}  → {utc_text(key.not_after_s)}{used}")
        for key_id in report.key_list.revoked:
            print(f"  Đã thu hồi · Revoked        {key_id.hex()}")
    if report.waiting is not None:
        print(f"Đang chờ ký · Waiting:        {report.waiting.hex()}")
    if report.wrong:
        print(f"Hỏng · Of no use now:         {report.wrong}")
    for advice in report.advice:
        say(f"Việc tiếp theo: {NEXT[advice][0]}", f"Next: {NEXT[advice][1]}")


def _values(folder: Path, report: KeyReport) -> dict[str, Any]:
    key_list = report.key_list
    return {
        "folder": str(folder),
        "root_fingerprint": report.root_fingerprint,
        "root_is_here": report.root_is_here,
        "replaced_ms": report.replaced_ms,
        "version": key_list.version if key_list else None,
        "issued_s": key_list.issued_s if key_list else None,
        "expires_s": key_list.expires_s if key_list else None,
        "keys": [
            {
                "id": key.id.hex(),
                "rights": [right.name for right in Right if right in key.rights],
                "not_after_s": key.not_after_s,
                "in_use": key.in_use,
            }
            for key in report.keys
        ],
        "revoked": [key_id.hex() for key_id in key_list.revoked] if key_list else [],
        "waiting": report.waiting.hex() if report.waiting else None,
        "wrong": report.wrong,
        "advice": [str(advice) for advice in report.advice],
    }
