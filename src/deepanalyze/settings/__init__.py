"""Every setting of DeepAnalyze: one class, read from flags, the environment and `deepanalyze.toml`."""

from deepanalyze.settings.fields import CLIENT_VARIABLES, MIN_CONFIGURED_KEY_LENGTH, ModelConfig, Settings
from deepanalyze.settings.loading import (
    configuration_error,
    find_config_file,
    load_settings,
    read_config_file,
)
from deepanalyze.settings.reference import (
    EffectiveSetting,
    SettingRow,
    effective_settings,
    settings_reference,
)

__all__ = [
    "CLIENT_VARIABLES",
    "MIN_CONFIGURED_KEY_LENGTH",
    "EffectiveSetting",
    "ModelConfig",
    "SettingRow",
    "Settings",
    "configuration_error",
    "effective_settings",
    "find_config_file",
    "load_settings",
    "read_config_file",
    "settings_reference",
]
