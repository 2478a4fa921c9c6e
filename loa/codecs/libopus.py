"""The one loader of libopus.

Two libraries are known. The one inside PyAV's wheel is found beside the installed package without importing
it, so that a speaker that has PyAV does not pay for it and one that has not still decodes by Debian's
`libopus.so.0`.
"""

import ctypes
import functools
import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path

from loa.errors import MediaError

SYSTEM_LIBRARY = "libopus.so.0"
ENVIRONMENT_VARIABLE = "LOA_LIBOPUS"

OPUS_OK = 0
OPUS_RESET_STATE = 4028

_SELF_TEST_SAMPLES = 960

_int32 = ctypes.c_int32
_float_pointer = ctypes.POINTER(ctypes.c_float)

# name -> (argument types, result type), as opus.h declares them. A decoder is an opaque pointer; a packet is
# given as bytes or None, with its length beside it.
_SIGNATURES: dict[str, tuple[list[object], object]] = {
    "opus_get_version_string": ([], ctypes.c_char_p),
    "opus_strerror": ([ctypes.c_int], ctypes.c_char_p),
    "opus_decoder_create": ([_int32, ctypes.c_int, ctypes.POINTER(ctypes.c_int)], ctypes.c_void_p),
    "opus_decoder_destroy": ([ctypes.c_void_p], None),
    "opus_decode_float": (
        [ctypes.c_void_p, ctypes.c_char_p, _int32, _float_pointer, ctypes.c_int, ctypes.c_int],
        ctypes.c_int,
    ),
    # Variadic in C; only requests without a further argument may be made through this declaration.
    "opus_decoder_ctl": ([ctypes.c_void_p, ctypes.c_int], ctypes.c_int),
}


@dataclass(frozen=True)
class LibOpus:
    """A loaded library that passed the self-test: its origin, its own name for itself, its symbols."""

    path: str
    version: str
    symbols: ctypes.CDLL = field(repr=False)

    def error_text(self, code: int) -> str:
        """libopus's own words for a negative return code."""
        text: bytes = self.symbols.opus_strerror(code)
        return text.decode("ascii", "replace")


def bundled_library() -> str | None:
    """Path of the libopus inside PyAV's wheel, or None. Does not import PyAV."""
    try:
        spec = importlib.util.find_spec("av")
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    found = sorted(Path(spec.origin).parent.parent.glob("av.libs/libopus-*.so*"))
    return str(found[0]) if found else None


def load(path: str | None = None) -> LibOpus:
    """The library at `path`; else the one `LOA_LIBOPUS` names; else PyAV's, and failing that the system's.

    A library that was asked for by name is never replaced by another. Each is loaded and tested once a
    process. MediaError, in one line, when none can be used.
    """
    wanted = path or os.environ.get(ENVIRONMENT_VARIABLE)
    if wanted:
        return _load(wanted)
    bundled = bundled_library()
    if bundled is None:
        return _load(SYSTEM_LIBRARY)
    try:
        return _load(bundled)
    except MediaError as bundled_error:
        try:
            return _load(SYSTEM_LIBRARY)
        except MediaError as system_error:
            raise MediaError(f"{bundled_error}; {system_error}") from system_error


@functools.cache
def _load(path: str) -> LibOpus:
    try:
        symbols = ctypes.CDLL(path)
    except OSError as error:
        raise MediaError(f"libopus cannot be loaded from {path}: {error}") from error
    try:
        for name, (argument_types, result_type) in _SIGNATURES.items():
            function = getattr(symbols, name)
            function.argtypes = argument_types
            function.restype = result_type
    except AttributeError as error:
        raise MediaError(f"{path} is not a usable libopus: {error}") from error
    raw_version: bytes | None = symbols.opus_get_version_string()
    version = (raw_version or b"").decode("ascii", "replace")
    if not version.startswith("libopus"):
        raise MediaError(f"{path} is not a usable libopus: it calls itself {version!r}")
    library = LibOpus(path=path, version=version, symbols=symbols)
    _self_test(library)
    return library


def _self_test(library: LibOpus) -> None:
    """One concealed frame through a fresh decoder: a library with another ABI fails here, not on air."""
    symbols = library.symbols
    status = ctypes.c_int(OPUS_OK)
    decoder = symbols.opus_decoder_create(48_000, 1, ctypes.byref(status))
    if not decoder or status.value != OPUS_OK:
        raise MediaError(f"{library.path} is not a usable libopus: no decoder (error {status.value})")
    try:
        pcm = (ctypes.c_float * _SELF_TEST_SAMPLES)()
        samples = symbols.opus_decode_float(decoder, None, 0, pcm, _SELF_TEST_SAMPLES, 0)
    finally:
        symbols.opus_decoder_destroy(decoder)
    if samples != _SELF_TEST_SAMPLES:
        raise MediaError(
            f"{library.path} is not a usable libopus: {samples} samples where {_SELF_TEST_SAMPLES} were asked"
        )
