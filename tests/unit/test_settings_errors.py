"""Bad settings: one row each, and the words that the user must see."""

import pytest
from pyinfra.api.inventory import Inventory

from toolkit.settings.sources.resolve import SettingsError, validate_inventory

LONG_SECRET = "sk-canary-5f2c9b7e"


def report(data, variables=None, override=None, name="claw1"):
    with pytest.raises(SettingsError) as raised:
        validate_inventory(Inventory(([(name, data)], {}), override_data=override), variables or {})
    return str(raised.value)


BAD = [
    # unknown keys, and the key that was probably meant
    ({"gatway": {}}, "gatway: unknown key", "did you mean gateway?"),
    ({"gateway": {"prot": 1}}, "gateway.prot: unknown key", "did you mean gateway.port?"),
    ({"port": 1}, "port: unknown key", "did you mean gateway.port?"),
    ({"extraMounts": []}, "extraMounts: unknown key", "did you mean extra_mounts?"),
    ({"ssh_prot": 22}, "ssh_prot: unknown key", "did you mean ssh_port?"),
    ({"zzz": 1}, "zzz: unknown key", "accepted here: name, engine"),
    ({"gateway": {1: 2}}, "gateway", "accepted"),
    # wrong types
    ({"gateway": 5}, "gateway: given the number 5", "accepted: a mapping with the keys source"),
    ({"gateway": {"port": "x"}}, "gateway.port: given 'x'", "a port from 1 to 65535"),
    ({"gateway": {"port": 0}}, "gateway.port: given the number 0", "a port from 1 to 65535"),
    ({"gateway": {"port": True}}, "gateway.port: given true", "a port from 1 to 65535"),
    ({"gateway": {"port": None}}, "gateway.port: given nothing", "a port from 1 to 65535"),
    ({"gateway": {"pids_limit": 3}}, "gateway.pids_limit", "from 64 to 32768"),
    ({"gateway": {"version": 2026.1}}, "gateway.version: given the number 2026.1", "in quotes"),
    ({"gateway": {"version": "latest"}}, "gateway.version: given 'latest'", '"2026.9.6"'),
    ({"gateway": {"apt_packages": "git"}}, "gateway.apt_packages: given 'git'", "a list"),
    ({"gateway": {"apt_packages": ["git", "a b"]}}, "gateway.apt_packages[1]: given 'a b'"),
    ({"gateway": {"apt_packages": ["-y"]}}, "gateway.apt_packages[0]: given '-y'"),
    ({"gateway": {"apt_packages": ["curl-"]}}, "gateway.apt_packages[0]: given 'curl-'"),
    ({"gateway": {"pip_packages": ["--index-url=x"]}}, "gateway.pip_packages[0]", "no options"),
    ({"gateway": {"pip_packages": ["a; b"]}}, "gateway.pip_packages[0]: given 'a; b'"),
    ({"gateway": {"install_browser": "maybe"}}, "gateway.install_browser", "true or false"),
    ({"gateway": {"source": "docker"}}, "gateway.source: given 'docker'", "npm, image or git"),
    ({"gateway": {"address": "localhost"}}, "gateway.address: given 'localhost'", "IPv4 or IPv6"),
    ({"gateway": {"address": "[::1]"}}, "gateway.address: given '[::1]'", "without brackets"),
    ({"gateway": {"cpus": -1}}, "gateway.cpus", "a number above 0"),
    ({"gateway": {"memory": "3 GB"}}, "gateway.memory: given '3 GB'", "k, m or g"),
    ({"gateway": {"memory": 3}}, "gateway.memory: given the number 3", "k, m or g"),
    ({"gateway": {"trusted_proxies": ["10.0.0.1/8"]}}, "gateway.trusted_proxies[0]", "network"),
    ({"gateway": {"allowed_origins": ["https://x.org/ui"]}}, "allowed_origins[0]", "has no path"),
    ({"gateway": {"image": "Foo Bar", "source": "image"}}, "gateway.image: given 'Foo Bar'"),
    (
        {"gateway": {"repository": "ext::sh -c x", "source": "git"}},
        "gateway.repository",
        "https://",
    ),
    ({"gateway": {"ref": "--upload-pack=x"}}, "gateway.ref", "a branch, tag or commit"),
    ({"time_zone": "Mars/Olympus"}, "time_zone: given 'Mars/Olympus'", "Europe/Berlin"),
    ({"name": "../x"}, "name: given '../x'", "lower-case letters"),
    ({"registry": "https://r.example"}, "registry: given", "without https://"),
    ({"engine": {"registry_mirrors": ["r.example"]}}, "engine.registry_mirrors[0]", "https://"),
    ({"images": {"registry": {"password": "s3cret"}}}, "images.registry.password", "(hidden)"),
    ({"images": {"registry": {"address": "claw/x"}}}, "images.registry.address", "Docker Hub"),
    ({"images": {"registry": {"local": True}}}, "images.registry.local"),
    (
        {"images": {"registry": {"address": "r.example", "username": "claw"}}},
        "images.registry.password: missing",
    ),
    (
        {"images": {"registry": {"address": "r.example", "password": {"env": "P"}}}},
        "images.registry.username: missing",
    ),
    (
        {"images": {"registry": {"username": "claw", "password": {"env": "P"}}}},
        "images.registry.username: has no effect without images.registry.address",
    ),
    (
        {"images": {"share": False, "registry": {"address": "r.example"}}},
        "images.registry.address: has no effect with images.share: false",
    ),
    ({"engine": {"users": ["a b"]}}, "engine.users[0]: given 'a b'"),
    ({"engine": {"daemon": {"hosts": []}}}, "engine.daemon.hosts: belongs to the toolkit"),
    ({"engine": {"daemon": {"dns": {1: 2}}}}, "engine.daemon", "the key 1 is not text"),
    ({"onboarding": {"auth_choice": "a b"}}, "onboarding.auth_choice: given 'a b'"),
    ({"ssh_port": "22"}, "ssh_port: given text", "a whole number"),
    # paths and mounts
    ({"directories": {"config": "data"}}, "directories.config: given 'data'", "not an absolute"),
    ({"directories": {"config": "/a/../b"}}, "directories.config", "'..' is not allowed"),
    ({"directories": {"config": "/a\nb"}}, "directories.config", "line breaks and control"),
    ({"directories": {"config": "/a$b"}}, "directories.config", "$ is not allowed"),
    ({"directories": {"project": "/"}}, "directories.project: given /", "of its own"),
    ({"directories": {"workspace": "/home"}}, "directories.workspace: given /home"),
    ({"directories": {"config": "/a", "workspace": "/a"}}, "the same as directories.workspace"),
    ({"directories": {"config": "/w/c", "workspace": "/w"}}, "rewrite their own configuration"),
    ({"directories": {"config": "/c", "project": "/c/p"}}, "its token would be readable"),
    ({"extra_mounts": ["/a"]}, "extra_mounts[0]: given '/a'", "SOURCE:TARGET"),
    ({"extra_mounts": ["/a:/b:rx"]}, "extra_mounts[0]", "neither ro nor rw"),
    ({"extra_mounts": ["a:/b"]}, "source: not an absolute path"),
    ({"extra_mounts": ["/a:b"]}, "target: not an absolute path"),
    ({"extra_mounts": ["/a:/b\n- /:/host"]}, "extra_mounts[0]", "line breaks and control"),
    ({"extra_mounts": ["/a:/b", "/c:/b/:ro"]}, "target /b is there twice"),
    ({"extra_mounts": ["/a:/home/node/.openclaw"]}, "directories.config"),
    ({"extra_mounts": ["/a:/etc"]}, "target /etc", "hide"),
    ({"extra_mounts": ["/a:/proc/x"]}, "target /proc/x", "hide"),
    ({"extra_mounts": ["/:/host"]}, "source /", "opens the host"),
    ({"extra_mounts": ["/var/run/docker.sock:/s"]}, "docker.sock", "root on the host"),
    ({"extra_mounts": ["/opt:/o:ro"]}, "source /opt", "holds the token"),
    ({"home_volume": "a b"}, "home_volume: given 'a b'", "a volume name"),
    ({"home_volume": "/var/lib/openclaw/config/home"}, "home_volume", "its own mount"),
    ({"home_volume": "/home"}, "home_volume: given /home"),
    # settings that contradict each other
    ({"gateway": {"memory": "1536m"}}, "gateway.memory: given 1536m", "2g or more", "killed"),
    ({"gateway": {"memory": "2g", "cache_size": "2g"}}, "gateway.memory", "count against it"),
    ({"gateway": {"cache_size": "64m"}}, "gateway.cache_size: given 64m", "128m or more"),
    ({"gateway": {"source": "image"}}, "gateway.image: missing"),
    ({"gateway": {"source": "git"}}, "gateway.repository: missing"),
    ({"gateway": {"image": "x"}}, "gateway.image: has no effect without gateway.source: image"),
    (
        {"gateway": {"source": "image", "image": "x", "apt_packages": ["git"]}},
        "gateway.apt_packages: nothing is built",
    ),
    # what the toolkit owns
    ({"openclaw": {"gateway": {"bind": "lan"}}}, "openclaw.gateway.bind", "set gateway.address"),
    ({"openclaw": {"gateway": {"port": 1}}}, "openclaw.gateway.port", "set gateway.port"),
    ({"openclaw": {"gateway": {"auth": {"token": "x"}}}}, "openclaw.gateway.auth.token"),
    ({"openclaw": {"gateway": {"auth": "x"}}}, "openclaw.gateway.auth", "a mapping"),
    (
        {"openclaw": {"gateway": {"controlUi": {"allowedOrigins": []}}}},
        "set gateway.allowed_origins",
    ),
    ({"openclaw": {"gateway.bind": "lan"}}, "openclaw.gateway.bind", "nested mappings"),
    ({"gateway": {"environment": {"TZ": "UTC"}}}, "gateway.environment.TZ", "set time_zone"),
    ({"credentials": {"OPENCLAW_GATEWAY_TOKEN": {"env": "X"}}}, "made on the host"),
    (
        {"gateway": {"environment": {"K": "x"}}, "credentials": {"K": {"env": "K"}}},
        "gateway.environment.K: is under `credentials` too",
    ),
    ({"credentials": {"K": {}}}, "credentials.K", "exactly one of"),
    ({"credentials": {"K": {"env": "A", "file": "b"}}}, "credentials.K", "exactly one of"),
    ({"credentials": {"a-b": {"env": "A"}}}, "credentials.a-b", "environment variable"),
    ({"gateway": {"environment": {"A B": "x"}}}, "gateway.environment.A B", "letters, digits"),
    ({"gateway": {"environment": {"A": 1}}}, "gateway.environment.A: given a number", "quotes"),
]


@pytest.mark.parametrize("row", BAD, ids=lambda row: str(row[1]))
def test_bad_settings_are_refused_in_words(row):
    data, *words = row
    text = report(data)
    for word in ("claw1: ", *words):
        assert word in text
    assert "pydantic" not in text and "Input should" not in text and "Value error" not in text


SECRETS = [
    {"credentials": {"OPENAI_API_KEY": LONG_SECRET}},
    {"credentials": {"OPENAI_API_KEY": {"env": LONG_SECRET}}},
    {"credentials": {"OPENAI_API_KEY": {"value": LONG_SECRET}}},
    {"gateway": {"environment": {"A": f"{LONG_SECRET}$"}}},
    {"gateway": {"environment": {"A": [LONG_SECRET]}}},
    {"gateway": {"environment": LONG_SECRET}},
    {"build": {"arguments": {"A": f"{LONG_SECRET}\n"}}},
    {"openclaw": LONG_SECRET},
    {"openclaw": {"channels": {"token": LONG_SECRET, 1: 2}}},
    {"channels": {"telegram": {"secrets": {"botToken": f"1:{LONG_SECRET}"}}}},
    {"channels": {"matrix": {"accounts": {"a": {"secrets": {"accessToken": LONG_SECRET}}}}}},
    {"engine": {"daemon": LONG_SECRET}},
    {"engine": {"repository_url": f"https://user:{LONG_SECRET}@mirror.example"}},
    {"gateway": {"source": "git", "repository": f"https://{LONG_SECRET}@git.example/x"}},
    {"ssh_pasword": LONG_SECRET},
    {"ssh_port": LONG_SECRET},
    {"gateway": {LONG_SECRET[3:]: {"x": LONG_SECRET}}},
]


@pytest.mark.parametrize("data", SECRETS, ids=str)
def test_values_that_may_be_secret_are_not_shown(data):
    assert LONG_SECRET not in report(data)


def test_all_errors_of_all_hosts_are_in_one_report():
    hosts = [
        ("claw1", {"gateway": {"port": "x", "memory": "1g"}, "extra_mounts": ["/a:/etc", "bad"]}),
        ("claw2", {"time_zone": "Nowhere", "nmae": "x"}),
        ("claw3", {}),
    ]
    with pytest.raises(SettingsError) as raised:
        validate_inventory(Inventory((hosts, {"gateway": {"tmp_size": "x"}})), {})
    lines = str(raised.value).splitlines()
    assert "no host was touched" in lines[0]
    for start in (
        "claw1: gateway.port: ",
        "claw1: gateway.memory: given 1g",
        "claw1: extra_mounts[1]: given 'bad'",
        "claw1: extra_mounts: given /a:/etc",
        "claw2: time_zone: ",
        "claw2: nmae: unknown key",
        "claw1, claw2, claw3: gateway.tmp_size: given 'x' (data of all hosts)",
    ):
        assert len([line for line in lines if line.strip().startswith(start)]) == 1, start
    assert len(lines) == 8


def test_a_wrong_value_does_not_cause_further_errors():
    lines = report({"gateway": {"source": "imgae", "image": "x", "apt_packages": ["git"]}})
    assert lines.count("claw1:") == 1


def test_the_error_names_the_source_of_each_value():
    text = report(
        {"gateway": {"port": "a"}},
        {"OPENCLAW_TZ": "Nowhere", "OPENCLAW_IMAGE": "example/x:1"},
        {"gateway.memory": "1g", "gateway.install_browser": "true"},
    )
    assert "gateway.port: given 'a' (data of the host)" in text
    assert "time_zone: given 'Nowhere' (OPENCLAW_TZ in the environment)" in text
    assert "(--set or --data)" in text
    assert "gateway.source: OPENCLAW_IMAGE in the environment" in text


def test_a_float_from_data_says_how_to_quote_it():
    text = report({}, override={"gateway.version": 2026.1})
    assert """--data 'gateway.version="..."'""" in text
