"""What the media process lacks on this machine, said once in the log when it has started."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

LACKS: Mapping[str, str] = {
    "buffers_small": "the media socket's buffers are small: bursts of packets will be lost; "
    "set net.core.rmem_max and net.core.wmem_max to 4194304 (deploy/systemd/sysctl.d/loa.conf)",
    "dscp_unset": "sound is not marked Expedited Forwarding: routers will not prefer it",
    "priority_unset": "the media process runs at the usual priority: others on this machine may delay sound; "
    "allow CAP_SYS_NICE",
}
"""By the counter of the media process that is 1 then."""

log = structlog.get_logger("loa.media")


def warn_of_lacks(counters: Mapping[str, int]) -> None:
    """A warning for each thing that is lacking by the counters of a media process."""
    for name, words in LACKS.items():
        if counters.get(name):
            log.warning(
                words,
                lacks=name,
                receive_buffer_bytes=counters.get("receive_buffer_bytes", 0),
                send_buffer_bytes=counters.get("send_buffer_bytes", 0),
            )
