"""Whom a host tells: addresses of apprise's, which are secrets.

Its own list (https://github.com/caronc/apprise/wiki, "Supported Notifications") says what a scheme
is; the names here are those of 1.2.0 to 1.9.3, which the supported distributions have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from operations.base.preflight import Problem
from toolkit import credentials
from toolkit.settings import Settings

_SCHEMES = """
    apprise apprises aprs atalk azure bark barks bluesky boxcar bsky bulksms bulkvs burstsms
    chanify clicksend d7sms dapnet dbus dingtalk discord emby embys enigma2 enigma2s faast fcm
    feishu flock form forms freemobile gchat gitter gnome gotify gotifys growl guilded hassio
    hassios https httpsms ifttt join json jsons kavenegar kumulos lametric lametrics line lsea
    lseas lunasea lunaseas mailgun mailto mailtos mastodon mastodons matrix matrixs misskey
    misskeys mmost mmosts mqtt mqtts msg91 msgbird msteams ncloud nclouds nctalk nctalks nexmo
    notica noticas notifiarr notifico ntfy ntfys o365 onesignal opsgenie pagerduty pagertree parsep
    parseps pbul pjet pjets plivo popcorn pover prowl psafer psafers push pushdeer pushdeers
    pushed pushme pushy reddit resend revolt rocket rockets rsyslog ryver schan sendgrid ses seven
    sfr signal signals sinch slack smseagle smseagles smsmanager smsmgr smtp2go sns sparkpost
    splunk spontit spush strmlabs synology synologys syslog tgram threema toot toots tweet twilio
    twist twitter victorops voipms vonage webex wecombot whatsapp workflow workflows wxpusher
    wxteams xml xmls zulip
"""
SCHEMES = frozenset(_SCHEMES.split())
_FORM = re.compile(r"([a-z][a-z0-9]*)://[!-~]+")
_KEY = "watch.notify.address"
_FIX = "see docs/watch.md#notify; such as ntfy://TOPIC, tgram://TOKEN/CHAT or mailto://..."


def read(settings: Settings) -> list[str]:
    """Return the addresses; none: nobody is to be told.

    Raises:
        CredentialError: the reference leads nowhere.
    """
    reference = settings.watch.notify.address
    lines = credentials.read(reference).splitlines() if reference else []
    return [line.strip() for line in lines if line.strip()]


def problems(settings: Settings) -> Iterator[Problem]:
    """Say what is wrong with the addresses, and nothing of what is in them but their schemes."""
    if settings.watch.notify.address is None:
        return
    try:
        found = read(settings)
    except credentials.CredentialError as error:
        yield Problem(f"{_KEY}: {error}", "set it, or change the reference")
        return
    if not found:
        yield Problem(f"{_KEY}: there is no address in it", _FIX)
    for number, address in enumerate(found, 1):
        which = f"{_KEY}, address {number} of {len(found)}"
        form = _FORM.fullmatch(address)
        if not form:
            yield Problem(
                f"{which}: not of the form SCHEME://..., in printable ASCII without spaces", _FIX
            )
        elif form[1] not in SCHEMES:
            near = get_close_matches(form[1], sorted(SCHEMES), 1)
            meant = f"; did you mean {near[0]}://?" if near else ""
            yield Problem(
                f"{which}: given the scheme {form[1][:30]}://; accepted: one of apprise's{meant}",
                _FIX,
            )
