"""What the engine has, asked once for all facts that want to know of it: each `docker` costs a host
more than all that a fact does beside it.

`templates/images/listing.sh.j2` keeps the answers in `$listed`, lines that begin with what they
are; `of WORD` prints those of a kind.

- `["image",...]`, `["container",...]`, `["network",...]`: for `operations.gateway.conflicts`
- `image ...`, `pulled ...`: for `operations.images.state`; `wanted_image ID`: that of the
  gateway's tag; `tag TAG ID`
- `own PORTS`: those that a running container of the deployment publishes; `gateway ID`, `sandbox
  ID`, `id ID`: of the gateway's containers, of all sandboxes, of all
- `network NAME IPV6 MTU`
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from operations import engine_access, project
from operations.base import snapshot, templates
from operations.engine import uplink
from operations.images import definitions, gateway, identity
from toolkit.settings import Settings
from toolkit.settings.sandbox import names

COMPOSE = "com.docker.compose"
_NEW_LINE = "\n"


@snapshot.before("gateway", "images", "occupied", "sandboxes", "system", "uplink")
def listing(settings: Settings) -> str:
    references = sorted(definitions.pulled(settings))
    return templates.render(
        "images/listing.sh.j2",
        docker=engine_access.environment(settings),
        inputs=identity.INPUTS,
        image=_image(settings, references),
        images=[*tags(settings), *references],
        container=_container(settings),
        network=_NETWORK,
        networks=["bridge", *uplink.made(settings)],
    )


def tags(settings: Settings) -> list[str]:
    """Return the image tags that a run moves."""
    sandboxes = (names.tag(settings.name, kind) for kind in names.kinds(settings.sandbox))
    return [gateway.tag(settings.name), f"{settings.name}:last-good", *sandboxes]


def familiar(reference: str) -> str:
    """Return a reference as an engine shows it: without Docker Hub's name, and without the tag
    where it names a digest.

    https://pkg.go.dev/github.com/distribution/reference#FamiliarString
    """
    name, at, digest = reference.partition("@")
    short = identity.repository(name) if at else name
    return short.removeprefix("docker.io/").removeprefix("library/") + at + digest


def _image(settings: Settings, references: Iterable[str]) -> str:
    # An engine may leave out Config and Labels, and a label may be anything: hence `with`, `json`.
    labels = (identity.INPUTS, identity.BASE, identity.DEPLOYMENT, identity.KIND)
    columns = ["{{$image.Id}}", "{{json $image.RepoTags}}"]
    columns += [f'{{{{with index . "{label}"}}}}{{{{json .}}}}{{{{end}}}}' for label in labels]
    found = "".join(
        f"{{{{if eq . {json.dumps(familiar(reference))}}}}}"
        f"pulled {reference} {{{{json $image.RepoDigests}}}}{_NEW_LINE}{{{{end}}}}"
        for reference in references
    )
    return (
        '{{$image := .}}{{$inputs := ""}}{{with .Config}}{{with .Labels}}'
        f'{{{{with index . "{identity.INPUTS}"}}}}{{{{$inputs = .}}}}{{{{end}}}}'
        f"{{{{if $inputs}}}}image {'|'.join(columns)}{_NEW_LINE}{{{{end}}}}{{{{end}}}}{{{{end}}}}"
        f"{{{{range .RepoTags}}}}tag {{{{.}}}} {{{{$image.Id}}}}{_NEW_LINE}"
        f"{{{{if eq . {json.dumps(gateway.tag(settings.name))}}}}}"
        f"wanted_image {{{{$image.Id}}}}{_NEW_LINE}{{{{end}}}}{found}{{{{end}}}}"
        f"{{{{range .RepoDigests}}}}{found}{{{{end}}}}"
        '["image",{{json .Id}},{{json .RepoTags}},{{json $inputs}}]'
    )


def _container(settings: Settings) -> str:
    # OpenClaw's own set-up has the same names, but not the label of ours.
    named = f'(eq (.Label "{COMPOSE}.project") "{settings.name}")'
    ours = f'and {named} (.Label "{identity.LABEL}.project")'
    service = f'(eq (.Label "{COMPOSE}.service") "{project.GATEWAY}")'
    gateway = f'and {service} (eq (.Label "{COMPOSE}.oneoff") "False")'
    runs = 'or (eq .State "running") (eq .State "paused") (eq .State "restarting")'
    columns = [
        ".Names",
        f'(.Label "{COMPOSE}.project")',
        f'(.Label "{COMPOSE}.project.working_dir")',
        f'(.Label "{COMPOSE}.service")',
        f'(.Label "{identity.LABEL}.project")',
        ".Image",
        ".State",
        ".Ports",
        ".Mounts",
    ]
    described = ",".join(f"{{{{json {column}}}}}" for column in columns)
    return (
        f"{{{{if {ours}}}}}{{{{if {runs}}}}}own {{{{json .Ports}}}}{_NEW_LINE}{{{{end}}}}"
        f"{{{{if {gateway}}}}}gateway {{{{.ID}}}}{_NEW_LINE}{{{{end}}}}{{{{end}}}}"
        f'{{{{if eq (.Label "openclaw.sandbox") "1"}}}}sandbox {{{{.ID}}}}{_NEW_LINE}{{{{end}}}}'
        f'id {{{{.ID}}}}{_NEW_LINE}["container",{described}]'
    )


_NETWORK = (
    'network {{.Name}} {{.EnableIPv6}} {{index .Options "com.docker.network.driver.mtu"}}\n'
    '["network",{{json .Name}},{{json (printf "%s%s" (index .Labels "com.docker.compose.project")'
    ' (index .Labels "openclaw-pyinfra.deployment"))}}]'
)
