"""Every setting of DeepAnalyze: one class, read from flags, the environment and `deepanalyze.toml`."""

from deepanalyze.settings.fields import CLIENT_VARIABLES, ModelConfig, Settings
from deepanalyze.settings.loading import load_settings
from deepanalyze.settings.reference import (
    EffectiveSetting,
    SettingRow,
    effective_settings,
    settings_reference,
)

__all__ = [
    "CLIENT_VARIABLES",
    "EffectiveSetting",
    "ModelConfig",
    "SettingRow",
    "Settings",
    "effective_settings",
    "load_settings",
    "settings_reference",
]
