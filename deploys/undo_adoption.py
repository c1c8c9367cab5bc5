"""Give back what was taken over on every host: pyinfra INVENTORY deploys/undo_adoption.py"""

from pyinfra import config, host

from operations.base import preflight, snapshot
from operations.lifecycle import adoption

settings = preflight.run([])
config.SUDO = snapshot.needs_sudo(host)

adoption.give_back(settings=settings)
