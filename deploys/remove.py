"""Take the deployment off every host: pyinfra INVENTORY deploys/remove.py [--dry]"""

from pyinfra import config, host

from operations.base import preflight, snapshot
from operations.lifecycle import removal

settings = preflight.run([removal.problems])
config.SUDO = snapshot.needs_sudo(host)

removal.remove(settings=settings)
