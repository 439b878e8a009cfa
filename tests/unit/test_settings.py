import json
from pathlib import Path
from typing import Any

import pytest

from deepanalyze.errors import ConfigurationError
from deepanalyze.runtime import source_defaults
from deepanalyze.settings import (
    ModelConfig,
    Settings,
    effective_settings,
    load_settings,
    settings_reference,
)
from deepanalyze.settings.fallbacks import fallback_chain

KEY = "a-key-that-is-long-enough"


@pytest.fixture(autouse=True)
def _no_file_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def load(flags: dict[str, Any] | None = None, config: Path | None = None, **environ: Any) -> Settings:
    return load_settings(flags, config, environ={f"DEEPANALYZE_{k}": str(v) for k, v in environ.items()})


def wrong(flags: dict[str, Any] | None = None, config: Path | None = None, **environ: Any) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load(flags, config, **environ)
    return str(raised.value)


def test_the_defaults_are_the_documented_ones() -> None:
    settings = load()
    documented = {
        "host": "127.0.0.1",
        "port": 8200,
        "sandbox": "auto",
        "max_file_bytes": 100 * 1024**2,
        "max_result_rows": 10_000,
        "max_result_rows_ceiling": 5_000_000,
        "max_result_bytes": 1024**3,
        "connect_timeout_s": 10,
        "query_timeout_s": 30,
        "query_timeout_ceiling_s": 600,
        "retry_max_attempts": 3,
        "pool_max_size": 10,
        "thread_ttl_hours": 12,
        "code_timeout_s": 120,
        "kernel_memory_mb": 2048,
        "max_rounds": 30,
        "url_ttl_s": 3600,
        "log_level": "info",
        "log_format": "auto",
    }
    assert {name: getattr(settings, name) for name in documented} == documented
    assert settings.max_kernels >= 1
    assert settings.configured_models == ()


def test_flags_beat_environment_beats_file_beats_default(tmp_path: Path) -> None:
    (tmp_path / "deepanalyze.toml").write_text(
        'port = 1\nmax_rounds = 1\nlog_level = "debug"\nanalysts_may_create = false\n'
    )
    settings = load({"port": 3, "log_level": None}, PORT=2, MAX_ROUNDS=2)
    assert (settings.port, settings.max_rounds, settings.log_level) == (3, 2, "debug")
    assert settings.analysts_may_create is False
    origins = {e.name: e.origin for e in effective_settings(settings)}
    assert origins["port"] == "--port"
    assert origins["max_rounds"] == "DEEPANALYZE_MAX_ROUNDS"
    assert origins["log_level"] == "deepanalyze.toml"
    assert origins["host"] == "default"


def test_the_named_file_is_read_instead_of_those_found(tmp_path: Path) -> None:
    (tmp_path / "deepanalyze.toml").write_text("port = 1")
    (tmp_path / "other.toml").write_text("max_rounds = 7")
    settings = load(config=tmp_path / "other.toml")
    assert (settings.port, settings.max_rounds) == (8200, 7)


def test_the_users_file_is_read_when_there_is_none_here(tmp_path: Path) -> None:
    directory = tmp_path / "config" / "deepanalyze"
    directory.mkdir(parents=True)
    (directory / "deepanalyze.toml").write_text("port = 5")
    assert load().port == 5


def test_a_secret_can_lie_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    (tmp_path / "deepanalyze.toml").write_text(f'admin_api_key = "{KEY}-of-the-toml"')
    settings = load(ADMIN_API_KEY_FILE=tmp_path / "key")
    assert settings.admin_api_key is not None
    assert settings.admin_api_key.get_secret_value() == KEY
    settings = load(ADMIN_API_KEY_FILE=tmp_path / "key", ADMIN_API_KEY=KEY + "2")
    assert settings.admin_api_key is not None
    assert settings.admin_api_key.get_secret_value() == KEY + "2"


def test_a_secret_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    assert wrong(ENCRYPTION_KEY_FILE=tmp_path / "none") == (
        f"DEEPANALYZE_ENCRYPTION_KEY_FILE: cannot read {tmp_path / 'none'}: No such file or directory"
    )
    assert "is empty" in wrong(ENCRYPTION_KEY_FILE=tmp_path / "empty")
    assert "DEEPANALYZE_PORT_FILE: no such setting" in wrong(PORT_FILE=tmp_path / "empty")


def test_an_empty_variable_counts_as_not_given() -> None:
    assert load(MODEL_BASE_URL="", PORT="").port == 8200


def test_unknown_names_are_errors_that_tell_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "deepanalyze.toml").write_text("max_file_byte = 1\n[[data_source]]\n")
    message = wrong({"prot": 1}, MODEL_BASE_ULR="http://x")
    assert message.splitlines() == [
        "4 settings are wrong:",
        "  --prot: no such setting; did you mean port?",
        "  DEEPANALYZE_MODEL_BASE_ULR: no such setting; did you mean DEEPANALYZE_MODEL_BASE_URL?",
        "  max_file_byte in deepanalyze.toml: no such setting; did you mean max_file_bytes?",
        "  data_source in deepanalyze.toml: no such setting; did you mean data_sources?",
    ]


def test_names_in_the_environment_are_upper_case() -> None:
    with pytest.raises(ConfigurationError, match="DEEPANALYZE_port"):
        load_settings(environ={"DEEPANALYZE_port": "1"})
    load_settings(environ={"OTHER_PORT": "x", "DEEPANALYZER": "x"})


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(PORT="99999", SANDBOX="jail", QUERY_TIMEOUT_S="-1", URL_TTL_S="1.5", HOST="http://x", MODEL="m")
    message = str(raised.value)
    assert message.startswith("5 settings are wrong:")
    for setting in ("PORT", "SANDBOX", "QUERY_TIMEOUT_S", "URL_TTL_S", "HOST"):
        assert f"DEEPANALYZE_{setting}: " in message
    assert "not '99999'" in message
    assert {d["param"] for d in raised.value.details} >= {"port", "sandbox"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "-1"),
        ("PORT", "http"),
        ("HOST", "a b"),
        ("HOST", "127.0.0.1:80"),
        ("PUBLIC_URL", "example.org"),
        ("PUBLIC_URL", "ftp://example.org"),
        ("MODEL_BASE_URL", "http://"),
        ("MAX_FILE_BYTES", "0"),
        ("MAX_FILE_BYTES", "many"),
        ("CONNECT_TIMEOUT_S", "inf"),
        ("CONNECT_TIMEOUT_S", "1e300"),
        ("THREAD_TTL_HOURS", "1e300"),
        ("CONNECT_TIMEOUT_S", "nan"),
        ("RETRY_MAX_ATTEMPTS", "0"),
        ("POOL_MAX_SIZE", "0"),
        ("METADATA_TTL_S", "-1"),
        ("KERNEL_MEMORY_MB", "1"),
        ("ANALYSTS_MAY_CREATE", "perhaps"),
        ("LOG_LEVEL", "loud"),
        ("KERNEL_PYTHON", "/no/such/python"),
        ("ALLOWED_HOSTS", "https://da.example.org"),
        ("ALLOWED_HOSTS", "da.example.org:8200"),
        ("CORS_ORIGINS", "app.example.org"),
        ("CORS_ORIGINS", "https://app.example.org/page"),
        ("ALLOWED_CLIENT_NETWORKS", "10.0.0.0/40"),
        ("TRUSTED_PROXIES", "proxy.internal"),
        ("MODELS", "{"),
        ("MODELS", '[{"id": "m"}]'),
        ("MODELS", '[{"base_url": "http://m", "protocol": "telepathy"}]'),
    ],
)
def test_a_wrong_value_names_its_setting(name: str, value: str) -> None:
    message = wrong(**{name: value})
    assert message.startswith(f"DEEPANALYZE_{name}")
    assert "\n" not in message


def test_bounds_must_be_in_order_and_defaults_give_way() -> None:
    assert load(POOL_MAX_SIZE=1).pool_min_size == 1
    assert load(QUERY_TIMEOUT_CEILING_S=5).query_timeout_s == 5
    message = wrong(POOL_MIN_SIZE=5, POOL_MAX_SIZE=1)
    assert message == "pool_min_size (5) must not exceed pool_max_size (1)"
    assert "max_result_rows (20) must not exceed" in wrong(MAX_RESULT_ROWS=20, MAX_RESULT_ROWS_CEILING=10)


def test_a_short_admin_key_is_refused() -> None:
    assert wrong(ADMIN_API_KEY="secret") == "DEEPANALYZE_ADMIN_API_KEY: must have at least 16 characters"


def test_no_message_holds_a_secret(tmp_path: Path) -> None:
    (tmp_path / "deepanalyze.toml").write_text(
        'encryption_key = 5\n[[models]]\nbase_url = "http://ada:canary@m"\napi_key = ["canary"]\n'
    )
    message = wrong(ADMIN_API_KEY="canary", MODEL_BASE_URL="http://x:canary@y", MODEL_API_KEY="canary")
    assert "canary" not in message
    assert message.startswith("5 settings are wrong")


def test_one_model_of_the_environment_comes_before_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "deepanalyze.toml").write_text(
        '[[models]]\nid = "big"\nbase_url = "http://big/v1/"\napi_key = "k"\nprotocol = "chat"\n'
        "context_tokens = 32768\nextra_body = { top_k = 20 }\n"
    )
    settings = load(MODEL_BASE_URL="http://127.0.0.1:8000/v1", MODEL_API_KEY="mk", MODEL="DeepAnalyze-8B")
    first, second = settings.configured_models
    assert (first.id, first.base_url, first.protocol) == ("DeepAnalyze-8B", "http://127.0.0.1:8000/v1", None)
    assert (second.base_url, second.extra_body) == ("http://big/v1", {"top_k": 20})
    assert load(MODELS='[{"base_url": "http://m"}]').models == (ModelConfig(base_url="http://m"),)
    assert load(MODEL_BASE_URL="http://m").configured_models[0].id == ""


def models(*tables: dict[str, Any]) -> str:
    return json.dumps([{"base_url": "http://m", **table} for table in tables])


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (
            [{"id": "big", "fallback": ["smal"]}, {"id": "small"}],
            "model 'big' has the fallback 'smal', and no [[models]] table has that id; did you mean 'small'?",
        ),
        ([{"fallback": ["gone"]}], "model '' has the fallback 'gone'"),
        ([{"id": "a", "fallback": ["a"]}], "the fallbacks 'a' -> 'a' lead in a circle"),
        (
            [{"id": "a", "fallback": ["b"]}, {"id": "b", "fallback": ["c"]}, {"id": "c", "fallback": ["a"]}],
            "the fallbacks 'a' -> 'b' -> 'c' -> 'a' lead in a circle",
        ),
        ([{"id": "a", "fallback": ["b", "x"]}, {"id": "b", "fallback": ["a"]}], "'x'"),
        ([{"headers": {"X Team": "canary"}}], "must be the name of an HTTP header"),
        ([{"headers": {"Content-Type": "canary"}}], "is a header that the client sets itself"),
        ([{"headers": {"X-Team": "canary\r\nX-Other: canary"}}], "must be printable ASCII text"),
        ([{"headers": {"X-Team": ["canary"]}}], "should be a valid string"),
        ([{"headers": "canary"}], "should be a valid dictionary"),
        ([{"headers": {"X-Team": 5}}], "should be a valid string"),
        ([{"input_price": -1}], "greater than or equal to 0"),
    ],
)
def test_what_is_wrong_with_a_model_is_told_without_its_secrets(
    tables: list[dict[str, Any]], words: str
) -> None:
    message = wrong(MODELS=models(*tables))
    assert words in message
    assert message.startswith("DEEPANALYZE_MODELS")
    assert "canary" not in message


def test_a_circle_is_told_once() -> None:
    tables = [{"id": "a", "fallback": ["b"]}, {"id": "b", "fallback": ["a"]}]
    assert wrong(MODELS=models(*tables)).count("circle") == 1


def test_fallbacks_that_are_right() -> None:
    tables = [
        {"id": "a", "fallback": ["b", "env", "deepanalyze-profiler"]},
        {"id": "b", "fallback": ["c"]},
        {"id": "c", "fallback": ["env"]},
        {"fallback": ["a"]},
    ]
    settings = load(MODELS=models(*tables), MODEL="env", MODEL_BASE_URL="http://m")
    chains = {model.id: model.fallback for model in settings.configured_models}
    assert fallback_chain("a", chains) == ["b", "c", "env", "deepanalyze-profiler"]
    assert fallback_chain("", chains) == ["a", "b", "c", "env", "deepanalyze-profiler"]
    assert fallback_chain("env", chains) == []


def test_headers_of_models_are_secrets() -> None:
    headers = {"X-Team": "canary-header", "Authorization": "Basic canary-login"}
    settings = load(MODELS=models({"api_key": "canary-key", "headers": headers}))
    assert {"canary-key", "canary-header", "Basic canary-login", "canary-login"} <= set(settings.secrets())
    shown = {e.name: e.value for e in effective_settings(settings)}
    assert shown["models"][0]["headers"] == dict.fromkeys(headers, "********")
    assert "canary" not in repr(shown) + repr(settings)


def test_a_model_needs_its_server() -> None:
    assert wrong(MODEL="m") == "model and model_api_key need model_base_url"


def test_a_broken_file_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text('port = "x\n')
    message = wrong(config=path)
    assert f"{path} is not valid TOML" in message
    assert "line 1" in message
    path.write_bytes(b"port = \xff")
    assert f"{path} is not valid TOML" in wrong(config=path)


def test_a_missing_file_that_was_named_is_an_error(tmp_path: Path) -> None:
    assert "No such file" in wrong(config=tmp_path / "none.toml")
    assert "Is a directory" in wrong(config=tmp_path)


def test_what_is_shown_masks_secrets() -> None:
    models = '[{"base_url": "http://m", "api_key": "canary-0", "extra_body": {"token": "canary"}}]'
    settings = load(ADMIN_API_KEY="canary-" + KEY, MODELS=models)
    shown = {e.name: e.value for e in effective_settings(settings)}
    assert shown["admin_api_key"] == "********"
    assert shown["models"][0]["base_url"] == "http://m"
    assert "canary" not in repr(shown)
    assert "canary" not in repr(settings)


def test_every_setting_is_described_and_has_a_row() -> None:
    rows = {row.name: row for row in settings_reference()}
    assert rows.keys() == Settings.model_fields.keys()
    assert all(row.meaning and row.default for row in rows.values())
    assert rows["max_file_bytes"].default == "100 MiB"
    assert rows["data_dir"].variable == "DEEPANALYZE_DATA_DIR"
    assert "root" not in rows["data_dir"].default


def test_the_urls_host_can_be_reached() -> None:
    assert load().url() == "http://127.0.0.1:8200"
    assert load(PORT=0).url(4321) == "http://127.0.0.1:4321"
    assert load(HOST="0.0.0.0").url() == "http://127.0.0.1:8200"
    assert load(HOST="::1").url() == "http://[::1]:8200"
    assert load(PUBLIC_URL="https://da.example.org/api/").url() == "https://da.example.org/api"


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert load(DATA_DIR="~/data").data_dir == Path("/home/ada/data")
    assert load({"data_dir": Path("data")}).data_dir == tmp_path / "data"


@pytest.mark.parametrize("text", ["/srv/a,/srv/b", "/srv/a:/srv/b", " /srv/a , /srv/b,", "/srv/a::/srv/b"])
def test_the_roots_of_local_files_are_separated_by_commas_or_colons(text: str) -> None:
    assert load(LOCAL_ROOTS=text).local_roots == (Path("/srv/a"), Path("/srv/b"))


def test_the_roots_of_local_files_are_a_list_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "deepanalyze.toml").write_text('local_roots = ["/srv/a, b:c", "~/data"]')
    settings = load()
    assert settings.local_roots == (Path("/srv/a, b:c"), Path.home() / "data")
    (shown,) = (each.value for each in effective_settings(settings) if each.name == "local_roots")
    assert shown == ["/srv/a, b:c", str(Path.home() / "data")]


def test_no_local_files_unless_roots_are_named() -> None:
    assert load().local_roots == ()
    defaults = source_defaults(load(LOCAL_ROOTS="/srv/a"))
    assert defaults.local_roots == (Path("/srv/a"),)
    assert source_defaults(load()).local_roots == ()
    assert source_defaults(load(DATA_DIR="/srv/state")).private_directories == (Path("/srv/state"),)


def test_a_root_of_local_files_is_absolute() -> None:
    assert "DEEPANALYZE_LOCAL_ROOTS.1: must be an absolute path, not 'data'" in wrong(LOCAL_ROOTS="/srv,data")


def test_every_effective_setting_can_be_shown() -> None:
    settings = load(
        ALLOWED_NETWORKS="10.0.0.0/8,*.internal", MODELS='[{"base_url": "http://a/v1", "api_key": "k3y"}]'
    )
    shown = {each.name: each.value for each in effective_settings(settings)}
    assert shown["allowed_networks"] == ["10.0.0.0/8", "*.internal"]
    assert shown["models"][0]["base_url"] == "http://a/v1"
    assert "k3y" not in str(shown)


def test_networks_hosts_and_origins_are_lists_in_their_normal_form() -> None:
    settings = load(
        ALLOWED_HOSTS="DA.example.org., *.internal,[::1]",
        CORS_ORIGINS="https://App.example.org/,http://localhost:3000",
        ALLOWED_CLIENT_NETWORKS="10.1.2.3/8,::1",
        TRUSTED_PROXIES="10.0.0.1",
    )
    assert settings.allowed_hosts == ("da.example.org", "*.internal", "::1")
    assert settings.cors_origins == ("https://app.example.org", "http://localhost:3000")
    assert settings.allowed_client_networks == ("10.0.0.0/8", "::1/128")
    assert settings.trusted_proxies == ("10.0.0.1/32",)
