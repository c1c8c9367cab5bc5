"""Stop the gateway of every host: pyinfra INVENTORY deploys/stop.py [--dry]"""

from pyinfra import config, host

from operations.base import preflight, snapshot
from operations.lifecycle import power

settings = preflight.run([power.problems])
config.SUDO = snapshot.needs_sudo(host)

power.stop(settings=settings)
