"""Take over another OpenClaw on every host: pyinfra INVENTORY deploys/adopt.py [--dry]

The stages are those of deploy.py, in their order; what is copied takes the place of the activation.
"""

from pyinfra import config, host

from operations import activation, channels, packages, record, verification
from operations.backup import stage as backup
from operations.base import preflight, snapshot
from operations.configuration import stage as configuration
from operations.engine import stage as engine
from operations.exposure import stage as exposure
from operations.gateway import compose, conflicts, directories, network, secrets, service
from operations.images import stage as images
from operations.images.sandbox import stage as sandbox_images
from operations.lifecycle import adoption
from operations.sandbox import running, workspaces
from operations.security import stage as security

checks = preflight.registered(activation.adoption_interrupted)
settings = preflight.run([adoption.problems, *checks])
config.SUDO = snapshot.needs_sudo(host)

packages.install(settings=settings)
engine.install(settings=settings)
engine.configure(settings=settings)
adoption.recover(settings=settings)
conflicts.exclude(settings=settings)
activation.recover(settings=settings)
directories.create(settings=settings)
workspaces.prepare(settings=settings)
security.install(settings=settings)
adoption.prepare(settings=settings)
secrets.write(settings=settings)
images.build(settings=settings)
sandbox_images.build(settings=settings)
compose.configure(settings=settings)
service.configure(settings=settings)
configuration.merge(settings=settings)
network.close(settings=settings)
adoption.take_over(settings=settings)
channels.install(settings=settings)
running.recreate(settings=settings)
backup.configure(settings=settings)
record.keep(settings=settings)
images.prune(settings=settings)
sandbox_images.prune(settings=settings)
verification.verify(settings=settings)
exposure.expose(settings=settings)
