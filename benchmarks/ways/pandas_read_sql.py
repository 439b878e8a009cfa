from __future__ import annotations

import os

import pandas as pd
import psycopg
from sqlalchemy import create_engine

from benchmarks.ways.inside import measured

engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(os.environ["BENCH_DSN"]))
with measured():
    pd.read_sql("SELECT * FROM bench", engine).to_csv(os.environ["BENCH_OUT"], index=False)
