"""From inventory data, `--set`, and environment variables to validated `Settings`."""

from __future__ import annotations

from typing import Any

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pydantic import ValidationError

from toolkit.settings.model import Settings


class SettingsError(PyinfraError):
    """Every error of every host's settings, in one report."""


def settings_for(host: Host) -> Settings:
    """Return the validated settings of `host`.

    Raises:
        SettingsError: naming every host, key, given value and what is accepted.
    """
    data: dict[str, Any] = {key: value for key, value in host.data.dict().items() if key in Settings.model_fields}
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        raise SettingsError(str(error)) from None
