"""What the configuration file declares: its form, its references, and everything that can be wrong with it."""

from pathlib import Path

import pytest

from deepanalyze.configured import Declarations, load_configuration, read_declarations
from deepanalyze.datasources.plugins import ConnectorTypes
from deepanalyze.errors import ConfigurationError

CANARY = "canary-9f3kQ/long-enough"
SALES = """
[[data_sources]]
name = "sales"
type = "postgresql"
[data_sources.config]
host = "db.internal"
database = "sales"
user = "${env:SALES_USER}"
password = "${env:SALES_PASSWORD}"
"""
ENVIRON = {"SALES_USER": "ada", "SALES_PASSWORD": CANARY, "ADA_KEY": CANARY}


def read(tmp_path: Path, text: str, **environ: str) -> Declarations:
    path = tmp_path / "deepanalyze.toml"
    path.write_text(text)
    return read_declarations(path, ConnectorTypes().connector_class, {**ENVIRON, **environ})


def wrong(tmp_path: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, text, **environ)
    assert CANARY not in str(raised.value)
    assert CANARY not in repr(raised.value.details)
    return [
        str(detail["message"]).replace(f" in {tmp_path}/deepanalyze.toml", "")
        for detail in raised.value.details
    ]


@pytest.mark.requirement("6.1")
def test_sources_are_read_from_the_file_and_their_references_from_the_environment(tmp_path: Path) -> None:
    [source] = read(tmp_path, SALES).sources
    assert (source.name, source.type) == ("sales", "postgresql")
    assert source.config == {"host": "db.internal", "database": "sales", "user": "ada", "password": CANARY}
    assert CANARY not in repr(source)
    assert read(tmp_path, SALES).sources[0].id == source.id  # grants and threads name it after every start


def test_a_reference_to_a_file_and_one_inside_a_text(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("${env:SALES_USER}" + CANARY + "\n")
    text = SALES.replace("${env:SALES_PASSWORD}", f"${{file:{tmp_path}/secret}}").replace(
        "db.", "db-${env:N}."
    )
    [source] = read(tmp_path, text, N="7").sources
    assert source.config["host"] == "db-7.internal"
    # What it stands for is not searched again
    assert source.config["password"] == "${env:SALES_USER}" + CANARY


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("${env:NO_SUCH}", "there is no such variable"),
        ("${env:EMPTY}", "the variable is empty"),
        ("${file:/no/such/file}", "the file cannot be read: No such file or directory"),
        ("${file:secret}", "the path must be absolute"),
        ("${file:/dev/zero}", "is not a regular file"),
        ("${vault:x}", "no such kind of reference; there are ${env:NAME} and ${file:/path}"),
    ],
)
def test_a_reference_that_cannot_be_had_is_named(tmp_path: Path, reference: str, why: str) -> None:
    assert wrong(tmp_path, SALES.replace("${env:SALES_PASSWORD}", reference), EMPTY="") == [
        f"data_sources[0] (sales): config.password: {reference}: {why}"
    ]


def test_a_secret_may_not_stand_in_the_file(tmp_path: Path) -> None:
    [message] = wrong(tmp_path, SALES.replace("${env:SALES_PASSWORD}", CANARY))
    assert message.startswith("data_sources[0] (sales): config.password: a secret may not stand in the file")
    text = f'[[users]]\nname = "ada"\napi_key = "{CANARY}"\n'
    assert "users[0] (ada): api_key: a key may not stand in the file" in wrong(tmp_path, text)[0]


@pytest.mark.requirement("6.4")
def test_everything_wrong_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    text = (
        SALES.replace('"db.internal"', '"db.internal"\nhots = "x"\nport = 99999')
        + '[[data_sources]]\nname = "Lake"\ntype = "azure"\n'
        + '[[data_sources]]\nnmae = "x"\ntype = "postgresql"\n'
        + '[[users]]\nname = "ada"\nrole = "owner"\napi_key = "${env:ADA_KEY}"\n'
        + '[[users]]\nname = "bob"\n'
        + '[[users]]\nname = "eve"\napi_key = "${env:SHORT}"\n'
    )
    messages = wrong(tmp_path, text, SHORT="short")
    expected = [
        "data_sources[0] (sales): config.port: input should be less than",
        "data_sources[0] (sales): config.hots: is not a parameter; did you mean 'host'?",
        "data_sources[1] (Lake): name 'Lake' must begin with a lower-case letter",
        "data_sources[1] (Lake): type: there is no data source type 'azure'",
        "data_sources[2]: name: is required",
        "data_sources[2]: nmae: no such key; did you mean name?",
        "users[0] (ada): role: input should be 'admin' or 'analyst'",
        "users[1] (bob): needs either api_key or api_key_file",
        "users[2] (eve): api_key: a key has at least 16 characters",
    ]
    for start in expected:
        assert any(message.startswith(start) for message in messages), (start, messages)
    assert len(messages) == len(expected)


def test_an_unknown_type_is_told_with_the_nearest(tmp_path: Path) -> None:
    [message] = wrong(tmp_path, '[[data_sources]]\nname = "lake"\ntype = "azure_blobs"\n')
    assert "data_sources[0] (lake): type: there is no data source type 'azure_blobs'; did you mean" in message


def test_names_and_keys_are_of_one_each(tmp_path: Path) -> None:
    users = "".join(f'[[users]]\nname = "{n}"\napi_key = "${{env:ADA_KEY}}"\n' for n in ("ada", "bob", "bob"))
    messages = wrong(tmp_path, SALES + SALES + users)
    assert "data_sources: the name 'sales' is declared twice" in messages
    assert "users: the name 'bob' is declared twice" in messages
    assert "users: 'ada' and 'bob' have the same API key" in messages
    assert wrong(tmp_path, "users = 3")[0] == "users: must be tables, each under [[users]]"


def test_a_users_key_can_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f" {CANARY} \n")
    text = f'[[users]]\nname = "ada"\napi_key_file = "{tmp_path}/key"\n'
    text += 'grants = [{ source = "sales", write = true }]\n'
    [user] = read(tmp_path, text).users
    assert (user.api_key, user.role, user.grants[0].source, user.grants[0].write) == (
        CANARY,
        "analyst",
        "sales",
        True,
    )
    assert CANARY not in repr(user)
    (tmp_path / "key").unlink()
    assert (
        f"users[0] (ada): api_key_file: {tmp_path}/key: the file cannot be read" in wrong(tmp_path, text)[0]
    )


def test_settings_and_declarations_are_told_in_one_error(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text("prot = 1\n" + SALES.replace("sales", "Sales", 1))
    with pytest.raises(ConfigurationError) as raised:
        load_configuration({}, path, environ={"DEEPANALYZE_ENCRYPTION_KEY": "no key"})
    text = str(raised.value)
    assert text.startswith("4 settings are wrong")
    assert "prot in" in text
    assert "name 'Sales'" in text
    assert "${env:SALES_USER}: there is no such variable" in text
    path.write_text("port = ")
    with pytest.raises(ConfigurationError, match="is not valid TOML") as raised:
        load_configuration({}, path, environ={})
    assert len(raised.value.details) == 1
