"""The root key under a passphrase, as text that can be printed and typed in again.

    version 1 (= 1) | log2 N 1 | salt 16 | root key id 8 | nonce 12 | AES-256-GCM of the 32 bytes, with tag 48

The key of it is scrypt (RFC 7914) of the passphrase in NFC, r = 8, p = 1; what comes before the ciphertext is its
additional data. The bytes stand in lines of twenty characters (`human_text`), each with its number and two
characters that show a typing mistake.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from loa.codecs import human_text
from loa.codecs.signed import KEY_BYTES, KEY_ID_BYTES, SigningKey
from loa.errors import ConfigError, WireError

LEAST_PASSPHRASE = 12
"""Characters. The paper may fall into wrong hands, and then nothing else protects the key."""
MAX_TEXT_BYTES = 65_536
_VERSION = 1
_LOG2_N = 17
_LOG2_N_MOST = 20
_SALT_BYTES = 16
_NONCE_BYTES = 12
_HEAD_BYTES = 2 + _SALT_BYTES + KEY_ID_BYTES + _NONCE_BYTES
_BYTES = _HEAD_BYTES + KEY_BYTES + 16
_LINE = 4 * human_text.GROUP
_LINES = -(-(_BYTES * 8) // 5 // _LINE)
_CHECK = 2
_SHAPE = re.compile(r"\s*(\d{1,2})\s*:(.*)=\s*(\S\s*\S)\s*", re.DOTALL)


def seal(root: SigningKey, passphrase: str, *, log2_n: int = _LOG2_N) -> str:
    """The backup's lines, to be printed. ConfigError for a passphrase that is too short."""
    if len(_normal(passphrase)) < LEAST_PASSPHRASE:
        raise ConfigError(f"the passphrase has fewer than {LEAST_PASSPHRASE} characters")
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    head = bytes((_VERSION, log2_n)) + salt + root.key_id + nonce
    sealed = AESGCM(_key(passphrase, salt, log2_n)).encrypt(nonce, root.seed, head)
    return _lines(head + sealed)


def open_backup(text: str, passphrase: str) -> SigningKey:
    """The root key in a backup. ConfigError names the line with a typing mistake, or says what else is wrong."""
    data = _read_lines(text)
    head, sealed = data[:_HEAD_BYTES], data[_HEAD_BYTES:]
    version, log2_n = head[0], head[1]
    if version != _VERSION or not 1 <= log2_n <= _LOG2_N_MOST:
        raise ConfigError(f"a backup of version {version} with cost {log2_n} is not known here")
    salt, nonce = head[2 : 2 + _SALT_BYTES], head[-_NONCE_BYTES:]
    try:
        seed = AESGCM(_key(passphrase, salt, log2_n)).decrypt(nonce, sealed, head)
    except InvalidTag as error:
        raise ConfigError("the passphrase is not the one of this backup") from error
    root = SigningKey(seed)
    if root.key_id != head[2 + _SALT_BYTES : -_NONCE_BYTES]:
        raise ConfigError("the backup holds another key than it says")
    return root


def check_lines(text: str) -> None:
    """ConfigError when the lines do not make a backup, whatever its passphrase is."""
    _read_lines(text)


def _key(passphrase: str, salt: bytes, log2_n: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=1 << log2_n, r=8, p=1).derive(_normal(passphrase).encode())


def _normal(passphrase: str) -> str:
    """One form for what looks the same: a Vietnamese letter may come composed or in parts."""
    return unicodedata.normalize("NFC", passphrase).strip()


def _lines(data: bytes) -> str:
    text = human_text.encode(data)
    rows = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return "".join(
        f"{number}: {human_text.grouped(row)} = {_check(number, row)}\n" for number, row in enumerate(rows, 1)
    )


def _check(number: int, row: str) -> str:
    return human_text.encode(hashlib.sha256(f"loa root backup {number} {row}".encode()).digest())[:_CHECK]


def _read_lines(text: str) -> bytes:
    """The bytes in the numbered lines, in whatever order they stand; other lines are for people."""
    rows: dict[int, str] = {}
    for line in text.splitlines():
        shape = _SHAPE.fullmatch(line)
        if shape is None:
            continue
        number = int(shape[1])
        try:
            row, check = human_text.bare(shape[2]), human_text.bare(shape[3])
        except WireError as error:
            raise ConfigError(f"line {number} of the backup: {error}") from error
        if check != _check(number, row):
            raise ConfigError(f"line {number} of the backup has a typing mistake")
        if rows.setdefault(number, row) != row:
            raise ConfigError(f"line {number} of the backup is there twice")
    for number in range(1, _LINES + 1):
        if number not in rows:
            raise ConfigError(f"line {number} of the backup is missing: a line is like '1: …-…-…-… = ..'")
    if len(rows) > _LINES:
        raise ConfigError(f"the backup has {len(rows)} lines where {_LINES} belong")
    try:
        return human_text.decode("".join(rows[number] for number in sorted(rows)), _BYTES)
    except WireError as error:
        raise ConfigError(f"the backup is damaged: {error}") from error
