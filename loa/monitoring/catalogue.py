"""Every metric by its name, and what it says. docs/operations.md, alert rules and dashboard are held to this list.

A counter of a room is exported as `loa_<room>_<name>_total`, or without the ending where it goes down too; what is
told of the whole core as `loa_<name>`.
"""

from __future__ import annotations

from collections.abc import Mapping

from loa.broadcast.air import air_counters

GAUGES: Mapping[str, str] = {
    "ready": "1 when a broadcast could be taken on air (/readyz).",
    "going_down": "1 from the signal that ends the core on.",
    "start_time_seconds": "When this core started, in seconds of UTC.",
    "event_loop_late_seconds": "How late the event loop of control was at worst within the last minute.",
    "requests_in_flight": "HTTP requests whose answer has not begun.",
    "media_up": "1 when the media process has opened its socket.",
    "media_silent_seconds": "Since the last word of the media process.",
    "store_up": "1 when the store answered the last question, and in time.",
    "redis_up": "1 when Redis answered the last question; missing where none is set (redis_url).",
    "disk_free_bytes": "What the core may still write on its disk; missing when the disk does not answer.",
    "disk_least_bytes": "With less left than this the core is not ready (min_free_bytes).",
    "key_list_expires_seconds": "For how long endpoints will still obey this core's key; 0 when no longer.",
    "audit_digests_contradicted": "Digests that the audit log contradicts: it was changed, or cut off.",
    "endpoints_enrolled": "Endpoints that are enrolled and not revoked.",
    "endpoints_linked": "Endpoints whose link is up.",
    "endpoints_in_groups": "Endpoints that say that they hear by a multicast group.",
    "endpoints_bound": "Endpoints whose media channel is bound, or that listen by link: sound can reach them.",
    "endpoints_by_link": "Endpoints that get their sound by link, since no datagram reaches them.",
    "endpoints_pre_empted": "Endpoints that play something else, counted for each broadcast that gives way.",
    "broadcasts_on_air": "Broadcasts on air.",
    "listeners": "Who listens over HTTP, to all broadcasts.",
}

_MEDIA: Mapping[str, str] = {
    "datagrams_received": "Datagrams read from the media socket.",
    "receive_errors": "Reads of the media socket that failed.",
    "receive_lost": "Datagrams that the kernel dropped because the receive buffer was full.",
    "receive_unstamped": "Datagrams of which the kernel told no possible instant of arrival (UTC stepped).",
    "receive_pauses": "Times that reading paused, so that a flood takes no processor from sound.",
    "dropped_foreign": "Datagrams that are no message of a channel.",
    "dropped_malformed": "Datagrams that are not what the protocol says.",
    "dropped_unknown": "Datagrams of no channel that is known.",
    "dropped_mac": "Datagrams whose MAC does not hold: forged, or broken.",
    "dropped_limited": "Datagrams above the limit for one channel.",
    "dropped_replay": "Datagrams that came before.",
    "dropped_unbound": "Probes and NACKs from an address that is not the bound one.",
    "dropped_nonce": "Echoes of a nonce that is not, or no longer, good.",
    "channels": "Channels that endpoints may bind.",
    "channels_bound": "Channels that are bound to an address.",
    "channels_refused": "Channels above the bound on them.",
    "challenges": "Addresses that were challenged.",
    "bindings": "Addresses that answered a challenge, and are used now.",
    "bindings_expired": "Channels that were silent for too long.",
    "probes": "Clock probes that were answered.",
    "nacks": "Requests for repair.",
    "nack_limited": "Packets that were not repaired because of the limit for one channel.",
    "nack_limited_all": "Packets that were not repaired because of the limit for all channels.",
    "repaired_packets": "Packets that were sent again.",
    "repair_misses": "Packets that were asked for and are not in the ring.",
    "frames_sent": "Frames of sound that went on air, each counted once.",
    "blocks_sent": "Signed blocks that went on air, each counted once.",
    "frames_skipped": "Frames that were never sent: silence at every endpoint.",
    "frames_late": "Frames that were handed over when their time was past.",
    "frames_refused": "Frames of no broadcast on air, malformed, twice, or too far ahead.",
    "commands_refused": "Commands of control that could not be carried out.",
    "orders_sent": "Order datagrams, each repeat once.",
    "groups": "Multicast groups in use.",
    "plain_outputs": "Unprotected RTP outputs in use.",
    "plain_packets": "Frames that went out by unprotected RTP.",
    "packets_sent": "Packets sent to endpoints.",
    "send_refused": "Packets that the kernel did not take.",
    "send_refused_unreachable": "Of those, for want of a way to the address.",
    "send_refused_port_closed": "Of those, because nobody listens at the address.",
    "send_refused_forbidden": "Of those, because a rule of the firewall or the kernel forbids the address.",
    "send_refused_full": "Of those, because the send buffer was full for too long.",
    "send_refused_other": "Of those, for another reason.",
    "send_partial": "Calls of which the kernel took only some packets; the next took the others.",
    "send_pending_errors": "Errors of an earlier packet, told for another address, which was tried again.",
    "send_waits": "Times the media process waited for room in the send buffer.",
    "addresses_rested": "Addresses left out of sound for a second because the kernel refused them.",
    "chunks_helped": "Pieces of a packet's receivers that a second sender thread took off the first.",
    "chunks_slow": "Pieces of a packet's receivers that took more than 10 ms: the thread was held up.",
    "group_packets_sent": "Packets sent to multicast groups, each counted once however many hear it.",
    "group_send_refused": "Packets to multicast groups that the kernel did not take.",
    "group_sockets_refused": "Tries to open a socket to multicast groups that failed: no such interface or source.",
    "replies_sent": "Replies to probes, challenges and NACKs.",
    "replies_refused": "Replies that the kernel did not take.",
    "ticks": "Times at which packets were due and went out, each to all its listeners.",
    "ticks_late_2ms": "Those of them that were more than 2 ms late.",
    "ticks_late_5ms": "Those of them that were more than 5 ms late.",
    "ticks_late_20ms": "Those of them that were more than 20 ms late.",
    "ticks_long_20ms": "Those of them whose last packet left more than 20 ms after the first was due.",
    "events_dropped": "Words to control that were dropped because control did not read.",
    "receive_buffer_bytes": "Receive buffer of the media socket, as the kernel granted it.",
    "send_buffer_bytes": "Send buffer of the media socket, as the kernel granted it.",
    "buffers_small": "1 when the kernel granted less than was asked for (net.core.rmem_max, wmem_max).",
    "dscp_unset": "1 when packets are not marked Expedited Forwarding.",
    "priority_unset": "1 when the media process runs at the usual priority.",
    "realtime_unset": "1 when the sender has no real-time priority: it has but one core, or must not.",
    "sender_threads": "Threads that send.",
}

COUNTERS: Mapping[str, Mapping[str, str]] = {
    "core": {
        "media_restarts": "Times the media process ended and another was started.",
        "media_events_failed": "Words of the media process that control failed at: a fault, told in the log.",
        "broadcasts_not_written": "Attempts to write down what broadcasts have become that the store refused.",
    },
    "media": {name: _MEDIA[name] for name in air_counters.NAMES},
    "air": {
        "broadcasts_started": "Broadcasts that went on air.",
        "broadcasts_not_started": "Broadcasts that did not, because something failed.",
        "broadcasts_ended": "Broadcasts that were sent to their end.",
        "broadcasts_stopped": "Broadcasts that were stopped.",
        "broadcasts_failed": "Broadcasts that were cut off by a failure.",
        "stops_unconfirmed": "Stops of which the media process did not say that the sound has ended.",
        "media_unreached": "Commands of the director that did not reach the media process.",
    },
    "hub": {
        "links": "Links that were opened.",
        "refused_malformed": "Links refused: what was said is not what the protocol says.",
        "refused_version": "Links refused: another version of the protocol.",
        "refused_unknown_endpoint": "Links refused: nobody of that id is enrolled.",
        "refused_revoked": "Links refused: the endpoint is revoked.",
        "refused_bad_proof": "Links refused: the device key did not sign the handshake.",
        "doors_to_link": "Endpoints that asked for their sound by link, as often as they did.",
        "doors_to_unicast": "Endpoints that asked for datagrams again.",
        "link_frames_sent": "Packets of sound sent by link, to each endpoint apart.",
        "link_frames_dropped": "Packets of sound that endpoints missed because their links did not keep up.",
        "messages_held": "Messages of endpoints that were read later, because their endpoint says too much.",
        "links_too_slow": "Links that were ended because the endpoint did not take what it was sent.",
        "refused_timeout": "Links refused: the handshake took too long, or too many came at once.",
        "refused_too_large": "Links refused: a message is too large.",
        "refused_shutdown": "Links refused: the core could not serve then.",
        "refusals_unheard": "Refusals that could not be said any more.",
        "receipts_not_stored": "Receipts that the store refused; the endpoint sends them again.",
        "media_unreached": "Commands of the hub that did not reach the media process.",
        "placements": "Linked endpoints that were sent a new placement, because they or an area above them moved.",
        "placements_not_sent": "Linked endpoints whose new placement could not be read from the store.",
    },
    "groups": {
        "heard": "Times that an endpoint said that it hears its multicast group.",
        "lost": "Times that an endpoint said that it does not any more, and went back to unicast.",
        "outdated": "What endpoints said of a group that is not theirs any more.",
        "too_soon": "Times that an endpoint said that it hears again within a second, and stayed with unicast.",
    },
    "hand_over": {
        "handed_over": "Requests that this process handed over to the core.",
        "links": "Links that this process handed on to the core.",
        "unreachable": "Of both, those for which the core could not be reached.",
    },
    "receipts": {
        "received": "Receipts that came.",
        "stored": "Receipts that were written; one that says nothing new changes nothing.",
        "unknown_order": "Receipts for an order that is not known.",
        "not_meant": "Receipts from an endpoint that the order was not for.",
        "too_late": "Receipts for an order whose receipts have become figures.",
        "commits": "Transactions that receipts were written in.",
    },
    "listen": {
        "joined": "Listeners over HTTP that came.",
        "gone": "Those that were gone when the next page came.",
        "dropped_slow": "Those that were dropped: more than ten seconds behind, or at the end still not done.",
        "refused": "Those that were refused: as many listened as may (listeners_most).",
    },
    "retention": {
        "failures": "Times that forgetting failed; it is tried again.",
        "removed_events": "Events that were old.",
        "removed_keys": "Idempotency keys that were old.",
        "removed_enrolments": "Enrolment codes that were no longer valid.",
        "removed_tokens": "Tokens that were good for nothing.",
        "removed_receipts": "Receipts that became figures.",
        "removed_sounds": "Sound files that no programme has.",
        "removed_sound_bytes": "And how many bytes they had.",
    },
}

FALLING: Mapping[str, frozenset[str]] = {"media": air_counters.GAUGES}
"""Those among a room's counters that go down too, by room."""


def family(room: str, name: str) -> str:
    """The name that a room's counter is exported under."""
    return f"loa_{room}_{name}" if name in FALLING.get(room, ()) else f"loa_{room}_{name}_total"


def families() -> dict[str, str]:
    """Every name that is exported, with its help, but `process_…` and `loa_build_info`."""
    told = {family(room, name): text for room, names in COUNTERS.items() for name, text in names.items()}
    return {f"loa_{name}": text for name, text in GAUGES.items()} | told
