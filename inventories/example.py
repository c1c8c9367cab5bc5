"""A fleet in Python: `./claw up inventories/example.py`, or plain

    pyinfra inventories/example.py deploy.py

The same three levels as in example.yml: a host over its groups over all hosts, combined key by
key. Lists of hosts are groups; settings of groups are here or in group_data/GROUP.py, those of
all hosts in group_data/all.py. Every setting and its default: docs/settings.md.
"""

# Names with a leading underscore are not read by pyinfra.
_claw1 = (
    "claw1",
    {
        "ssh_hostname": "203.0.113.7",
        "ssh_user": "deploy",
        # Published on loopback; a reverse proxy on the same host serves it at this origin.
        "gateway": {
            "allowed_origins": ["https://claw.example.org"],
            "trusted_proxies": ["127.0.0.1"],
        },
    },
)
_claw2 = (
    "claw2",
    {
        "ssh_hostname": "203.0.113.8",
        "ssh_port": 2222,
        "ssh_user": "deploy",
        "extra_mounts": ["/srv/documents:/home/node/documents:ro"],
    },
)

# Settings of this group: group_data/production.py.
production = [_claw1, _claw2]

# A group with its settings in place.
family = (
    [("claw3", {"ssh_hostname": "claw3.example.net", "ssh_user": "root"})],
    {"time_zone": "Europe/Berlin", "home_volume": "openclaw_home"},
)
