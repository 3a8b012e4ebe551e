"""Reads an export through Feast's get_historical_features, and compares the rows with the snapshot topic.

    feast_check.py FOLDER TAIL

At a snapshot's own as_of no window has moved, so Feast's point-in-time join must find the values that the snapshot holds.
"""

import json
import sys
import tempfile
from datetime import datetime, timedelta

import pandas
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Array, Int64, String

FIELDS = {"events_1h": Int64, "events_lifetime": Int64, "last_24h": Array(String), "total_lifetime": Int64}


def store(folder, state):
    config = RepoConfig(
        project="shop", registry=f"{state}/registry.db", provider="local", entity_key_serialization_version=3,
        offline_store={"type": "dask"}, online_store={"type": "sqlite", "path": f"{state}/online.db"})
    user = Entity(name="user", join_keys=["user"], value_type=ValueType.STRING)
    source = FileSource(
        path=f"{folder}/view=users", timestamp_field="as_of", created_timestamp_column="committed_at")
    view = FeatureView(
        name="users", entities=[user], ttl=timedelta(days=3650), source=source,
        schema=[Field(name=name, dtype=type) for name, type in FIELDS.items()])
    store = FeatureStore(config=config)
    store.apply([user, view])
    return store


def expected(path):
    """The snapshots that are their user's only ones at their as_of: of several, Feast's join (dask) takes any, since its
    second sort does not keep the order of the first."""
    snapshots = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if row["view"] == "users" and "features" in row:
                snapshots.setdefault((row["entity"]["user"], row["as_of"]), []).append(row["features"])
    return {key: rows[0] for key, rows in snapshots.items() if len(rows) == 1}


def main(folder, path):
    want = expected(path)
    rows = pandas.DataFrame({
        "user": [user for user, _ in want],
        "event_timestamp": pandas.to_datetime([datetime.fromisoformat(as_of) for _, as_of in want], utc=True),
        "as_of_text": [as_of for _, as_of in want],
    })
    with tempfile.TemporaryDirectory() as state:
        features = [f"users:{name}" for name in FIELDS]
        table = store(folder, state).get_historical_features(entity_df=rows, features=features).to_df()
    problems = []
    for row in table.to_dict("records"):
        got = {name: row[name].tolist() if hasattr(row[name], "tolist") else row[name] for name in FIELDS}
        if got != want[row["user"], row["as_of_text"]]:
            problems.append(f"{row}: expected {want[row['user'], row['as_of_text']]}")
    if len(table) != len(want):
        problems.append(f"{len(table)} rows instead of {len(want)}")
    print(f"feast: {len(table)} rows compared, {len(problems)} problems")
    for problem in problems[:3]:
        print(f"  {problem}")
    return 1 if problems or not want else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
