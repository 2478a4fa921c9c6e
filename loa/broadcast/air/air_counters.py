"""The names of what the media process counts. Each name has one writing thread, so plain integers do."""

from __future__ import annotations

Values = dict[str, int]

NAMES = (
    # receiving
    "datagrams_received",
    "receive_errors",
    "dropped_foreign",  # neither RTP nor channel is expected from there
    "dropped_malformed",
    "dropped_unknown",  # no such channel
    "dropped_mac",
    "dropped_replay",
    "dropped_unbound",  # a probe or NACK from an address that is not bound
    "dropped_nonce",  # an echo of a nonce that is not, or no longer, good
    # the channel
    "channels",
    "channels_bound",
    "channels_refused",  # above the bound on channels
    "challenges",
    "bindings",
    "bindings_expired",
    "probes",
    "nacks",
    "nack_limited",  # packets not repaired because of the limit for one channel
    "repaired_packets",
    "repair_misses",  # asked for, and not in the ring
    # on air
    "frames_sent",
    "blocks_sent",
    "frames_skipped",  # indices that were never sent
    "frames_late",  # handed over when their index was past
    "frames_refused",  # of no broadcast on air, malformed, twice, or too far ahead
    "commands_refused",
    "orders_sent",  # order datagrams, each repeat once
    # sending
    "packets_sent",
    "send_refused",
    "replies_sent",
    "replies_refused",
    "ticks",
    "ticks_late_2ms",
    "ticks_late_20ms",
    # the process
    "events_dropped",
    "receive_buffer_bytes",
    "send_buffer_bytes",
    "buffers_small",  # 1: the kernel gave less than was asked for
    "dscp_unset",  # 1: packets are not marked Expedited Forwarding
    "priority_unset",  # 1: the process runs at the usual priority
)

GAUGES = frozenset(
    {
        "channels",
        "channels_bound",
        "receive_buffer_bytes",
        "send_buffer_bytes",
        "buffers_small",
        "dscp_unset",
        "priority_unset",
    }
)
"""Those of NAMES that say how something is; all others count, and only grow."""


def new_values() -> Values:
    """All counters at 0."""
    return dict.fromkeys(NAMES, 0)
