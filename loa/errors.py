"""The errors Loa raises on purpose, as one tree.

    LoaError
    ├── WireError                 bytes that are not what the protocol says (malformed, too long, non-canonical)
    ├── AuthorityError            a signature, certificate, key list or MAC that does not hold
    │   └── Refused               an order that is well-formed and must not be obeyed; carries the receipt's reason
    ├── MediaError                sound that cannot be read, encoded or decoded
    │   └── NotAudio              the file holds no sound that can be read
    ├── StoreError                the durable store cannot do what was asked
    │   ├── NoRoom                there is no room for it
    │   │   ├── DiskFull          the disk is full, but for what is kept free
    │   │   └── QuotaFull         what is allowed is used up
    │   ├── NotFound              no such thing
    │   ├── BadCursor             a place in a list that is none
    │   ├── NotEmpty              a place that was to be empty, and is not
    │   └── Conflict              the thing exists already, or is in a state that forbids the change
    │       └── Changed           somebody else has changed the thing meanwhile
    ├── LiveError                 what processes share while they run (Redis) cannot be reached
    ├── AuditError                an audit log in which something is missing or was changed
    ├── PlaceError                a name, position, outline, day or list of places that cannot be one
    ├── EnrolmentError            a code or a claim that enrols nothing; carries a slug
    ├── SignInRefused             a sign-in that opens nothing; carries a slug
    ├── Unsuitable                a login name or a password that nobody may have; carries a slug
    ├── Forbidden                 who it is is known, and they may not do this; carries a slug
    ├── Busy                      all places are taken; later there may be one
    ├── ConfigError               a setting that cannot be used; one line for the person who wrote it
    ├── FolderBusy                another process works in the folder, and nobody may beside it
    └── LinkError                 the other end of a link broke the protocol, or closed it with a reason

Shells map foreign errors (OSError, msgpack's, SQLAlchemy's) into these once, where they enter.
"""


class LoaError(Exception):
    """Base of all errors raised on purpose."""


class WireError(LoaError):
    """Bytes that are not what the protocol says."""


class AuthorityError(LoaError):
    """A signature, certificate, key list or MAC that does not hold."""


class Refused(AuthorityError):
    """A well-formed order that must not be obeyed. `reason` is a slug of docs/protocol.md, *Refusals*."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class MediaError(LoaError):
    """Sound that cannot be read, encoded or decoded."""


class NotAudio(MediaError):
    """The file holds no sound that can be read."""


class StoreError(LoaError):
    """The durable store cannot do what was asked."""


class NoRoom(StoreError):
    """There is no room for it."""


class DiskFull(NoRoom):
    """The disk is full, but for what is kept free."""


class QuotaFull(NoRoom):
    """What is allowed is used up."""


class NotFound(StoreError):
    """No such thing."""


class Conflict(StoreError):
    """The thing exists already, or is in a state that forbids the change."""


class Changed(Conflict):
    """Somebody else has changed the thing meanwhile: look again, then decide again."""


class BadCursor(StoreError):
    """A place in a list that is none of this list."""


class NotEmpty(StoreError):
    """A place that was to be empty, and is not."""


class LiveError(LoaError):
    """What processes share while they run (Redis) cannot be reached. Nothing is lost: the store is the truth."""


class AuditError(LoaError):
    """An audit log in which something is missing or was changed."""


class PlaceError(LoaError):
    """A name, position, outline, day or list of places that cannot be one; says what is wrong with it."""


class EnrolmentError(LoaError):
    """A code or a claim that enrols nothing. `slug` is one of unknown, wrong, used, expired, spent, kind."""

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail


class SignInRefused(LoaError):
    """A sign-in that opens nothing, or a proof that proves nothing. `slug` says what is the matter.

    wrong (login or password), second-factor (a code is needed), code (it is wrong), expired (a one-time password),
    locked: `wait_ms` says after how long the next attempt is looked at.
    """

    def __init__(self, slug: str, detail: str, wait_ms: int = 0) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail
        self.wait_ms = wait_ms


class Unsuitable(LoaError):
    """A login name or a password that nobody may have, and why. `slug` is login or password."""

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail


class Forbidden(LoaError):
    """Who it is is known, and they may not do this. `slug` says why.

    forbidden (a right is missing there), escalation (one gives what one does not have), own-account (another must
    do this), password-change, second-factor (first change the password, enrol an app).
    """

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail


class Busy(LoaError):
    """All places are taken; later there may be one."""


class ConfigError(LoaError):
    """A setting that cannot be used."""


class FolderBusy(LoaError):
    """Another process works in the folder, and nobody may beside it."""


class LinkError(LoaError):
    """The other end of a link broke the protocol, or closed it with a reason."""
