"""Replace the gateway's token on every host: pyinfra INVENTORY deploys/rotate.py [--dry]"""

from pyinfra import config, host

from operations.base import preflight, snapshot
from operations.lifecycle import rotation

settings = preflight.run([rotation.problems])
config.SUDO = snapshot.needs_sudo(host)

rotation.rotate(settings=settings)
