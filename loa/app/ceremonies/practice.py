"""The ceremonies, practised with keys that are thrown away: offline machine, core and speaker in one folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loa.app.ceremonies.desk import now_s, say
from loa.broadcast.orders import key_exchange, key_files, root_backup, root_custody, root_replacement
from loa.broadcast.orders.keyring import KeyRing
from loa.codecs import human_text, signed
from loa.codecs.authority import Authority
from loa.codecs.order_wire import Bundle, Order, Stop, seal_order
from loa.codecs.signed import Kind, SigningKey
from loa.edge.speaker.order_gate import Accepted, OrderGate, Refusal
from loa.errors import AuthorityError

_PASSPHRASE = "a passphrase for the drill"
_SPEAKER = b"a drilled device"


@dataclass(frozen=True, slots=True)
class Practised:
    """One step, and whether it came out as it must."""

    vietnamese: str
    english: str
    right: bool


class _Speaker:
    """The part of a speaker that decides whom it obeys."""

    def __init__(self, core: Path) -> None:
        self._core = core
        self._authority = Authority(key_files.read_root_public(core), (core / key_files.KEY_LIST).read_bytes())
        self._gate = OrderGate(self._authority, _SPEAKER, lambda _: None)
        self._orders = 0

    def linked(self) -> None:
        """It has taken the core's newest list."""
        self._authority.update((self._core / key_files.KEY_LIST).read_bytes())

    def answer(self, key: SigningKey, now_s: int) -> str:
        """What it says to a new order that this key has signed."""
        self._orders += 1
        now_ms = now_s * 1000
        order = Order(self._orders, now_ms, now_ms + 60_000, (), (_SPEAKER,), Stop(bytes(16), 0, 0))
        bundle = Bundle(signed.parse(seal_order(order, key), Kind.ORDER)).encode()
        verdict = self._gate.judge(bundle, now_ns=self._orders * 1_000_000_000, utc_ms=now_ms, place=())
        if isinstance(verdict, Refusal):
            return verdict.reason
        return "accepted" if isinstance(verdict, Accepted) else "repeated"


def practise(folder: Path, now_s: int) -> Iterator[Practised]:
    """Each step when it has been taken. `folder`: empty, to be thrown away. LoaError where a step fails."""
    offline, core = folder / "offline", folder / "core" / "keys"
    core.parent.mkdir()
    root = root_custody.create_root(offline)
    yield Practised("khóa gốc ở máy ngoại tuyến", "create-root: a root key on an offline machine", True)

    request = key_exchange.make_request(core, now_s)
    grant, _ = key_exchange.sign_request(offline, key_exchange.open_request(request), now_s)
    key_exchange.install_grant(core, grant.encode(), now_s, root_fingerprint=human_text.fingerprint(root))
    speaker = _Speaker(core)
    first = KeyRing.open(core, now_s, create=False).order_key
    right = speaker.answer(first, now_s) == "accepted" and not (core / key_files.ROOT_KEY).exists()
    yield Practised("loa nghe lệnh của máy chủ", "request, sign, install: the speaker obeys the core", right)

    ring = KeyRing.open(core, now_s, root=key_files.read_root(offline), create=False)
    ring.rotate(now_s)
    second = ring.order_key
    before = speaker.answer(second, now_s)
    speaker.linked()
    right = before == "unknown_key" and {speaker.answer(key, now_s) for key in (first, second)} == {"accepted"}
    yield Practised("loa nghe cả khóa cũ lẫn khóa mới", "rotate: the speaker obeys the old key and the new", right)

    ring.revoke(first.key_id, now_s)
    speaker.linked()
    right = (speaker.answer(first, now_s), speaker.answer(second, now_s)) == ("key_revoked", "accepted")
    yield Practised("loa từ chối khóa đã thu hồi", "revoke: the speaker refuses the revoked key", right)

    paper = root_backup.seal(key_files.read_root(offline), _PASSPHRASE)
    again = root_custody.create_root(folder / "from-paper", root_backup.open_backup(paper, _PASSPHRASE))
    yield Practised(
        "khóa gốc từ giấy là khóa gốc ấy", "export, import: the paper holds the root key", again == root
    )

    ring.revoke_all(now_s)
    speaker.linked()
    right = (speaker.answer(second, now_s), speaker.answer(ring.order_key, now_s)) == ("key_revoked", "accepted")
    yield Practised("kẻ có khóa cũ không ra lệnh được", "core-compromised: who has the old keys is refused", right)

    root_replacement.replace_root(core, now_s * 1000)
    new = KeyRing.open(core, now_s, create=False)
    try:
        speaker.linked()
        taken = True
    except AuthorityError:
        taken = False
    right = not taken and speaker.answer(new.order_key, now_s) == "unknown_key"
    yield Practised("loa không tin khóa gốc khác", "replace-root: the speaker believes no other root", right)


def drill() -> bool:
    """Practise in a folder that is thrown away, and tell each step; whether all came out right. LoaError."""
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="loa-drill-") as folder:
        for step in practise(Path(folder), now_s()):
            wrong += not step.right
            print(f"{'✓' if step.right else '✗'} {step.vietnamese} · {step.english}")
    if wrong:
        say(f"{wrong} bước SAI: đừng dùng bản này", f"{wrong} steps went WRONG: do not use this version")
    else:
        say(
            "Mọi bước đều đúng; khóa của máy chủ không bị đụng tới",
            "all steps went right; no core's key was touched",
        )
    return not wrong
