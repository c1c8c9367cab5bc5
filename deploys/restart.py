"""Restart the gateway of every host: pyinfra INVENTORY deploys/restart.py [--dry]"""

from pyinfra import config, host

from operations.base import preflight, snapshot
from operations.lifecycle import power

settings = preflight.run([power.start_problems])
config.SUDO = snapshot.needs_sudo(host)

power.restart(settings=settings)
