"""The events of a file in other forms: write_forms.py events.ndjson folder

Writes events.csv, events.parquet (as DuckDB writes it by default) and nested.ndjson, whose fields are in objects by what
they are about.
"""

import sys

import duckdb

events, folder = sys.argv[1:]
db = duckdb.connect()
db.execute(f"""
create view events as
select * from read_json('{events}', format = 'newline_delimited', columns = {{
  event_id: 'varchar', ts: 'bigint', user_id: 'varchar', item_id: 'varchar', category: 'varchar', event_type: 'varchar',
  price: 'double', quantity: 'bigint', session_id: 'varchar'}})
""")
db.execute(f"copy events to '{folder}/events.csv' (header)")
db.execute(f"copy events to '{folder}/events.parquet' (format parquet)")
db.execute(f"""
copy (
  select event_id, ts, {{id: user_id, session: session_id}} as user, {{id: item_id, category: category}} as item,
    {{type: event_type, price: price, quantity: quantity}} as event
  from events
) to '{folder}/nested.ndjson' (format json)
""")
