"""The names of what the media process counts. Each name has one writing thread, so plain integers do."""

from __future__ import annotations

Values = dict[str, int]

NAMES = (
    # receiving
    "datagrams_received",
    "receive_errors",
    "receive_lost",  # the kernel had no room for them
    "receive_unstamped",  # by the kernel, or with an impossible instant
    "receive_pauses",  # times the reader left the processor to the sound
    "dropped_foreign",  # neither RTP nor channel is expected from there
    "dropped_malformed",
    "dropped_unknown",  # no such channel
    "dropped_mac",
    "dropped_limited",  # the channel says too much
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
    "nack_limited_all",  # … because of the limit for all
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
    "groups",  # multicast groups in use
    "plain_outputs",  # unprotected RTP outputs in use
    "plain_packets",  # frames that went out by them
    # sending
    "packets_sent",
    "send_refused",
    "send_refused_unreachable",
    "send_refused_port_closed",
    "send_refused_forbidden",
    "send_refused_full",
    "send_refused_other",
    "send_partial",  # calls that took fewer packets than they were given
    "send_pending_errors",  # of an earlier packet, told for another address
    "send_waits",  # times there was no room in the send buffer
    "addresses_rested",  # left out for a second because the kernel refused them
    "chunks_helped",  # pieces of a packet's receivers that another thread than the first has served
    "chunks_slow",  # those pieces that took more than 10 ms
    "group_packets_sent",  # to multicast groups
    "group_send_refused",
    "group_sockets_refused",  # tries to open a socket to send to groups: no such interface or source
    "replies_sent",
    "replies_refused",
    "ticks",
    "ticks_late_2ms",
    "ticks_late_5ms",
    "ticks_late_20ms",
    "ticks_long_20ms",
    # the process
    "events_dropped",
    "receive_buffer_bytes",
    "send_buffer_bytes",
    "buffers_small",  # 1: the kernel gave less than was asked for
    "dscp_unset",  # 1: packets are not marked Expedited Forwarding
    "priority_unset",  # 1: the process runs at the usual priority
    "realtime_unset",  # 1: the sender may have to wait for others when it wakes up
    "sender_threads",
)

GAUGES = frozenset(
    {
        "channels",
        "channels_bound",
        "groups",
        "plain_outputs",
        "receive_buffer_bytes",
        "send_buffer_bytes",
        "buffers_small",
        "dscp_unset",
        "priority_unset",
        "realtime_unset",
        "sender_threads",
    }
)
"""Those of NAMES that say how something is; all others count, and only grow."""


def new_values() -> Values:
    """All counters at 0."""
    return dict.fromkeys(NAMES, 0)
