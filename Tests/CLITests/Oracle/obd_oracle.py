"""Compares plumb's training rows for the impressions of the Open Bandit Dataset with SQL.

    obd_oracle.py DATA FILE

FILE holds the training rows, made with obd.yaml, whose spine is every sixth of the impressions themselves.
"""

import sys

import duckdb

from point_in_time import HOUR, SESSION, Feature, Oracle, check

CLICKED = {"where": "clicked"}
FEATURES = [
    Feature("impressions", "count", ["10m", "1h", "24h", "lifetime", "today", SESSION], zone="UTC"),
    Feature("clicks", "count", ["1h", "24h", "lifetime", "today", SESSION], zone="UTC", **CLICKED),
    Feature("last_clicked", "last", ["1h", "lifetime"], "clicked"),
    Feature("clicked_at", "max", ["lifetime"], "ts", **CLICKED),
    Feature("propensity", "sum", ["1h", "24h", "lifetime"], "propensity"),
    Feature("clicked_propensity", "mean", ["24h", "lifetime"], "propensity", **CLICKED),
    Feature("spread", "stddev", ["1h", "24h"], "propensity"),
    Feature("low", "min", ["1h", "24h"], "propensity"),
    Feature("p50", "approx_quantile", ["1h", "24h"], "propensity", q=0.5),
    Feature("segments", "count_distinct", ["1h", "24h"], "segment", "not clicked"),
    Feature("ids", "last_k", ["1h"], "impression_id", k=3),
    Feature("click_ids", "last_k", ["lifetime"], "impression_id", k=2, **CLICKED),
    Feature("positions", "histogram", ["1h", "24h"], "position", buckets=[2, 3]),
    Feature("policies", "top_k", ["24h"], "policy", k=2),
    Feature("heat", "decayed_count", ["lifetime"], half_life=6 * HOUR, **CLICKED),
    Feature("idle", "seconds_since_last", ["lifetime"]),
]
FIELDS = ["impression_id", "ts", "policy", "campaign", "item_id", "position", "clicked", "propensity", "segment"]


def ctr(features):
    return [a / b if b else None for a, b in zip(features["clicks_24h"], features["impressions_24h"])]


def main(data, path):
    db = duckdb.connect()
    # One thread reads, so that row numbers are line numbers.
    db.execute("set threads = 1; set timezone = 'UTC'")
    db.execute(f"""
        create table events as
        select row_number() over () as n, * replace (epoch_us(ts::timestamptz) as ts) from read_json(
          '{data}/obd/impressions.ndjson.zst', format = 'newline_delimited', columns = {{impression_id: 'varchar',
          ts: 'varchar', policy: 'varchar', campaign: 'varchar', item_id: 'varchar', position: 'bigint',
          clicked: 'boolean', propensity: 'double', segment: 'varchar'}})""")
    db.execute("create table rows as select n // 6 + 1 as row, ts as t, item_id from events where n % 6 = 1")
    db.execute("reset threads")
    oracle = Oracle(db, FEATURES, {"ctr": ctr})
    differences = check(
        oracle, "training rows of impressions", path, "rows", ["item_id"], kept=[*FIELDS, "as_of", "age_seconds"])
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
