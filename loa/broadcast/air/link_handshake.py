"""The server's half of the link's handshake, without I/O (docs/protocol.md, *Link*)."""

from __future__ import annotations

import hashlib
import secrets

from loa.codecs import key_schedule, link_wire
from loa.codecs.key_schedule import NONCE_BYTES, Agreement, LinkKeys
from loa.codecs.link_wire import Hello, Proof, WelcomeMessage
from loa.codecs.signed import SigningKey, check_signature
from loa.codecs.statement_wire import Beacon, Welcome
from loa.errors import AuthorityError, LinkError, WireError


class LinkHandshake:
    """One handshake: `hello`, then `welcome`, then `proof`. LinkError's text starts with the reason of the bye."""

    def __init__(self, hello_bytes: bytes) -> None:
        try:
            message = link_wire.decode(hello_bytes)
        except WireError as error:
            raise LinkError(f"malformed: {error}") from error
        if not isinstance(message, Hello):
            raise LinkError("malformed: a hello comes first")
        if message.version != link_wire.VERSION:
            raise LinkError(f"version: {message.version} is not spoken here")
        self.hello = message
        self._hello_bytes = hello_bytes
        self._agreement: Agreement | None = None
        self._nonce_s = b""
        self._welcome = b""

    def welcome(
        self,
        signer: SigningKey,
        *,
        key_list_version: int,
        key_list_envelope: bytes,
        channel_id: bytes,
        beacon: Beacon,
        media_host: str,
        media_port: int,
    ) -> bytes:
        """The welcome message. Called once it is known that there is such an endpoint: keys cost time."""
        self._agreement = Agreement()
        self._nonce_s = secrets.token_bytes(NONCE_BYTES)
        self._welcome = Welcome(
            hello_hash=hashlib.sha256(self._hello_bytes).digest(),
            nonce_s=self._nonce_s,
            agreement_public=self._agreement.public,
            endpoint_id=self.hello.endpoint_id,
            channel_id=channel_id,
            beacon=beacon,
            media_host=media_host,
            media_port=media_port,
        ).seal(signer)
        newer = key_list_version > self.hello.key_list_version
        return link_wire.encode(WelcomeMessage(self._welcome, key_list_envelope if newer else b""))

    def proof(self, proof_bytes: bytes, device_key: bytes) -> LinkKeys:
        """The link's keys, once the device has proved who it is."""
        try:
            message = link_wire.decode(proof_bytes)
            if self._agreement is None:
                raise LinkError("malformed: a proof before the welcome")
            if not isinstance(message, Proof):
                raise LinkError("malformed: a proof comes after the welcome")
            check_signature(
                device_key, message.signature, key_schedule.proof_message(self._hello_bytes, self._welcome)
            )
            return self._agreement.keys(
                self.hello.agreement_public,
                nonce_c=self.hello.nonce_c,
                nonce_s=self._nonce_s,
                endpoint_id=self.hello.endpoint_id,
            )
        except WireError as error:
            raise LinkError(f"malformed: {error}") from error
        except AuthorityError as error:
            raise LinkError("bad_proof: the device key did not sign this handshake") from error
