"""Trains a click model on what was served, and makes it the live one if it is better than that."""
import datetime
import json
import os
import shutil
import subprocess
import sys

import lightgbm
import numpy
import pyarrow
import pyarrow.parquet
from scipy.stats import rankdata

DEFINITIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "features.yaml")
WORK = os.environ["PLUMB_CTR_WORK"]
MODELS = os.path.join(WORK, "models", "ranker")
LIVE = os.path.join(MODELS, "live")
LABEL = ["--label", "event_type = 'click'", "--label-source", "clicks", "--within", "30m", "--on", "user_id,item_id"]
# Two runs on two machines make one model.
PARAMETERS = dict(objective="binary", learning_rate=0.1, num_leaves=6, min_data_in_leaf=100, lambda_l2=10, verbosity=-1, seed=1,
                  deterministic=True, force_row_wise=True, num_threads=1)


def plumb(*arguments):
    done = subprocess.run([os.environ["PLUMB"], *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"plumb {arguments[0]}: {done.stderr}")
    return done.stdout


def read(path, start, end):
    """The rows of a training set between two times, in an order of their own."""
    table = pyarrow.parquet.read_table(path)
    times = table["requested_at"].cast("int64").to_numpy()
    within = (times >= start.timestamp() * 1e6) & (times < end.timestamp() * 1e6)
    return table.filter(pyarrow.array(within)).sort_by([(name, "ascending") for name in ("requested_at", "request_id", "row")])


def served(start, end):
    """What the service has answered, row by row, with what came of it: nothing is computed again, so nothing can differ."""
    path = os.path.join(WORK, "served.parquet")
    plumb("training-set", "-d", DEFINITIONS, "--from", "served", "--service", "ranking", *LABEL, "--out", path)
    return read(path, start, end)


def features(table):
    return [name for name in table.column_names if "__" in name]


def matrix(table):
    return numpy.column_stack([table[name].cast("double").to_numpy() for name in features(table)])


def fit(table):
    data = lightgbm.Dataset(matrix(table), table["label"].cast("int64").to_numpy(), feature_name=features(table))
    return lightgbm.train(PARAMETERS, data, num_boost_round=50)


def auc(model, table):
    label, ranks = table["label"].cast("int64").to_numpy(), rankdata(model.predict(matrix(table)))
    positives = int(label.sum())
    return float((ranks[label == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(label) - positives)))


def fingerprint():
    return plumb("check", "-d", DEFINITIONS).split("fingerprint ")[1].split()[0]


def load(directory):
    """A model, and what is known of it. One of other definitions is refused: its features would be others of the same names."""
    with open(os.path.join(directory, "about.json")) as file:
        about = json.load(file)
    if about["fingerprint"] != fingerprint():
        raise ValueError(f"{directory} was trained on definitions {about['fingerprint']}, and {DEFINITIONS} are {fingerprint()}: "
                         "train it anew")
    return lightgbm.Booster(model_file=os.path.join(directory, "model.txt")), about


def train(start, until, trigger):
    """A directory with a model, which is made at once and never changed."""
    known = [str(number) for number in range(1, 1000) if os.path.isdir(os.path.join(MODELS, str(number)))]
    for directory in (os.path.join(MODELS, name) for name in known):
        if trigger and load(directory)[1]["trigger"] == trigger:
            return directory  # The same trigger again: whoever made it was killed.
    directory = os.path.join(MODELS, str(len(known) + 1))
    cut = until - (until - start) / 4  # The last quarter decides, and isn't learned from.
    learned, held_out = served(start, cut), served(cut, until)
    model = fit(learned)
    about = dict(version=f"v{len(known) + 1}", fingerprint=fingerprint(), trigger=trigger, rows=learned.num_rows,
                 start=start.isoformat(), until=cut.isoformat(), auc=auc(model, held_out), champion_auc=None)
    if os.path.exists(LIVE):
        about["champion_auc"] = auc(load(LIVE)[0], held_out)
    part = directory + ".part"
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(part)
    scored = learned.append_column("score", pyarrow.array(model.predict(matrix(learned))))
    pyarrow.parquet.write_table(scored, os.path.join(WORK, "training.parquet"))
    plumb("baseline", os.path.join(WORK, "training.parquet"), "--label", "label", "--score", "score", "--out",
          os.path.join(part, "baseline.json"))
    model.save_model(os.path.join(part, "model.txt"))
    with open(os.path.join(part, "about.json"), "w") as file:
        json.dump(about, file, indent=1)
    os.rename(part, directory)
    return directory


def promote(directory):
    """Makes a model the live one, if it is better on rows that neither has seen."""
    about = load(directory)[1]
    if about["auc"] <= (about["champion_auc"] or 0):
        return f"{about['version']} is not better: AUC {about['auc']:.4f} against {about['champion_auc']:.4f}"
    if os.path.lexists(LIVE + ".next"):
        os.remove(LIVE + ".next")
    os.symlink(os.path.basename(directory), LIVE + ".next")
    os.rename(LIVE + ".next", LIVE)
    return f"{about['version']} is live: AUC {about['auc']:.4f}" + (
        f" against {about['champion_auc']:.4f}" if about["champion_auc"] else "")


if __name__ == "__main__":
    if sys.argv[1:] == ["--on-trigger"]:  # plumb on-trigger: what the condition has seen is what is learned from.
        asked = json.load(sys.stdin)
        span, trigger = [asked["data"]["from"], asked["data"]["until"]], asked["id"]
    elif len(sys.argv) == 3:
        span, trigger = sys.argv[1:], None
    else:
        sys.exit("usage: train.py FROM UNTIL, or train.py --on-trigger with the trigger on the standard input")
    print(promote(train(*map(datetime.datetime.fromisoformat, span), trigger)))
