"""Make loa/assets/bulletin.ogg: a siren, a chime and a spoken Vietnamese test notice.

Needs espeak-ng (Debian) and the `core` extra (PyAV). Run from the root of the repository:

    python scripts/make_bulletin.py

docs/bulletin.md says what is in it. The tones are computed, the speech is synthesised; the same version of
espeak-ng and of libopus gives the same file.
"""

import subprocess
import sys
import tempfile
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

RATE = 48_000
BITS_A_SECOND = 96_000
FRAME_SAMPLES = 960  # 20 ms, as everything in Loa
FADE_S = 0.2
PEAK = 10 ** (-1.5 / 20)
TONE_RMS = 10 ** (-20 / 20)
SPEECH_RMS = 10 ** (-18 / 20)
OUTPUT = Path(__file__).resolve().parent.parent / "loa" / "assets" / "bulletin.ogg"

TEXT = (
    "Thông báo thử nghiệm. "
    "Kính thưa bà con thành phố Hải Phòng. "
    "Đây là buổi phát thử nghiệm hệ thống loa truyền thanh, không phải báo động. "
    "Xin cảm ơn bà con."
)


def siren(seconds: float = 3.0) -> Samples:
    """A tone gliding between 520 and 1,040 Hz and back in 1.25 s, with two soft overtones."""
    t = np.arange(round(seconds * RATE)) / RATE
    glide = 0.5 - 0.5 * np.cos(2 * np.pi * t / 1.25)
    phase = 2 * np.pi * np.cumsum(520.0 * 2.0**glide) / RATE
    tone = np.sin(phase) + 0.35 * np.sin(2 * phase) + 0.15 * np.sin(3 * phase)
    ramp = round(FADE_S * RATE)
    edge = 0.5 - 0.5 * np.cos(np.pi * np.arange(ramp) / ramp)
    tone[:ramp] *= edge
    tone[-ramp:] *= edge[::-1]
    return tone


def chime(seconds: float = 1.5) -> Samples:
    """Three bell notes, C5 E5 G5, 0.3 s apart, each a few partials that die at their own speed."""
    out = np.zeros(round(seconds * RATE))
    partials = ((1.0, 1.0, 2.5), (2.0, 0.5, 4.0), (2.76, 0.3, 6.0), (5.4, 0.12, 11.0))
    for number, note_hz in enumerate((523.25, 659.25, 783.99)):
        start = round(number * 0.3 * RATE)
        t = np.arange(len(out) - start) / RATE
        for ratio, level, decay in partials:
            out[start:] += level * np.exp(-decay * t) * np.sin(2 * np.pi * note_hz * ratio * t)
    attack = round(0.004 * RATE)
    out[:attack] *= np.arange(attack) / attack
    release = round(0.15 * RATE)
    out[-release:] *= np.arange(release)[::-1] / release
    return out


def speech(text: str) -> Samples:
    """The text by espeak-ng's Vietnamese voice, at 48 kHz, without the silence around it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        subprocess.run(["espeak-ng", "-v", "vi", "-s", "165", "-p", "45", "-w", path, text], check=True)
        with wave.open(str(path)) as file:
            rate = file.getframerate()
            raw = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64) / 32768
    loud = np.flatnonzero(np.abs(raw) > 0.003)
    raw = raw[loud[0] : loud[-1] + 1]
    # Whole seconds, so that the ratio of lengths is exactly the ratio of rates.
    seconds = -(-len(raw) // rate)
    spectrum = np.fft.rfft(np.pad(raw, (0, seconds * rate - len(raw))))
    wide = np.zeros(seconds * RATE // 2 + 1, complex)
    wide[: len(spectrum)] = spectrum
    out: Samples = np.fft.irfft(wide, seconds * RATE) * (RATE / rate)
    return out[: round(len(raw) * RATE / rate)]


def level(sound: Samples, rms: float) -> Samples:
    """Scale to this RMS over the loud 20 ms frames, and round off what passes the peak limit."""
    frames = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    power = np.mean(frames**2, axis=1)
    loud = power[power > 0.01 * power.max()]
    scaled = sound * (rms / np.sqrt(loud.mean()))
    knee = 0.7 * PEAK
    over = np.maximum(np.abs(scaled) - knee, 0.0)
    rounded = knee + (PEAK - knee) * np.tanh(over / (PEAK - knee))
    out: Samples = np.where(over > 0, np.sign(scaled) * rounded, scaled)
    return out


def bulletin() -> Samples:
    """All parts, with short pauses between them."""
    pause = np.zeros(round(0.15 * RATE))
    return np.concatenate(
        [
            level(siren(), TONE_RMS),
            pause,
            level(chime(), TONE_RMS),
            pause,
            level(speech(TEXT), SPEECH_RMS),
            pause,
        ]
    )


def write(sound: Samples, path: Path) -> None:
    """Encode as Ogg Opus, mono, 48 kHz, 20 ms frames."""
    # bitexact: without it the muxer draws a serial number, and no two runs give the same file.
    with av.open(str(path), "w", format="ogg", options={"fflags": "+bitexact"}) as file:
        stream = file.add_stream("libopus", rate=RATE, layout="mono", bit_rate=BITS_A_SECOND)
        stream.options = {"application": "audio", "frame_duration": "20", "vbr": "on"}
        file.metadata["title"] = "Loa: thông báo thử nghiệm / test notice"
        for start in range(0, len(sound), FRAME_SAMPLES):
            part = sound[start : start + FRAME_SAMPLES].astype(np.float32)[None, :]
            frame = av.AudioFrame.from_ndarray(part, format="flt", layout="mono")
            frame.rate = RATE
            frame.pts = start
            frame.time_base = Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def main() -> None:
    sound = bulletin()
    OUTPUT.parent.mkdir(exist_ok=True)
    write(sound, OUTPUT)
    seconds, size = len(sound) / RATE, OUTPUT.stat().st_size
    sys.stdout.write(f"{OUTPUT.name}: {seconds:.2f} s, {size} bytes, peak {np.abs(sound).max():.3f}\n")


if __name__ == "__main__":
    main()
