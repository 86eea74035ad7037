"""Bootstrap tokens of a living cluster: which there are, a new one, none of these any more. Shows no secret itself."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from kubeforge.cluster.api import Api
from kubeforge.cluster.discovery import read_discovery
from kubeforge.cluster.kinds import Obj
from kubeforge.documents import revealed
from kubeforge.errors import ApiError
from kubeforge.pki.tokens import OBJECT_PREFIX, OBJECT_TYPE, USAGE_PREFIX, BootstrapToken, parse_token
from kubeforge.pki.upload import outlived
from kubeforge.secret import MASK, Secret

__all__ = ["KnownToken", "create", "known_tokens", "remove"]

_SYSTEM: Final = "kube-system"
_CONFLICT: Final = 409
_OUTLIVED: Final = (
    "the certificates that it invited a control plane to have gone, or were uploaded anew: "
    "kubeforge token join-command --control-plane makes another"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownToken:
    """One token there is.

    Args:
        id: its public half.
        token: both halves; None where the Secret is broken.
        expires: None: never.
        usages: `authentication`, `signing`; sorted.
        groups: beside system:bootstrappers.
        description: for people.
        signed: whether cluster-info carries its signature.
        problem: why it is of no use; empty where nothing is wrong.
    """

    id: str
    token: BootstrapToken | None = None
    expires: datetime | None = None
    usages: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    description: str = ""
    signed: bool = False
    problem: str = ""

    def text(self, *, reveal: bool) -> str:
        """Return the token for people: its secret half only where that is asked for."""
        if not reveal or self.token is None:
            return f"{self.id}.{MASK}"
        return self.token.text.reveal().decode()

    def as_json(self, now: datetime, *, reveal: bool) -> dict[str, Any]:
        """Return it as JSON has it.

        Args:
            now: what the remaining time is counted from.
            reveal: the whole token is in it, too.
        """
        left = None if self.expires is None else max(0, int((self.expires - now).total_seconds()))
        whole = {"token": self.text(reveal=True)} if reveal and self.token else {}
        return {
            "id": self.id,
            **whole,
            "expires": None if self.expires is None else self.expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "seconds_left": left,
            "usages": list(self.usages),
            "groups": list(self.groups),
            "description": self.description,
            "signed": self.signed,
            "problem": self.problem,
        }


def known_tokens(api: Api, now: datetime) -> tuple[KnownToken, ...]:
    """Return all tokens, those that end first at the top; the broken ones are among them.

    Args:
        api: whom to ask.
        now: the moment to judge by.
    """
    found = api.objects("v1", "Secret", namespace=_SYSTEM, fields={"type": OBJECT_TYPE})
    discovery = read_discovery(api)
    signed = {} if discovery is None else discovery.signatures
    alone = outlived(api.metadata("v1", "Secret", namespace=_SYSTEM))
    listed = [_known(secret, signed, alone, now) for secret in found]
    return tuple(sorted(listed, key=lambda one: (one.expires is None, one.expires or now, one.id)))


def create(api: Api, secret: Obj) -> Obj:
    """Create the Secret of a token (see `pki.tokens.token_secret`); return it as it lives.

    Raises:
        ApiError: there is one of that id already, or the API refused.
    """
    try:
        return api.create(revealed(secret))
    except ApiError as error:
        if error.status != _CONFLICT:
            raise
        name = secret["metadata"]["name"].removeprefix(OBJECT_PREFIX)
        raise ApiError(
            f"there is a token {name} already",
            step="token create",
            remedy=f"delete it first (kubeforge token delete {name}), or let kubeforge choose",
            status=_CONFLICT,
        ) from None


def remove(api: Api, ids: Iterable[str]) -> tuple[str, ...]:
    """Delete tokens; return the ids that were not there."""
    return tuple(one for one in ids if not api.delete("v1", "Secret", f"{OBJECT_PREFIX}{one}", _SYSTEM))


def _known(secret: Obj, signed: Mapping[str, str], alone: Collection[str], now: datetime) -> KnownToken:
    name: str = secret["metadata"]["name"]
    one = name.removeprefix(OBJECT_PREFIX)
    try:
        data = {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
        token = parse_token(Secret(f"{data.get('token-id', '')}.{data.get('token-secret', '')}"))
        expires = _moment(data["expiration"]) if data.get("expiration") else None
    except (ValueError, binascii.Error) as error:
        # A decoding error would quote what it could not decode.
        why = str(error) if type(error) is ValueError else "its data cannot be read"
        return KnownToken(id=one, problem=f"Secret {_SYSTEM}/{name}: {why}")
    return KnownToken(
        id=one,
        token=token,
        expires=expires,
        usages=tuple(sorted(key.removeprefix(USAGE_PREFIX) for key in data if _is_used(key, data))),
        groups=tuple(filter(None, data.get("auth-extra-groups", "").split(","))),
        description=data.get("description", ""),
        signed=one in signed,
        problem=_problem(name, token, expires, now) or (_OUTLIVED if one in alone else ""),
    )


def _problem(name: str, token: BootstrapToken, expires: datetime | None, now: datetime) -> str:
    if name != token.object_name:
        return f"its Secret is called {name}, not {token.object_name}, so nobody heeds it"
    return "has expired" if expires is not None and expires <= now else ""


def _is_used(key: str, data: Mapping[str, str]) -> bool:
    return key.startswith(USAGE_PREFIX) and data[key] == "true"


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"its expiration {text!r} is no moment") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
