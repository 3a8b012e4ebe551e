import FeatureCore
import Yams

/// A model as a file has it.
struct ModelBlock {
  /// What follows a prediction, and how it is found.
  struct Outcome {
    /// All keys of the block.
    var fields: Fields
    /// The source of what follows.
    var source: Place
    /// Which of its events count.
    var label: Place?
    /// The column that was predicted, if a number was.
    var value: Place?
  }

  /// A field of the predictions.
  struct Field {
    var name: String
    var place: Place
    /// Whether it only says which prediction, entity or time an event is about.
    var identifies: Bool
  }

  var name: String
  var place: Place
  var service: Place?
  var predictions: Fields
  /// Of a prediction's id, if it has one.
  var id: Place?
  var fields: [Field]
  var outcome: Outcome?
  var baseline: (place: Place, path: String, file: BaselineFile)?
  var windows: [(name: String, node: Node)]
  var by: [(name: String, place: Place)]
  var triggers: [(name: String, place: Place)]
  /// Owner, description and tags.
  var annotations: [(name: String, place: Place)]
}

// Models of `DefinitionsReader`.
extension DefinitionsReader {
  /// The keys of a source.
  static let sourceKeys = [
    "topic", "key", "timestamp", "each", "fields", "partitioner", "max_ahead", "table", "capture",
    "duplicates",
    "format",
  ]
  private static let modelWindows = ["1h", "24h"]

  /// A model; nil if something that it needs can't be read.
  mutating func model(_ name: String, _ place: Place) -> ModelBlock? {
    let before = reader.findings.count
    let keys = ["service", "predictions", "outcome", "baseline", "monitor", "triggers"]
    guard let fields = reader.fields(place, "a model", keys: keys + Self.annotationKeys),
      let given = reader.required("predictions", of: fields, example: "predictions: { topic: ..., ... }"),
      let predictions = reader.fields(given, "a model's predictions", keys: Self.predictionKeys)
    else { return nil }
    let id = predictions["id"].flatMap { reader.text($0, expected: "the name of a field") == nil ? nil : $0 }
    let outcome = fields["outcome"].flatMap(outcome)
    let declared = predictionFields(predictions, id: id, outcome)
    let baseline = fields["baseline"].flatMap { modelBaseline($0) }
    let monitor = fields["monitor"].flatMap { reader.fields($0, "a monitor", keys: ["by", "windows"]) }
    let block = ModelBlock(
      name: name, place: place, service: fields["service"], predictions: predictions, id: id,
      fields: declared, outcome: outcome, baseline: baseline,
      windows: windows(monitor?["windows"], of: place), by: by(monitor?["by"], among: declared),
      triggers: fields["triggers"].flatMap { reader.entries($0, expected: "a mapping of triggers by name") }?
        .map { ($0.name, $0.value) } ?? [],
      annotations: Self.annotationKeys.compactMap { key in fields[key].map { (key, $0) } })
    return reader.findings.count == before ? block : nil
  }

  private static var predictionKeys: [String] {
    ["id"] + sourceKeys.filter { !["table", "capture"].contains($0) }
  }

  private func outcome(_ place: Place) -> ModelBlock.Outcome? {
    let keys = ["source", "label", "value", "on", "within", "wait", "allowed_lateness", "fields"]
    guard let fields = reader.fields(place, "an outcome", keys: keys) else { return nil }
    let source = reader.required("source", of: fields, example: "source: clicks")
    for (key, example) in [
      ("on", "on: [user_id, item_id]"), ("within", "within: 30m"), ("wait", "wait: 2m"),
    ] {
      _ = reader.required(key, of: fields, example: example)
    }
    if fields["value"] == nil {
      _ = reader.required("label", of: fields, example: "label: \"event_type = 'click'\", or value: minutes")
    }
    if let value = fields["value"], reader.text(value, expected: "a column of the source") == nil {
      return nil
    }
    return source.map {
      ModelBlock.Outcome(fields: fields, source: $0, label: fields["label"], value: fields["value"])
    }
  }

  /// The declared fields, among which those must be that every model's predictions have.
  private func predictionFields(
    _ predictions: Fields, id: Place?, _ outcome: ModelBlock.Outcome?
  ) -> [ModelBlock.Field] {
    guard let place = reader.required("fields", of: predictions, example: "fields: { score: double }"),
      let entries = reader.entries(place, expected: "a mapping of field names to types")
    else { return [] }
    let needed = [
      (Model.versionField, "which version of the model has made it", "string"),
      (Model.scoreField, "what was predicted", "double"),
    ]
    for (name, meaning, type) in needed where !entries.contains(where: { $0.name == name }) {
      reader.report(
        keyOf: place, "a prediction needs the field '\(name)': \(meaning)",
        suggestion: "declare \(name): \(type), or under another name in the record "
          + "\(name): { path: ..., type: \(type) }")
    }
    if let id, let name = id.node.scalar?.string, !entries.contains(where: { $0.name == name }) {
      reader.report(
        id, "the predictions have no field '\(name)'",
        suggestion: Suggestion.didYouMean(name, among: entries.map(\.name)) ?? "declare it in 'fields'")
    }
    let joined = outcome?.fields["on"].map { reader.elements($0) } ?? []
    let identifying = [predictions["key"]?.node, id?.node] + joined.map(\.node)
    let names = Set(identifying.compactMap { $0?.scalar?.string } + [Model.versionField])
    return entries.map { .init(name: $0.name, place: $0.value, identifies: names.contains($0.name)) }
  }

  private mutating func modelBaseline(_ place: Place) -> (place: Place, path: String, file: BaselineFile)? {
    guard let path = reader.text(place, expected: "the name of a file that 'plumb baseline' has written")
    else { return nil }
    do throws(BaselineFileError) {
      return (place, path, try baselineFiles.file(path))
    } catch {
      reader.report(place, "the baseline '\(path)': \(error.problem)", suggestion: error.remedy)
      return nil
    }
  }

  private mutating func windows(_ place: Place?, of model: Place) -> [(name: String, node: Node)] {
    guard let place else {
      return Self.modelWindows.map { ($0, .scalar(.init($0, .implicit, .plain, model.node.mark))) }
    }
    var windows: [(name: String, node: Node)] = []
    for element in reader.elements(place) {
      if let window = window(element) { windows.append((window.name, element.node)) }
    }
    return windows
  }

  private func by(_ place: Place?, among fields: [ModelBlock.Field]) -> [(name: String, place: Place)] {
    var columns: [(name: String, place: Place)] = []
    for element in place.map({ reader.elements($0) }) ?? [] {
      guard let name = reader.text(element, expected: "the name of a field of the predictions") else {
        continue
      }
      if name == Model.versionField {
        reader.report(element, "everything is by '\(name)' already", suggestion: "remove it")
      } else if !fields.contains(where: { $0.name == name }) {
        reader.report(
          element, "the predictions have no field '\(name)'",
          suggestion: Suggestion.didYouMean(name, among: fields.map(\.name)) ?? "declare it in 'fields'")
      } else if columns.contains(where: { $0.name == name }) {
        reader.report(element, "'\(name)' is named twice", suggestion: "remove one")
      }
      columns.append((name, element))
    }
    return columns
  }

  // MARK: - Expansion

  /// The file as it would be without `models`, which are noted in `models` and `sections`.
  mutating func expanded(_ root: Node) -> Node {
    let place = Place(node: root, path: DefinitionPath(), keyPosition: root.position)
    guard case .mapping(let mapping) = root,
      let given = reader.document.entries(of: mapping).first(where: { $0.key == "models" }),
      let entries = reader.entries(
        Place(node: given.value, path: place.path.child("models"), keyPosition: given.position),
        expected: "a mapping of models by name")
    else { return root }
    var sections = FileSections(reader.document, mapping)
    for (name, place) in entries {
      guard let block = model(name, place) else { continue }
      let services = sections.names("services")
      if let service = block.service, let text = reader.text(service, expected: "the name of a service"),
        !services.contains(text)
      {
        reader.report(
          service, "there is no service '\(text)'",
          suggestion: Suggestion.didYouMean(text, among: services) ?? "declare it under 'services'")
      }
      var expansion = ModelExpansion(block, reader)
      let before = reader.findings.count
      expansion.expand()
      if reader.findings.count > before { continue }
      models.append(expansion.model)
      sections.add(expansion, reader)
    }
    self.sections = sections
    return sections.root
  }
}
