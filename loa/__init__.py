"""Loa: the system by which a city speaks to its people.

The way of a sound, from left to right:

    source ──► programme (encoded once) ──► media process ──► speaker
               Opus 20 ms                   RTP ► SRTP        clock ► jitter buffer ► verify
                                            one ciphertext,   ► decode ► play at its presentation time
                                            many addresses

An *order*, signed and durable before it is sent, tells each endpoint what to play; a *receipt* tells
what became of it. `docs/protocol.md` says what is on the wire; `docs/architecture.md` says which room of
this package holds what.
"""

__version__ = "0.1.0"
