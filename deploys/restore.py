"""Restore a backup on every host: pyinfra INVENTORY deploys/restore.py [--dry]"""

from pyinfra import config, host

from operations.base import preflight, snapshot
from operations.lifecycle import restoring

settings = preflight.run([restoring.problems])
config.SUDO = snapshot.needs_sudo(host)

restoring.restore(settings=settings)
