"""OpenClaw on every host of the inventory, top to bottom.

pyinfra inventories/local.py deploy.py [--dry] [--diff]
"""

from pyinfra import config, host

from operations import activation, channels, packages, record, verification
from operations.backup import stage as backup
from operations.base import preflight, snapshot
from operations.configuration import stage as configuration
from operations.engine import stage as engine
from operations.exposure import stage as exposure
from operations.gateway import compose, conflicts, directories, network, secrets, service
from operations.hardening import stage as hardening
from operations.images import stage as images
from operations.images.sandbox import stage as sandbox_images
from operations.sandbox import running, workspaces
from operations.security import stage as security
from operations.watch import stage as watch

settings = preflight.run()
config.SUDO = snapshot.needs_sudo(host)

packages.install(settings=settings)
engine.install(settings=settings)
engine.configure(settings=settings)
conflicts.exclude(settings=settings)
activation.recover(settings=settings)
directories.create(settings=settings)
workspaces.prepare(settings=settings)
security.install(settings=settings)
secrets.write(settings=settings)
images.build(settings=settings)
sandbox_images.build(settings=settings)
compose.configure(settings=settings)
service.configure(settings=settings)
configuration.merge(settings=settings)
network.close(settings=settings)
hardening.harden(settings=settings)
activation.activate(settings=settings)
channels.install(settings=settings)
running.recreate(settings=settings)
backup.configure(settings=settings)
watch.watch(settings=settings)
record.keep(settings=settings)
images.prune(settings=settings)
sandbox_images.prune(settings=settings)
verification.verify(settings=settings)
exposure.expose(settings=settings)
