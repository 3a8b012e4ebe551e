"""Trains a click model on what was served. It serves from then on if it is better than the one that does."""
import json
import os
import pathlib
import subprocess
import sys

import lightgbm
import pandas

DEFINITIONS = pathlib.Path(__file__).with_name("features.yaml")
WORK = pathlib.Path(os.environ["PLUMB_CTR_WORK"])
MODELS = WORK / "models" / "ranker"
DRIFTING = ["category", "item_row__price", "user_category__ctr", "user_category__shown_1h", "user_category__clicks_1h"]
# Two runs on two machines make one model.
PARAMETERS = dict(objective="binary", learning_rate=0.1, num_leaves=6, min_data_in_leaf=100, lambda_l2=10, verbosity=-1, seed=1,
                  deterministic=True, force_row_wise=True, num_threads=1)


def plumb(command, *arguments, input=""):
    done = subprocess.run([os.environ["PLUMB"], *command.split(), *arguments], input=input, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"plumb {command}: {done.stderr}")
    return done.stdout


def training_set(name, *arguments):
    plumb("training-set", "-d", DEFINITIONS, *arguments, "--out", WORK / f"{name}.parquet")
    return pandas.read_parquet(WORK / f"{name}.parquet")


def served():
    """What the service has answered, row by row, with what came of it: nothing is computed again, so nothing can differ."""
    label = ["--label", "event_type = 'click'", "--label-source", "clicks", "--within", "30m", "--on", "user_id,item_id"]
    table = training_set("served", "--from", "served", "--service", "ranking", *label)
    ids = table.request_id + "." + table.row.astype(str)
    return table.assign(prediction_id=ids).sort_values(["requested_at", "prediction_id"], ignore_index=True)


def features(table):
    return table.filter(like="__").astype(float)


def fit(table):
    return lightgbm.train(PARAMETERS, lightgbm.Dataset(features(table), table.label), num_boost_round=50)


def baseline(model, table):
    """Rows and a model's scores of them, as plumb baseline freezes them."""
    table.assign(score=model.predict(features(table)))[["score", "label", *DRIFTING]].to_parquet(WORK / "scored.parquet")
    return plumb("baseline", WORK / "scored.parquet", "--label", "label", "--score", "score")


def auc(model, table):
    return json.loads(baseline(model, table))["measures"]["auc"]


def models():
    """What is known of each version, the first one first. A model is there when its about.json is, and never changes."""
    return sorted((json.loads(path.read_text()) for path in MODELS.glob("*/about.json")), key=lambda about: about["version"])


def live():
    """The version that serves, if there is one: the last that was better."""
    return ([None] + [about for about in models() if about["auc"] > about["champion_auc"]])[-1]


def load(about):
    """A model. One of other definitions is refused: its features would be others of the same names."""
    if f"fingerprint {about['fingerprint']}" not in plumb("check", "-d", DEFINITIONS):
        raise ValueError(f"{about['version']} was trained on definitions that are not {DEFINITIONS}: train it anew")
    return lightgbm.Booster(model_file=MODELS / about["trigger"] / "model.txt")


def train(trigger, start, until):
    """The version that a trigger asks for: the last quarter of its time isn't learned from, and tells who is better."""
    champion, folder, table = live(), MODELS / trigger, served()
    start, until = pandas.Timestamp(start), pandas.Timestamp(until)
    cut = until - (until - start) / 4
    learned, held_out = table.query("@start <= requested_at < @cut"), table.query("@cut <= requested_at < @until")
    model = fit(learned)
    about = dict(version=f"v{len(models()) + 1}", trigger=trigger, rows=len(learned), auc=auc(model, held_out),
                 champion_auc=auc(load(champion), held_out) if champion else 0.0,
                 fingerprint=plumb("check", "-d", DEFINITIONS).split("fingerprint ")[1].split()[0])
    folder.mkdir(exist_ok=True)
    model.save_model(folder / "model.txt")
    (folder / "baseline.json").write_text(baseline(model, held_out))
    (folder / "about.part").write_text(json.dumps(about))
    (folder / "about.part").rename(folder / "about.json")


if __name__ == "__main__":  # As plumb on-trigger runs it: what the condition has seen is what is learned from.
    asked = json.load(sys.stdin)
    if all(about["trigger"] != asked["id"] for about in models()):  # Else this one had been killed just behind its work.
        train(asked["id"], asked["data"]["from"], asked["data"]["until"])
    print(live())
