"""Applies a repository that `plumb feast export` wrote, and reads the export through its service.

    feast_repository_check.py REPOSITORY EXPORT

Feast's point-in-time join must find, for a row of a user, an item and a time, the last snapshots that were committed by then.
"""

import os
import subprocess
import sys

import pandas
from feast import FeatureStore

USER = ["events_1h", "last_24h"]
ITEM = ["events_lifetime", "quantity_lifetime", "buyers_lifetime"]


def apply(repository):
    feast = os.path.join(os.path.dirname(sys.executable), "feast")
    done = subprocess.run([sys.executable, feast, "apply"], cwd=repository, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"feast apply: {done.stdout}{done.stderr}")


def plain(value):
    return value.tolist() if hasattr(value, "tolist") else value


def last(table, key, entity, time, names):
    """What the last snapshots of an entity hold: several, if they were committed in one millisecond."""
    rows = table[(table[key] == entity) & (table["committed_at"] <= time)]
    rows = rows[rows["committed_at"] == rows["committed_at"].max()]
    return [[plain(row[name]) for name in names] for row in rows.to_dict("records")]


def described(store, problems):
    view, service = store.get_feature_view("users"), store.get_feature_service("ranker")
    told = (view.owner, view.description, view.tags, service.owner, service.description)
    if told != ("data-team", 'Users "as they are"\n\\', {"tier": "gold"}, "search-team", "Ranks items."):
        problems.append(f"told: {told}")
    field = {field.name: field for field in view.schema}["events_1h"]
    if field.description != "Events of any kind.":
        problems.append(f"events_1h: {field.description}")
    if [entity.join_key for entity in store.list_entities() if entity.name == "user"] != ["user"]:
        problems.append(f"entities: {store.list_entities()}")


def main(repository, export):
    apply(repository)
    store = FeatureStore(repo_path=repository)
    problems = []
    described(store, problems)
    users = pandas.read_parquet(f"{export}/view=users")
    items = pandas.read_parquet(f"{export}/view=items")
    # Feast loses rows whose entities have no snapshot yet: ask late, and at the very end.
    times = sorted(users["committed_at"])[len(users) // 2 :: 7] + [users["committed_at"].max()]
    pairs = [
        (user, item, time)
        for index, time in enumerate(times)
        for user in users[users["committed_at"] <= time]["user"].unique()[index % 3 :: 11]
        for item in items[items["committed_at"] <= time]["item"].unique()[index % 3 :: 11]
    ][:600]
    # Feast takes rows of one user and one time for one row, whatever their items are: each has a time of its own.
    asked = [
        (user, item, time + pandas.Timedelta(microseconds=index)) for index, (user, item, time) in enumerate(pairs)]
    frame = pandas.DataFrame(asked, columns=["user", "item", "event_timestamp"])
    table = store.get_historical_features(
        entity_df=frame, features=store.get_feature_service("ranker"), full_feature_names=True).to_df()
    seen = set()
    for row in table.to_dict("records"):
        key = (row["user"], row["item"], row["event_timestamp"])
        seen.add(key)
        got = [plain(row[f"users__{name}"]) for name in USER]
        if got not in last(users, "user", key[0], key[2], USER):
            problems.append(f"users of {key}: {got}")
        got = [plain(row[f"items__{name}"]) for name in ITEM]
        if got not in last(items, "item", key[1], key[2], ITEM):
            problems.append(f"items of {key}: {got}")
    missing = set(asked) - seen
    if missing:
        problems.append(f"{len(missing)} rows are missing, such as {next(iter(missing))}")
    print(f"feast: {len(seen)} rows compared, {len(problems)} problems")
    for problem in problems[:3]:
        print(f"  {problem}")
    return 1 if problems or len(seen) < 10 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
