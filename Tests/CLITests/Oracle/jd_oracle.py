"""Compares plumb's features of the JD data with SQL.

    jd_oracle.py DATA FOLDER VIEW@TIME...

FOLDER holds, made with jd.yaml, a <view>@<time>.ndjson each (features at a time in milliseconds, or at the end)
and training.ndjson (the rows of jd/requests.csv with all views that they have the columns of).
"""

import json
import sys

import duckdb

from point_in_time import DAY, HOUR, SESSION, Feature, Oracle, check

ALL = ["10m", "1h", "24h", "7d", "30d", "36h", "lifetime", "today", "this_week", "this_month", SESSION]
FEATURES = [
    Feature("events", "count", ALL),
    Feature("utc", "count", ["today", "this_week", "this_month"], zone="UTC"),
    Feature("new_york", "count", ["today", "this_week"], zone="America/New_York"),
    Feature("modelled", "count", ["24h", "30d", "lifetime"], "model_id"),
    Feature("orders", "count", ["24h", "7d", "30d", "today", "lifetime"], where="event_type = 'order'"),
    Feature("models", "sum", ["1h", "24h", "7d", "lifetime", "this_week", SESSION], "model_id", default=0),
    Feature(
        "weight", "sum", ["24h", "30d", "today", "lifetime"], "(model_id::double * 1e-1 + 7e-1)",
        "event_type in ('browse', 'click')"),
    Feature("mean_model", "mean", ["24h", "7d", "this_month"], "model_id"),
    Feature("mean_root", "mean", ["24h", "30d", SESSION], "sqrt(model_id)"),
    Feature("low_model", "min", ["24h", "lifetime"], "model_id"),
    Feature("low_root", "min", ["1h", "30d"], "sqrt(model_id + 1)"),
    Feature("low_brand", "min", ["7d", "today", SESSION], "brand"),
    Feature("high_model", "max", ["36h", "this_week"], "model_id"),
    Feature("high_sku", "max", ["7d", "lifetime"], "sku_id", "event_type <> 'click'"),
    Feature("latest", "max", ["30d", "lifetime"], "ts", "event_type = 'cart_add'"),
    Feature("spread", "variance", ["24h", "30d", "lifetime"], "model_id"),
    Feature("deviation", "stddev", ["7d", "this_month", SESSION], "(model_id::double / 7e0)"),
    Feature("first_sku", "first", ["24h", "lifetime", "today", SESSION], "sku_id"),
    Feature("last_model", "last", ["1h", "7d", "lifetime"], "model_id"),
    Feature("last_brand", "last", ["30d", "this_month"], "brand", "event_type <> 'click'"),
    Feature("first_skus", "first_k", ["7d", "this_week"], "sku_id", k=3),
    Feature("last_skus", "last_k", ["24h", "30d", "lifetime", SESSION], "sku_id", k=5),
    Feature("last_models", "last_k", ["7d", "36h"], "model_id", k=4),
    Feature("skus", "count_distinct", ["1h", "24h", "30d", "today", SESSION], "sku_id"),
    Feature("ids", "count_distinct", ["7d", "lifetime"], "event_id"),
    Feature("median", "approx_quantile", ["24h", "lifetime"], "model_id", q=0.5),
    Feature("p90", "approx_quantile", ["7d", "this_month", SESSION], "sqrt(model_id)", q=0.9),
    Feature("categories", "top_k", ["24h", "30d", "lifetime", SESSION], "category", k=3),
    Feature("top_models", "top_k", ["7d", "this_month"], "model_id", k=20),
    Feature(
        "kinds", "histogram", ["24h", "lifetime", "today"], "event_type", buckets=["browse", "click", "order"]),
    Feature("sizes", "histogram", ["7d", "30d"], "model_id", buckets=[1, 30, 200]),
    Feature("faded", "decayed_sum", ["7d", "lifetime"], "model_id", half_life=DAY),
    Feature(
        "interest", "decayed_count", ["30d", "lifetime", "this_month"], where="event_type in ('cart_add', 'order')",
        half_life=12 * HOUR),
    Feature("idle", "seconds_since_last", ["24h", "lifetime", SESSION]),
    Feature("since_order", "seconds_since_last", ["lifetime"], where="event_type = 'order'"),
]


def order_rate(features):
    return [a / b if b else None for a, b in zip(features["orders_7d"], features["events_7d"])]


def busy(features):
    pairs = zip(features["order_rate"], features["events_1h"])
    return ["new" if rate is None else "busy" if events > 2 else "calm" for rate, events in pairs]


# Entity and filter of each view.
VIEWS = {
    "by_user": (["user_id"], "true"),
    "by_item": (["sku_id"], "true"),
    "by_user_category": (["user_id", "category"], "event_type <> 'follow'"),
}


def labels(db, path):
    """Whether an order of the item by the user follows within 7 days, asked of each request by itself."""
    want = [label for label, in db.execute("""
        select exists (select 1 from events e where e.event_type = 'order' and e.user_id = r.user_id
          and e.sku_id = r.sku_id and e.ts > r.t and e.ts <= r.t + 7 * 86400000000)::bigint
        from requests r order by row""").fetchall()]
    with open(path, encoding="utf-8") as file:
        got = [json.loads(line)["label"] for line in file]
    print(f"labels: {len(got)}, {sum(want)} positive, {sum(a != b for a, b in zip(got, want))} differ", flush=True)
    return [] if got == want and 0 < sum(want) < len(want) else ["label"]


def main(data, folder, tables):
    db = duckdb.connect()
    # One thread reads, so that row numbers are line numbers.
    db.execute("set threads = 1; set timezone = 'UTC'")
    db.execute(f"""
        create table events as
        select row_number() over () as n, * replace (ts * 1000 as ts) from read_json(
          '{data}/jd/events.ndjson.zst', format = 'newline_delimited', columns = {{event_id: 'varchar', ts: 'bigint',
          user_id: 'varchar', sku_id: 'varchar', event_type: 'varchar', category: 'varchar', brand: 'varchar',
          model_id: 'bigint'}})""")
    db.execute(f"""
        create table requests as select row_number() over () as row, user_id, sku_id, time * 1000 as t
        from read_csv('{data}/jd/requests.csv.zst', types = {{'user_id': 'varchar', 'sku_id': 'varchar'}})""")
    db.execute("reset threads")
    oracle = Oracle(db, FEATURES, {"order_rate": order_rate, "busy": busy})
    differences = []
    for table in tables:
        view, time = table.split("@")
        entity, view_filter = VIEWS[view]
        last = f"(select max(ts) from events where {view_filter})" if time == "end" else int(time) * 1000
        columns = ", ".join(entity)
        db.execute(f"""
            create or replace temp table entities as
            select row_number() over (order by concat_ws('|', {columns})) as row, {columns}, {last} as t
            from (select distinct {columns} from events where {view_filter} and ts <= {last})""")
        differences += check(
            oracle, table, f"{folder}/{table}.ndjson", "entities", entity, kept=entity, view_filter=view_filter,
            sees="<=")
    for view in ["by_user", "by_item"]:
        differences += check(
            oracle, f"training rows of {view}", f"{folder}/training.ndjson", "requests", VIEWS[view][0],
            prefix=f"{view}__", kept=[f"{view}__as_of", f"{view}__age_seconds"])
    differences += labels(db, f"{folder}/training.ndjson")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
