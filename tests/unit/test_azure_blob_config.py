# ruff: noqa: E501  the tables read best with a case on each line
from __future__ import annotations

from typing import Any

import pytest

from deepanalyze.datasources.base import DataSourceConfig
from deepanalyze.datasources.connectors.azure_blob import AzureBlobConfig, AzureBlobConnector
from deepanalyze.datasources.connectors.azure_blob.account import SasFacts
from deepanalyze.errors import InvalidRequest
from tests.support.canaries import canary

SECRET = canary("Azure credential")

KEY = "Y2FuYXJ5OiBhIGtleQ=="
SAS = "sv=2024-11-04&sp=rl&se=2030-01-01T00%3A00%3A00Z&sig=Y2FuYXJ5OiBhIHNpZ25hdHVyZQ%3D%3D"
URL = "https://acme.blob.core.windows.net"


def account(**config: Any) -> tuple[str, str | None, str | None, str | None]:
    found = AzureBlobConfig(container_name="sales", **config).account
    key = found.key.get_secret_value() if found.key else None
    sas = found.sas.get_secret_value() if found.sas else None
    return found.endpoint, found.name, key, sas


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"AccountName=acme;AccountKey={KEY}", (URL, "acme", KEY, None)),
        (f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={KEY};EndpointSuffix=core.windows.net", (URL, "acme", KEY, None)),
        (f" accountname=acme ; ACCOUNTKEY={KEY} ;", (URL, "acme", KEY, None)),
        (f"AccountName=acme;AccountKey={KEY};EndpointSuffix=core.chinacloudapi.cn", ("https://acme.blob.core.chinacloudapi.cn", "acme", KEY, None)),
        (f"BlobEndpoint={URL}/;QueueEndpoint=https://acme.queue.core.windows.net/;SharedAccessSignature={SAS}", (URL, "acme", None, SAS)),
        (f"AccountName=acme;SharedAccessSignature=?{SAS}", (URL, "acme", None, SAS)),
        (f"DefaultEndpointsProtocol=http;AccountName=dev;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:10000/dev;", ("http://127.0.0.1:10000/dev", "dev", KEY, None)),
        (f"AccountName=acme;AccountKey={KEY};BlobEndpoint=https://blobs.acme.example", ("https://blobs.acme.example", "acme", KEY, None)),
    ],
)  # fmt: skip
def test_connection_strings(text: str, expected: tuple[str, str, str, str]) -> None:
    assert account(connection_string=text) == expected


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("UseDevelopmentStorage=true", "127.0.0.1"),
        ("usedevelopmentstorage=True;", "127.0.0.1"),
        ("UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite", "azurite"),
    ],
)
def test_the_emulator(text: str, host: str) -> None:
    endpoint, name, key, sas = account(connection_string=text)
    assert (endpoint, name, sas) == (f"http://{host}:10000/devstoreaccount1", "devstoreaccount1", None)
    assert key


@pytest.mark.parametrize(
    ("url", "endpoint", "name"),
    [
        (URL, URL, "acme"),
        (URL + "/", URL, "acme"),
        (f" {URL} ", URL, "acme"),
        (
            "https://acme-secondary.blob.core.windows.net",
            "https://acme-secondary.blob.core.windows.net",
            "acme",
        ),
        ("https://acme.z13.blob.storage.azure.net", "https://acme.z13.blob.storage.azure.net", "acme"),
        ("http://localhost:10000/dev/", "http://localhost:10000/dev", "dev"),
        ("http://azurite:10000/dev", "http://azurite:10000/dev", "dev"),
        ("http://[::1]:10000/dev", "http://[::1]:10000/dev", "dev"),
        ("https://10.0.0.7/dev", "https://10.0.0.7/dev", "dev"),
    ],
)
def test_account_urls(url: str, endpoint: str, name: str) -> None:
    assert account(account_url=url, account_key=KEY) == (endpoint, name, KEY, None)


@pytest.mark.parametrize("token", [SAS, "?" + SAS, f" ?{SAS}\n"])
def test_a_sas_token_with_or_without_its_question_mark(token: str) -> None:
    assert account(account_url=URL, sas_token=token) == (URL, "acme", None, SAS)


def test_a_custom_domain_hides_the_account_which_only_a_key_needs() -> None:
    assert account(account_url="https://blobs.acme.example", sas_token=SAS)[1] is None
    with pytest.raises(ValueError, match="hides the account's name"):
        account(account_url="https://blobs.acme.example", account_key=KEY)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "nothing says how to reach the account"),
        ({"account_url": URL}, "config.account_url: needs one of sas_token, account_key, credential or anonymous"),
        ({"sas_token": SAS}, "config.account_url: is needed beside sas_token"),
        ({"account_key": KEY}, "config.account_url: is needed beside account_key"),
        ({"anonymous": True}, "config.account_url: is needed beside anonymous"),
        ({"account_url": URL, "sas_token": SAS, "account_key": KEY}, "config.account_key: clashes with sas_token"),
        ({"account_url": URL, "account_key": KEY, "credential": "default"}, "config.credential: clashes with account_key"),
        ({"account_url": URL, "anonymous": True, "sas_token": SAS}, "config.anonymous: clashes with sas_token"),
        ({"connection_string": "UseDevelopmentStorage=true", "sas_token": SAS}, "config.sas_token: clashes with connection_string"),
        ({"connection_string": "UseDevelopmentStorage=true", "credential": "default"}, "config.credential: clashes with connection_string"),
        ({"connection_string": "UseDevelopmentStorage=true", "account_url": URL, "account_key": KEY}, "config.account_url: clashes with connection_string"),
        ({"connection_string": " ", "account_url": URL, "sas_token": "", "account_key": ""}, "config.account_url: needs one of"),
        ({"account_url": "http://127.0.0.1:10000/dev", "credential": "default"}, "config.account_url: must begin with https"),
        ({"account_url": URL, "credential": "service_principal"}, "config.tenant_id: is needed"),
        ({"account_url": URL, "client_secret": SECRET, "sas_token": SAS}, "config.client_secret: needs credential"),
        ({"account_url": URL, "sas_token": SAS, "upload_prefix": "out"}, "config.upload_prefix: is for a source that may write"),
        ({"account_url": URL, "sas_token": SAS, "read_only": False, "upload_prefix": "a/../b"}, "config.upload_prefix: must not"),
        ({"account_url": URL, "sas_token": SAS, "allowed_networks": ["10.0.0.0/99"]}, "config.allowed_networks: .*no network"),
        *(
            ({"account_url": url, "anonymous": True}, "config.account_url: account_url must")
            for url in (
                f"https://acme:{SECRET}@acme.blob.core.windows.net",
                f"https://acme.blob.core.windows.net?{SAS}",
                f"https://:@{SECRET}.blob.core.windows.net",
                f"http://127.0.0.1:10000/acme?{SAS}",
                f"http://127.0.0.1:10000/acme&{SAS}",
                f"https://acme.blob.core.windows.net&{SAS}",
                f"https://{SECRET} acme.blob.core.windows.net",
                f"https://127.0.0.1\\{SECRET}.blob.core.windows.net",
            )
        ),
        ({"account_url": URL, "sas_token": SAS, "ca_certificate": "☃"}, "config.ca_certificate: must be .*PEM"),
        ({"account_url": URL, "sas_token": SAS, "ca_certificate": SECRET}, "config.ca_certificate: must be .*PEM"),
        ({"connection_string": f"AccountKey={KEY}"}, "no AccountName"),
        ({"connection_string": "AccountName=acme"}, "neither AccountKey nor SharedAccessSignature"),
        ({"connection_string": f"AccountName=a;AccountKey={KEY};SharedAccessSignature={SAS}"}, "both AccountKey and SharedAccessSignature"),
        ({"connection_string": f"SharedAccessSignature={SAS}"}, "neither BlobEndpoint nor AccountName"),
        ({"connection_string": "AccountName=acme;" + KEY.rstrip("=")}, "part 2 of the connection string"),
        ({"account_url": URL, "account_key": f"{SECRET}, not base64!"}, "not base64"),
        ({"account_url": URL, "sas_token": SECRET}, "no signature"),
        ({"account_url": URL, "sas_token": f"{URL}?{SAS}"}, "a whole URL"),
        ({"account_url": f"{URL}?{SAS}", "sas_token": SAS}, r"must end before '\?'"),
        ({"account_url": f"{URL}/sales", "sas_token": SAS}, "put the container into container_name"),
        ({"account_url": f"https://user:{SECRET}@acme.blob.core.windows.net", "sas_token": SAS}, "must not hold a user name"),
        ({"account_url": "acme.blob.core.windows.net", "sas_token": SAS}, "must be a URL"),
        ({"account_url": "https://[broken", "sas_token": SAS}, "must be a URL"),
        ({"account_url": "http://acme.blob.core.windows.net", "sas_token": SAS}, "must begin with https"),
        ({"account_url": "http://8.8.8.8/acme", "sas_token": SAS}, "must begin with https"),
        ({"account_url": "http://127.0.0.1:10000", "sas_token": SAS}, "must name the account after the host"),
        ({"connection_string": f"DefaultEndpointsProtocol=http;AccountName=acme;AccountKey={KEY}"}, "must begin with https"),
        ({"account_url": URL, "sas_token": SAS, "connect_timeout_s": 0}, "connect_timeout_s"),
        ({"account_url": URL, "sas_token": SAS, "sas_tokn": SECRET}, "did you mean 'sas_token'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_and_no_value_repeated(config: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as raised:
        AzureBlobConnector(DataSourceConfig("s", "azure_blob", "s", {"container": "sales", **config}))
    told = str(raised.value) + repr(raised.value.details)
    assert SECRET not in told
    assert "Y2FuYXJ5" not in told


@pytest.mark.parametrize("name", ["ab", "Sales", "a--b", "-ab", "ab-", "a_b", "a" * 64, "", "a/b", "$other"])
def test_refused_container_names(name: str) -> None:
    with pytest.raises(ValueError, match=r"3 to 63 lower-case"):
        AzureBlobConfig(container_name=name, account_url=URL, sas_token=SAS)


@pytest.mark.parametrize("name", ["abc", "a-b-c", "2024", "$web", "$root", "a" * 63])
def test_accepted_container_names_under_both_keys(name: str) -> None:
    for key in ("container_name", "container"):
        config = AzureBlobConfig.model_validate({key: name, "account_url": URL, "sas_token": SAS})
        assert config.container_name == name


@pytest.mark.parametrize(
    ("config", "way"),
    [
        ({"account_url": URL, "account_key": KEY}, "account_key"),
        ({"account_url": URL, "sas_token": SAS}, "sas"),
        ({"account_url": URL, "credential": "managed_identity", "client_id": "id-1"}, "entra"),
        ({"account_url": "https://blobs.acme.example", "credential": "workload_identity"}, "entra"),
        ({"account_url": URL, "anonymous": True}, "anonymous"),
        ({"connection_string": "UseDevelopmentStorage=true"}, "account_key"),
    ],
)
def test_every_way_in(config: dict[str, Any], way: str) -> None:
    assert AzureBlobConfig(container_name="sales", **config).account.way == way


@pytest.mark.parametrize(
    ("url", "entra"),
    [
        (URL, None),
        ("https://acme.blob.core.chinacloudapi.cn", "https://login.chinacloudapi.cn"),
        ("https://acme.blob.core.usgovcloudapi.net", "https://login.microsoftonline.us"),
    ],
)
def test_sovereign_clouds_have_an_entra_of_their_own(url: str, entra: str | None) -> None:
    config = AzureBlobConfig(container_name="sales", account_url=url, credential="default")
    assert config.account.entra_host == entra


def test_only_administrators_borrow_the_server_s_identity() -> None:
    assert AzureBlobConnector.admin_only_in({"credential": "managed_identity"}) == {"credential"}
    assert not AzureBlobConnector.admin_only_in({"credential": "service_principal"})
    assert not AzureBlobConnector.admin_only_in({"sas_token": SAS})


@pytest.mark.parametrize(
    ("prefix", "kept"), [("out", "out/"), ("out/", "out/"), ("a/b ☃", "a/b ☃/"), (" ", None)]
)
def test_the_upload_prefix_is_a_folder(prefix: str, kept: str | None) -> None:
    config = AzureBlobConfig(
        container_name="sales", account_url=URL, sas_token=SAS, read_only=False, upload_prefix=prefix
    )
    assert config.upload_prefix == kept


def test_secrets_are_hidden_and_parameters_described() -> None:
    config = AzureBlobConfig(container_name="sales", account_url=URL, account_key=KEY)
    assert KEY not in repr(config) + repr(config.account) + str(config.model_dump())
    assert config.read_only is True
    schema = AzureBlobConfig.model_json_schema()
    assert schema["required"] == ["container_name"]
    assert all(field.get("description") for field in schema["properties"].values())


def test_every_example_is_valid() -> None:
    for example in AzureBlobConnector.examples:
        assert AzureBlobConfig.model_validate(example["config"]).account.label in (
            "myaccount",
            "devstoreaccount1",
        )


def test_what_a_sas_says_about_itself() -> None:
    facts = SasFacts.parse("sp=rcwl&st=2024-01-01&se=2030-01-01T00:00:00Z&spr=https&sig=x")
    assert facts.permission_names == ["read", "create", "write", "list"]
    assert (facts.starts_at, facts.expires_at, facts.https_only) == (1704067200, 1893456000, True)
    assert facts.allows("l") is True
    assert facts.allows("d") is False
    held_elsewhere = SasFacts.parse("si=readers&sig=x")
    assert (held_elsewhere.allows("r"), held_elsewhere.expires_at, held_elsewhere.policy) == (
        None,
        None,
        "readers",
    )
    assert SasFacts.parse("se=not-a-date&sig=x").expires_at is None


NOW = 1_735_689_600.0  # 2025-01-01


@pytest.mark.parametrize(
    ("sas", "days", "read_only", "words"),
    [
        ("sp=rl&se=2025-01-04T12:00:00Z", 7, True, ["ends at 2025-01-04 12:00 UTC, in 3.5 days"]),
        ("sp=rl&se=2025-01-04T12:00:00Z", 3, True, []),
        ("sp=rl&se=2025-01-04T12:00:00Z", 0, True, []),
        ("sp=rl&se=2024-12-31", 7, True, []),  # the test itself fails
        ("si=policy", 7, True, []),
        ("sp=racwdl&se=2030-01-01", 7, True, ["may also add, create, write, delete"]),
        ("sp=racwdl&se=2030-01-01", 7, False, []),
    ],
)
def test_what_a_sas_token_s_keeper_is_warned_of(
    sas: str, days: float, read_only: bool, words: list[str]
) -> None:
    told = SasFacts.parse(sas + "&sig=x").warnings(NOW, days, read_only)
    assert len(told) == len(words)
    for warning, expected in zip(told, words, strict=True):
        assert expected in warning
