"""OpenClaw on every host of the inventory, top to bottom.

    pyinfra inventories/local.py deploy.py [--dry] [--diff]
"""

from pyinfra import config, host

from operations import (
    activation,
    compose,
    configuration,
    directories,
    engine,
    images,
    network,
    packages,
    preflight,
    secrets,
    snapshot,
    verification,
)

settings = preflight.run()
config.SUDO = snapshot.needs_sudo(host)

packages.install(settings)
engine.install(settings)
engine.configure(settings)
directories.create(settings)
secrets.write(settings)
images.build(settings)
compose.configure(settings)
configuration.merge(settings)
network.close(settings)
activation.activate(settings)
images.prune(settings)
verification.verify(settings)
