"""The table of what has happened, three ways to make training rows of the same requests, and whether every claim has held."""
import json
import sys

import train
from shop import COLLECTED, END, SHIFTED, START, STEP, text


def line(about, until, what):
    """A row of the table, of what plumb monitor has said last of a model while it served: measures, and the largest drift."""
    told = [told for told in TOLD if told["model_version"] == about["version"] and told["requested_at"] <= text(until)][-1]
    measures = {measure["name"]: measure["6h"] for measure in told["measures"]}
    print(f"{told['requested_at'][:16]:<18}{about['version']:<7}{measures['auc']:.3f}  {measures['expected_auc']:.3f}     "
          f"{measures['calibration']:.3f}        {told['drift'][0]['6h']:.3f}    {what}")
    return measures["auc"]


def skew():
    """One set of requests, three ways to join their features, and how good a model of each is with features as they are served."""
    start, end, collected, shifted = map(text, (START + 2 * STEP, COLLECTED - 6 * STEP, COLLECTED, SHIFTED - 2 * STEP))
    learned, after = ANSWERS.query("@start <= requested_at < @end"), ANSWERS.query("@collected <= requested_at < @shifted")
    spine = train.WORK / "spine.parquet"
    learned.drop(columns=train.features(learned).columns).assign(midnight=learned.requested_at.dt.ceil("D")).to_parquet(spine)
    joined = ["--service", "ranking", "--as", "happened", "--spine", spine, "--spine-time"]
    print("\ntraining rows             promised AUC  AUC as served")
    for name, rows in {"as served": learned, "as happened": train.training_set("happened", *joined, "requested_at"),
                       "naive: of that midnight": train.training_set("naive", *joined, "midnight")}.items():
        cut = len(rows) * 3 // 4
        promised, delivered = train.auc(train.fit(rows[:cut]), rows[cut:]), train.auc(train.fit(rows), after)
        print(f"{name:<26}{promised:>12.3f}{delivered:>15.3f}")
        yield delivered


TOLD = [json.loads(line) for line in open(train.WORK / "monitor.ndjson")]
ANSWERS, (first, *_, last) = train.served(), train.models()
fired = [json.loads(line) for line in train.plumb("triggers tail", "-d", train.DEFINITIONS).splitlines()]
print("until             model  AUC    expected  calibration  psi max  what has happened")
good = line(first, SHIFTED, f"trained on {first['rows']} rows as served; held out: {first['auc']:.3f}")
bad = line(first, END, f"tastes have changed at {text(SHIFTED)[11:16]}; trigger worse fired for {fired[0]['at'][11:16]}")
better = line(last, END, f"trained: {last['auc']:.3f}, champion {last['champion_auc']:.3f}; promoted")
served, _, naive = skew()
sent = train.training_set("sent", "--source", "ranker_predictions", "--spine-events", "model_version <> 'clock'", "--as", "happened")
logged = sent[["prediction_id", "model_version", "score"]].merge(ANSWERS, on="prediction_id")
others = sum((train.load(about).predict(train.features(rows)) != rows.score).sum()
             for about in train.models() for rows in [logged[logged.model_version == about["version"]]])
claims = {
    f"{len(logged)} of {len(sent)} scores computed again from the logged answers, {others} differ": others == 0 and len(logged) > 0.99 * len(sent),
    f"trigger worse has fired once, after tastes had changed: {fired[0]['at']}": len(fired) == 1 and fired[0]["at"] > text(SHIFTED),
    "the challenger has beaten the champion and is live": train.live() == last != first,
    "the AUC had fallen by more than 0.05, and has come back by more than half of that": better - bad > (good - bad) / 2 > 0.025,
    "a model that is trained on rows as served is better than one of a naive join": served > naive,
}
print("\n" + "\n".join(f"{'held    ' if holds else 'NOT HELD'}  {claim}" for claim, holds in claims.items()))
sys.exit(not all(claims.values()))
