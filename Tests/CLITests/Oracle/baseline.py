"""Training sets, and what numpy and scikit-learn say of them."""

import json
import sys
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score


def table(seed=7, rows=5000):
    random = np.random.default_rng(seed)
    score = random.beta(2, 12, rows)
    price = np.round(random.lognormal(3, 1, rows), 2)
    country = random.choice(["de", "fr", 'q"é'] + [f"c{i}" for i in range(80)], rows, p=[0.4, 0.2] + [0.4 / 81] * 81)
    return pa.table({
        "label": pa.array(random.random(rows) < score),
        "score": pa.array(score),
        "users__clicks_1h": pa.array(random.poisson(0.7, rows)),
        "price": pa.array([None if i % 9 == 0 else float(x) for i, x in enumerate(price)], pa.float64()),
        "country": pa.array([None if i % 50 == 0 else str(x) for i, x in enumerate(country)]),
        "is_new": pa.array([i % 3 == 0 for i in range(rows)]),
        "at": pa.array([1_700_000_000_000_000 + i for i in range(rows)], pa.timestamp("us", tz="UTC")),
        "tags": pa.array([["a"]] * rows),
        "nothing": pa.array([None] * rows, pa.float64()),
        "target": pa.array(score * 10 + 1),
    })


def write(path):
    pq.write_table(table(), path)


def compare(path):
    """Counts for itself in the file's bins, and measures for itself."""
    found, data = json.load(open(path)), table()
    assert found["rows"] == data.num_rows
    assert sorted(found["columns"]) == ["country", "is_new", "price", "score", "target", "users__clicks_1h"]
    for name, column in found["columns"].items():
        values = data[name].to_pylist()
        held = [value for value in values if value is not None]
        assert column["nulls"] == len(values) - len(held), name
        if "edges" in column:
            borders = [-np.inf] + column["edges"] + [np.inf]
            assert np.histogram(np.array(held, float), borders)[0].tolist() == column["counts"], name
            assert sum(count > 0 for count in column["counts"]) > 3
        else:
            counts = Counter(str(value).lower() if isinstance(value, bool) else value for value in held)
            ranked = sorted(counts, key=lambda value: (-counts[value], value.encode()))[:50]
            assert ranked == column["categories"], name
            assert [counts[value] for value in ranked] + [sum(counts.values()) - sum(counts[v] for v in ranked)] == column["counts"]
    assert len(found["columns"]["country"]["categories"]) == 50
    # Quantiles of numbers that hardly repeat: 20 bins that are equally full.
    assert len(found["columns"]["score"]["counts"]) == 20 and set(found["columns"]["score"]["counts"]) == {250}
    y, p = np.array(data["label"]), np.array(data["score"])
    measures = found["measures"]
    assert abs(measures["auc"] - roc_auc_score(y, p)) <= measures["auc_bound"]
    assert abs(measures["log_loss"] - log_loss(y, p)) <= 1e-9
    assert abs(measures["brier"] - brier_score_loss(y, p)) <= 1e-9
    assert abs(measures["calibration"] - p.sum() / y.sum()) <= 1e-9
    assert "expected_auc" in measures and "pr_auc" in measures


def compare_numbers(path):
    measures, data = json.load(open(path))["measures"], table()
    errors = np.array(data["score"]) - np.array(data["target"])
    expected = {"mae": np.abs(errors).mean(), "rmse": np.sqrt((errors**2).mean()), "bias": errors.mean()}
    assert measures.keys() == expected.keys()
    for name, value in expected.items():
        assert abs(measures[name] - value) <= 1e-9, name


def write_broken(folder):
    pq.write_table(pa.table({"label": [0, 1], "score": [0.5, 3.5], "text": ["a", "b"]}), f"{folder}/odds.parquet")
    pq.write_table(pa.table({"label": [None, 1], "score": [0.5, None]}, pa.schema([("label", pa.int64()), ("score", pa.float64())])), f"{folder}/apart.parquet")
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), f"{folder}/empty.parquet")
    pq.write_table(pa.table({"at": pa.array([1], pa.timestamp("us"))}), f"{folder}/times.parquet")


if __name__ == "__main__":
    {"check": lambda: None, "write": write, "compare": compare, "compare_numbers": compare_numbers,
     "write_broken": write_broken}[sys.argv[1]](*sys.argv[2:])
