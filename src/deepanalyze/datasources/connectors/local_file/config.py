"""The configuration of a source of local files: the directory that it is rooted at."""

from __future__ import annotations

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator


class LocalFileConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, populate_by_name=True)

    root: str = Field(
        validation_alias=AliasChoices("root", "path"),
        description="The directory to read, as an absolute path on the server; also accepted as `path`. It has to lie "
        "below one of DEEPANALYZE_LOCAL_ROOTS.",
        examples=["/srv/data/sales"],
    )
    read_only: bool = Field(
        default=True,
        description="Refuses uploads, of which this type has none yet. Downloads and listings never change a file.",
    )

    @field_validator("root")
    @classmethod
    def _root(cls, value: str) -> str:
        if "\x00" in value:
            raise ValueError("holds a NUL character, which no path has")
        if not value.startswith("/"):
            raise ValueError(
                "must be an absolute path, such as /srv/data; `~` and variables are not expanded"
            )
        return value
