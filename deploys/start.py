"""Start the gateway of every host, as it was stopped: pyinfra INVENTORY deploys/start.py [--dry]"""

from pyinfra import config, host

from operations.base import preflight, snapshot
from operations.lifecycle import power

settings = preflight.run([power.start_problems])
config.SUDO = snapshot.needs_sudo(host)

power.start(settings=settings)
