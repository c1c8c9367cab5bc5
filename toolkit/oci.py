"""Asks a registry under which digest it has an image, from the control machine.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md (Pulling manifests) and
https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import base64
import json
import re
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from toolkit import patterns
from toolkit.patterns import matches, shown

SECONDS = 10
DOCKER_HUB = {"docker.io": "registry-1.docker.io"}
MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)

Login = tuple[str, str] | None


class RegistryError(Exception):
    """A registry does not answer, or refuses; the message says why, without credentials."""


def loopback(name: str) -> bool:
    """Return whether a registry, by `HOST[:PORT]`, is on the loopback of whoever asks it."""
    return bool(re.match(r"(localhost|127\.\d+\.\d+\.\d+)(:|$)", name))


def digest(repository: str, tag: str, login: Login = None, plain: bool = False) -> str | None:
    """Return the digest under which a registry has a tag; None if it has it not.

    + repository: with the registry's name
    + login: user and password
    + plain: whether the registry may be asked without TLS

    Raises:
        RegistryError: it cannot be told.
    """
    name, _, path = repository.partition("/")
    address = f"{DOCKER_HUB.get(name, name)}/v2/{path}/manifests/{tag}"
    try:
        return _asked(f"https://{address}", login)
    except (OSError, HTTPException) as error:
        if not plain:
            raise RegistryError(_reason(error)) from None
    try:
        return _asked(f"http://{address}", login)
    except (OSError, HTTPException) as error:
        raise RegistryError(_reason(error)) from None


def _asked(address: str, login: Login) -> str | None:
    authorization = ""
    for _ in range(2):
        request = Request(address, method="HEAD", headers={"Accept": MANIFESTS})
        if authorization:
            request.add_unredirected_header("Authorization", authorization)
        try:
            with _answer(request) as answer:
                found: str | None = answer.headers.get("Docker-Content-Digest")
                if found is not None and not matches(patterns.DIGEST, found):
                    raise HTTPException(f"{shown(found)} is not a digest")
                return found
        except HTTPError as error:
            if error.code == 404:
                return None
            if error.code != 401 or authorization:
                raise
            authorization = _authorization(address, error.headers.get("WWW-Authenticate"), login)
            if not authorization:
                raise
    return None


def _answer(request: Request) -> Any:
    proxies = [ProxyHandler({})] if loopback(request.host or "") else []
    return build_opener(*proxies).open(request, timeout=SECONDS)


def _authorization(address: str, challenge: str | None, login: Login) -> str:
    """Return what answers a registry's challenge, '' if nothing does."""
    kind, _, rest = (challenge or "").partition(" ")
    basic = "Basic " + base64.b64encode(":".join(login).encode()).decode() if login else ""
    if kind.lower() != "bearer":
        return basic
    given = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    realm = given.pop("realm", "")
    scheme = urlsplit(realm).scheme
    if scheme != "https" and scheme != urlsplit(address).scheme:
        return ""  # a login that is asked for with TLS is not given without
    request = Request(f"{realm}?{urlencode(given)}")
    if basic:
        request.add_unredirected_header("Authorization", basic)
    with _answer(request) as answer:
        try:
            token = json.load(answer)
        except ValueError:
            return ""
    return f"Bearer {token.get('token') or token.get('access_token')}"


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"{error.code} {error.reason}".lower()
    return str(error.reason if isinstance(error, URLError) else error)
