import FeatureCore
import Yams

/// One thing that is wrong with a file, where the definitions and where the file have it.
struct Finding {
  var path: DefinitionPath
  var position: Position
  var message: String
  var suggestion: String?

  init(_ path: DefinitionPath, _ position: Position, _ message: String, suggestion: String? = nil) {
    self.path = path
    self.position = position
    self.message = message
    self.suggestion = suggestion
  }
}

/// A value in the file.
struct Place {
  var node: Node
  var path: DefinitionPath
  /// Of the value's key; of the value itself in a list.
  var keyPosition: Position

  /// Where to point for what is wrong with the value.
  var position: Position {
    if case .scalar(let scalar) = node, scalar.string.isEmpty { return keyPosition }
    return node.position
  }
}

/// The values of a mapping whose keys are fixed.
struct Fields {
  /// The mapping itself.
  var place: Place
  /// What people call such a mapping.
  var what: String
  var values: [String: Place]
  /// Keys that were probably meant by unknown ones: they are not reported as missing too.
  var misspelt: Set<String>

  subscript(key: String) -> Place? { values[key] }
}

/// Reads values of given shapes, and notes everything that has another.
final class ShapeReader {
  /// Findings beyond these are not kept: they are reported once others are mended.
  static let findingsMax = 1_000

  let document: YAMLDocument
  private(set) var findings: [Finding] = []
  /// Paths that could not be read without a finding of their own, such as a required key under a wrong name.
  private(set) var alsoBroken: [DefinitionPath] = []

  init(_ document: YAMLDocument) { self.document = document }

  func report(_ place: Place, _ message: String, suggestion: String? = nil) {
    add(Finding(place.path, place.position, message, suggestion: suggestion))
  }

  /// What is wrong with a key, or with all that stands under it.
  func report(keyOf place: Place, _ message: String, suggestion: String? = nil) {
    add(Finding(place.path, place.keyPosition, message, suggestion: suggestion))
  }

  private func add(_ finding: @autoclosure () -> Finding) {
    if findings.count < Self.findingsMax { findings.append(finding()) }
  }

  private func reportWrongType(_ place: Place, expected: String, suggestion: String? = nil) {
    report(place, "expected \(expected), found \(Self.describe(place.node))", suggestion: suggestion)
  }

  // MARK: - Mappings and lists

  /// The entries of a mapping whose keys are names.
  func entries(_ place: Place, expected: String, suggestion: String? = nil) -> [(name: String, value: Place)]?
  {
    guard case .mapping(let mapping) = place.node else {
      reportWrongType(place, expected: expected, suggestion: suggestion)
      return nil
    }
    let entries = document.entries(of: mapping) { entry, first in
      add(
        Finding(
          place.path.child(entry.key), entry.position,
          "duplicate key '\(entry.key)': line \(first.line) has it already", suggestion: "keep one of them"))
    } unreadable: { node in
      add(
        Finding(place.path, node.position, "a key must be text, found \(Self.describe(node))"))
    }
    return entries.map { entry in
      (entry.key, Place(node: entry.value, path: place.path.child(entry.key), keyPosition: entry.position))
    }
  }

  /// The values of a mapping whose keys are `keys`; unknown ones are reported, with what to do about some that are known to be
  /// written.
  func fields(
    _ place: Place, _ what: String, keys: [String], suggestion: String? = nil,
    strange: [String: String] = [:]
  ) -> Fields? {
    let expected = "\(what): a mapping with the keys \(keys.joined(separator: ", "))"
    guard let entries = entries(place, expected: expected, suggestion: suggestion) else { return nil }
    var fields = Fields(place: place, what: what, values: [:], misspelt: [])
    let given = Set(entries.map(\.name))
    let absent = keys.filter { !given.contains($0) }
    for (name, value) in entries {
      if keys.contains(name) {
        fields.values[name] = value
        continue
      }
      if findings.count >= Self.findingsMax { continue }
      let meant = strange[name] == nil ? Self.meantKey(name, among: absent) : nil
      add(
        Finding(
          value.path, value.keyPosition, "unknown key '\(name)' in \(what)",
          suggestion: strange[name] ?? meant.map { "did you mean '\($0)'?" }
            ?? "the keys are \(keys.joined(separator: ", "))"))
      if let meant {
        fields.misspelt.insert(meant)
        alsoBroken.append(place.path.child(meant))
      }
    }
    return fields
  }

  /// What other systems call our keys.
  private static let keySynonyms = [
    "agg": "aggregate", "function": "aggregate", "expr": "derive", "expression": "derive", "sql": "derive",
    "filter": "where", "column": "value", "group_by": "entity", "entities": "entity", "columns": "fields",
    "schema": "fields", "tz": "time_zone", "gap": "session", "quantile": "q", "percentile": "q",
    "slide": "hop", "duration": "length", "size": "length", "stream": "source", "format": "unit",
  ]

  /// The key that was probably meant by an unknown one.
  private static func meantKey(_ name: String, among keys: [String]) -> String? {
    if let synonym = keySynonyms[name.lowercased()], keys.contains(synonym) { return synonym }
    guard let sentence = Suggestion.didYouMean(name, among: keys) else { return nil }
    return keys.first { sentence == Suggestion.didYouMean(name, among: [$0]) }
  }

  /// The value of a key that must be there.
  func required(_ key: String, of fields: Fields, example: String) -> Place? {
    if let value = fields[key] { return value }
    if !fields.misspelt.contains(key) {
      add(
        Finding(
          fields.place.path.child(key), fields.place.keyPosition, "\(fields.what) needs '\(key)'",
          suggestion: "for example \(example)"))
    }
    return nil
  }

  /// The elements of a list; a single value is a list of one.
  func elements(_ place: Place) -> [Place] {
    guard case .sequence(let sequence) = place.node else {
      if isNothing(place.node) {
        reportWrongType(place, expected: "a value or a list")
        return []
      }
      return [Place(node: place.node, path: place.path.child("0"), keyPosition: place.node.position)]
    }
    return sequence.enumerated().map { index, node in
      Place(node: node, path: place.path.child(String(index)), keyPosition: node.position)
    }
  }

  // MARK: - Scalars

  /// Text, quoted or plain.
  func text(_ place: Place, expected: String) -> String? {
    guard case .scalar(let scalar) = place.node, !isNothing(place.node) else {
      reportWrongType(place, expected: expected)
      return nil
    }
    return scalar.string
  }

  /// A whole number without quotes.
  func integer(_ place: Place) -> Int? {
    guard let literal = literal(place, expected: "a whole number") else { return nil }
    guard case .int64(let value) = literal, let integer = Int(exactly: value) else {
      reportNotNumber(place, literal, expected: "a whole number")
      return nil
    }
    return integer
  }

  /// A number without quotes.
  func number(_ place: Place) -> Double? {
    switch literal(place, expected: "a number") {
    case .int64(let value): return Double(value)
    case .double(let value): return value
    case nil: return nil
    case .some(let literal):
      reportNotNumber(place, literal, expected: "a number")
      return nil
    }
  }

  private func reportNotNumber(_ place: Place, _ literal: Literal, expected: String) {
    var suggestion: String?
    if case .string(let text) = literal, case .number = PlainScalar(text) { suggestion = "remove the quotes" }
    report(place, "expected \(expected), found \(Self.describe(place.node))", suggestion: suggestion)
  }

  /// `true` or `false` without quotes.
  func bool(_ place: Place) -> Bool? {
    guard let literal = literal(place, expected: "true or false") else { return nil }
    if case .bool(let value) = literal { return value }
    report(place, "expected true or false, found \(Self.describe(place.node))")
    return nil
  }

  /// An integer, a number, `true`, `false` or text.
  func literal(_ place: Place, expected: String = "a number, true, false or text") -> Literal? {
    guard case .scalar(let scalar) = place.node, !isNothing(place.node) else {
      reportWrongType(place, expected: expected)
      return nil
    }
    let saysText = scalar.tag.rawValue == Tag.Name.str.rawValue || scalar.tag.rawValue == "!"
    guard scalar.style == .plain, !saysText else { return .string(scalar.string) }
    switch PlainScalar(scalar.string) {
    case .text: return .string(scalar.string)
    case .bool(let value): return .bool(value)
    case .number(let literal): return literal
    case .ambiguous(let problem, let suggestion):
      report(place, problem, suggestion: suggestion)
      return nil
    }
  }

  /// One of a few names.
  func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ place: Place, _ what: String, synonyms: [String: Choice] = [:]
  ) -> Choice? {
    let names = Choice.allCases.map(\.rawValue)
    let list = names.joined(separator: ", ")
    guard let text = text(place, expected: "one of \(list)") else { return nil }
    if let choice = Choice(rawValue: text) { return choice }
    let suggestion =
      synonyms[text.lowercased()].map { "did you mean '\($0.rawValue)'?" }
      ?? Suggestion.didYouMean(text, among: names) ?? "one of \(list)"
    report(place, "unknown \(what) '\(text)'", suggestion: suggestion)
    return nil
  }

  /// A length of time.
  func duration(_ place: Place) -> Int64? {
    guard let text = text(place, expected: "a duration such as 90s, 5m, 24h or 7d") else { return nil }
    if let microseconds = Duration.parse(text) { return microseconds }
    reportDuration(place, text)
    return nil
  }

  func reportDuration(_ place: Place, _ text: String) {
    report(
      place, "'\(text)' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d",
      suggestion: DurationGuess.canonical(text).map { "did you mean '\($0)'?" })
  }

  /// Whether a node is empty, `~` or `null`.
  private func isNothing(_ node: Node) -> Bool {
    guard case .scalar(let scalar) = node, scalar.style == .plain else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
  }

  private static func describe(_ node: Node) -> String {
    switch node {
    case .mapping: return "a mapping"
    case .sequence: return "a list"
    case .alias: return "an alias"
    case .scalar(let scalar):
      let isLong = scalar.string.unicodeScalars.count > 80
      let text = isLong ? "\(String(scalar.string.unicodeScalars.prefix(80)))…" : scalar.string
      guard scalar.style == .plain else { return "the text '\(text)'" }
      return text.isEmpty ? "nothing" : "'\(text)'"
    }
  }
}
