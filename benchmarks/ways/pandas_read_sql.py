from __future__ import annotations

from pathlib import Path

import pandas as pd
import psycopg
from sqlalchemy import create_engine

from benchmarks.ways.query import DSN, FORMAT, measure

engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(DSN))


def transfer(query: str, file: Path) -> None:
    frame = pd.read_sql(query, engine)
    if FORMAT == "parquet":
        frame.to_parquet(file, compression="zstd", compression_level=1, use_dictionary=False)
    else:
        frame.to_csv(file, index=False)


measure(transfer)
