"""From what lies in the folders to a verdict: every speaker's recording against the programme that was ordered."""

from __future__ import annotations

import asyncio
import json
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loa.app.api_client import ApiClient, Json
from loa.app.demo.check import Skew, SpeakerCheck, check_speaker, largest_difference_ns
from loa.app.demo.stage import SpeakerPlan
from loa.codecs.enrolment_wire import from_base64
from loa.codecs.ogg_opus import read_ogg_opus
from loa.codecs.opus_decode import OpusDecoder
from loa.codecs.order_wire import Bundle, Order, Tune
from loa.errors import LoaError

Samples = NDArray[np.float32]
WRITTEN_WITHIN_S = 5


@dataclass(frozen=True, slots=True)
class Reference:
    """What everybody should have heard: the decoded programme, and the tune order as it was signed."""

    pcm: Samples
    tune: Tune

    @property
    def start_ns(self) -> int:
        """Origin time at which the first sample should be heard."""
        return self.tune.start_ns + self.tune.play_delay_ms * 1_000_000


async def reference(api: ApiClient, broadcast: Json) -> Reference:
    """Ask the public API for the programme's sound and the broadcast's order."""
    packets = read_ogg_opus(await api.audio(broadcast["programme_id"])).packets
    with OpusDecoder() as decoder:
        pcm = np.concatenate([decoder.decode(packet) for packet in packets])
    said = await api.call("GET", f"/api/v1/broadcasts/{broadcast['id']}/orders")
    for item in said["items"]:
        order = Order.decode(Bundle.decode(from_base64(item["bundle"])).envelope.body)
        if isinstance(order.action, Tune):
            return Reference(pcm, order.action)
    raise LoaError("the broadcast has no tune order")


@dataclass(frozen=True, slots=True)
class Recording:
    """A virtual sound card's recording, and what the speaker says about it."""

    pcm: NDArray[np.int16]
    about: Json

    @classmethod
    async def load(cls, folder: Path, broadcast_id: str) -> Recording:
        """The recording of a broadcast; LoaError when there is none a moment after the speaker has finished."""
        path = folder / f"{broadcast_id}.wav"
        for _ in range(WRITTEN_WITHIN_S * 10):
            if path.with_suffix(".json").exists():
                break
            await asyncio.sleep(0.1)
        try:
            about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            with wave.open(str(path)) as opened:
                pcm = np.frombuffer(opened.readframes(opened.getnframes()), np.int16)
        except (OSError, ValueError, wave.Error, EOFError) as error:
            raise LoaError(f"{folder.name}: no recording of the broadcast: {error}") from error
        return cls(pcm, about)


def judge(ref: Reference, plan: SpeakerPlan, recording: Recording) -> SpeakerCheck:
    """Compare a recording with the reference. The skew is the plan's: the speaker is not asked what time it is."""
    return check_speaker(
        recording.pcm,
        ref.pcm,
        name=plan.name,
        wav_local_ns=recording.about["wav_local_ns"],
        skew=Skew(plan.offset_s * 1_000_000_000, plan.rate_ppm),
        start_ns=ref.start_ns,
        concealed=recording.about["concealed_frames"],
    )


def spread_ms(checks: list[SpeakerCheck]) -> float:
    """The largest difference between two speakers, in milliseconds."""
    return largest_difference_ns(checks) / 1e6
