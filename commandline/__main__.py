"""Entry point of `claw`: run by path, in Python's isolated mode, so it finds its own folder."""

import functools
import gc
import signal
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

before = signal.getsignal(signal.SIGINT)
if before is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until something has begun, Ctrl-C just ends it
gc.disable()  # what is imported is no garbage; looking for it costs a tenth of the start

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

# For plugins gevent looks through all installed packages 25 times, pydantic and pyinfra once each.
look = functools.cache(metadata.entry_points)
metadata.entry_points = lambda **group: look().select(**group)  # type: ignore[assignment]

from gevent import monkey  # noqa: E402

monkey.patch_all()  # before anything imports ssl or threading, as pyinfra's own command line does

# An eighth of what would be loaded. Paramiko can do without it, and pyinfra puts its own in place.
sys.modules["invoke"] = None  # type: ignore[assignment]
# What pyinfra checks types with only wants to know one when it sees it; with it comes asyncio.
sys.modules["unittest.mock"] = mock = ModuleType("unittest.mock")
vars(mock).update(Mock=type("Mock", (), {}), patch=None)

from commandline.main import cli, main  # noqa: E402

del sys.modules["unittest.mock"]
for verb in sys.argv[1:2]:
    cli.get_command(None, verb)  # the verb's own file, too, before garbage is looked for

if __name__ == "__main__":
    signal.signal(signal.SIGINT, before)
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # little of what many hosts make is garbage
    gc.enable()
    main()
