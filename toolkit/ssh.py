"""What of paramiko the toolkit knows.

Nothing else imports it but `commandline/run/ssh_client.py`, which is the client itself.
"""

from __future__ import annotations

from paramiko import Channel, ChannelException, PKey, SSHException, Transport
from paramiko.common import OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
from paramiko.hostkeys import HostKeyEntry
from paramiko.pkey import UnknownKeyType

__all__ = [
    "OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED",
    "Channel",
    "ChannelException",
    "HostKeyEntry",
    "PKey",
    "SSHException",
    "Transport",
    "UnknownKeyType",
]
