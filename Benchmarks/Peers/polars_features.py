"""Features at the end of a file of events with Polars: polars_features.py events.{ndjson,csv,parquet} out.parquet

A file whose name begins with nested has its fields in objects.
"""

import os
import sys

import polars as pl
from polars import col

events_path, out_path = sys.argv[1:]
hour, day, week = 3_600_000, 86_400_000, 7 * 86_400_000
flat = {
    "user_id": pl.String, "ts": pl.Int64, "item_id": pl.String, "category": pl.String, "event_type": pl.String,
    "price": pl.Float64, "quantity": pl.Int64,
}
if events_path.endswith(".parquet"):
    events = pl.scan_parquet(events_path)
elif events_path.endswith(".csv"):
    events = pl.scan_csv(events_path, schema_overrides=flat)
elif os.path.basename(events_path).startswith("nested"):
    events = pl.scan_ndjson(events_path, schema={
        "ts": pl.Int64, "user": pl.Struct({"id": pl.String}),
        "item": pl.Struct({"id": pl.String, "category": pl.String}),
        "event": pl.Struct({"type": pl.String, "price": pl.Float64, "quantity": pl.Int64}),
    }).select(
        col("user").struct.field("id").alias("user_id"), "ts", col("item").struct.field("id").alias("item_id"),
        col("item").struct.field("category"), col("event").struct.field("type").alias("event_type"),
        col("event").struct.field("price"), col("event").struct.field("quantity"))
else:
    events = pl.scan_ndjson(events_path, schema=flat)
events = events.select(*flat).collect(engine="streaming").lazy()
end = events.select(col("ts").max()).collect().item()
starts = {"1h": (end - hour) // 300_000 * 300_000, "24h": (end - day) // hour * hour, "7d": (end - week) // hour * hour}
is_click = col("event_type") == "click"
amount = pl.when(col("event_type") == "purchase").then(col("price") * col("quantity"))


def within(window):
    return col("ts") >= starts[window]


def clicked(name):
    return col(name).filter(is_click & within("7d"))


# Distinct categories as groups: counting them inside of one takes longer.
categories = (
    events.group_by("user_id", "category")
    .agg(col("ts").max())
    .group_by("user_id")
    .agg(*[within(window).sum().alias(f"categories_{window}") for window in ["24h", "7d"]])
)
(
    events.group_by("user_id")
    .agg(
        *[within(window).sum().cast(pl.Int64).alias(f"events_{window}") for window in starts],
        *[(is_click & within(window)).sum().cast(pl.Int64).alias(f"clicks_{window}") for window in starts],
        *[amount.filter(within(window)).sum().alias(f"spend_{window}") for window in ["24h", "7d"]],
        clicked("item_id").sort_by(clicked("ts")).last().alias("last_item_7d"))
    .join(categories, on="user_id")
    .with_columns((col("clicks_24h") / pl.when(col("events_24h") > 0).then("events_24h")).alias("ctr_24h"))
    .sort("user_id")
    .collect(engine="streaming")
    .write_parquet(out_path, compression="zstd")
)
