import FeatureCore
import Yams

/// One key of a mapping with its value.
struct Entry {
  var key: String
  var position: Position
  var value: Node
}

/// A YAML file as a tree whose scalars are still text: YAML 1.1 would read the event name `no` as false and
/// the feature name `y` as true.
final class YAMLDocument {
  let source: SourceText
  let root: Node?
  /// What is wrong with the YAML itself, besides duplicate keys of readable mappings.
  private(set) var findings: [Finding] = []

  /// Yams refuses a whole file at its first duplicate key. To find the others too, the first of the equal
  /// keys gets another first character, and the file is parsed again; here is what stood there.
  private let renamed: [Unicode.Scalar: Unicode.Scalar]
  /// More duplicates than this in one file are reported after the first ones are mended.
  private static let renamesMax = 64
  /// And together they may take so long.
  private static let renamedBytesMax = 1 << 18
  /// First of the private-use characters (plane 15) that mark renamed keys.
  private static let firstMarker: UInt32 = 0xF0000
  /// Merge keys expand mappings inside mappings: more than this in one is an accident.
  private static let mergesMax = 1000

  init(_ text: String) {
    source = SourceText(text)
    let forbidden = source.forbidden.prefix(Self.renamesMax)
    guard forbidden.isEmpty else {
      let source = source
      findings = forbidden.map { index in
        let code = String(source.scalars[index].value, radix: 16, uppercase: true)
        return Finding(
          DefinitionPath(), source.position(of: index), "control character U+\(code) is not allowed in YAML",
          suggestion: "in a double-quoted text write it as an escape")
      }
      root = nil
      renamed = [:]
      return
    }
    var attempt = source
    var renamed: [Unicode.Scalar: Unicode.Scalar] = [:]
    var unresolved: [Finding] = []
    // Each is another parse: a large file is told of fewer at a time.
    let renamesMax = max(1, min(Self.renamesMax, Self.renamedBytesMax / max(1, source.scalars.count)))
    while true {
      do {
        (root, findings) = try Self.compose(attempt)
        self.renamed = renamed
        return
      } catch YamlError.duplicatedKeysInMapping(let duplicates, let context) {
        let position = Position(line: context.mark.line, column: context.mark.column)
        let marker = Unicode.Scalar(Self.firstMarker + UInt32(renamed.count))!
        if renamed.count < renamesMax,
          let index = Self.renameableIndex(of: duplicates.sorted().first ?? "", at: position, in: attempt)
        {
          unresolved.append(
            Finding(
              DefinitionPath(), position, "duplicate key '\(duplicates.sorted().first ?? "")'",
              suggestion: "keep one of them"))
          renamed[marker] = attempt.scalars[index]
          attempt.replace(at: index, with: marker)
        } else {
          findings = unresolved + [Finding(DefinitionPath(), position, "duplicate key in a mapping")]
          break
        }
      } catch {
        findings = unresolved + [Self.finding(for: error, in: source)]
        break
      }
    }
    root = nil
    self.renamed = [:]
  }

  /// The entries of a mapping in the file's order, merge keys (`<<: *defaults`) expanded. `duplicates` is
  /// told of every key that stood before, with the position of the first.
  func entries(
    of mapping: Node.Mapping, duplicates: (Entry, Position) -> Void = { _, _ in },
    unreadable: (Node) -> Void = { _ in }
  ) -> [Entry] {
    var entries: [Entry] = []
    var seen: [String: Position] = [:]
    var merged: [Node] = []
    for (key, value) in mapping {
      guard case .scalar(let scalar) = key else {
        unreadable(key)
        continue
      }
      if scalar.string == "<<", scalar.style == .plain {
        merged.append(value)
        continue
      }
      let entry = Entry(key: original(scalar.string), position: key.position, value: value)
      if let first = seen[entry.key] {
        duplicates(entry, first)
      } else {
        seen[entry.key] = entry.position
        entries.append(entry)
      }
    }
    var budget = Self.mergesMax
    for node in merged { merge(node, into: &entries, &seen, &budget, unreadable) }
    return entries
  }

  private func merge(
    _ node: Node, into entries: inout [Entry], _ seen: inout [String: Position], _ budget: inout Int,
    _ unreadable: (Node) -> Void
  ) {
    budget -= 1
    guard budget > 0 else { return }
    switch node {
    case .sequence(let list):
      for element in list { merge(element, into: &entries, &seen, &budget, unreadable) }
    case .mapping(let mapping):
      var nested: [Node] = []
      for (key, value) in mapping {
        guard case .scalar(let scalar) = key else { continue }
        if scalar.string == "<<", scalar.style == .plain {
          nested.append(value)
        } else if seen.updateValue(key.position, forKey: original(scalar.string)) == nil {
          entries.append(Entry(key: original(scalar.string), position: key.position, value: value))
        }
      }
      for node in nested { merge(node, into: &entries, &seen, &budget, unreadable) }
    case .scalar, .alias: unreadable(node)
    }
  }

  /// A key as the file has it.
  func original(_ key: String) -> String {
    guard let first = key.unicodeScalars.first, let replaced = renamed[first] else { return key }
    var view = String.UnicodeScalarView([replaced])
    view.append(contentsOf: key.unicodeScalars.dropFirst())
    return String(view)
  }

  private static func compose(_ source: SourceText) throws -> (Node?, [Finding]) {
    if let finding = try AliasExpansion.problem(in: source) { return (nil, [finding]) }
    let parser = try Parser(yaml: source.text, resolver: .basic, encoding: .utf8)
    guard let root = try parser.nextRoot() else { return (nil, []) }
    guard let second = try parser.nextRoot() else { return (root, []) }
    let finding = Finding(
      DefinitionPath(), second.position, "a second YAML document begins here",
      suggestion: "a definitions file holds one; remove the '---' before this or use two files")
    return (root, [finding])
  }

  /// The index of a character that can be exchanged without changing anything but the key's text.
  private static func renameableIndex(of key: String, at position: Position, in source: SourceText) -> Int? {
    let start = ScalarAlignment.contentStart(at: position, in: source)
    guard let first = source.scalar(at: start) else { return nil }
    if first == "'" || first == "\"" {
      guard let inner = source.scalar(at: start + 1), inner != first, inner != "\\" else { return nil }
      return isMarker(inner) ? nil : start + 1
    }
    return first == key.unicodeScalars.first && !isMarker(first) ? start : nil
  }

  private static func isMarker(_ scalar: Unicode.Scalar) -> Bool {
    (firstMarker..<(firstMarker + UInt32(renamesMax))).contains(scalar.value)
  }

  private static func finding(for error: any Error, in source: SourceText) -> Finding {
    switch error {
    case YamlError.scanner(let context, let problem, let mark, _),
      YamlError.parser(let context, let problem, let mark, _),
      YamlError.composer(let context, let problem, let mark, _):
      let position = Position(line: mark.line, column: mark.column)
      let message = "not valid YAML: \(problem)" + (context.map { " (\(describe($0)))" } ?? "")
      return Finding(
        DefinitionPath(), position, message, suggestion: suggestion(problem, at: position, in: source))
    case YamlError.reader(let problem, _, _, _):
      return Finding(DefinitionPath(), .start, "not valid YAML: \(problem)")
    default:
      return Finding(DefinitionPath(), .start, "not valid YAML: \(error)")
    }
  }

  private static func describe(_ context: YamlError.Context) -> String {
    context.mark.line > 0 ? "\(context.text) of line \(context.mark.line)" : context.text
  }

  private static func suggestion(_ problem: String, at position: Position, in source: SourceText) -> String? {
    let indentation = source.line(position.line).prefix { $0 == " " || $0 == "\t" }
    if indentation.contains("\t") { return "YAML is indented with spaces, not with tabs" }
    if problem.hasPrefix("mapping values are not allowed") {
      return "quote a text that contains ': '"
    }
    if problem.hasPrefix("did not find expected") {
      return "look for a missing quote, bracket, comma or indentation here or above"
    }
    if problem.hasPrefix("found undefined alias") { return "define it with '&name' above" }
    return nil
  }
}
