"""The same resources in plain pyinfra: its own operations and facts, nothing of the toolkit."""

import json
import os
from pathlib import Path

from pyinfra import host
from pyinfra.facts.docker import DockerContainer
from pyinfra.facts.server import Command
from pyinfra.operations import apt, docker, files, server, systemd

wanted = json.loads(Path(os.environ["BENCH_RESOURCES"]).read_text())

for command in wanted["reads"].values():
    assert host.get_fact(Command, command=command)

for whose, names in wanted["packages"].items():
    apt.packages(name=f"Install {whose} packages", packages=names)

for directory in wanted["directories"]:
    files.directory(
        name=f"Create {directory['path']}",
        path=directory["path"],
        mode=directory["mode"],
        user=directory["user"],
        group=directory["group"],
    )

for file in wanted["files"]:
    files.put(
        name=f"Write {file['path']}",
        src=file["source"],
        dest=file["path"],
        mode=file["mode"],
        user=file["user"],
        group=file["group"],
    )

for service in wanted["services"]:
    systemd.service(name=f"Start {service}", service=service, running=True, enabled=True)

if not host.get_fact(Command, command=f"{wanted['rule_check']} && echo closed || true"):
    server.shell(name="Close the bridge", commands=[wanted["rule_insert"]])

docker.image(name="Pull the image", image=wanted["image"])
docker.network(name="Create the network", network=wanted["network"])

container = host.get_fact(DockerContainer, object_id=wanted["container"])
if not (container and container[0]["State"]["Running"]):
    docker.compose(name="Start the gateway", project_directory=wanted["project"])

configuration = json.loads(host.get_fact(Command, command=f"cat {wanted['configuration']}"))
if configuration["gateway"]["mode"] != "local":
    server.shell(name="Correct the configuration", commands=["false"])

if not host.get_fact(Command, command=f"curl -fsS -m 10 {wanted['url']} || true"):
    server.shell(name="Wait for the gateway", commands=["false"])
