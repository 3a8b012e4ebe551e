import DefinitionFiles
import FeatureCore
import Foundation
import TestSupport
import Testing

/// Models in definitions files: shorthand for what could have been written by hand.
@Suite struct ModelFileTests {
  private static let clicks = """
    name: shop
    sources:
      clicks:
        key: user_id
        timestamp: { field: ts, unit: ms }
        fields: { user_id: string, item_id: string, event_type: string, minutes: double }

    """

  /// A file whose model has these lines below its predictions.
  private static func file(_ lines: String, fields: String = "", sections: String = "") -> String {
    clicks + sections + """
      models:
        ranker:
          predictions:
            topic: shop.predictions
            key: user_id
            timestamp: { field: ts, unit: ms }
            id: prediction_id
            fields: { prediction_id: string, model_version: string, user_id: string, item_id: string, country: string,
              price: double, score: double\(fields) }

      """ + lines.split(separator: "\n").map { "    \($0)\n" }.joined()
  }

  private static let outcome = """
    outcome: { source: clicks, label: "event_type = 'click'", on: [user_id, item_id], within: 30m, wait: 2m }
    """

  private static let baseline = BaselineFile(
    rows: 100,
    columns: [
      "price": Baseline(.edges([5, 10]), counts: [40, 40, 20], nulls: 0),
      "score": Baseline(.edges([0.1]), counts: [90, 10], nulls: 0),
      "country": Baseline(.categories(["de", "fr"]), counts: [50, 30, 20], nulls: 0),
      "user_id": Baseline(.categories(["u1"]), counts: [1, 99], nulls: 0),
      "view__clicks_1h": Baseline(.edges([1]), counts: [50, 50], nulls: 0),
    ], measures: ["auc": 0.75, "log_loss": 0.02, "expected_auc": 0.74])

  private static func compile(_ text: String) throws -> (file: DefinitionFile, plan: Plan) {
    let folder = try TemporaryFolder()
    try folder.write(Array(baseline.text.utf8), to: "ranker.json")
    return try DefinitionFile.compiled(path: folder.write(Array(text.utf8), to: "features.yaml"))
  }

  private static func view(_ name: String, _ plan: Plan) -> View? {
    plan.definitions.views.first { $0.name == name }
  }

  private static func problems(_ text: String) throws -> [String] {
    do throws(any Error) {
      _ = try compile(text)
      return []
    } catch let error as DefinitionFileError {
      return error.problems.map {
        "\($0.line):\($0.column): \($0.message)" + ($0.suggestion.map { "; \($0)" } ?? "")
      }
    }
  }

  /// A file without its models, and with what they stand for pasted below the sections that it has.
  private static func pasted(_ text: String, _ expansion: String) -> String {
    var sections: [String: [Substring]] = [:]
    var section = ""
    for line in expansion.split(separator: "\n") {
      if line.first != " " { section = String(line) } else { sections[section, default: []].append(line) }
    }
    var lines: [Substring] = []
    var isModel = false
    for line in text.split(separator: "\n") {
      if line.first != " " { isModel = line == "models:" }
      if !isModel { lines.append(line) }
      if let more = sections.removeValue(forKey: String(line)) { lines += more }
    }
    for (name, more) in sections { lines += [Substring(name)] + more }
    return lines.joined(separator: "\n") + "\n"
  }

  private static let whole = file(
    outcome + """

      service: ranking
      owner: ads
      baseline: ranker.json
      monitor: { by: [country], windows: [1h, { length: 24h, hop: 30m }] }
      triggers:
        worse: { when: "auc_24h < baseline_auc - 0.02 and labelled_24h >= 5000", for: 3 }
        drifted: { when: "psi_excess_max_24h > 0.2 OR price_psi_excess_1h > 1", for: 3, again_after: 7d }
        promised: { when: "expected_auc_24h < baseline_expected_auc" }
      """, fields: ", \"view__clicks_1h\": int64",
    sections: """
      joins:
        both: { left: ranker_predictions, right: clicks, on: user_id, within: 1h, wait: 1m }
      views:
        users: { source: clicks, entity: [user_id], features: { clicks: { aggregate: count, windows: 1h } } }
      services:
        ranking: { features: [users.*] }

      """)

  @Test func aModelIsWhatCouldHaveBeenWrittenByHand() throws {
    let (file, plan) = try Self.compile(Self.whole)
    let expansion = try #require(file.expansion)
    let text = Self.pasted(Self.whole, expansion)
    let (byHand, other) = try Self.compile(text)
    #expect(byHand.expansion == nil)
    #expect(other.fingerprint == plan.fingerprint)
    // Whatever fingerprints leave out is the same, too.
    let (one, another) = (plan.definitions, other.definitions)
    func isSame<Part: Equatable>(_ part: (Definitions) -> [Part], _ name: (Part) -> String) -> Bool {
      part(one).sorted { name($0) < name($1) } == part(another).sorted { name($0) < name($1) }
    }
    #expect(isSame({ $0.sources }, \.name), "\(expansion)")
    #expect(isSame({ $0.joins }, \.name), "\(expansion)")
    #expect(isSame({ $0.views }, \.name), "\(expansion)")
  }

  @Test func itStandsForASourceAJoinViewsAndTriggers() throws {
    let plan = try Self.compile(Self.whole).plan
    let source = try #require(plan.definitions.sources.last)
    #expect(source.name == "ranker_predictions")
    #expect(source.topic == "shop.predictions")
    #expect(source.duplicates == Source.Duplicates(by: "prediction_id", within: 600_000_000))
    let join = try #require(plan.definitions.joins.last)
    #expect(join.name == "ranker_outcomes")
    #expect(join.left == Join.Side("ranker_predictions"))
    #expect(join.right == Join.Side("clicks", where: "event_type = 'click'"))
    #expect(join.on == ["user_id", "item_id"])
    #expect(join.kind == .outcome(within: 1_800_000_000, wait: 120_000_000, lateness: 1_800_000_000))
    let model = try #require(plan.definitions.models.first)
    #expect(
      model
        == Model(
          "ranker", service: "ranking", predictions: "ranker_predictions", outcomes: "ranker_outcomes",
          inputs: ["ranker_inputs", "ranker_inputs_by_country"],
          quality: ["ranker_quality", "ranker_quality_by_country"], predictsNumbers: false))
    let names = model.inputs + model.quality
    let views = try names.map { try #require(plan.view($0)) }
    #expect(
      views.map { $0.entity.map(\.name) } == [
        ["model_version"], ["model_version", "country"], ["model_version"], ["model_version", "country"],
      ])
    #expect(names.map { Self.view($0, plan)?.filter } == [nil, nil, "revision = 0", "revision = 0"])
    #expect(names.allSatisfy { Self.view($0, plan)?.annotations.owner == "ads" })
    let drifts = ["country", "price", "score", "view_clicks_1h"].map { "\($0)_psi_excess" }
    #expect(
      views[0].features.map(\.name)
        == ["predictions_1h", "predictions_24h", "expected_auc_1h", "expected_auc_24h"]
        + ["baseline_auc", "baseline_expected_auc"]
        + (drifts + ["psi_excess_max"]).flatMap { ["\($0)_1h", "\($0)_24h"] })
    let measures = [
      "labelled", "auc", "auc_bound", "pr_auc", "log_loss", "normalized_entropy", "calibration", "ece",
      "brier",
    ]
    #expect(
      views[2].features.map(\.name)
        == measures.flatMap { ["\($0)_1h", "\($0)_24h"] } + ["baseline_auc", "baseline_log_loss"])
    #expect(views[1].features.map(\.name) == views[0].features.map(\.name))
    #expect(views[3].features.map(\.name) == views[2].features.map(\.name))
    #expect(views.map { $0.triggers.map(\.name) } == [["drifted", "promised"], [], ["worse"], []])
    let clock = views[2].triggers[0].clock
    #expect(clock.every == 1_800_000_000)
    #expect(clock.hops == 3)
    #expect(clock.againAfter == nil)
  }

  /// They are there before the first event: nothing has to be looked up beside a state.
  @Test func theTrainingSetsMeasuresAreColumns() throws {
    let plan = try Self.compile(Self.whole).plan
    for (name, expected) in [
      ("ranker_quality", ["auc": 0.75, "log_loss": 0.02]), ("ranker_inputs", ["auc": 0.75]),
    ] {
      let view = try #require(plan.view(name))
      let values = view.evaluate(nil, at: EventTime(microseconds: 0))
      let columns = Dictionary(zip(view.features.map(\.name), values)) { first, _ in first }
      for (measure, value) in expected { #expect(columns["baseline_\(measure)"] == .double(value)) }
    }
    let nothing = try #require(plan.view("ranker_inputs")).features.firstIndex {
      $0.name == "psi_excess_max_1h"
    }
    let values = plan.view("ranker_inputs")?.evaluate(nil, at: EventTime(microseconds: 0))
    #expect(values?[try #require(nothing)] == .null)
  }

  /// A delivery takes minutes, which the model predicts.
  @Test func aModelOfNumbersHasErrors() throws {
    let text = Self.file(
      """
      outcome: { source: clicks, value: minutes, on: user_id, within: 30m, wait: 2m, fields: [event_type] }
      triggers: { worse: { when: "mae_24h > 5 AND rmse_1h > 7 AND bias_24h > 0" } }
      """)
    let plan = try Self.compile(text).plan
    #expect(plan.joins[0].join.fields == ["minutes", "event_type"])
    #expect(plan.joins[0].join.right == Join.Side("clicks"))
    let quality = try #require(Self.view("ranker_quality", plan))
    #expect(quality.filter == "revision = 0 AND label")
    #expect(quality.features.map(\.name) == ["labelled", "mae", "rmse", "bias"])
    #expect(Self.view("ranker_inputs", plan)?.features.map(\.name) == ["predictions"])
    #expect(plan.definitions.models[0].predictsNumbers)
  }

  @Test func withoutOutcomesAndBaselineTheRestIsThere() throws {
    let plan = try Self.compile(Self.file("triggers: { few: { when: \"predictions_1h < 10\" } }")).plan
    #expect(plan.views.map(\.name) == ["ranker_inputs"])
    #expect(
      plan.views[0].features.map(\.name) == [
        "predictions_1h", "predictions_24h", "expected_auc_1h", "expected_auc_24h",
      ])
    #expect(plan.joins.isEmpty)
    #expect(plan.views[0].triggers.map(\.name) == ["few"])
  }

  @Test(arguments: [
    ("service: rankin", "16:14: there is no service 'rankin'; declare it under 'services'"),
    ("baselin: x.json", "16:5: unknown key 'baselin' in a model; did you mean 'baseline'?"),
    (
      "baseline: x.json",
      "16:15: the baseline 'x.json': it cannot be read; write it with 'plumb baseline', or name another"
    ),
    (
      "monitor: { by: [contry] }",
      "16:21: the predictions have no field 'contry'; did you mean 'country'?"
    ),
    ("monitor: { by: model_version }", "16:20: everything is by 'model_version' already; remove it"),
    ("monitor: { by: [country, country] }", "16:30: 'country' is named twice; remove one"),
    (
      "monitor: { windows: [1y] }",
      "16:26: '1y' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d"
    ),
    (
      "outcome: { source: clicks, on: [user_id], within: 1h }",
      "16:5: an outcome needs 'label'; for example label: \"event_type = 'click'\", or value: minutes|"
        + "16:5: an outcome needs 'wait'; for example wait: 2m"
    ),
    (
      "outcome: { source: click, label: \"a = 1\", on: user_id, within: 1h, wait: 1m }",
      "16:24: there is no source 'click'; did you mean 'clicks'?"
    ),
    (
      "outcome: { source: clicks, label: \"event_typ = 'a'\", on: user, within: 1h, wait: 1m }",
      "16:62: 'clicks' has no column 'user'; compute one there: user: { compute: ... }|"
        + "16:62: 'ranker_predictions' has no column 'user'; compute one there: user: { compute: ... }"
    ),
    (
      "outcome: { source: clicks, label: \"event_typ = 'a'\", on: user_id, within: 1h, wait: 1m }",
      "16:40: column \"event_typ\" is unknown; did you mean 'event_type'?"
    ),
    (
      "triggers: { t: { when: \"predictions_24 > 5\" } }",
      "16:28: the model 'ranker' has no 'predictions_24'; did you mean 'predictions_24h'?"
    ),
    (
      "triggers: { t: { when: \"expected_auc_24h < baseline_auc\" } }",
      "16:28: the model 'ranker' has no 'baseline_auc'; "
        + "name what the model was trained on: baseline: model.json, which 'plumb baseline' writes"
    ),
    (
      "triggers: { t: { when: \"auc_24h < 0.7\" } }",
      "16:28: the model 'ranker' has no 'auc_24h'; name what follows a prediction: outcome: { source: ..., label: ..., ... }"
    ),
    (
      "triggers: { t: { when: \"predictions_24h\" } }",
      "16:29: expected an expression of type bool, this one is int64; convert it: CAST(... AS bool)"
    ),
  ])
  func mistakesPointIntoTheModel(_ lines: String, _ expected: String) throws {
    let found = try Self.problems(Self.file(lines)).joined(separator: "|")
    #expect(found == expected)
  }

  @Test func aConditionOverBothIsRefused() throws {
    let lines = Self.outcome + "\ntriggers: { t: { when: \"auc_24h < 0.7 AND predictions_24h > 10\" } }"
    let found = try Self.problems(Self.file(lines))
    #expect(
      found == [
        "17:28: 'predictions_24h' is known when a prediction is made, and 'auc_24h' with its outcome: no state has both; "
          + "make two triggers of it"
      ])
  }

  /// Not that a view is to be split, which nobody has written.
  @Test func moreFieldsThanAViewHasRoomForAreRefused() throws {
    let names = (0..<600).map { "f\($0)" }
    let file = BaselineFile(
      rows: 2,
      columns: Dictionary(uniqueKeysWithValues: names.map { ($0, Baseline(.edges([1]), counts: [1, 1])) }))
    let folder = try TemporaryFolder()
    let baseline = try folder.write(Array(file.text.utf8), to: "many.json")
    let text = Self.file("baseline: \(baseline)", fields: names.map { ", \($0): double" }.joined())
    let found = try Self.problems(text)
    #expect(
      found.first
        == "16:15: the predictions have 600 fields of the baseline, and a view has room for the drift of 508; "
        + "leave the others out of the baseline: 'plumb baseline' of fewer columns")
  }

  /// Whole, without a file beside it.
  static let sample = file(
    outcome + """

      service: ranking
      owner: ads
      monitor: { by: [country], windows: [1h, { length: 24h, hop: 30m }, lifetime] }
      triggers:
        worse: { when: "auc_24h < 0.7 and labelled_24h >= 5000", for: 3 }
        few: { when: "predictions_24h < 10" }
      """, fields: ", more: &t { type: int64, text: true }, again: *t",
    sections: """
      views:
        users: { source: clicks, entity: [user_id], features: { clicks: { aggregate: count, windows: 1h } } }
      services:
        ranking: { features: [users.*] }

      """)

  @Test func theSampleIsRight() throws {
    let (file, plan) = try Self.compile(Self.sample)
    let text = Self.pasted(Self.sample, try #require(file.expansion))
    #expect(try Self.compile(text).plan.fingerprint == plan.fingerprint, "\(text)")
  }

  /// What is wrong with a field of the baseline's is said at the field.
  @Test func aFieldThatHadAnotherTypeIsRefused() throws {
    let text = Self.file("baseline: ranker.json").replacing("price: double", with: "price: string")
    let found = try Self.problems(text)
    #expect(
      found == [
        "15:16: the baseline has edges, the value is a string; compare numbers, or CAST the value"
      ])
  }

  @Test func fieldsThatPredictionsNeed() throws {
    let text = Self.file("triggers: { few: { when: \"predictions_1h < 10\" } }")
      .replacing("score: double", with: "probability: double")
    let found = try Self.problems(text)
    #expect(
      found == [
        "14:7: a prediction needs the field 'score': what was predicted; "
          + "declare score: double, or under another name in the record score: { path: ..., type: double }"
      ])
  }

  /// A mistake of shape is said once, although the source, the join and the views are read from it.
  @Test func whatFollowsFromAMistakeIsNotSaid() throws {
    let text = Self.file(Self.outcome).replacing("score: double", with: "score: duble")
    let found = try Self.problems(text)
    #expect(found == ["15:31: unknown type 'duble'; did you mean 'double'?"])
    let unread = Self.file(
      "baseline: [5]",
      sections: """
        views:
          mine: { source: ranker_outcomes, entity: [user_id], features: { n: { aggregate: count, windows: 1h } } }

        """)
    #expect(try Self.problems(unread).count == 1)
  }

  @Test func namesThatAreTakenAreRefused() throws {
    let text = Self.file(
      Self.outcome,
      sections: """
        views:
          ranker_quality: { source: clicks, entity: [user_id], features: { n: { aggregate: count, windows: 1h } } }

        """)
    let found = try Self.problems(text)
    #expect(
      found == [
        "10:3: the model 'ranker' makes a view 'ranker_quality', and line 8 has a view of that name; rename one"
      ])
    // ranker by foo_inputs, and a model that is named like the beginning of that.
    let first = Self.file("monitor: { by: foo_inputs }", fields: ", foo_inputs: string")
    let second = first.split(separator: "\n").drop { $0 != "  ranker:" }.joined(separator: "\n")
      .replacing("ranker", with: "ranker_inputs_by_foo").replacing("shop.predictions", with: "other")
    let both = try Self.problems(first + second)
    #expect(
      both == [
        "17:3: the model 'ranker_inputs_by_foo' makes a view 'ranker_inputs_by_foo_inputs', and line 8 has a view of the "
          + "model 'ranker' of that name; rename one"
      ])
  }
}
