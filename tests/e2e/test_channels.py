"""Channels as settings, and log-ins on a terminal, on a host over SSH.

Nobody's service can be reached from here: `services.mjs` on the host and `whatsapp.mjs` beside the
gateway stand in for them. It is told where they are, and trusts their certificates as hosts do.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
import shutil
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.conftest import MakeDeployment, MakeHost
from tests.e2e.harness import ROOT, Deployment, until
from tests.e2e.terminal_job import COLUMNS, Terminal
from toolkit.settings.channels import BUILT_IN, OFFICIAL

pytestmark = [pytest.mark.long, pytest.mark.engine]

HERE = Path(__file__).parent
NAMES = ("auth.openai.com", "api.telegram.org")
ADDRESS = "93.184.215.14"
"""Of the host's loopback interface: OpenClaw asks no service at a private address."""
CANARY = "AAcanary_canary_canary_canary_canary"
TOKENS = {"known": f"111111:{CANARY}", "work": f"111112:{CANARY}", "wrong": f"222222:{CANARY}"}
OVERRIDE = json.dumps(
    {"services": {"openclaw-gateway": {"extra_hosts": [f"{name}:{ADDRESS}" for name in NAMES]}}}
)
WHATSAPP = 8443
DRAWN = r"^[ ▀▄█]{20,}"
"""A line of a QR code; OpenClaw's banner has lines of its own length."""
PLUGINS = "/home/node/.openclaw/npm/projects"


class Services:
    """A deployment whose gateway finds stand-ins in the place of the services of others."""

    def __init__(self, deployment: Deployment, tokens: Path) -> None:
        self.deployment = deployment
        self.certificate, self.key = certificate()
        text = base64.b64encode(self.certificate).decode()
        deployment.sh(
            f"echo {text} | base64 -d >/usr/local/share/ca-certificates/stand-in.crt"
            " && update-ca-certificates"
        )
        for name, token in TOKENS.items():
            (tokens / name).write_text(token)
        self.settings: dict[str, Any] = {
            "credentials": {
                "BOT_TOKEN": {"file": str(tokens / "known")},
                "WORK_BOT_TOKEN": {"file": str(tokens / "work")},
                "WRONG_BOT_TOKEN": {"file": str(tokens / "wrong")},
            },
            "channels": {
                "telegram": {
                    "secrets": {"botToken": "BOT_TOKEN"},
                    "dm_policy": "allowlist",
                    "allow_from": ["42"],
                    "accounts": {
                        "work": {"name": "Work", "secrets": {"botToken": "WORK_BOT_TOKEN"}}
                    },
                },
                "whatsapp": {},
            },
        }

    def up(self, **settings: Any) -> str:
        """What a run says."""
        return self.deployment.claw("up", settings=settings).output

    def services(self) -> None:
        """Have `services.mjs` run on the host, before the gateway first asks: a service that does
        not answer is looked for at other addresses by OpenClaw, which stays with these."""
        words = [base64.b64encode(one).decode() for one in (self.certificate, self.key)]
        text = base64.b64encode((HERE / "services.mjs").read_bytes()).decode()
        image = self.deployment.container()["Image"]
        self.deployment.sh(
            f"ip address replace {ADDRESS}/32 dev lo && mkdir -p /srv/services"
            f" && echo {text} | base64 -d >/srv/services/services.mjs"
            " && docker run -d --network host --user 0 -v /srv/services:/srv/services:ro"
            f" --entrypoint node {image} /srv/services/services.mjs {ADDRESS} {' '.join(words)}"
        )
        answers = f"curl -s -o /dev/null --resolve {NAMES[0]}:443:{ADDRESS} https://{NAMES[0]}/"
        until(lambda: self.deployment.sh(f"{answers} && echo yes", None), 60, "it listens")

    def whatsapp(self) -> None:
        """Have `whatsapp.mjs` run in the gateway, whose plugin it changes."""
        find = f"find {PLUGINS} -type d -path '*/node_modules/*' -name baileys"
        found = self.deployment.in_gateway(f"{find} -not -path '*/baileys/*'")
        text = base64.b64encode((HERE / "whatsapp.mjs").read_bytes()).decode()
        gateway = self.deployment.container()["Id"]
        self.deployment.sh(
            f"echo {text} | base64 -d | docker exec -i {gateway} sh -c 'cat >/tmp/whatsapp.mjs' &&"
            f" docker exec -d {gateway} sh -c"
            f" 'node /tmp/whatsapp.mjs {found.split()[0]} {WHATSAPP} >/tmp/whatsapp.mjs.log 2>&1'"
        )
        until(lambda: "listens" in self.phone(), 60, "it listens")

    def phone(self) -> str:
        """What the stand-in of WhatsApp's service has logged."""
        return self.deployment.in_gateway("cat /tmp/whatsapp.mjs.log 2>/dev/null || true")

    def post(self, url: str, text: str = "") -> str:
        """What a stand-in answers to a text."""
        script = (
            "fetch(process.argv[1], {method: 'POST', body: process.argv[2]})"
            ".then(async (a) => { if (!a.ok) throw a.status; console.log(await a.text()) })"
        )
        gateway = self.deployment.container()["Id"]
        word = "'" + text.replace("'", "") + "'"
        return self.deployment.sh(f'docker exec {gateway} node -e "{script}" {url} {word}')

    def configuration(self) -> dict[str, Any]:
        return dict(
            json.loads(self.deployment.in_gateway("cat /home/node/.openclaw/openclaw.json"))
        )

    def terminal(self, *words: str) -> Terminal:
        """`./claw WORDS INVENTORY` on a terminal."""
        self.deployment.claw("settings")  # writes the inventory
        return Terminal("./claw", *words, str(self.deployment.inventory))


def certificate() -> tuple[bytes, bytes]:
    """A certificate that signs itself, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in NAMES]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    return (
        made.public_bytes(pem),
        key.private_bytes(pem, form, serialization.NoEncryption()),
    )


@pytest.fixture(scope="module")
def services(
    lab_host: MakeHost,
    deployment: MakeDeployment,
    tmp_path_factory: pytest.TempPathFactory,
) -> Services:
    """Deployed without any channel; a second run has nothing to change."""
    one = deployment(lab_host("bookworm", "services"), egress={"allowed": ["host:443"]})
    found = Services(one, tmp_path_factory.mktemp("tokens"))
    one.sh(f"mkdir /opt/{one.name}; echo '{OVERRIDE}' >/opt/{one.name}/docker-compose.override.yml")
    found.up()
    assert "nothing to change" in found.up()
    return found


@pytest.fixture(scope="module")
def with_channels(services: Services) -> Services:
    services.deployment.claw("cli", "--", "config", "set", "channels.signal.enabled", "false")
    services.services()
    said = services.up(**services.settings)
    assert CANARY not in said
    services.deployment.settings |= services.settings
    return services


def test_channels_are_there_with_their_secrets_by_reference(with_channels: Services) -> None:
    one = with_channels.deployment
    assert "nothing to change" in with_channels.up()
    found = with_channels.configuration()["channels"]
    assert CANARY not in json.dumps(with_channels.configuration())
    assert found["telegram"]["botToken"]["id"] == "BOT_TOKEN"
    assert found["telegram"]["accounts"]["work"]["botToken"]["id"] == "WORK_BOT_TOKEN"
    assert (found["telegram"]["dmPolicy"], found["telegram"]["allowFrom"]) == ("allowlist", ["42"])
    assert CANARY not in one.sh("ps -eo args")
    version = one.in_gateway("openclaw --version").split()[1]
    packages = one.in_gateway(f"cat {PLUGINS}/*/node_modules/@openclaw/whatsapp/package.json")
    assert json.loads(packages)["version"] == version
    plugins = json.loads(one.in_gateway("openclaw plugins list --json 2>/dev/null"))["plugins"]
    (whatsapp,) = [plugin for plugin in plugins if plugin["id"] == "whatsapp"]
    assert whatsapp["status"] == "loaded", whatsapp


def test_a_token_that_is_taken_no_more_is_named_by_the_status_of_its_channel(
    with_channels: Services,
) -> None:
    revoke = "https://auth.openai.com/revoke"
    with_channels.post(revoke, "111112")

    def accounts() -> dict[tuple[str, str], dict[str, Any]]:
        asked = with_channels.deployment.claw("channels", "--json", expect=None)
        assert CANARY not in asked.output
        (host,) = asked.json["hosts"].values()
        return {(one["channel"], one["account"]): one for one in host["channels"]}

    until(lambda: "Unauthorized" in accounts()["telegram", "work"]["error"], 300, "it is refused")
    until(lambda: accounts()["telegram", "default"]["running"], 300, "the other one runs")
    right = accounts()["telegram", "default"]
    assert (right["configured"], right["running"], right["error"]) == (True, True, "")
    shown = with_channels.deployment.claw("channels", expect=1).stdout
    assert re.search(r"telegram +work \(Work\) .*Unauthorized", shown)
    assert CANARY not in shown
    with_channels.post(revoke)  # no bot's: for what comes after


def test_a_phone_is_linked_by_the_code_in_the_terminal(with_channels: Services) -> None:
    with_channels.whatsapp()
    with with_channels.terminal("channels", "login", "whatsapp") as terminal:
        until(lambda: codes(terminal.text), 240, f"a code: {terminal.text}")
        first = codes(terminal.text)[0]
        assert first.count("stand-in-1") == 1
        assert max(map(len, re.findall(DRAWN, terminal.text, re.M))) <= COLUMNS
        until(lambda: len({*codes(terminal.text)}) > 1, 120, "another code")
        with_channels.post(f"http://127.0.0.1:{WHATSAPP + 1}/scan", codes(terminal.text)[-1])
        terminal.wait_for("Linked")
        assert terminal.ended() == 0
    assert "paired" in with_channels.phone()


def test_a_log_in_to_a_provider_by_a_code(with_channels: Services) -> None:
    with with_channels.terminal("models", "login", "openai", "--device-code") as terminal:
        terminal.wait_for("ABCD-EFGHJ")
        terminal.wait_for("https://auth.openai.com/codex/device")
        with_channels.post("https://auth.openai.com/approve")
        assert terminal.ended(300) == 0, terminal.text
        assert "canary" not in terminal.text
    assert "somebody@example.org" in logged_in(with_channels)


def test_a_log_in_by_an_address_that_is_pasted_back(with_channels: Services) -> None:
    with with_channels.terminal("models", "login", "openai") as terminal:
        terminal.wait_for("Paste the authorization code")
        address = terminal.wait_for(r"https://auth\.openai\.com/oauth/authorize\?[^\s]+")[0]
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)
        url = f"https://auth.openai.com/authorize?challenge={asked['code_challenge'][0]}"
        code = json.loads(with_channels.post(url))["code"]
        back = urllib.parse.urlencode({"code": code, "state": asked["state"][0]})
        terminal.type(f"{asked['redirect_uri'][0]}?{back}")
        assert terminal.ended(300) == 0, terminal.text
        assert "canary" not in terminal.text
    assert "somebody@example.org" in logged_in(with_channels)


def test_with_a_wrong_token_it_goes_back_and_names_the_account(with_channels: Services) -> None:
    """OpenClaw is not ready with a channel whose service refuses it."""
    wrong = {"accounts": {"wrong": {"secrets": {"botToken": "WRONG_BOT_TOKEN"}}}}
    settings = {
        "gateway": {"ready_timeout": 150},
        "channels": {"telegram": wrong, "whatsapp": {"enabled": False}},
    }
    before = with_channels.configuration()["channels"]
    said = with_channels.deployment.claw("up", settings=settings, expect=1).output
    assert re.search(r'unauthorized for account "wrong"', said) and CANARY not in said
    assert with_channels.configuration()["channels"] == before


def test_what_is_taken_out_is_gone_and_what_was_made_by_hand_stays(with_channels: Services) -> None:
    left: dict[str, Any] = {"credentials": {}, "channels": {}}
    with_channels.deployment.settings |= left
    with_channels.up()
    off = {"enabled": False}
    assert with_channels.configuration()["channels"] == {"signal": off, "whatsapp": off}
    assert "nothing to change" in with_channels.up()


def test_the_page_of_models_has_the_variables_of_the_release(services: Services) -> None:
    one = services.deployment
    text = base64.b64encode((HERE / "provider_keys.mjs").read_bytes()).decode()
    one.in_gateway(f"echo {text} | base64 -d >/tmp/keys.mjs")
    where = "$(dirname $(readlink -f $(command -v openclaw)))/dist"
    known = json.loads(one.in_gateway(f"node /tmp/keys.mjs {where}"))
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"^\| `([a-z0-9-]+)` \| `([A-Z0-9_]+)` \|", page, re.M))
    assert named.keys() == known.keys()
    assert not {key: name for key, name in named.items() if name not in known[key]}


def test_the_channels_that_need_no_plugin_named_are_those_of_the_release(
    services: Services,
) -> None:
    where = "$(dirname $(readlink -f $(command -v openclaw)))/dist"
    catalog = json.loads(services.deployment.in_gateway(f"cat {where}/channel-catalog.json"))
    named = {
        entry["openclaw"]["channel"]["id"]: entry["name"]
        for entry in catalog["entries"]
        if entry["name"].startswith("@openclaw/")
    }
    assert named == {name: f"@openclaw/{name}" for name in OFFICIAL}
    there = services.deployment.in_gateway(f"ls {where}/extensions").split()
    assert {*BUILT_IN} <= {*there}


def logged_in(one: Services) -> str:
    return one.deployment.claw("cli", "--", "models", "auth", "list").stdout


def codes(text: str) -> list[str]:
    """What the QR codes say that are drawn in a text, by the library of zbar."""
    if not shutil.which("zbarimg"):
        apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
        install = [*apt, "install", "-y", "--no-install-recommends", "zbar-tools"]
        if subprocess.run(install, stdout=subprocess.DEVNULL).returncode:
            subprocess.run([*apt, "update"], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    return [said for drawn in re.findall(f"(?:{DRAWN}\n)+", text, re.M) if (said := read(drawn))]


def read(drawn: str) -> str:
    """What a drawn code says; each character is two dots, one above the other."""
    lines = drawn.splitlines()
    width = max(map(len, lines))
    rows: list[bytes] = []
    for line in (one.ljust(width) for one in lines):
        for full in "█▀", "█▄":
            dots = b"".join((b"\xff" if one in full else b"\x00") * 4 for one in line)
            rows += [dots] * 4
    picture = f"P5 {width * 4} {len(rows)} 255\n".encode() + b"".join(rows)
    for inverted in (False, True):
        head, _, body = picture.partition(b"255\n")
        shown = head + b"255\n" + (bytes(255 - one for one in body) if inverted else body)
        asked = ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", "pgm:-"]
        done = subprocess.run(asked, input=shown, capture_output=True)
        if done.returncode == 0:
            return done.stdout.decode().strip()
    return ""
