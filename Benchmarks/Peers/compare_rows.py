"""Compares training rows, or features by user: compare_rows.py expected.parquet other.parquet...

Every row and every column of the others is compared with the expected file's: doubles to 12 digits, since sums were
added in another order, everything else exactly.
"""

import sys

import numpy as np
import pandas as pd



def read(path):
    rows = pd.read_parquet(path)
    # Features are in the order that each program wrote them in.
    return rows if "ts" in rows else rows.sort_values("user_id", ignore_index=True)


expected = read(sys.argv[1])
if "ts" in expected:
    expected["ts"] = expected["ts"].dt.tz_localize(None).astype("datetime64[ms]").astype("int64")
for path in sys.argv[2:]:
    other = read(path)
    missing = set(expected.columns) - set(other.columns) - {"as_of", "age_seconds"}
    if missing or len(other) != len(expected):
        sys.exit(f"{path}: {len(other)} rows instead of {len(expected)}, missing columns {sorted(missing)}")
    for name in other.columns:
        left, right = expected[name], other[name]
        if pd.api.types.is_numeric_dtype(left):
            left, right = left.to_numpy(dtype=float, na_value=np.nan), right.to_numpy(dtype=float, na_value=np.nan)
            same = np.isclose(left, right, rtol=1e-12, atol=1e-8, equal_nan=True)
        else:
            same = (left == right).fillna(False) | (left.isna() & right.isna())
        if not np.all(same):
            row = int(np.argmin(same))
            sys.exit(f"{path}: row {row}, column {name}: {right[row]!r} instead of {left[row]!r}")
print(f"{len(expected)} rows of {len(sys.argv) - 1} files are the same")
