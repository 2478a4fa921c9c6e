"""`loa check keys`: do the keys let the core speak, for how long, and can nobody else read them?"""

from __future__ import annotations

from loa.app.ceremonies.desk import utc_text
from loa.app.ceremonies.show import NEXT
from loa.app.checks.findings import Finding, Grade, error, ok
from loa.broadcast.orders.key_report import Advice, key_report
from loa.config import CoreConfig
from loa.errors import ConfigError

_GRADES = {
    Advice.NEEDS_ROOT_NOW: Grade.ERROR,
    Advice.NO_KEYS: Grade.WARNING,
    Advice.NOTHING: Grade.OK,
}


def check_keys(core: CoreConfig, now_s: int) -> list[Finding]:
    """The keys in the core's folder. Nothing is changed."""
    folder = core.data_dir / "keys"
    try:
        if folder.exists() and folder.stat().st_mode & 0o077:
            raise ConfigError(f"{folder} is open to others: make it 0700")
        report = key_report(folder, now_s)
    except (ConfigError, OSError) as fault:
        return [error("keys", f"không dùng được: {fault}", "they cannot be used")]
    found = []
    if report.wrong:
        found.append(error("keys", f"vô dụng: {report.wrong}", "they are of no use"))
    elif report.key_list is not None:
        until = utc_text(report.key_list.expires_s)
        version = report.key_list.version
        found.append(
            ok("keys", f"danh sách phiên bản {version}, đến {until}", "key list, good until", version=version)
        )
    for advice in report.advice:
        if advice is not Advice.NOTHING:
            grade = _GRADES.get(advice, Grade.WARNING)
            found.append(Finding(grade, "keys", *NEXT[advice], more={"advice": str(advice)}))
    return found
