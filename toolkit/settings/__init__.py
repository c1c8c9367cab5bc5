"""Typed settings: one model, several sources, one report of everything that is wrong."""

from toolkit.settings.model import Settings
from toolkit.settings.sources.resolve import SettingsError, settings_for

__all__ = ["Settings", "SettingsError", "settings_for"]
