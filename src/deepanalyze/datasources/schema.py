"""From a config's dict to its validated model and back, with the secrets apart."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import AliasChoices, BaseModel, SecretBytes, SecretStr, ValidationError

from deepanalyze.datasources.masking import is_secret_name, mask_text
from deepanalyze.errors import InvalidRequest

M = TypeVar("M", bound=BaseModel)


class FieldError(ValueError):
    """Raised by a validator of the whole model when one field is at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def validate_config(model: type[M], config: Mapping[str, Any], *, param: str = "config") -> M:
    """Raises InvalidRequest with one entry in `details` for every field at fault; no entry holds a value."""
    try:
        return model.model_validate(dict(config))
    except ValidationError as error:
        details = [_problem(model, problem, param) for problem in error.errors(include_url=False)]
        first = "; ".join(f"{d['param']}: {d['message']}" for d in details)
        raise InvalidRequest(
            f"the configuration is not valid: {first}", param=details[0]["param"], details=details
        ) from None


def _problem(model: type[BaseModel], problem: Mapping[str, Any], param: str) -> dict[str, Any]:
    location = [str(part) for part in problem["loc"]]
    path = ".".join([param, *location])
    if problem["type"] == "extra_forbidden":
        return {"param": path, "message": _unknown_field(model, location)}
    if problem["type"] == "missing":
        field = _field(model, location)
        described = f": {field.description}" if field is not None and field.description else ""
        return {"param": path, "message": f"is required{described}"}
    raised = problem.get("ctx", {}).get("error")
    if isinstance(raised, FieldError):
        path = f"{path}.{raised.field}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return {
        "param": path,
        "message": message[:1].lower() + message[1:] if message[1:2].islower() else message,
    }


def _field(model: type[BaseModel], location: list[str]) -> Any:
    return model.model_fields.get(location[0]) if len(location) == 1 else None


def _unknown_field(model: type[BaseModel], location: list[str]) -> str:
    owner = model
    for part in location[:-1]:
        owner = _nested(owner, part) or owner
    close = difflib.get_close_matches(location[-1].lower(), list(owner.model_fields), n=1, cutoff=0.6)
    if close:
        return f"is not a parameter; did you mean {close[0]!r}?"
    return f"is not a parameter; known are {', '.join(owner.model_fields)}"


def _nested(model: type[BaseModel], field: str) -> type[BaseModel] | None:
    info = model.model_fields.get(field)
    candidates = [] if info is None else [info.annotation, *get_args(info.annotation)]
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def canonical_names(model: type[BaseModel] | None, config: Mapping[str, Any]) -> dict[str, Any]:
    """With the fields' own names in place of their aliases."""
    own: dict[str, str] = {}
    for name, field in (model.model_fields if model else {}).items():
        alias = field.validation_alias
        others = alias.choices if isinstance(alias, AliasChoices) else [alias] if alias else []
        own |= {other: name for other in others if isinstance(other, str)}
    return {own.get(name, name): value for name, value in config.items()}


def split_secrets(
    model: type[BaseModel] | None, config: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The config without its secrets, as plain JSON, and the secrets by their dotted path.

    With a model the secrets are its `SecretStr` fields (and the config is validated); without one, the texts
    that are secrets by their names or hold one.
    """
    if model is None:
        return _take(copy.deepcopy(dict(config)), config, _named_secret, ())
    validated = validate_config(model, config)
    values = validated.model_dump(exclude_unset=True, by_alias=False)
    return _take(validated.model_dump(mode="json", exclude_unset=True), values, _typed_secret, ())


def merge_secrets(config: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    merged = copy.deepcopy(dict(config))
    for path, value in secrets.items():
        *parents, last = path.split(".")
        place = merged
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = value
    return merged


def _typed_secret(_: str, value: Any) -> str | None:
    if isinstance(value, SecretBytes):
        return value.get_secret_value().decode()
    return value.get_secret_value() if isinstance(value, SecretStr) else None


def _named_secret(name: str, value: Any) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return value if is_secret_name(name) or mask_text(value) != value else None


def _take(
    public: dict[str, Any], values: Mapping[str, Any], secret_of: Any, above: Iterable[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Moves the secrets found in `values` out of `public`, which has the same shape."""
    secrets: dict[str, str] = {}
    for name, value in values.items():
        path = (*above, str(name))
        secret = secret_of(str(name), value)
        if secret is not None:
            del public[name]
            secrets[".".join(path)] = secret
        elif isinstance(value, Mapping):
            secrets |= _take(public[name], value, secret_of, path)[1]
    return public, secrets
