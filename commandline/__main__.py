"""Entry point of `claw`: run by path, in Python's isolated mode, so it finds its own folder."""

import gc
import os
import signal
import sys
from pathlib import Path

before = signal.getsignal(signal.SIGINT)
if before is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until something has begun, Ctrl-C just ends it
gc.disable()  # what is imported is no garbage; looking for it costs a tenth of the start

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

# Plugins: gevent would look through all installed packages for them 25 times, pydantic once.
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
from gevent import events, monkey  # noqa: E402

vars(events)["notify_and_call_entry_points"] = vars(events)["notify"]
monkey.patch_all()  # before anything imports ssl or threading, as pyinfra's own command line does

# An eighth of what would be loaded. Paramiko can do without it, and pyinfra puts its own in place.
sys.modules["invoke"] = None  # type: ignore[assignment]

from commandline.main import main  # noqa: E402

if __name__ == "__main__":
    signal.signal(signal.SIGINT, before)
    gc.freeze()
    gc.enable()
    main()
