"""Training rows with Polars: polars_rows.py events.ndjson spine.csv out.parquet

The events are sorted once by user and time, as one integer; a binary search finds the places in this order where each
window of a row begins and ends. Counts are differences of places, sums those of running sums. Only the distinct
categories need the events that a row sees one by one.
"""

import sys

import polars as pl
from polars import col

events_path, spine_path, out_path = sys.argv[1:]
hour, day, week = 3_600_000, 86_400_000, 7 * 86_400_000
users = pl.Categorical(pl.Categories("users"))
categories = pl.Categorical(pl.Categories("categories"))
# While it lives, so do the codes of the users.
held = pl.Series([""]).cast(users)


def key(time):
    return col("user_id").cast(users).to_physical().cast(pl.Int64) * (1 << 41) + time


def running(values):
    return pl.concat([pl.Series([0], dtype=values.dtype), values])


schema = {
    "user_id": pl.String, "ts": pl.Int64, "item_id": pl.String, "category": pl.String, "event_type": pl.String,
    "price": pl.Float64, "quantity": pl.Int64,
}
is_purchase = col("event_type") == "purchase"
events = (
    pl.scan_ndjson(events_path, schema=schema)
    .select(
        key(col("ts")).alias("key"), "item_id", col("category").cast(categories),
        (col("event_type") == "click").alias("is_click"),
        pl.when(is_purchase).then(col("price") * col("quantity")).otherwise(0.0).alias("amount"))
    .collect(engine="streaming")
    .sort("key", maintain_order=True)
)
keys = events["key"]
clicks = running(events["is_click"].cum_sum().cast(pl.Int64))
spend = running(events["amount"].cum_sum())
last_click = pl.when("is_click").then(pl.int_range(pl.len())).forward_fill().fill_null(-1)
last_click = running(events.select(last_click).to_series())


def place(time):
    return pl.lit(keys).search_sorted(key(time), side="left").cast(pl.Int64)


spine = pl.read_csv(spine_path).with_row_index("row")
spine = spine.with_columns(
    end=place(col("ts")),
    start_1h=place((col("ts") - hour) // 300_000 * 300_000),
    start_24h=place((col("ts") - day) // hour * hour),
    start_7d=place((col("ts") - week) // hour * hour))
end = spine["end"]
features = {}
for window in ["1h", "24h", "7d"]:
    start = spine[f"start_{window}"]
    features[f"events_{window}"] = end - start
    features[f"clicks_{window}"] = clicks.gather(end) - clicks.gather(start)
    if window != "1h":
        features[f"spend_{window}"] = spend.gather(end) - spend.gather(start)
seen = spine.select("row", "start_24h", pl.int_ranges("start_7d", "end").alias("at")).explode("at").drop_nulls("at")
distincts = (
    seen.with_columns(events["category"].gather(seen["at"]))
    .lazy()
    .group_by("row", "category")
    .agg((col("at").max() >= col("start_24h").first()).alias("is_recent"))
    .group_by("row")
    .agg(col("is_recent").sum().alias("categories_24h"), pl.len().alias("categories_7d"))
    .collect(engine="streaming")
)
click = last_click.gather(end)
rows = spine.with_columns(**features, click=click, item=events["item_id"].gather(click.clip(0)))
(
    rows.join(distincts, on="row", how="left", maintain_order="left")
    .with_columns(col("categories_24h", "categories_7d").fill_null(0))
    .select(
        "user_id", "ts", "label", *features, "categories_24h", "categories_7d",
        pl.when(col("click") >= col("start_7d")).then("item").alias("last_item_7d"),
        (col("clicks_24h") / pl.when(col("events_24h") > 0).then("events_24h")).alias("ctr_24h"))
    .write_parquet(out_path, compression="zstd")
)
