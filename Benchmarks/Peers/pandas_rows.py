"""Training rows with pandas: pandas_rows.py events.ndjson spine.csv out.parquet

As with Polars: the events sorted once by user and time, as one integer; binary searches for the windows; differences of
running sums. The distinct categories come from a matrix of when each row last saw each category.
"""

import sys

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import json

events_path, spine_path, out_path = sys.argv[1:]
hour, day, week = 3_600_000, 86_400_000, 7 * 86_400_000
schema = pa.schema({
    "user_id": pa.string(), "ts": pa.int64(), "item_id": pa.string(), "category": pa.string(),
    "event_type": pa.string(), "price": pa.float64(), "quantity": pa.int64(),
})
# pandas' own readers of JSON are slower.
options = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
events = json.read_json(events_path, parse_options=options).to_pandas(types_mapper=pd.ArrowDtype)

user, users = pd.factorize(events["user_id"])
key = user.astype(np.int64) * (1 << 41) + events["ts"].to_numpy()
order = np.argsort(key, kind="stable")
key = key[order]
kind = events["event_type"]
is_click = (kind == "click").to_numpy(dtype=bool)[order]
amount = (events["price"] * events["quantity"]).where(kind == "purchase").fillna(0.0).to_numpy(dtype=float)[order]
category = pd.factorize(events["category"])[0][order]
clicks = np.concatenate([[0], np.cumsum(is_click)])
spend = np.concatenate([[0.0], np.cumsum(amount)])
last_click = np.maximum.accumulate(np.where(is_click, np.arange(len(key)), -1))
last_click = np.concatenate([[-1], last_click])

rows = pd.read_csv(spine_path)
time = rows["ts"].to_numpy()
base = pd.Index(users).get_indexer(rows["user_id"]).astype(np.int64)


def place(time):
    return np.where(base < 0, 0, np.searchsorted(key, base * (1 << 41) + time))


end = place(time)
start = {
    "1h": place((time - hour) // 300_000 * 300_000),
    "24h": place((time - day) // hour * hour),
    "7d": place((time - week) // hour * hour),
}
for window, first in start.items():
    rows[f"events_{window}"] = end - first
    rows[f"clicks_{window}"] = clicks[end] - clicks[first]
    if window != "1h":
        rows[f"spend_{window}"] = spend[end] - spend[first]
count = end - start["7d"]
row = np.repeat(np.arange(len(rows)), count)
at = np.arange(len(row)) - np.repeat(np.cumsum(count) - count - start["7d"], count)
last = np.full((len(rows), category.max() + 1), -1)
# Of several events of a row and category the last one stays, which is the latest.
last[row, category[at]] = at
for window in ["24h", "7d"]:
    rows[f"categories_{window}"] = (last >= start[window][:, None]).sum(axis=1)
click = last_click[end]
item = events["item_id"].take(order[np.maximum(click, 0)]).reset_index(drop=True)
rows["last_item_7d"] = item.where(click >= start["7d"])
rows["ctr_24h"] = rows["clicks_24h"] / rows["events_24h"].where(rows["events_24h"] > 0)
rows.to_parquet(out_path, compression="zstd", index=False)
