"""The table of what has happened, three ways to make training rows of the same requests, and whether every claim has held."""
import datetime
import json
import os
import shutil
import sys

import numpy
import pyarrow
import pyarrow.parquet

import train
from shop import COLLECTED, END, SHIFTED, START

HOUR = datetime.timedelta(hours=1)
with open(os.path.join(train.WORK, "told.json")) as told:
    TOLD = json.load(told)
claims = []


def claim(text, holds):
    claims.append(bool(holds))
    print(f"{'held    ' if holds else 'NOT HELD'}  {text}")


def line(phase, at, what):
    known = [quality for quality in TOLD["quality"] if datetime.datetime.fromisoformat(quality["at"]) <= at][-1]
    numbers = [known[name] or 0 for name in ("model_quality__auc_6h", "model_inputs__expected_auc_6h", "model_quality__calibration_6h")]
    print(f"{phase:<22}{known['version']:<7}{numbers[0]:.3f}  {numbers[1]:.3f}     {numbers[2]:.3f}        {what}")
    return numbers[0]


def skew():
    """One set of requests, and three ways to join their features: as served, as happened until then, and as they were that midnight."""
    end = COLLECTED - 3 * HOUR
    learned, after = train.served(START + HOUR, end), train.served(COLLECTED, SHIFTED - HOUR)
    microseconds = learned["requested_at"].cast("int64").to_numpy()
    day = 86_400_000_000
    spine = learned.select(["request_id", "row", "requested_at", "user_id", "category", "item_id", "label"]).append_column(
        "ts", pyarrow.array(microseconds // 1000)).append_column("midnight", pyarrow.array((microseconds // day + 1) * day // 1000))
    path = os.path.join(train.WORK, "spine.parquet")
    pyarrow.parquet.write_table(spine, path)
    sets = {"as served": learned}
    for name, time in (("as happened", "ts"), ("naive: of that midnight", "midnight")):
        out = os.path.join(train.WORK, time + ".parquet")
        train.plumb("training-set", "-d", train.DEFINITIONS, "--service", "ranking", "--as", "happened", "--spine", path, "--spine-time",
                    time, "--out", out)
        sets[name] = train.read(out, START, END)
    print(f"{'training rows':<26}{'differ in':>10}{'promised AUC':>14}{'AUC as served':>15}")
    found = []
    for name, table in sets.items():
        cut = table.num_rows * 3 // 4
        different = sum((~numpy.equal(a, b) & ~(numpy.isnan(a) & numpy.isnan(b))).any() for a, b in zip(train.matrix(table), train.matrix(learned)))
        promised = train.auc(train.fit(table.slice(0, cut)), table.slice(cut))
        found.append(train.auc(train.fit(table), after))
        print(f"{name:<26}{different / table.num_rows:>10.1%}{promised:>14.3f}{found[-1]:>15.3f}")
    return found


def recomputed():
    """Of the scores that were sent: how many come out of the log of answers again, how many are others, and how many have no answer there."""
    scores, table = {}, train.served(START, END)
    names = [f"{request}.{row}" for request, row in zip(table["request_id"].to_pylist(), table["row"].to_pylist())]
    for number in (name for name in os.listdir(train.MODELS) if name.isdigit()):
        model, about = train.load(os.path.join(train.MODELS, number))
        scores[about["version"]] = dict(zip(names, model.predict(train.matrix(table))))
    again = [(scores[version].get(name), score) for name, (version, score) in TOLD["scores"].items()]
    missing = sum(score is None for score, _ in again)
    return len(again) - missing, sum(a is not None and a != b for a, b in again), missing


def is_refused():
    """Whether a model that was trained on other definitions is."""
    directory = os.path.join(train.WORK, "foreign")
    shutil.copytree(os.path.join(train.MODELS, "1"), directory, dirs_exist_ok=True)
    with open(os.path.join(directory, "about.json"), "w") as file:
        json.dump(promised | {"fingerprint": "0" * 16}, file)
    try:
        return train.load(directory) is None
    except ValueError:
        return True


print(f"{'until':<22}{'model':<7}AUC    expected  calibration  what has happened")
promised = json.load(open(os.path.join(train.MODELS, "1", "about.json")))
before = line(f"{SHIFTED:%a %H:%M}", SHIFTED, f"trained on {promised['rows']} rows as served; held out: {promised['auc']:.3f}")
for firing in TOLD["triggers"]:
    answer, at = firing["answer"], datetime.datetime.fromisoformat(firing["seen"])
    worse = line(f"{at:%a %H:%M}", at, f"tastes have changed at {SHIFTED:%a %H:%M}; trigger {firing['trigger']} fired for {firing['at'][11:16]}; "
                 f"{answer['version']} trained: {answer['auc']:.3f}, champion {answer['champion_auc']:.3f}")
last = line(f"{END:%a %H:%M}", END, "promoted")
print()
served, happened, naive = skew()
print()
rows, differing, missing = recomputed()
claim(f"{rows} scores computed again from the logged answers, {differing} differ; {missing} answers weren't logged",
      rows > 0 and differing == 0 and missing <= rows / 100)
claim(f"trigger worse has fired once, not more: {[firing['at'] for firing in TOLD['triggers']]}", len(TOLD["triggers"]) == 1)
claim("and because the tastes had changed", all(datetime.datetime.fromisoformat(firing["at"]) > SHIFTED for firing in TOLD["triggers"]))
claim("the AUC had fallen by 0.05 or more", TOLD["triggers"] and worse < before - 0.05)
claim("the challenger has beaten the champion and is live", TOLD["quality"][-1]["version"] == "v2")
claim("the AUC has come back by more than half of what it had fallen", TOLD["triggers"] and last - worse > (before - worse) / 2)
claim("a model of other definitions is refused", is_refused())
claim("a model that is trained on rows as served is better than one of a naive join", served > naive)
print(f"\n{TOLD['requests']} requests, {TOLD['milliseconds']:.1f} ms each for features and scores; all of it in {sys.argv[1]} s")
sys.exit(0 if all(claims) else 1)
