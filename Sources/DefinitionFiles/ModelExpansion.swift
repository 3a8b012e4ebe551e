import FeatureCore
import Yams

/// What a model stands for: a source of its predictions, a join that gives each its outcome, views of both by model version,
/// and triggers. What the file says is taken over as it stands there, with its place; what is made has the place of what it is
/// made for.
struct ModelExpansion {
  /// What is known of a prediction when it is made, or with its outcome.
  private enum Stage: String {
    case inputs, quality
  }

  let block: ModelBlock
  private let reader: ShapeReader
  private var source: [(Node, Node)] = []
  private var join: [(Node, Node)] = []
  private var views: [(Node, Node)] = []

  init(_ block: ModelBlock, _ reader: ShapeReader) {
    self.block = block
    self.reader = reader
  }

  private static let scoreMeasures = [
    "auc", "auc_bound", "pr_auc", "log_loss", "normalized_entropy", "calibration", "ece", "brier",
  ]
  private static let numberMeasures = ["mae", "rmse", "bias"]
  /// How long the id of a prediction is known: for as long as who writes them may try again.
  private static let idWithin = "10m"

  private var predictsNumbers: Bool { block.outcome?.value != nil }
  private var predictionsName: String { "\(block.name)_predictions" }
  private var outcomesName: String { "\(block.name)_outcomes" }

  private func name(_ stage: Stage, by column: String? = nil) -> String {
    "\(block.name)_\(stage.rawValue)" + (column.map { "_by_\($0)" } ?? "")
  }

  /// What it is called what the model stands for.
  var model: Model {
    let columns: [String?] = [nil] + block.by.map(\.name)
    let isKnown = block.outcome != nil
    return Model(
      block.name, service: block.service?.node.scalar?.string, predictions: predictionsName,
      outcomes: isKnown ? outcomesName : nil, inputs: columns.map { name(.inputs, by: $0) },
      quality: isKnown ? columns.map { name(.quality, by: $0) } : [], predictsNumbers: predictsNumbers)
  }

  /// Names and values of a section of the file.
  func nodes(of section: String) -> [(Node, Node)] {
    switch section {
    case "sources": source
    case "joins": join
    default: views
    }
  }

  /// Makes everything. Triggers that can't be placed are reported.
  mutating func expand() {
    let here = block.place.node.mark
    source = [(Self.name(predictionsName, here), sourceNode)]
    if let outcome = block.outcome {
      join = [(Self.name(outcomesName, here), joinNode(outcome))]
    }
    checkRoom()
    let triggers = placedTriggers()
    for column: (name: String, place: Place)? in [nil] + block.by.map(Optional.some) {
      add(.inputs, by: column, column == nil ? triggers.inputs : [])
      if block.outcome != nil { add(.quality, by: column, column == nil ? triggers.quality : []) }
    }
  }

  // MARK: - Source and join

  private var annotations: [(Node, Node)] {
    block.annotations.map { (Self.name($0.name, block.place.node.mark), $0.place.node) }
  }

  private var sourceNode: Node {
    var pairs: [(Node, Node)] = []
    let given = block.predictions
    for (key, value) in given.values.sorted(by: { $0.value.keyPosition < $1.value.keyPosition })
    where key != "id" {
      pairs.append((Self.name(key, value.node.mark), value.node))
    }
    if let id = block.id, given["duplicates"] == nil {
      let rule = [("by", id.node), ("within", Self.name(Self.idWithin, id.node.mark))]
      pairs.append((Self.name("duplicates", id.node.mark), Self.mapping(rule, id.node.mark)))
    }
    return .mapping(.init(pairs + annotations, .implicit, .block, given.place.node.mark))
  }

  private func joinNode(_ outcome: ModelBlock.Outcome) -> Node {
    let here = outcome.source.node.mark
    let right = [("source", outcome.source.node)] + (outcome.label.map { [("where", $0.node)] } ?? [])
    var pairs = [
      ("left", Self.name(predictionsName, here)),
      ("right", outcome.label == nil ? outcome.source.node : Self.mapping(right, here)),
    ]
    for key in ["on", "within", "wait", "allowed_lateness"] {
      if let value = outcome.fields[key] { pairs.append((key, value.node)) }
    }
    var carried = outcome.fields["fields"].map { reader.elements($0).map(\.node) } ?? []
    if let value = outcome.value, !carried.contains(where: { $0.scalar?.string == value.node.scalar?.string })
    {
      carried.insert(value.node, at: 0)
    }
    if !carried.isEmpty { pairs.append(("fields", Self.list(carried, here))) }
    return Self.mapping(pairs, here, annotations, style: .block)
  }

  // MARK: - Views

  private mutating func add(
    _ stage: Stage, by column: (name: String, place: Place)?, _ triggers: [(name: String, place: Place)]
  ) {
    let here = stage == .quality ? block.outcome?.source.node.mark : block.predictions.place.node.mark
    let version = Self.name(Model.versionField, here)
    var pairs: [(String, Node)] = [
      ("source", Self.name(stage == .quality ? outcomesName : predictionsName, here)),
      ("entity", Self.list([version] + (column.map { [$0.place.node] } ?? []), here)),
    ]
    if stage == .quality {
      pairs.append(("where", Self.text(predictsNumbers ? "revision = 0 AND label" : "revision = 0", here)))
    }
    let features = features(stage).map { (Self.name($0.name, $0.node.mark), $0.node) }
    pairs.append(("features", .mapping(.init(features, .implicit, .block, here))))
    if !triggers.isEmpty {
      let nodes = triggers.map { (Self.name($0.name, $0.place.node.mark), $0.place.node) }
      pairs.append(("triggers", .mapping(.init(nodes, .implicit, .block, here))))
    }
    let name = Self.name(name(stage, by: column?.name), column?.place.node.mark ?? block.place.node.mark)
    views.append((name, Self.mapping(pairs, here, annotations, style: .block)))
  }

  /// A feature, and whether it is one of each window.
  private struct MadeFeature {
    var name: String
    var node: Node
    var isWindowed: Bool
  }

  private func features(_ stage: Stage) -> [MadeFeature] {
    stage == .inputs ? inputFeatures : qualityFeatures
  }

  private var inputFeatures: [MadeFeature] {
    let here = block.predictions.place.node.mark
    var features = [windowed("predictions", [("aggregate", Self.name("count", here))], here)]
    if !predictsNumbers {
      features.append(measure("expected_auc", label: nil))
      features += constants(["auc", "expected_auc"])
    }
    let drifts = driftFeatures
    if !drifts.isEmpty, let baseline = block.baseline {
      let names = drifts.map(\.name).joined(separator: ", ")
      features += drifts
      features.append(
        windowed(
          Model.largestDrift, [("derive", Self.text("greatest(\(names))", baseline.place.node.mark))],
          baseline.place.node.mark))
    }
    return features
  }

  private var qualityFeatures: [MadeFeature] {
    let here = block.outcome?.source.node.mark
    let label = block.outcome?.value.map { Self.column($0.node.scalar?.string ?? "") } ?? "label"
    let measures = predictsNumbers ? Self.numberMeasures : Self.scoreMeasures
    return [windowed("labelled", [("aggregate", Self.name("count", here))], here)]
      + measures.map { measure($0, label: label) } + constants(measures)
  }

  /// The compiler would tell to split a view, which nobody has written.
  private func checkRoom() {
    guard let baseline = block.baseline else { return }
    let drifts = driftFeatures.count
    let others = inputFeatures.count - drifts - 1 + block.windows.count
    let room = Limits.featuresPerViewMax - others
    guard drifts > room else { return }
    reader.report(
      baseline.place,
      "the predictions have \(drifts) fields of the baseline, and a view has room for the drift of \(room)",
      suggestion: "leave the others out of the baseline: 'plumb baseline' of fewer columns")
  }

  /// A measure of the score.
  private func measure(_ function: String, label: String?) -> MadeFeature {
    let here = block.fields.first { $0.name == Model.scoreField }?.place.node.mark
    var pairs = [("aggregate", Self.name(function, here)), ("value", Self.name(Model.scoreField, here))]
    if let label {
      let mark = block.outcome?.value?.node.mark ?? block.outcome?.source.node.mark
      pairs.append(("label", Self.text(label, mark)))
    }
    return windowed(function, pairs, here)
  }

  /// What the training set has of some measures.
  private func constants(_ measures: [String]) -> [MadeFeature] {
    guard let baseline = block.baseline else { return [] }
    let here = baseline.place.node.mark
    return measures.compactMap { measure in
      baseline.file.measures[measure].map { value in
        MadeFeature(
          name: Model.baselinePrefix + measure,
          node: Self.mapping([("derive", Self.text("\(value)", here))], here), isWindowed: false)
      }
    }
  }

  /// The fields that the training set had, too, but for those that only identify.
  private var driftFeatures: [MadeFeature] {
    guard let baseline = block.baseline else { return [] }
    return block.fields.filter { !$0.identifies && baseline.file.columns[$0.name] != nil }.map { field in
      let here = field.place.node.mark
      let value = Self.column(field.name)
      let file = Self.text(baseline.path, here)
      let named = Self.mapping([("file", file), ("column", Self.text(field.name, here))], here)
      return windowed(
        Self.featureName(field.name) + Model.driftSuffix,
        [
          ("aggregate", Self.name("psi_excess", here)), ("value", Self.text(value, here)),
          ("baseline", value == field.name ? file : named),
        ], here)
    }
  }

  private func windowed(_ name: String, _ pairs: [(String, Node)], _ mark: Mark?) -> MadeFeature {
    let windows = Self.list(block.windows.map(\.node), mark)
    return MadeFeature(name: name, node: Self.mapping(pairs + [("windows", windows)], mark), isWindowed: true)
  }

  // MARK: - Triggers

  private func columns(_ stage: Stage) -> Set<String> {
    if stage == .quality, block.outcome == nil { return [] }
    return Set(
      features(stage).flatMap { feature in
        feature.isWindowed ? block.windows.map { "\(feature.name)_\($0.name)" } : [feature.name]
      })
  }

  /// Each trigger belongs to the view that has what its condition names.
  private func placedTriggers() -> (
    inputs: [(name: String, place: Place)], quality: [(name: String, place: Place)]
  ) {
    let (known, learnt) = (columns(.inputs), columns(.quality))
    var placed: (inputs: [(name: String, place: Place)], quality: [(name: String, place: Place)]) = ([], [])
    for trigger in block.triggers {
      let names = conditionColumns(trigger.place)
      let strangers = names.filter { !known.contains($0) && !learnt.contains($0) }
      if let stranger = strangers.first {
        report(stranger, of: trigger.place, known.union(learnt))
      } else if block.outcome != nil, learnt.isSuperset(of: names) {
        placed.quality.append(trigger)
      } else if known.isSuperset(of: names) {
        placed.inputs.append(trigger)
      } else {
        let early = names.first { !learnt.contains($0) } ?? ""
        let late = names.first { !known.contains($0) } ?? ""
        reader.report(
          when(trigger.place),
          "'\(early)' is known when a prediction is made, and '\(late)' with its outcome: no state has both",
          suggestion: "make two triggers of it")
      }
    }
    return placed
  }

  private func when(_ trigger: Place) -> Place {
    guard case .mapping(let mapping) = trigger.node,
      let entry = reader.document.entries(of: mapping).first(where: { $0.key == "when" })
    else { return trigger }
    return Place(node: entry.value, path: trigger.path.child("when"), keyPosition: entry.position)
  }

  /// The columns that a condition names; none if it can't be read, which is reported where the trigger is read.
  private func conditionColumns(_ trigger: Place) -> [String] {
    guard let text = when(trigger).node.scalar?.string, let parsed = try? Expression.parse(text) else {
      return []
    }
    return parsed.columns.filter { $0 != "now()" }
  }

  private func report(_ stranger: String, of trigger: Place, _ columns: Set<String>) {
    var suggestion = Suggestion.didYouMean(stranger, among: columns.sorted())
    if stranger.hasPrefix(Model.baselinePrefix) || stranger.contains("psi_excess") {
      if block.baseline == nil {
        suggestion = "name what the model was trained on: baseline: model.json, which 'plumb baseline' writes"
      } else if suggestion == nil, stranger.hasPrefix(Model.baselinePrefix) {
        suggestion = "write the baseline with 'plumb baseline --label ... --score ...'"
      } else if driftFeatures.isEmpty {
        suggestion = "the baseline has no column that is named like a field of the predictions"
      }
    } else if suggestion == nil, block.outcome == nil {
      suggestion = "name what follows a prediction: outcome: { source: ..., label: ..., ... }"
    }
    reader.report(
      when(trigger), "the model '\(block.name)' has no '\(stranger)'",
      suggestion: suggestion ?? "there are \(columns.sorted().joined(separator: ", "))")
  }

  // MARK: - Nodes

  private static func name(_ text: String, _ mark: Mark?) -> Node {
    .scalar(.init(text, .implicit, .plain, mark))
  }

  private static func text(_ text: String, _ mark: Mark?) -> Node {
    .scalar(.init(text, .implicit, .doubleQuoted, mark))
  }

  private static func list(_ nodes: [Node], _ mark: Mark?) -> Node {
    .sequence(.init(nodes, .implicit, .flow, mark))
  }

  private static func mapping(
    _ pairs: [(String, Node)], _ mark: Mark?, _ more: [(Node, Node)] = [],
    style: Node.Mapping.Style = .flow
  ) -> Node {
    .mapping(.init(pairs.map { (name($0.0, $0.1.mark), $0.1) } + more, .implicit, style, mark))
  }

  /// A field's name as an expression has it.
  private static func column(_ name: String) -> String {
    let quoted = "\"" + name.replacing("\"", with: "\"\"") + "\""
    return (try? Expression.parse(quoted))?.canonicalText ?? quoted
  }

  /// A field's name as the name of a feature may be: letters, digits and single underscores, not a digit first.
  static func featureName(_ field: String) -> String {
    var name = ""
    for byte in field.utf8 {
      let character = Character(Unicode.Scalar(byte))
      let isWord = byte < 0x80 && (character.isLetter || character.isNumber)
      if isWord { name.append(character) } else if name.last != "_", !name.isEmpty { name.append("_") }
    }
    while name.last == "_" { name.removeLast() }
    return name.isEmpty || name.first?.isNumber == true ? "field" + (name.isEmpty ? "" : "_\(name)") : name
  }
}
