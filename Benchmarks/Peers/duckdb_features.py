"""Features at the end of a file of events with DuckDB: duckdb_features.py events.{ndjson,csv,parquet} out.parquet

A file whose name begins with nested has its fields in objects.
"""

import os
import sys

import duckdb

events, out = sys.argv[1:]
hour, day, week = 3_600_000, 86_400_000, 7 * 86_400_000
flat = """user_id: 'varchar', ts: 'bigint', item_id: 'varchar', category: 'varchar', event_type: 'varchar',
  price: 'double', quantity: 'bigint'"""
nested = """ts: 'bigint', user: 'struct(id varchar)', item: 'struct(id varchar, category varchar)',
  event: 'struct("type" varchar, price double, quantity bigint)'"""
columns = "user_id, ts, item_id, category, event_type, price, quantity"
if events.endswith(".parquet"):
    source = f"read_parquet('{events}')"
elif events.endswith(".csv"):
    # Types of the columns that are read; as texts the others cost nothing to guess.
    source = f"read_csv('{events}', header = true, all_varchar = false, types = {{ {flat} }})"
elif os.path.basename(events).startswith("nested"):
    source = f"read_json('{events}', format = 'newline_delimited', columns = {{ {nested} }})"
    columns = """"user".id as user_id, ts, item.id as item_id, item.category as category, event.type as event_type,
      event.price as price, event.quantity as quantity"""
else:
    source = f"read_json('{events}', format = 'newline_delimited', columns = {{ {flat} }})"
db = duckdb.connect()
db.execute(f"create temp table events as select {columns} from {source}")
(end,) = db.execute("select max(ts) from events").fetchone()
start_1h = (end - hour) // 300_000 * 300_000
start_24h, start_7d = (end - day) // hour * hour, (end - week) // hour * hour
db.execute(f"""
copy (
  select user_id,
    count(*) filter (ts >= {start_1h}) as events_1h,
    count(*) filter (ts >= {start_24h}) as events_24h,
    count(*) filter (ts >= {start_7d}) as events_7d,
    count(*) filter (event_type = 'click' and ts >= {start_1h}) as clicks_1h,
    count(*) filter (event_type = 'click' and ts >= {start_24h}) as clicks_24h,
    count(*) filter (event_type = 'click' and ts >= {start_7d}) as clicks_7d,
    coalesce(sum(price * quantity) filter (event_type = 'purchase' and ts >= {start_24h}), 0) as spend_24h,
    coalesce(sum(price * quantity) filter (event_type = 'purchase' and ts >= {start_7d}), 0) as spend_7d,
    count(distinct category) filter (ts >= {start_24h}) as categories_24h,
    count(distinct category) filter (ts >= {start_7d}) as categories_7d,
    arg_max(item_id, ts) filter (event_type = 'click' and ts >= {start_7d}) as last_item_7d,
    clicks_24h / nullif(events_24h, 0) as ctr_24h
  from events group by user_id order by user_id
) to '{out}' (format parquet, compression zstd)
""")
