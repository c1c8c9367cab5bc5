"""Go back to an earlier generation on every host: pyinfra INVENTORY deploys/rollback.py [--dry]"""

from pyinfra import config, host

from operations.base import preflight, snapshot
from operations.lifecycle import generations

settings = preflight.run([generations.problems])
config.SUDO = snapshot.needs_sudo(host)

generations.go_back(settings=settings)
