"""The loader of libopus: which library is taken, and how one that cannot be used is told."""

import ctypes
import ctypes.util
import subprocess
import sys

import pytest

from loa.codecs import libopus
from loa.errors import MediaError


def a_library_that_is_not_opus() -> str:
    name = ctypes.util.find_library("z") or ctypes.util.find_library("m")
    assert name is not None
    return name


def test_the_library_inside_pyav_is_found_and_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(libopus.ENVIRONMENT_VARIABLE, raising=False)
    bundled = libopus.bundled_library()
    assert bundled is not None
    assert libopus.load().path == bundled
    assert libopus.load().version.startswith("libopus 1.")


def test_the_system_library_loads_and_passes_the_self_test() -> None:
    library = libopus.load(libopus.SYSTEM_LIBRARY)
    assert library.version.startswith("libopus 1.")
    assert library.error_text(-4) == "corrupted stream"


def test_without_pyav_the_system_library_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(libopus.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(libopus, "bundled_library", lambda: None)
    assert libopus.load().path == libopus.SYSTEM_LIBRARY


def test_a_bundled_library_that_fails_gives_way_to_the_system_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(libopus.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(libopus, "bundled_library", lambda: "/nowhere/libopus-0.so")
    assert libopus.load().path == libopus.SYSTEM_LIBRARY


def test_when_all_fail_the_error_names_both_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(libopus.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(libopus, "bundled_library", lambda: "/nowhere/libopus-0.so")
    monkeypatch.setattr(libopus, "SYSTEM_LIBRARY", "libnowhere.so.0")
    with pytest.raises(MediaError, match=r"^[^\n]*libopus-0\.so[^\n]*libnowhere\.so\.0[^\n]*$"):
        libopus.load()


def test_the_environment_chooses_and_is_not_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(libopus.ENVIRONMENT_VARIABLE, libopus.SYSTEM_LIBRARY)
    assert libopus.load().path == libopus.SYSTEM_LIBRARY
    monkeypatch.setenv(libopus.ENVIRONMENT_VARIABLE, "/nowhere/libopus.so")
    with pytest.raises(MediaError, match="cannot be loaded from /nowhere"):
        libopus.load()


def test_a_library_is_loaded_once() -> None:
    assert libopus.load(libopus.SYSTEM_LIBRARY) is libopus.load(libopus.SYSTEM_LIBRARY)


def test_another_library_is_refused() -> None:
    with pytest.raises(MediaError, match="not a usable libopus"):
        libopus.load(a_library_that_is_not_opus())


class WrongAbi:
    """Looks like libopus and decodes half of what it was asked for."""

    def opus_decoder_create(self, *_: object) -> int:
        return 1

    def opus_decoder_destroy(self, _: object) -> None:
        return None

    def opus_decode_float(self, *_: object) -> int:
        return 480


def test_a_library_with_another_abi_fails_its_self_test() -> None:
    fake = libopus.LibOpus(path="fake", version="libopus 9", symbols=WrongAbi())  # type: ignore[arg-type]
    with pytest.raises(MediaError, match="480 samples where 960"):
        libopus._self_test(fake)


def test_decoding_does_not_import_pyav() -> None:
    program = (
        "import sys; from loa.codecs import ogg_opus, rtp, srtp; from loa.codecs.opus_decode import OpusDecoder;"
        "OpusDecoder().conceal(960); assert 'av' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
